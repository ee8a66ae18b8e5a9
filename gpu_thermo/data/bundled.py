"""The small real data sets that scikit-learn ships (imported only when asked for), in their own units."""

import importlib
from typing import Any

import numpy as np

from ..errors import DataError
from .dataset import Schema
from .splits import Table
from .tasks import classification


def load_bundled(name: str) -> Table:
    """One of digits, breast_cancer, wine, diabetes as a table.

    Raises
    ------
    DataError
        If scikit-learn is not installed.
    """
    try:
        datasets: Any = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise DataError(
            f"Data '{name}' comes with scikit-learn, which cannot be imported ({error}). Install it: pip install"
            " scikit-learn"
        ) from error
    # Diabetes raw: scikit-learn's default scaling uses all rows, and so would leak the test part into the training
    # part.
    bunch = datasets.load_diabetes(scaled=False) if name == "diabetes" else getattr(datasets, f"load_{name}")()
    features = tuple(str(f) for f in bunch.feature_names)
    x = np.asarray(bunch.data, dtype=np.float64)
    if name == "diabetes":
        return Table(
            Schema(name, "regression", features, targets=("progression",)),
            x,
            np.asarray(bunch.target, dtype=np.float64)[:, None],
        )
    classes = tuple(str(c) for c in bunch.target_names)
    task = classification(len(classes))
    return Table(Schema(name, task, features, classes=classes), x, np.asarray(bunch.target, dtype=np.int64))
