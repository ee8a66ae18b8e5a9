"""Windows of exchange, and temperatures adapted to an acceptance."""

import json

import numpy as np
import pytest
from ladder_cases import (
    SIZE,
    STIFFNESS,
    TAUS,
    begun,
    energy_run,
    exact,
    exchange_of,
    harmonic_energy,
    langevin,
)
from linear_maps import z_score
from scipy.special import betainc

from gpu_thermo.moves import kept
from gpu_thermo.moves.exchange import window_length
from gpu_thermo.moves.ladder_report import pair_warnings

# -- windows -----------------------------------------------------------------------------------------------------------


def test_a_pair_stops_after_its_first_acceptance_in_a_window():
    job = langevin(1)
    move = exchange_of(job, window=3)
    state, rungs = begun(move, job), []
    for step in range(1, 10):
        state.step = step
        move.attempt(state, exact(np.zeros(3)))
        rungs.append(state.extra["rung"].tolist())
    assert rungs == [[1, 0, 2]] * 3 + [[2, 0, 1]] * 3 + [[2, 1, 0]] * 3
    assert state.extra["exchange_attempts"].tolist() == [[2, 1]]


def test_a_pair_tries_on_until_it_is_accepted():
    job = langevin(2000)
    move = exchange_of(job, window=3, acceptance_factor=0.3)
    state = begun(move, job)
    for step in (1, 2, 3):
        state.step = step
        move.attempt(state, exact(np.zeros(6000)))
    tries = state.extra["exchange_attempts"][:, 0]
    assert abs(np.bincount(tries, minlength=4)[1:] / 2000 - [0.3, 0.21, 0.49]).max() < 0.05
    assert abs(state.extra["exchange_accepted"][:, 0].mean() - (1 - 0.7**3)) < 0.05


def windowed_z(window, kept, ladders=200, attempts=600, burn_in=0, noise=0.0):
    """z of the mean energy on every rung of harmonic wells whose positions keep a part `kept` of themselves between
    attempts, past the burn-in; the move's warnings and its state. `noise` is the sd of what the move sees beside the
    energy.
    """
    job = langevin(ladders)
    move = exchange_of(job, burn_in, window=window)
    state, rng = begun(move, job), np.random.default_rng(1)
    rung, total = state.extra["rung"], np.zeros((ladders, 3))
    q = state.position
    q[...] = rng.normal(size=q.shape) * np.sqrt(np.array(TAUS)[rung] / STIFFNESS)[:, None]
    for step in range(1, burn_in + attempts + 1):
        state.step = step
        q *= kept
        q += np.sqrt((1 - kept**2) * np.array(TAUS)[rung] / STIFFNESS)[:, None] * rng.normal(size=q.shape)
        value = harmonic_energy(q)
        move.attempt(state, exact(value + noise * rng.normal(size=len(value)), noise**2))
        if step > burn_in:
            total += value[move._occupants(rung)]
    return z_score(total / attempts, SIZE * np.array(TAUS) / 2), move.warnings(state), state


def test_windows_are_right_where_energies_are_forgotten():
    """And wrong, by the stopping rule, where they are not: that is what the warning says. One attempt a window is
    always right.
    """
    assert abs(windowed_z(1, kept=0.9)[0]).max() < 5
    assert abs(windowed_z(3, kept=0.0)[0]).max() < 5
    z, lines, _ = windowed_z(3, kept=0.9)
    assert z[0] > 10
    assert any("Windows of 3" in line for line in lines)
    assert not windowed_z(1, kept=0.0, attempts=20)[1]


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_a_window_that_is_found_is_right(noise):
    """It stays at 1 where energies are remembered, however noisy the move sees them, or where that is not known."""
    z, lines, state = windowed_z("auto", kept=0.9, burn_in=300, noise=noise)
    assert abs(z).max() < 5
    assert state.extra["exchange_window"][0] == 1
    assert not [line for line in lines if "Windows" in line]
    assert windowed_z("auto", kept=0.0, burn_in=20, attempts=2)[2].extra["exchange_window"][0] == 1


def test_a_window_is_found_where_energies_are_forgotten(monkeypatch):
    """Longer than 1 and right; where nobody looked whether energies are forgotten, it would be wrong."""
    z, lines, state = windowed_z("auto", kept=0.0, ladders=400, burn_in=400)
    assert state.extra["exchange_window"][0] > 1
    assert abs(z).max() < 5
    assert not [line for line in lines if "Windows" in line]
    monkeypatch.setattr(kept, "forgotten", lambda sums: True)
    z, _, state = windowed_z("auto", kept=0.9, burn_in=300)
    assert state.extra["exchange_window"][0] > 1
    assert z[0] > 10


