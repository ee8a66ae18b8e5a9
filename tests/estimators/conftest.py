"""A small regressor and a small classifier, fitted once."""

import numpy as np
import pytest
from estimator_cases import SMALL, classes, numbers

from gpu_thermo import BayesianMLPClassifier, BayesianMLPRegressor


@pytest.fixture(scope="session")
def regressor() -> BayesianMLPRegressor:
    """Fitted on `numbers`."""
    return BayesianMLPRegressor(**SMALL).fit(*numbers())


@pytest.fixture(scope="session")
def classifier() -> BayesianMLPClassifier:
    """Fitted on `classes`."""
    x, y = classes()
    return BayesianMLPClassifier(**SMALL).fit(x, np.where(y, "yes", "no"))
