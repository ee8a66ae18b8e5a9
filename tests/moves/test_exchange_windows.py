"""Windows of exchange, and temperatures adapted to an acceptance."""

import json

import numpy as np
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

from gpu_thermo.moves.exchange import window_length

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


def windowed_z(window, kept, ladders=200, attempts=600):
    """z of the mean energy on every rung of harmonic wells whose positions keep a part `kept` of themselves between
    attempts.
    """
    job = langevin(ladders)
    move = exchange_of(job, window=window)
    state, rng = begun(move, job), np.random.default_rng(1)
    rung, total = state.extra["rung"], np.zeros((ladders, 3))
    q = state.position
    q[...] = rng.normal(size=q.shape) * np.sqrt(np.array(TAUS)[rung] / STIFFNESS)[:, None]
    for step in range(1, attempts + 1):
        state.step = step
        q *= kept
        q += np.sqrt((1 - kept**2) * np.array(TAUS)[rung] / STIFFNESS)[:, None] * rng.normal(size=q.shape)
        value = harmonic_energy(q)
        move.attempt(state, exact(value))
        total += value[move._occupants(rung)]
    return z_score(total / attempts, SIZE * np.array(TAUS) / 2), move.warnings(state)


def test_windows_are_right_where_energies_are_forgotten():
    """And wrong, by the stopping rule, where they are not: that is what the warning says. One attempt a window is
    always right.
    """
    assert abs(windowed_z(1, kept=0.9)[0]).max() < 5
    assert abs(windowed_z(3, kept=0.0)[0]).max() < 5
    z, lines = windowed_z(3, kept=0.9)
    assert z[0] > 10
    assert any("Windows of 3" in line for line in lines)
    assert not windowed_z(1, kept=0.0, attempts=20)[1]


def test_measured_window():
    """W attempts at rate r all fail with probability (1 - r)^W <= 1 / (Q ln Q)."""
    for count, accepted in ((4, 100), (16, 250), (16, 700), (2, 300)):
        w = window_length(count, accepted, 1000)
        assert (1 - accepted / 1000) ** w <= 1 / (count * np.log(count)) < (1 - accepted / 1000) ** (w - 1)
    assert window_length(8, 0, 100) == window_length(8, 100, 100) == 1
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
    job = langevin(30)
    move = exchange_of(job)
    state = begun(move, job)
    assert move.warnings(state) == []
    state.step = 2
    value = np.tile([0.0, 50.0, 100.0], 30)
    for step in (1, 2):
        state.step = step
        move.attempt(state, exact(value, 3.0))
    lines = move.warnings(state)
    assert any("Rungs 0 and 1" in line and "1 other pair" in line for line in lines)
    assert any("noise of variance 6" in line for line in lines)
    json.dumps(move.facts(state), allow_nan=False)
    assert any("bias" in line for line in exchange_of(job, correction=False).warnings(state))