def test_measured_window(monkeypatch):
    """W attempts at rate r all fail with probability (1 - r)^W <= 1 / (Q ln Q)."""
    for count, accepted in ((4, 100), (16, 250), (16, 700), (2, 300)):
        w = window_length(count, accepted, 1000)
        assert (1 - accepted / 1000) ** w <= 1 / (count * np.log(count)) < (1 - accepted / 1000) ** (w - 1)
    assert window_length(8, 0, 100) == window_length(8, 100, 100) == 1
    monkeypatch.setattr(kept, "forgotten", lambda sums: True)  # of so few attempts it is not known
    options = {"burn_in": 40, "window": "auto", "acceptance_factor": 0.2}
    during, after = (energy_run(langevin(20), steps, **options) for steps in (40, 41))
    rate = during.extra["exchange_accepted"].sum() / during.extra["exchange_attempts"].sum()
    assert during.extra["exchange_window"].tolist()[0] == 1
    assert after.extra["exchange_window"].tolist() == [window_length(3, round(rate * 1e6), 1_000_000), 1, 0]
    assert after.extra["exchange_window"][0] > 5
    assert after.extra["exchange_attempts"].sum() <= 20


# -- adaptation --------------------------------------------------------------------------------------------------------


def acceptance_of(ratio, size=SIZE):
    """Exact acceptance of two harmonic wells at temperatures in `ratio` < 1: 2 P(U_1 > U_2), U / tau gamma
    distributed.
    """
    return 2 * betainc(size / 2, size / 2, ratio / (1 + ratio))


def adapted(target, burn_in=400, ladders=40):
    """A ladder from uneven spacings, between ends that make the geometric one accept `target`."""
    ratio = 0.45
    taus = ratio ** -np.array([0, 0.4, 0.7, 2.5, 4.0])
    job = langevin(ladders, tuple(taus))
    move = exchange_of(job, burn_in, temperatures=list(taus), target_acceptance=target)
    state, rng = begun(move, job), np.random.default_rng(2)
    for step in range(1, burn_in + 1001):
        state.step = step
        tau = state.extra["ladder_temperature"][state.extra["rung"]]
        move.attempt(state, exact(rng.gamma(SIZE / 2, size=len(tau)) * tau))
        if step == burn_in:
            frozen = state.extra["ladder_temperature"].copy()
    np.testing.assert_array_equal(state.extra["ladder_temperature"], frozen)
    assert frozen[[0, -1]].tolist() == taus[[0, -1]].tolist()
    return move, state, ratio


def test_adaptation_reaches_the_target():
    """All pairs come to accept alike, and as asked where the ends allow it."""
    target = acceptance_of(0.45)
    move, state, ratio = adapted(target)
    found = state.extra["ladder_temperature"]
    np.testing.assert_allclose(found[:-1] / found[1:], ratio, rtol=0.05)
    acceptance = np.array(move.facts(state)["acceptance"])
    np.testing.assert_allclose(acceptance, target, atol=0.02)
    assert not any("asked" in line for line in move.warnings(state))
    np.testing.assert_allclose(acceptance, acceptance_of(found[:-1] / found[1:]), atol=0.02)  # the measure itself
    uneven = adapted(None)[0].ladder.temperature
    assert abs(acceptance_of(uneven[:-1] / uneven[1:]) - target).max() > 0.2


def test_a_target_out_of_reach_is_reported():
    move, state, ratio = adapted(0.9)
    np.testing.assert_allclose(move.facts(state)["acceptance"], acceptance_of(ratio), atol=0.02)
    (line,) = (line for line in move.warnings(state) if "asked" in line)
    assert "not 5" in line


def test_warnings():
    job = langevin(60)
    move = exchange_of(job)
    state = begun(move, job)
    assert move.warnings(state) == []
    state.step = 2
    value = np.tile([0.0, 50.0, 100.0], 60)
    for step in (1, 2):
        state.step = step
        move.attempt(state, exact(value, 3.0))
    lines = move.warnings(state)
    assert any("Rungs 0 and 1" in line and "1 other pair" in line for line in lines)
    assert any("noise of variance 6" in line for line in lines)
    json.dumps(move.facts(state), allow_nan=False)
    assert any("bias" in line for line in exchange_of(job, correction=False).warnings(state))


def test_few_attempts_are_no_verdict():
    """Rare is said where twice the error leaves no doubt."""
    taus = np.array([1.0, 2.0])
    few, many = (pair_warnings(np.array([0]), np.array([n]), taus) for n in (10, 100))
    assert "0 of 10 attempts, too few" in few[0]
    assert "add rungs" in many[0]
    assert pair_warnings(np.array([10]), np.array([100]), taus) == []
