"""Simulated tempering: the rule of its weights, addresses, restarts, statistics, refusals."""

import json
from dataclasses import replace

import numpy as np
import pytest
from ladder_cases import (
    SIZE,
    STIFFNESS,
    TAUS,
    exact,
    harmonic_energy,
    same,
)
from linear_maps import job_of, well, z_score
from tempering_cases import WEIGHTS, begun, langevin, tempering_of

from gpu_thermo.engines import BatchedEngine
from gpu_thermo.errors import SpecError
from gpu_thermo.method.schedules import Linear
from gpu_thermo.state import Segment
from gpu_thermo.streams import Purpose, make_keys, uniform, words

# -- the weights' rule -------------------------------------------------------------------------------------------------


def test_published_rule_for_one_replica():
    """From the first energy on: g_current -= min(1, Q / t), less g_0, with the rung after the attempt; frozen after
    burn-in.
    """
    job = langevin(1)
    move = tempering_of(job, burn_in=60)
    state, g = begun(move, job, step=0), np.zeros(3)
    rng = np.random.default_rng(0)
    for t in range(1, 81):
        state.step = t
        energy = rng.gamma(SIZE / 2, size=1) * np.array(TAUS)[state.extra["rung"]]
        move.attempt(state, exact(energy))
        if t == 1:
            g = energy * (1 / np.array(TAUS) - 1 / TAUS[0])  # under which this energy takes all rungs alike
        if t <= 60:
            g[state.extra["rung"][0]] -= min(1, 3 / t)
            g -= g[0]
        np.testing.assert_allclose(state.extra["tempering_weight"], g, atol=1e-13)
    assert (g[1:] != 0).all()


def test_many_replicas_share_their_weights():
    job = langevin(4)
    move = tempering_of(job, burn_in=50)
    state = begun(move, job, step=8)
    state.status[3] = 2
    move.attempt(state, exact([1e9, 0, 1e9, 0]))  # rung 0 to 1 is certain for large energies
    visits = np.bincount(state.extra["rung"][:3], minlength=3) / 3
    np.testing.assert_allclose(state.extra["tempering_weight"], -3 / 8 * (visits - visits[0]))


# -- bookkeeping -------------------------------------------------------------------------------------------------------


def test_decisions_come_from_the_published_addresses():
    """Purpose 6, the replica's own seed and stream, word 0 the direction and word 1 the acceptance; off the end is
    rejected.
    """
    job = replace(langevin(600), stream=np.arange(600, dtype=np.uint64)[::-1] + 5, seed=np.arange(600, dtype=np.uint64))
    move = tempering_of(job, interval=4, burn_in=4)
    rung = np.arange(600, dtype=np.int32) % 3
    state = begun(move, job, step=36, rung=rung, weight=[0, -0.5, -1.0])
    move.attempt(state, exact(np.zeros(600)))
    w = words(make_keys(job.seed, job.stream), np.zeros(1, np.uint64), Purpose.TEMPERING, 8)
    up, u = w[0][:, 0] >= 2**31, uniform(w[1][:, 0], np.float64)
    new = np.where(up, np.where((rung < 2) & (u < np.exp(-0.5)), rung + 1, rung), np.maximum(rung - 1, 0))
    np.testing.assert_array_equal(state.extra["rung"], new)
    assert state.extra["tempering_attempts"].sum() == (up & (rung < 2)).sum() + (~up & (rung > 0)).sum()
    assert state.extra["tempering_accepted"].tolist() == [
        ((rung + new == 1) & (rung != new)).sum(),
        ((rung + new == 3) & (rung != new)).sum(),
    ]


def tempered(job, steps, state=None, burn_in=30):
    """A run on the engine; continues `state` with a new move and engine."""
    move, engine = tempering_of(job, interval=3, burn_in=burn_in), BatchedEngine(job)
    state = begun(move, job, step=0) if state is None else state
    while state.step < steps:
        engine.advance(state, Segment(state.step, 3), move.hyper(state))
        move.attempt(state, exact(harmonic_energy(state.position), 0.05))
    return state


@pytest.mark.parametrize("cut", [3, 27, 30, 60])
def test_going_on_from_a_copy_changes_no_bit(cut):
    whole, half = tempered(langevin(20), 90), tempered(langevin(20), cut)
    same(whole, tempered(langevin(20), 90, state=half.copy()))
    assert (whole.extra["tempering_accepted"] > 0).all()


def test_replicas_do_not_know_their_place():
    """With the weights frozen a replica's path does not depend on the others, only on its seed and stream."""
    few, many = langevin(5), langevin(12)
    states = []
    for job in (few, many):
        move, engine = tempering_of(job), BatchedEngine(job)
        state = begun(move, job, step=0, weight=WEIGHTS)
        engine.advance(state, Segment(0, 2), move.hyper(state))
        for _ in range(40):
            engine.advance(state, Segment(state.step, 1), move.hyper(state))
            move.attempt(state, exact(harmonic_energy(state.position), 0.05))
        states.append(state)
    for name in ("rung", "tempering_round_trips", "tempering_variance", "tempering_seen"):
        np.testing.assert_array_equal(states[0].extra[name], states[1].extra[name][:5])
    np.testing.assert_array_equal(states[0].position, states[1].position[:5])


