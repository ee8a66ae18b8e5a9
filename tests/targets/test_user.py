"""A user's own potential: looked at before a run, and in every call, as it may turn bad after its first check."""

import re

import numpy as np
import pytest
from potential_cases import batch, ripple, ripple_slope, spread

from gpu_thermo import sample
from gpu_thermo.errors import RunError, SpecError
from gpu_thermo.targets.user import UserPotential

FAR = 3.0
SPEC = {
    "target": {"name": "custom", "size": 2, "start_sd": 0.1},
    "method": {"name": "langevin", "stepsize": 0.3, "temperature": 20.0, "friction": 1.0},
    "run": {"replicas": 8, "steps": 200, "burn_in": 0, "thin": 20, "trace": 20},
}


def well(q):
    return (q * q).sum(axis=-1) / 2


def turning(bad):
    """A harmonic well whose gradient comes from `bad(q)` once a position is far from where the potential is checked."""

    def gradient(q):
        return bad(q) if abs(q).max() > FAR else 1.0 * q

    return gradient


def write(q):
    q += 1
    return q


TURNS = {
    "one row for all": (lambda q: q[:1].copy(), r"gradient has shape \(1, 2\) for positions of shape \(\d, 2\)"),
    "flat": (lambda q: q.ravel().copy(), r"gradient has shape \(\d+,\)"),
    "a column": (lambda q: q[:, :1].copy(), r"gradient has shape \(\d, 1\)"),
    "complex": (lambda q: q + 0j, "gradient is complex"),
    "whole numbers": (lambda q: q.astype(int), "gradient is int64"),
    "a list": (lambda q: q.tolist(), "gradient is list"),
    "changed in place": (write, "changes the positions it is given: compute on a copy"),
}


@pytest.mark.parametrize("turn", TURNS)
def test_a_gradient_that_turns_bad_is_named(turn):
    bad, said = TURNS[turn]
    with pytest.raises(RunError, match=said):
        sample(SPEC, potential=UserPotential(well, 2, turning(bad)))


@pytest.mark.parametrize(
    ("energy", "said"),
    [
        (lambda q: well(q)[:, None], r"energy has shape \(\d, 1\).*return \[R\]"),
        (lambda q: well(q) + 0j, "energy is complex"),
        (lambda q: 1.0, r"energy has shape \(\)"),
    ],
)
def test_an_energy_that_turns_bad_is_named(energy, said):
    def turning(q):
        return energy(q) if abs(q).max() > FAR else well(q)

    with pytest.raises(RunError, match=said):
        sample(SPEC, potential=UserPotential(turning, 2, lambda q: 1.0 * q))


def test_a_good_one_runs_where_the_bad_ones_stop():
    tree = sample(SPEC, potential=UserPotential(well, 2, lambda q: 1.0 * q))
    assert float(abs(tree["posterior"]["position"]).max()) > FAR


# -- looked at before a run --------


def test_user_potential_in_both_forms(dtype):
    apart = UserPotential(ripple, 2, ripple_slope)
    together = UserPotential(lambda q: (ripple(q, np), ripple_slope(q, np)), 2, coordinates=("a", "b"))
    q = spread(apart, 9).astype(dtype)
    for mine in (apart, together):
        energy, gradient = mine.energy_and_gradient(q, batch(9))
        assert (energy == np.asarray(ripple(q, np), np.float64)).all()
        assert (gradient == ripple_slope(q, np)).all()
        assert (gradient.dtype, energy.dtype) == (dtype, np.float64)
        np.testing.assert_array_equal(mine.energy(q), ripple(q.astype(np.float64), np))
    assert together.coordinates == ("a", "b")


def test_noise_leaves_the_users_arrays_alone():
    kept = np.zeros((4, 1))
    flat = UserPotential(lambda q: np.zeros(len(q)), 1, lambda q: kept[: len(q)], gradient_noise_sd=1.0)
    assert (flat.energy_and_gradient(np.zeros((4, 1)), batch(4))[1] != 0).all()
    assert (kept == 0).all()


def mutated(q):
    q += 1
    return (q * q / 2).sum(axis=-1), q


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((lambda q: (q * q / 2).sum(), 2, lambda q: q), r"energy has shape \(\) for positions of shape \(4, 2\)"),
        ((lambda q: (q * q / 2).sum(axis=-1), 2, lambda q: q[:, 0]), r"gradient has shape \(4,\)"),
        ((lambda q: (q * q / 2).sum(axis=-1), 2), "no pair"),
        ((lambda q: np.log(q[:, 0]), 1, lambda q: 1 / q), "energy is not finite at position"),
        ((lambda q: (q * q / 2).sum(axis=-1).astype(np.float32), 2, lambda q: q), "energy is float32"),
        ((lambda q: ((q - q.mean(axis=0)) ** 2).sum(axis=-1), 2, lambda q: 2 * (q - q.mean(axis=0))), "beside others"),
        ((mutated, 2), "changes the positions"),
        ((3, 2), "function = 3 is not a function"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_user_potential_refused(arguments, message):
    with pytest.raises(SpecError, match=message):
        UserPotential(*arguments)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_wrong_gradient_prints_both_numbers(scale):
    """On any scale of U: the slope with the wrong sign, and 1 % off."""
    energy = lambda q: scale * (q * q / 2).sum(axis=-1)  # noqa: E731
    first = np.random.default_rng(0).normal(size=(4, 1))[0, 0]
    with pytest.raises(SpecError) as refused:
        UserPotential(energy, 1, lambda q: -scale * q)
    printed = re.search(r"component x is (\S+), but .* central difference is (\S+):", str(refused.value))
    assert [float(v) for v in printed.groups()] == pytest.approx([-scale * first, scale * first], rel=1e-6)
    UserPotential(energy, 100, lambda q: scale * q)
    with pytest.raises(SpecError, match="central difference"):
        UserPotential(energy, 100, lambda q: 1.01 * scale * q)


def test_probe_within_the_domain():
    log = (lambda q: -np.log(q).sum(axis=-1), 2, lambda q: -1 / q)
    assert UserPotential(*log, probe=[[1.0, 2.0], [3.0, 0.5]]).energy(np.array([[1.0, np.e]])) == -1.0
    with pytest.raises(SpecError, match="probe has shape"):
        UserPotential(*log, probe=[1.0, 2.0])
