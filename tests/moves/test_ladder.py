"""Ladders: hyperparameters by rung, restarts, counts, round trips, statistics, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ladder_cases import (
    ADL,
    TAUS,
    begun,
    energy_run,
    exact,
    exchange_of,
    langevin,
    same,
    thermostatted,
)
from linear_maps import job_of, well

from gpu_thermo.errors import SpecError
from gpu_thermo.method.schedules import Linear
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
    assert move.facts(state)["heuristic"]
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
        assert move.facts(state)["acceptance"] == [1.0] * (count - 1)
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
    json.dumps(move.facts(state), allow_nan=False)


def test_no_swaps_at_temperature_zero():
    """Where a schedule has cooled the ladder to 0 there is no acceptance to speak of."""
    job = langevin(5, total=10, schedules={("temperature", 0): Linear(schedule="linear")})
    move = exchange_of(job, target_acceptance=0.3, burn_in=50)
    state = begun(move, job, step=11)
    before = state.copy()
    move.attempt(state, exact(np.arange(15.0)))
    np.testing.assert_array_equal(state.extra["rung"], before.extra["rung"])
    np.testing.assert_array_equal(state.extra["ladder_temperature"], before.extra["ladder_temperature"])
    json.dumps(move.facts(state), allow_nan=False)


def test_weights_and_statistics():
    job = langevin(2)
    move = exchange_of(job)
    state = begun(move, job)
    np.testing.assert_array_equal(
        move.log_weight(state, np.zeros(state.replicas), slice(None)), [0, -np.inf, -np.inf] * 2
    )
    assert move.statistics(state, state.step)["rung"].tolist() == [0, 1, 2] * 2
    assert move.statistics(state, state.step)["rung"].dtype == np.float64
    assert (move.kind, move.interval) == ("exchange", 1)


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
