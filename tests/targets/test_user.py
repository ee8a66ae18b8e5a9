"""A user's own potential that turns bad after its first check: every call is looked at."""

import pytest

from gpu_thermo import sample
from gpu_thermo.errors import RunError
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
