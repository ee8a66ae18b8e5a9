"""Measures against known answers."""

import math

import numpy as np
import pytest
from comparison_cases import TWO

from gpu_thermo.study.measures import (
    Draws,
    density_of,
    effective_draws,
    exact_density,
    independent_distance,
    mode_changes,
    modes_found,
    on_potential,
    total_variation,
)
from gpu_thermo.targets.analytic.mixture import GaussianMixture

# -- measures ----------------------------------------------------------------------------------------------------------


def exact_draws(chains: int, draws: int, seed: int = 0, left: float = 0.4) -> Draws:
    """Independent draws from the mixture, the left mode with weight `left`."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(chains, draws)) + np.where(rng.random((chains, draws)) < left, -6.0, 4.0)
    return Draws(x[..., None], np.ones((chains, draws)), np.arange(chains))


EXACT = exact_density(TWO, 1.0, -12.0, 12.0, 40)


def test_the_exact_density_and_its_modes() -> None:
    assert EXACT.modes[:, 0] == pytest.approx([4.0, -6.0], abs=0.01)
    assert EXACT.mode_sd == pytest.approx([1.0, 1.0], rel=1e-3)
    assert EXACT.mode_weight == pytest.approx([0.6, 0.4], abs=1e-4)
    assert EXACT.variance[0] == pytest.approx(1 + 0.24 * 100, rel=1e-4)
    grid = [[x, y] for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)]
    many = exact_density(GaussianMixture(grid, 0.03**0.5), 1.0, -5.0, 5.0, 50)
    assert len(many.modes) == 25
    assert sorted(map(tuple, many.modes.round(1) + 0.0)) == sorted(map(tuple, grid))
    assert many.mode_weight == pytest.approx(np.full(25, 0.04), rel=0.02)


def test_distance_is_that_of_as_many_independent_draws_and_sees_a_wrong_weight() -> None:
    found = on_potential(exact_draws(200, 400), EXACT)
    expected = independent_distance(EXACT.probability, 400)
    error = found["tv"].std() / math.sqrt(200)
    assert (
        abs(found["tv"].mean() - expected) < 5 * error + 0.02 * expected
    )  # the normal approximation is good to about 2 %
    assert abs(found["mean_error"].mean() * 400 - 1) < 5 * math.sqrt(2 / 200)  # one exact variance over the draws
    wrong = on_potential(exact_draws(200, 400, left=0.45), EXACT)
    assert wrong["all"]["tv"] == pytest.approx(0.05, abs=0.01)
    assert wrong["all"]["wasserstein"] == pytest.approx(0.5, abs=0.05)  # a twentieth travels ten units
    assert wrong["all"]["mode_error"] == pytest.approx(0.05, abs=0.01)


def test_weights_bring_a_wrong_sample_back() -> None:
    flat = exact_draws(100, 400, left=0.8)
    weight = np.where(flat.position[..., 0] < -1, 0.4 / 0.8, 0.6 / 0.2)
    right = on_potential(Draws(flat.position, weight / 3, flat.group), EXACT)
    assert right["all"]["mode_error"] < 0.01
    assert on_potential(flat, EXACT)["all"]["mode_error"] > 0.35  # without them
    assert right["all"]["weight_ess"] == pytest.approx(40_000 / (0.4**2 / 0.8 + 0.6**2 / 0.2), rel=0.02)


def test_what_lies_outside_the_box_counts_as_wrong() -> None:
    away = Draws(np.full((1, 10, 1), 50.0), np.ones((1, 10)), np.zeros(1, int))
    assert total_variation(density_of(away, EXACT.edges), EXACT.probability) == pytest.approx(1.0, abs=1e-6)


def test_effective_draws_are_those_of_the_error() -> None:
    rng = np.random.default_rng(1)
    chains, draws, rho = 1000, 1000, 0.8
    x = np.empty((chains, draws))
    x[:, 0] = rng.normal(size=chains)
    for t in range(1, draws):
        x[:, t] = rho * x[:, t - 1] + math.sqrt(1 - rho**2) * rng.normal(size=chains)
    weight = np.exp(0.7 * x)  # turns N(0, 1) into N(.7, 1)
    means = (weight * x).sum(axis=1) / weight.sum(axis=1)
    truth = 1 / means.var()
    found = np.mean([effective_draws(x[4 * i : 4 * i + 4], weight[4 * i : 4 * i + 4]) / 4 for i in range(40)])
    assert found == pytest.approx(truth, rel=0.2)
    unweighted = np.mean([effective_draws(x[4 * i : 4 * i + 4], np.ones((4, draws))) / 4 for i in range(40)])
    assert unweighted == pytest.approx(draws * (1 - rho) / (1 + rho), rel=0.1)
    assert abs(unweighted / truth - 1) > 0.3  # the weights matter
    assert math.isnan(effective_draws(x[:2], np.zeros((2, draws))))


def test_modes_found_and_changed_by_hand() -> None:
    position = np.array([[4.0, -6.0, -6.5, 4.2], [4.1, 0.0, 4.0, -1.2]])[
        ..., None
    ]  # 0 is nobody's; -1.2 is the left mode's, but far
    both = Draws(position, np.ones((2, 4)), np.array([0, 1]))
    assert modes_found(both.of(0), EXACT).tolist() == [True, True]
    assert modes_found(both.of(1), EXACT).tolist() == [True, False]
    assert mode_changes(both, EXACT) == pytest.approx((2 + 1) / 2)
    unseen = Draws(position, np.array([[1.0, 0, 0, 1], [1, 1, 1, 1]]), np.array([0, 1]))
    assert modes_found(unseen.of(0), EXACT).tolist() == [True, False]  # draws that do not count find nothing
    assert mode_changes(unseen.of(0), EXACT) == 0
