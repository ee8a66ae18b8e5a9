"""The classifier's answers."""

import numpy as np
import pytest
from estimator_cases import ROWS, SMALL, classes

from gpu_thermo import BayesianMLPClassifier
from gpu_thermo.averages.outside import Outside

X, Y = classes()


def test_probabilities_of_two_classes(classifier):
    proba = classifier.predict_proba(X)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert classifier.classes_.tolist() == ["no", "yes"]
    assert classifier.score(X, np.where(Y, "yes", "no")) > 0.8
    assert (classifier.predict(X) == classifier.classes_[proba.argmax(axis=1)]).all()


def test_entropies_add_up(classifier):
    parts = classifier.uncertainty(X)
    np.testing.assert_allclose(parts.epistemic + parts.aleatoric, parts.total)
    proba = classifier.predict_proba(X)
    np.testing.assert_allclose(parts.total, -(proba * np.log(proba)).sum(axis=1))
    with pytest.warns(Outside, match=r"1 of 1 row lies outside .*'x0' in 1, 'x1' in 1"):
        far = classifier.uncertainty(np.array([[30.0, -30.0]]))
    assert far.epistemic[0] > parts.epistemic.mean()


def test_three_classes_of_any_type():
    y = np.digitize(X[:, 0], [-0.5, 0.5]) * 10 - 5
    model = BayesianMLPClassifier(**SMALL).fit(X, y, sample_weight=np.linspace(0.5, 1.5, ROWS))
    assert model.classes_.tolist() == [-5, 5, 15]
    assert model.predict_proba(X).shape == (ROWS, 3)
    assert model.score(X, y) > 0.7


@pytest.mark.parametrize("weight", [None, (Y == 1).astype(float)])
def test_one_class_is_none(weight):
    y = np.ones(ROWS) if weight is None else Y
    with pytest.raises(ValueError, match="one class only"):
        BayesianMLPClassifier(**SMALL).fit(X, y, sample_weight=weight)
