"""The planar potential by hand."""

import numpy as np
import pytest

from gpu_thermo.targets.analytic.plane import Plane


def test_plane_by_hand():
    """equations.md section 1: its deepest well is in the middle, and the outer term sets in at r^2 = 7."""
    q = np.array([[0.0, 0.0], [1.0, -0.5], [2.0, 2.0]])
    x, y = q.T
    inner = ((x * x + y * y) / 10 - np.cos(1.2 * np.pi * x) - np.cos(1.2 * np.pi * y)) / 0.3
    np.testing.assert_allclose(Plane().energy(q), inner + np.array([0, 0, 1]), rtol=1e-14)
    assert Plane().energy(q[:1])[0] == pytest.approx(-2 / 0.3)