def test_harmonic_wells_on_the_engine():
    """BAOAB has <q^2> = tau / k on every rung at any h; with exact weights all rungs are visited alike."""
    job = langevin(300)
    move, engine = tempering_of(job, interval=2, burn_in=2), BatchedEngine(job)
    state = begun(move, job, step=0, weight=WEIGHTS)
    on, square = np.zeros((2, 300, 3))
    engine.advance(state, Segment(0, 2), move.hyper(state))  # past burn-in
    for n in range(500):
        engine.advance(state, Segment(state.step, 2), move.hyper(state))
        if n >= 100:
            on[np.arange(300), state.extra["rung"]] += 1
            square[np.arange(300), state.extra["rung"]] += (state.position**2).mean(axis=1)
        move.attempt(state, exact(harmonic_energy(state.position)))
    assert abs(z_score(on / 400, 1 / 3)).max() < 5
    assert abs(z_score((square - on * np.array(TAUS) / STIFFNESS) / 400, 0)).max() < 5
    assert abs(z_score((square - on * 1.05 * np.array(TAUS) / STIFFNESS) / 400, 0)).max() > 8


def test_frozen_replicas_never_move():
    job = langevin(60)
    move = tempering_of(job)
    state = begun(move, job)
    state.status[3], state.position[3] = 1, np.nan
    value = np.full(60, 1e6)
    value[3], value[7] = np.nan, np.inf
    for step in range(2, 22):
        state.step = step
        move.attempt(state, exact(value, np.where(np.isfinite(value), 0.0, np.nan)))
    assert state.extra["rung"][[3, 7]].tolist() == [0, 0]
    assert (np.delete(state.extra["rung"], [3, 7]) == 2).all()
    assert state.extra["tempering_occupation"].sum() == 20 * 58
    json.dumps(move.facts(state), allow_nan=False)


def test_no_moves_at_temperature_zero():
    job = langevin(20, total=10, schedules={("temperature", 0): Linear(schedule="linear")})
    move = tempering_of(job)
    state = begun(move, job, step=11)
    move.attempt(state, exact(np.arange(20.0)))
    assert not state.extra["rung"].any()
    json.dumps(move.facts(state), allow_nan=False)


def test_weights_statistics_and_hyperparameters():
    job = langevin(3)
    move = tempering_of(job)
    state = begun(move, job, rung=[0, 2, 1])
    np.testing.assert_array_equal(move.log_weight(state, np.zeros(state.replicas), slice(None)), [0, -np.inf, -np.inf])
    assert move.statistics(state, state.step)["rung"].tolist() == [0, 2, 1]
    assert (move.kind, move.interval) == ("tempering", 1)
    now = move.hyper(state)
    assert move.hyper(state) is now
    np.testing.assert_array_equal(now.temperature[:, 0], np.array(TAUS)[[0, 2, 1]])
    state.extra["rung"][0] = 1
    assert move.hyper(state) is not now


def test_round_trips_and_warnings():
    job = langevin(50)
    move = tempering_of(job)
    state, history = begun(move, job, weight=[0, 40.0, 80.0]), []
    for step in range(2, 40):
        state.step = step
        move.attempt(state, exact(np.zeros(50), 9.0))
        history.append(state.extra["rung"].copy())
    assert (history[-1] == 2).mean() > 0.9
    assert move.facts(state)["round_trips"] == 0
    lines = move.warnings(state)
    assert any("target rung" in line for line in lines)
    assert any("Energies are noisy" in line for line in lines)
    state.extra["tempering_weight"][...] = 0, -40, -80
    for step in range(40, 90):
        state.step = step
        move.attempt(state, exact(np.zeros(50)))
    assert (state.extra["tempering_round_trips"] == 1).all()


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("job", "options", "message"),
    [
        (job_of("sgd", well(1.0, 2), 0.1, 6), {}, "tempering trades temperatures"),
        (langevin(6, temperature=np.arange(1.0, 7)[:, None]), {}, "one number"),
        (langevin(6), {"burn_in": 3, "interval": 4}, "burn_in = 3 has no attempt"),
        (langevin(6), {"epsilon": [1, 2, 3]}, "not used"),
        (
            job_of("BACDEDCAB", well(1.0, 2), 0.1, 6, temperature=0.5, sigma=1.0, epsilon=1.0),
            {"epsilon": [1, 0, 3]},
            "above 0 on every rung",
        ),
    ],
)
def test_refusals(job, options, message):
    with pytest.raises(SpecError, match=message):
        tempering_of(job, **options)
