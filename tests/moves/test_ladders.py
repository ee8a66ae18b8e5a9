"""Ladders of replica exchange: hyperparameters, decisions and counts, windows, adaptation, refusals (equations.md
section 5).
"""

import json
from dataclasses import replace

import numpy as np
import pytest
from ladder_cases import (
    ADL,
    SIZE,
    STIFFNESS,
    TAUS,
    begun,
    exact,
    exchange_of,
    harmonic_energy,
    langevin,
    same,
    thermostatted,
)
from linear_maps import job_of, well, z_score
from scipy.special import betainc

from gpu_thermo.errors import SpecError
from gpu_thermo.method.schedules import Linear
from gpu_thermo.moves.exchange import window_length
from gpu_thermo.moves.ladder import follow_trips
from gpu_thermo.streams import Purpose, make_keys, uniform, words

# -- hyperparameters ---------------------------------------------------------------------------------------------------


def test_hyperparameters_follow_the_rung():
    job = thermostatted(4)
    move = exchange_of(job, **ADL)
    state = begun(move, job)
    first = move.hyper(state)
    assert move.hyper(state) is first
    move.attempt(state, exact(np.zeros(12)))
    rung = state.extra["rung"]
    assert (rung.reshape(4, 3) == [1, 0, 2]).all()
    now = move.hyper(state)
    assert now is not first
    assert move.hyper(state) is now
    np.testing.assert_array_equal(now.temperature[:, 0], np.array(TAUS)[rung])
    for name in ("sigma", "epsilon"):
        np.testing.assert_array_equal(getattr(now, name)[:, 0], np.array(ADL[name])[rung])
    np.testing.assert_array_equal(now.stepsize, np.array(ADL["stepsize"])[rung])
    assert np.isnan(now.friction).all()
    assert now.schedules is job.hyper.schedules


def test_geometric_ladder_starts_at_the_methods_temperature():
    move = exchange_of(langevin(2, (0.02, 1, 1, 1)), temperatures=None, rungs=4, hottest=0.54)
    np.testing.assert_allclose(move.ladder.temperature, [0.02, 0.06, 0.18, 0.54])
    assert move.ladder.temperature[[0, -1]].tolist() == [0.02, 0.54]


def test_partitions_scale_together_where_a_reference_is_named():
    words_ = {"hidden": "BAOAB", "output": "BAOAB"}
    job = job_of(words_, well(1.0, 4, split=2), 0.1, 6, temperature=[0.5, 0.1], friction=1.0)
    move = exchange_of(job, reference="hidden")
    state = begun(move, job)
    assert move.summary(state)["heuristic"]
    assert any("hidden alone" in line for line in move.warnings(state))
    np.testing.assert_allclose(move.hyper(state).temperature[:3], np.outer(TAUS, [1, 0.2]))
    state.momentum[...] = 1
    move.attempt(state, exact(np.zeros(6)))
    np.testing.assert_allclose(state.momentum[:3], np.sqrt([2, 0.5, 1])[:, None] * np.ones(4))
    alike = job_of(words_, well(1.0, 4, split=2), 0.1, 6, temperature=0.5, friction=1.0)
    assert not exchange_of(alike, reference="hidden").ladder.heuristic
    frozen = job_of({"hidden": None, "output": "BAOAB"}, well(1.0, 4, split=2), 0.1, 6, temperature=0.5, friction=1.0)
    assert not exchange_of(frozen).ladder.heuristic


# -- bookkeeping -------------------------------------------------------------------------------------------------------


def test_equal_energies_are_always_accepted():
    """Even and odd pairs in turn then carry every replica up and down like a conveyor belt; two rungs have even pairs
    only.
    """
    for count in (2, 3, 4, 5):
        taus = tuple(np.geomspace(1, 9, count))
        job = langevin(2, taus)
        move = exchange_of(job, temperatures=list(taus))
        state = begun(move, job)
        expected, history = list(range(count)), [list(range(count))]
        for step in range(1, 41):
            state.step = step
            move.attempt(state, exact(np.full(job.replicas, 7.0)))
            for i in range((step - 1) % 2 if count > 2 else 0, count - 1, 2):
                a, b = expected.index(i), expected.index(i + 1)
                expected[a], expected[b] = i + 1, i
            history.append(list(expected))
            assert state.extra["rung"].tolist() == expected * 2
        assert (state.extra["exchange_accepted"] == state.extra["exchange_attempts"]).all()
        assert move.summary(state)["acceptance"] == [1.0] * (count - 1)
        trips = [by_hand([h[r] for h in history], count - 1) for r in range(count)]
        assert state.extra["exchange_round_trips"].tolist() == trips * 2
        assert min(trips) >= 2


def by_hand(history, top):
    """Round trips 0 -> top -> 0 of one replica."""
    ends = [r for r in history if r in (0, top)]
    ends = [r for i, r in enumerate(ends) if i == 0 or r != ends[i - 1]]
    return max(0, (ends[ends.index(0) :].count(0) if 0 in ends else 0) - 1)


