"""Scores against scikit-learn and by hand."""

import numpy as np
import pytest
import sklearn.metrics

from gpu_thermo.averages.scores import brier, calibration_error, class_probabilities, ood_auroc, scores


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 4)])
def test_scores_equal_scikit_learn(task: str, classes: int, rng: np.random.Generator) -> None:
    p = rng.dirichlet(np.ones(classes), 200)
    y = rng.integers(0, classes, 200)
    got = scores(task, p[:, 1:] if task == "binary" else p, y)
    assert got["accuracy"] == sklearn.metrics.accuracy_score(y, p.argmax(1))
    assert got["nll"] == pytest.approx(sklearn.metrics.log_loss(y, p, labels=range(classes)))
    if task == "binary":
        assert got["brier"] == pytest.approx(sklearn.metrics.brier_score_loss(y, p[:, 1]))
    else:
        assert got["brier"] == pytest.approx(np.mean(((p - np.eye(classes)[y]) ** 2).sum(1)))
    assert brier("multiclass", class_probabilities("binary", p[:, :1]), y % 2) == pytest.approx(
        2 * brier("binary", class_probabilities("binary", p[:, :1]), y % 2)
    )
    assert scores(task, np.zeros((0, 1)), np.zeros(0)) == {}


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.6, 0.62, 0.95, 0.98, 1.0])  # bins 9, 10, 15, 15, 15
    hit = np.array([1, 0, 1, 1, 0])
    want = (abs(1 - 0.6) + abs(0 - 0.62) + abs(2 - 2.93)) / 5
    assert calibration_error(confidence, hit) == pytest.approx(want)
    rng = np.random.default_rng(0)
    c = rng.uniform(0.5, 1, 200_000)
    assert calibration_error(c, rng.uniform(size=c.size) < c) < 0.01


def test_regression_scores_and_detection(rng: np.random.Generator) -> None:
    mean, y = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    got = scores("regression", mean, y, log_density=np.full(50, -1.5))
    assert got["rmse"] == pytest.approx(sklearn.metrics.mean_squared_error(y, mean) ** 0.5)
    assert got["nll"] == 1.5
    assert "nll" not in scores("regression", mean, y)
    assert ood_auroc([0.1, 0.2], [0.3, 0.4]) == 1.0
    assert ood_auroc([0.1, 0.4], [0.1, 0.4]) == 0.5
