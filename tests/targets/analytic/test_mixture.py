"""Mixtures of Gaussians against scipy, near and far."""

import numpy as np
import pytest
from potential_cases import TWO, batch
from scipy import stats

from gpu_thermo.targets.analytic.mixture import GaussianMixture


@pytest.mark.parametrize("size", [1, 3])
def test_mixture_against_scipy(size):
    rng = np.random.default_rng(0)
    means, sd, weights = rng.normal(size=(4, size)) * 3, rng.uniform(0.3, 2, (4, size)), rng.dirichlet(np.ones(4))
    q = rng.normal(size=(50, size)) * 4
    density = sum(w * stats.norm.pdf(q, m, s).prod(axis=1) for w, m, s in zip(weights, means, sd, strict=True))
    np.testing.assert_allclose(GaussianMixture(means, sd, weights).energy(q), -np.log(density), rtol=1e-12)


def test_mixture_far_away(dtype):
    """Where every density underflows: finite, and the slope of the nearest mode."""
    q = np.array([[-1e4], [1e4]], dtype)
    energy, gradient = GaussianMixture(**TWO).energy_and_gradient(q, batch(2))
    np.testing.assert_allclose(energy, [(1e4 - 6) ** 2 / 2, (1e4 - 4) ** 2 / 2], rtol=1e-6)
    np.testing.assert_allclose(gradient[:, 0], [-1e4 + 6, 1e4 - 4], rtol=1e-6)
