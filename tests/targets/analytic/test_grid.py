"""Grids against quadrature and scipy; distances of samples; modes."""

import numpy as np
import pytest
from scipy import integrate
from scipy.special import gamma

from gpu_thermo.errors import DataError, SpecError
from gpu_thermo.targets.analytic.grid import Grid, mode_of, mode_weights
from gpu_thermo.targets.analytic.plane import Plane
from gpu_thermo.targets.analytic.wells import DoubleWell, Harmonic, Quartic
from gpu_thermo.targets.options import TARGETS
from gpu_thermo.targets.user import UserPotential

# -- grids --------


def narrow():
    return TARGETS["mixture"](preset="two_narrow").build()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_one_dimension_against_quadrature(temperature):
    potential = DoubleWell(3.0, 1.2, 0.4)
    grid = Grid.of(potential, (-4, 4), 4000).at(temperature)
    weight = lambda x, power=0: x**power * np.exp(-potential.energy(np.array([[x]]))[0] / temperature)  # noqa: E731
    z, first, second = (
        integrate.quad(weight, -4, 4, args=(k,), points=[-1.2, 1.2], epsabs=1e-13)[0] for k in (0, 1, 2)
    )
    assert grid.log_partition == pytest.approx(np.log(z), abs=1e-7)
    assert grid.mean[0] == pytest.approx(first / z, abs=1e-7)
    assert grid.covariance[0, 0] == pytest.approx(second / z - (first / z) ** 2, abs=1e-6)
    left = integrate.quad(weight, -4, 0.25, epsabs=1e-13)[0] / z
    np.testing.assert_allclose(grid.mode_weights(0.25), [left, 1 - left], atol=1e-3)


def test_quartic_moments():
    """E q^2 of exp(-q^4/4) is 2 Gamma(3/4)/Gamma(1/4)."""
    grid = Grid.of(Quartic(), (-7, 7), 2000)
    assert grid.covariance[0, 0] == pytest.approx(2 * gamma(0.75) / gamma(0.25), rel=1e-10)
    assert grid.expectation(lambda q: q[:, 0] ** 4) == pytest.approx(1, rel=1e-10)


def test_two_dimensions():
    """A product of normals: moments, partition function, energy bins (U is exponential) and marginals."""
    grid = Grid.of(Harmonic([[1.0, 4.0]], 2), ((-9, 9), (-5, 5)), 900)
    assert grid.log_partition == pytest.approx(np.log(2 * np.pi / 2), abs=1e-10)
    np.testing.assert_allclose(grid.covariance, np.diag([1, 0.25]), atol=1e-10)
    assert grid.density.max() == pytest.approx(2 / (2 * np.pi), rel=1e-3)
    tail = np.exp(-np.array([0, 0.5, 1.0, 1.5, np.inf]))
    np.testing.assert_allclose(grid.energy_bins(0, 0.5, 4), tail[:-1] - tail[1:], atol=2e-3)
    np.testing.assert_allclose(grid.mode_weights([[-1, 0], [1, 0]]), 0.5, atol=1e-2)


def test_the_mixture_itself():
    """Component weights by nearest mean; with temperature 1 the partition function is 1; energy bins clamp and add
    up.
    """
    grid = Grid.of(narrow(), (-12, 12), 24_000)
    assert grid.log_partition == pytest.approx(0, abs=1e-10)
    np.testing.assert_allclose(grid.mode_weights([-4, 3]), [0.4, 0.6], atol=1e-6)
    bins = grid.energy_bins(1.0, 0.5, 5)
    below, above = (grid.probability[m].sum() for m in (grid.energy < 1.5, grid.energy >= 3.0))
    assert bins.sum() == pytest.approx(1)
    assert (bins[0], bins[-1]) == pytest.approx((below, above))
    weighted = grid.at(2.0)
    assert weighted.mode_weights(0.0)[0] == pytest.approx(
        integrate.quad(lambda x: np.exp(-narrow().energy(np.array([[x]]))[0] / 2), -12, 0, points=[-4])[0]
        / np.exp(weighted.log_partition), abs=1e-6,
    )  # fmt: skip


