"""Scores, checks and their verdict."""

import numpy as np

from gpu_thermo.verify.report import from_scores, score

# -- reports --------


def test_scores() -> None:
    values = np.random.default_rng(1).normal(3, 1, 400)
    assert abs(score("mean", values, 3.0).z) < 4
    assert score("mean", values, 4.0).z < -15
    assert score("constant", np.ones(5), 1.0).z == 0
    assert not from_scores("a", "b", "c", [score("constant", np.ones(5), 2.0)]).passed
    with np.errstate(invalid="ignore"):
        assert not from_scores("a", "b", "c", [score("x", values, 3.0), score("NaN", np.full(5, np.nan), 1.0)]).passed