@pytest.mark.parametrize(
    ("history", "trips"),
    [
        ([0, 1, 2, 1, 0], 1), ([0, 1, 0, 1, 0], 0), ([2, 1, 0, 1, 2], 0), ([2, 1, 0, 1, 2, 1, 0], 1),
        ([0, 2, 2, 0, 0, 2, 1, 2, 0], 2),
        ([1, 2, 1, 2, 0, 1, 1], 0), ([1, 0, 1, 2, 1, 1, 0, 2], 1),
    ],
)  # fmt: skip
def test_round_trips_of_a_history(history, trips):
    direction, found = np.zeros(1, np.int8), np.zeros(1, np.int32)
    for rung in history:
        follow_trips(np.array([rung]), 2, direction, found)
    assert found[0] == trips == by_hand(history, 2)


def test_decisions_come_from_the_published_addresses():
    """Purpose 5, stream the ladder's number, block the lower rung, ordinal the attempt, word 0."""
    seeds = np.arange(300, dtype=np.uint64) // 2
    job = replace(langevin(300), seed=np.repeat(seeds, 3))
    move = exchange_of(job, interval=5, acceptance_factor=0.37)
    state = begun(move, job, step=20)
    move.attempt(state, exact(np.zeros(900)))
    u = uniform(
        words(make_keys(seeds, np.arange(300)), np.arange(2, dtype=np.uint64), Purpose.EXCHANGE, 3)[0], np.float64
    )
    np.testing.assert_array_equal(state.extra["exchange_accepted"][:, 0], u[:, 0] < 0.37)
    assert not state.extra["exchange_attempts"][:, 1].any()


def test_a_ladder_does_not_depend_on_the_others():
    few, many = (energy_run(langevin(n), steps=60) for n in (3, 8))
    for name in ("rung", "exchange_round_trips", "exchange_direction"):
        np.testing.assert_array_equal(few.extra[name], many.extra[name][:9])
    for name in ("exchange_attempts", "exchange_accepted", "exchange_variance"):
        np.testing.assert_array_equal(few.extra[name], many.extra[name][:3])


def energy_run(job, steps, state=None, burn_in=0, **options):
    """A run on random energies that are a function of replica, rung and step; continues `state` with a new move."""
    move = exchange_of(job, burn_in, **options)
    state = begun(move, job, step=0) if state is None else state
    if state.step == 0:
        state.momentum[...] = 1
        state.thermostat[...] = np.arange(job.replicas)[:, None]
    while state.step < steps:
        state.step += 1
        tau = state.extra["ladder_temperature"][state.extra["rung"]]
        value = np.array([np.random.default_rng((state.step, r)).gamma(SIZE / 2) for r in range(job.replicas)]) * tau
        move.attempt(state, exact(value, 0.01 * tau))
    return state


@pytest.mark.parametrize("cut", [1, 17, 40, 41])
def test_going_on_from_a_copy_changes_no_bit(cut):
    options = {"burn_in": 40, "window": "auto", "target_acceptance": 0.5}
    whole = energy_run(langevin(4), 80, **options)
    half = energy_run(langevin(4), cut, **options)
    same(whole, energy_run(langevin(4), 80, state=half.copy(), **options))
    assert whole.extra["exchange_accepted"].any()


def test_counts_are_of_the_temperatures_in_force():
    """They start anew after half of the burn-in, and after all of it; round trips and rungs go on."""
    job = langevin(1)
    move = exchange_of(job, burn_in=20, interval=2)
    state, attempts = begun(move, job), {}
    for step in range(2, 61, 2):
        state.step = step
        move.attempt(state, exact(np.zeros(3)))
        attempts[step] = int(state.extra["exchange_attempts"].sum())
    assert [attempts[s] for s in (2, 10, 12, 20, 22, 60)] == [1, 5, 1, 5, 1, 20]
    assert state.extra["exchange_occupation"].sum() == 20 * 3
    assert state.extra["exchange_round_trips"].sum() > 12


def test_frozen_replicas_never_move():
    job = langevin(50)
    move = exchange_of(job)
    state = begun(move, job)
    state.status[3], state.position[3], state.momentum[3] = 1, np.nan, np.nan
    state.status[20] = 1  # whatever energy it is said to have
    value = np.zeros(150)
    value[[3, 10]] = np.nan
    value[14] = np.inf
    for step in range(1, 11):
        state.step = step
        move.attempt(state, exact(value, np.where(np.isfinite(value), 0.0, np.nan)))
    assert state.extra["rung"][[3, 10, 14, 20]].tolist() == [0, 1, 2, 2]
    assert state.extra["exchange_attempts"][1].tolist() == [0, 5]
    assert state.extra["exchange_attempts"][[3, 4, 5]].tolist() == [[0, 0], [5, 0], [5, 5]]
    assert np.isfinite(np.delete(state.momentum, 3, axis=0)).all()
    json.dumps(move.summary(state), allow_nan=False)