def samples(count, left=0.4, seed=1):
    rng = np.random.default_rng(seed)
    side = rng.random(count) < left
    return np.where(side, rng.normal(-4, 0.7, count), rng.normal(3, 0.5, count))[:, None]


def test_distances_of_samples():
    """Small for right samples, the missing mass for wrong ones, and repaired by the right weights."""
    grid = Grid.of(narrow(), (-12, 12), 24_000)
    right, wrong = samples(100_000), samples(100_000, left=0.5)
    assert grid.total_variation(right) < 0.01
    assert grid.total_variation(wrong) == pytest.approx(0.1, abs=0.01)
    assert grid.wasserstein(right) < 0.05
    assert grid.wasserstein(wrong) == pytest.approx(0.1 * 7, abs=0.05)
    log_weight = np.where(wrong[:, 0] < 0, np.log(0.4 / 0.5), np.log(0.6 / 0.5)) + 1e4
    assert grid.total_variation(wrong, log_weight) < 0.01
    assert grid.wasserstein(wrong, log_weight) < 0.05
    np.testing.assert_allclose(mode_weights(wrong, [-4, 3], log_weight), [0.4, 0.6], atol=0.01)
    np.testing.assert_allclose(mode_weights(wrong, 0.0), [0.5, 0.5], atol=0.01)
    assert grid.total_variation(np.full((10, 1), 99.0)) == pytest.approx(1)


def test_distances_are_exact_where_known():
    grid = Grid.of(Harmonic(1.0, 1), (-10, 10), 20_000)
    assert grid.wasserstein(np.zeros((1, 1))) == pytest.approx((2 / np.pi) ** 0.5, rel=1e-6)
    assert grid.total_variation(np.full((5, 1), 0.1), bins=2) == pytest.approx(0.5)
    flat = Grid.of(UserPotential(lambda q: 0 * q[:, 0], 2, lambda q: 0 * q), (0, 1), 100)
    corner = np.array([[0.25, 0.25]])
    assert flat.total_variation(corner, bins=2) == pytest.approx(0.75)
    assert flat.wasserstein(corner, axis=1) == pytest.approx(0.25**2 / 2 + 0.75**2 / 2, abs=1e-4)


def test_mode_of():
    q = np.array([[[-5.0], [2.9]], [[3.5], [-1.0]]])
    assert mode_of(q, [-4, 3]).tolist() == [[0, 1], [1, 0]]
    assert mode_of(q, -2.0).tolist() == [[0, 1], [1, 1]]
    assert mode_of(np.array([[0.9, 2.2]]), [[0, 0], [1, 2]]).tolist() == [1]


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda: Grid.of(Quartic(size=3), (-1, 1)), SpecError, "3 coordinates"),
        (lambda: Grid.of(Quartic()), SpecError, "no box"),
        (lambda: Grid.of(Quartic(), (1, -1)), SpecError, "low below high"),
        (lambda: Grid.of(Plane(), cells=10**5), SpecError, "at most"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10, temperature=0), SpecError, "temperature = 0"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10).coarse(3), SpecError, "does not divide"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10).wasserstein([[np.nan]]), DataError, "not finite"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10).wasserstein([[1.0]], [-np.inf]), DataError, "not finite"),
        (lambda: Grid.of(Quartic(), (-1, 1), 10).wasserstein([[1.0, 2.0]]), DataError, "shape"),
        (lambda: mode_weights(np.zeros((3, 1)), [0, 1], np.zeros(2)), DataError, "log_weight has shape"),
        (lambda: mode_of(np.zeros((3, 2)), 0.0), SpecError, "boundary"),
        (lambda: mode_of(np.zeros((3, 2)), [0.0, 1.0]), SpecError, "1 coordinates and positions 2"),
    ],
)
def test_grids_refuse(use, error, message):
    with pytest.raises(error, match=message):
        use()


def test_grid_takes_the_box():
    grid = Grid.of(Plane(), cells=200)
    assert [tuple(e[[0, -1]]) for e in grid.edges] == [(-2.5, 2.5)] * 2
    assert grid.coordinates == ("x", "y")
    np.testing.assert_allclose(grid.mean, 0, atol=1e-12)
    np.testing.assert_allclose(grid.probability, grid.probability.T, atol=1e-18)
