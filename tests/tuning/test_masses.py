"""Masses from the gradients of an ensemble, where curvatures are known."""

import numpy as np
import pytest

from gpu_thermo.tuning.masses import WIDEST, estimate, scale

GROUPS = {"a": slice(0, 2), "b": slice(2, 3), "c": slice(3, 6)}
STIFFNESS = np.array([1.0, 4.0, 100.0, 9.0, 9.0, 9.0])
ALL = np.ones(6, bool)


def gradients(replicas=4000, stiffness=STIFFNESS):
    """k q at temperature 1: its mean square is k."""
    return np.random.default_rng(1).normal(size=(replicas, len(stiffness))) * np.sqrt(stiffness)


def test_they_follow_the_mean_curvature_of_a_group():
    """Within 4.5 standard errors of ratios known exactly; their geometric mean over parameters is 1."""
    found = estimate(gradients(), GROUPS, ALL)
    each = {"a": (1.0**2 + 4.0**2) / 2.5**2 / 2, "b": 2.0, "c": 2.0 / 3}  # relative variance of a mean square, times R
    for name, curvature in (("a", 2.5), ("c", 9.0)):
        error = np.sqrt((each[name] + each["b"]) / 4000)
        z = (np.log(found["b"] / found[name]) - np.log(100 / curvature)) / error
        assert abs(z) < 4.5
        assert abs(np.log(found["b"] / found[name]) - np.log(10 / np.sqrt(curvature))) / error > 9  # of their roots
    assert found["a"] ** 2 * found["b"] * found["c"] ** 3 == pytest.approx(1)


def test_what_does_not_move_or_is_lost_does_not_count():
    free = np.array([1, 1, 0, 1, 1, 1], bool)
    gradient = gradients()
    found = estimate(gradient, GROUPS, free)
    assert found["b"] == 1
    assert found["a"] ** 2 * found["c"] ** 3 == pytest.approx(1)
    lost = np.vstack([gradient, np.full((3, 6), np.nan)])
    assert estimate(lost, GROUPS, free) == found
    assert estimate(np.zeros((5, 6)), GROUPS, ALL) == dict.fromkeys(GROUPS, 1.0)
    assert estimate(np.full((5, 6), np.inf), GROUPS, ALL) == dict.fromkeys(GROUPS, 1.0)


def test_extremes_are_bounded():
    found = estimate(gradients(stiffness=STIFFNESS * 1e40 ** np.arange(6)), GROUPS, ALL)
    assert max(found.values()) / min(found.values()) == pytest.approx(WIDEST)


def test_scale():
    found = scale({"a": 4.0, "b": 0.25, "c": 1.0}, GROUPS, 6)
    np.testing.assert_allclose(found, [0.5, 0.5, 2, 1, 1, 1])
