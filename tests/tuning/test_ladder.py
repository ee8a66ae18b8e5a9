"""Rungs of ladders: how many and where, on laws of energy whose acceptance is known; what speaks against one."""

import math

import numpy as np
import pytest

from gpu_thermo.tuning import ladder


def harmonic_acceptance(low, high, parameters, draws=200_000):
    """Of two rungs of a quadratic U, whose energies are gamma distributed, by simulation."""
    rng = np.random.default_rng(0)
    u1, u2 = (tau * rng.gamma(parameters / 2, size=draws) for tau in (low, high))
    return np.minimum(1, np.exp((1 / low - 1 / high) * (u1 - u2))).mean()


@pytest.mark.parametrize("parameters", [20, 200])
@pytest.mark.parametrize("aim", [0.25, 0.4, 0.6])
def test_the_first_guess_is_right_for_wells(parameters, aim):
    """Rungs are whole, so that pairs accept what was asked or a little more; one fewer accepts less."""
    count = ladder.first_count(1.0, 30.0, parameters, aim)
    tau = ladder.geometric(1.0, 30.0, count)
    fewer = ladder.geometric(1.0, 30.0, count - 1)
    assert aim - 0.03 < harmonic_acceptance(*tau[:2], parameters)
    assert harmonic_acceptance(*fewer[:2], parameters) < aim + 0.03
    assert (tau[0], tau[-1], len(tau)) == (1.0, 30.0, count)


def test_a_guess_is_bounded():
    assert ladder.first_count(1.0, 100.0, 10**7, 0.4) == ladder.MOST_RUNGS
    assert ladder.first_count(1.0, 1.001, 1, 0.4) == 2


def test_spacing_evens_out_acceptance():
    """On a well whose number of soft directions changes with temperature, so that no geometric ladder is even."""

    def acceptances(tau):
        size = [10 if t < 3 else 80 for t in tau[:-1]]
        return [harmonic_acceptance(a, b, n, 20_000) for a, b, n in zip(tau[:-1], tau[1:], size, strict=True)]

    tau = ladder.geometric(1.0, 20.0, 4)
    for _ in range(ladder.MOST_LOOKS):
        seen = acceptances(tau)
        if ladder.settled(tau, seen, 0.4):
            break
        tau = ladder.spaced(tau, seen, 0.4)
    assert ladder.settled(tau, seen, 0.4)
    assert min(seen) > 0.2
    assert tau[0] == 1.0
    assert tau[-1] == 20.0
    assert (np.diff(tau) > 0).all()


def test_pairs_that_never_swap_get_rungs_between():
    assert len(ladder.spaced((1.0, 100.0), [0.0], 0.4)) == 3
    assert not ladder.settled((1.0, 100.0), [0.0], 0.4)
    assert len(ladder.spaced((1.0, 1.1, 1.2, 1.3), [0.95, 0.95, 0.95], 0.4)) == 2
    assert not ladder.settled((1.0, 1.1, 1.2, 1.3), [0.95, 0.95, 0.95], 0.4)


def line(accepted, attempts=400, trips=5.0):
    tau = np.geomspace(1, 10, len(accepted) + 1).tolist()
    return {"temperatures": tau, "accepted": accepted, "attempts": [attempts] * len(accepted), "trips": trips}


def test_what_speaks_against_a_ladder():
    assert not list(ladder.against(line([150, 170])))
    ((why, do),) = ladder.against(line([150, 0]))
    assert "rungs 1 and 2" in why
    assert "hottest alone" in do
    ((why, _),) = ladder.against(line([150, 170], trips=0.2))
    assert "carried nothing yet" in why
    assert math.isclose(ladder.RARE, 0.05)
    assert not list(ladder.against(line([12], attempts=400)))  # .03 +- .009: within its error of .05
