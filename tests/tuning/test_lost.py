"""Lost replicas: nobody of a healthy ensemble is one, however heavy its tails; whoever ran away is, up to half."""

import numpy as np
import pytest

from gpu_thermo.tuning.lost import hardly_moving, outlying, replaced, stuck
from gpu_thermo.tuning.windows import Window

ENSEMBLES, R = 400, 128


def quartic(rng, shape):
    """Draws of U = 4 (q^2 - 1)^2 / 4 + q at tau 1, by rejection on a grid of cells."""
    q = np.linspace(-3, 3, 20_001)
    u = (q**2 - 1) ** 2 + q
    weight = np.exp(-u)
    return u[np.searchsorted(weight.cumsum() / weight.sum(), rng.random(shape))]


def student(rng, shape, degrees, parameters):
    """U of independent student_t parameters, for those few whose sum is quick."""
    x = rng.standard_t(degrees, size=(*shape, parameters))
    return (degrees + 1) / 2 * np.log1p(x**2 / degrees).sum(axis=-1)


def funnel(rng, shape):
    """U of Neal's funnel: v of sd 3, nine others of sd exp(v/2)."""
    v, x = 3 * rng.normal(size=shape), rng.normal(size=(*shape, 9))
    return v**2 / 18 + 9 * v / 2 + (x**2).sum(axis=-1) / 2


LAWS = {
    "normal, 1": (lambda rng, s: rng.chisquare(1, s) / 2, 1),
    "normal, 1000": (lambda rng, s: rng.chisquare(1_000, s) / 2, 1_000),
    "double well": (quartic, 1),
    "student_t, 1 of 1": (lambda rng, s: student(rng, s, 1, 1), 1),
    "student_t, 3 of 20": (lambda rng, s: student(rng, s, 3, 20), 20),
    "student_t, .3": (lambda rng, s: student(rng, s, 0.3, 1), 1),
    "funnel": (funnel, 10),
}


@pytest.mark.parametrize("law", LAWS)
def test_false_alarms(law):
    """Of exact draws, one of each replica, which is the hardest: none of 51,200 replicas."""
    draw, parameters = LAWS[law]
    energy = draw(np.random.default_rng(1), (ENSEMBLES, R))
    assert not any(outlying(u, u * u, parameters / 2).any() for u in energy)


@pytest.mark.parametrize("lost", [1, 13, 51, 63])
@pytest.mark.parametrize("parameters", [1, 30, 1_000])
def test_whoever_ran_away_is_seen(lost, parameters):
    rng = np.random.default_rng(2)
    energy = rng.chisquare(parameters, R) / 2
    energy[:lost] = parameters / 2 * 10.0 ** rng.uniform(3, 30, lost)
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(outlying(energy, energy * energy, parameters / 2), np.arange(R) < lost)


def test_frozen_ones_are_not_lost():
    energy = np.array([1.0, np.nan, np.inf, 1.2, 0.9, 1e9])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(np.flatnonzero(outlying(energy, energy**2, 1.0)), [5])
    assert not outlying(np.full(4, np.nan), np.full(4, np.nan), 1.0).any()


def test_units_of_energy_do_not_matter():
    rng = np.random.default_rng(3)
    energy = rng.chisquare(5, R) / 2
    energy[7] = 1e5
    for unit in (1e-6, 1e6):
        assert np.flatnonzero(outlying(unit * energy, (unit * energy) ** 2, unit * 2.5)).tolist() == [7]


def test_stuck():
    proposals = np.array([32.0, 32.0, 32.0, 3.0])
    accepted = np.array([30.0, 0.0, 1e-9, 0.0])
    assert stuck(np.stack([proposals, accepted, accepted], axis=1)).tolist() == [False, True, True, False]


def test_hardly_moving():
    proposals = np.array([32.0, 32.0, 32.0, 3.0, 32.0])
    accepted = np.array([30.0, 0.1, 4.0, 0.0, 29.0])
    acceptance = np.stack([proposals, accepted, accepted], axis=1)
    assert hardly_moving(acceptance).tolist() == [False, True, False, False, False]
    assert not hardly_moving(acceptance[3:4]).any()


@pytest.mark.parametrize(
    ("far", "accepted", "proposed", "lost"),
    [(4.7, 0.003, True, True), (4.7, 0.9, True, False), (0.0, 0.003, True, False), (4.7, 0.003, False, False)],
)
def test_outside_and_hardly_moving(far, accepted, proposed, lost):
    """As a replica of 122 parameters was seen, its energy 4.7 P tau / 2 above the others'; none of the two alone."""
    rng = np.random.default_rng(4)
    window = Window.empty(4, R, 1, 1)
    energy = rng.chisquare(122, (4, R)) / 2
    energy[:, 5] += far * 61
    acceptance = np.full(R, 0.95)
    acceptance[5] = accepted
    for part in range(4):
        window.add(part, energy[part, :, None])
        window.propose(acceptance, np.full(R, 24.0))
    assert np.flatnonzero(window.lost(0, 61.0, proposed)).tolist() == [5] * lost


class TestReplaced:
    def test_by_the_next_in_turn(self):
        lost = np.zeros(10, bool)
        lost[[2, 3, 7, 9]] = True  # 8 replicas, and 8, 9 at half the stepsize
        assert replaced(lost, 8).tolist() == [0, 1, 4, 5, 4, 5, 6, 4, 8, 5]

    def test_of_its_own_superchain_first(self):
        lost = np.array([True, False, False, False, True, True, True, True])
        found = replaced(lost, 8, 4)
        assert found[0] in (1, 2, 3)
        assert set(found[4:]) <= {1, 2, 3}

    def test_nobody_sound(self):
        assert replaced(np.ones(4, bool), 4).tolist() == [0, 1, 2, 3]


def test_an_energy_whose_square_overflows_is_outlying():
    """1e200 is a number, and further out than any other; an energy that is none is for the engine's own checks."""
    mean = np.append(np.linspace(1.0, 2.0, 9), [1e200, np.inf, np.nan])
    square = np.append(mean[:9] ** 2 + 1.0, [np.inf, np.inf, np.nan])
    assert np.flatnonzero(outlying(mean, square, 1.0)).tolist() == [9]