def test_no_swaps_at_temperature_zero():
    """Where a schedule has cooled the ladder to 0 there is no acceptance to speak of."""
    job = langevin(5, total=10, schedules={("temperature", 0): Linear(schedule="linear")})
    move = exchange_of(job, target_acceptance=0.3, burn_in=50)
    state = begun(move, job, step=11)
    before = state.copy()
    move.attempt(state, exact(np.arange(15.0)))
    np.testing.assert_array_equal(state.extra["rung"], before.extra["rung"])
    np.testing.assert_array_equal(state.extra["ladder_temperature"], before.extra["ladder_temperature"])
    json.dumps(move.summary(state), allow_nan=False)


def test_weights_and_statistics():
    job = langevin(2)
    move = exchange_of(job)
    state = begun(move, job)
    np.testing.assert_array_equal(move.log_weight(state), [0, -np.inf, -np.inf] * 2)
    assert move.statistics(state)["rung"].tolist() == [0, 1, 2] * 2
    assert move.statistics(state)["rung"].dtype == np.float64
    assert (move.kind, move.interval) == ("exchange", 1)


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
    acceptance = np.array(move.summary(state)["acceptance"])
    np.testing.assert_allclose(acceptance, target, atol=0.02)
    assert not any("asked" in line for line in move.warnings(state))
    np.testing.assert_allclose(acceptance, acceptance_of(found[:-1] / found[1:]), atol=0.02)  # the measure itself
    uneven = adapted(None)[0].ladder.temperature
    assert abs(acceptance_of(uneven[:-1] / uneven[1:]) - target).max() > 0.2


def test_a_target_out_of_reach_is_reported():
    move, state, ratio = adapted(0.9)
    np.testing.assert_allclose(move.summary(state)["acceptance"], acceptance_of(ratio), atol=0.02)
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
    json.dumps(move.summary(state), allow_nan=False)
    assert any("bias" in line for line in exchange_of(job, correction=False).warnings(state))


# -- refusals ----------------------------------------------------------------------------------------------------------

LAYERED = well(1.0, 4, split=2)


@pytest.mark.parametrize(
    ("job", "options", "message"),
    [
        (langevin(1, (0.5, 2, 3, 4)), {}, "3 or 6"),
        (job_of("BAOAB", well(1.0, 2), 0.1, 6, temperature=np.arange(1.0, 7)[:, None], friction=1.0), {}, "one number"),
        (job_of("sgd", well(1.0, 2), 0.1, 6), {}, "use a method with one"),
        (job_of({"hidden": "BAOAB", "output": "BAOAB"}, LAYERED, 0.1, 6, temperature=[0.5, 0.1], friction=1.0), {},
            'reference = "hidden"'),
        (job_of({"hidden": "BAOAB", "output": "BACDCAB"}, LAYERED, 0.1, 6, temperature=[0.5, np.nan], friction=1.0,
            sigma=1.0), {}, "none"),
        (job_of({"hidden": "BAOAB", "output": "BAOAB"}, LAYERED, 0.1, 6, temperature=[0.5, 0.1], friction=1.0),
         {"reference": "output"}, "start there"),
        (job_of({"hidden": "BAOAB", "output": "BACDCAB"}, LAYERED, 0.1, 6, temperature=[0.5, np.nan], friction=1.0,
            sigma=1.0),
         {"reference": "output"}, "Name one partition"),
        (job_of({"hidden": "BAOAB", "output": "BAOAB"}, LAYERED, 0.1, 6, temperature=0.5, friction=1.0,
                schedules={("temperature", 0): Linear(schedule="linear")}), {}, "one schedule"),
        (langevin(2), {"sigma": [1, 2, 3]}, "sigma = .* is not used"),
        (langevin(2, temperature=0.0), {"temperatures": None, "rungs": 3, "hottest": 1.0}, "above 0"),
        (langevin(2, temperature=2.0), {"temperatures": None, "rungs": 3, "hottest": 1.0}, "hottest = 1 is not above"),
        (langevin(2, friction=np.arange(1.0, 7)[:, None]), {}, "friction is listed by replica"),
        (langevin(2), {"window": "auto"}, "give more burn-in"),
        (langevin(2), {"target_acceptance": 0.3}, "target_acceptance = 0.3 is measured"),
    ],
)  # fmt: skip
def test_refusals(job, options, message):
    with pytest.raises(SpecError, match=message):
        exchange_of(job, **options)


def test_values_by_ladder_are_accepted():
    """Ladders may differ from each other."""
    move = exchange_of(langevin(2, friction=np.repeat([1.0, 2.0], 3)[:, None]))
    assert move.ladder.count == 3
