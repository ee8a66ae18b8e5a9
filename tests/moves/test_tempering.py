"""Simulated tempering: exact joint laws, weights found and frozen, bookkeeping (equations.md section 5).

Replicas are independent once the weights are frozen, and the unit of every z-score. Each law fails with a planted
mistake.
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
    draw_joint,
    exact,
    harmonic_energy,
    joint_z,
    metropolis,
    mixture_energy,
    right_of_zero,
    same,
)
from linear_maps import job_of, well, z_score

from gpu_thermo.engines import BatchedEngine, initial_state
from gpu_thermo.errors import SpecError
from gpu_thermo.method.schedules import Linear
from gpu_thermo.moves import options as spec
from gpu_thermo.moves.tempering import Tempering
from gpu_thermo.state import Segment
from gpu_thermo.streams import Purpose, make_keys, uniform, words

WEIGHTS = -SIZE / 2 * np.log(np.array(TAUS) / TAUS[0])
"""g = -log Z of every rung of a harmonic well in SIZE dimensions, rung 0 at 0: with them all rungs are visited
alike."""


def tempering_of(job, burn_in=1, **options):
    given = {"temperatures": list(TAUS), "interval": 1} | options
    return Tempering.make(
        spec.Tempering(kind="tempering", **given), job.hyper, job.program, job.seed, job.stream, burn_in
    )


def langevin(replicas, size=SIZE, **hyper):
    values = {"temperature": TAUS[0], "friction": 1.0} | hyper
    return job_of("BAOAB", well(STIFFNESS, size), 1.0, replicas, **values)


def begun(move, job, position=None, step=2, rung=None, weight=None):
    """A state with the move's arrays, as after `step` steps, past burn-in unless said."""
    state = initial_state(job, np.zeros((job.replicas, job.target.layout.size)) if position is None else position)
    move.begin(state)
    state.step = step
    if rung is not None:
        state.extra["rung"][...] = rung
    if weight is not None:
        state.extra["tempering_weight"][...] = weight
    return state


# -- the joint law of rung, q, p and xi --------------------------------------------------------------------------------


def move_once(mistake=None, factor=1.0, replicas=120_000):
    """Largest |z| after one attempt from the exact law, of the occupation too."""
    schedules = None if factor == 1 else {("temperature", 0): Linear(schedule="linear", final=2 * factor - 1)}
    job = job_of(
        "BACDEDCAB",
        well(STIFFNESS, SIZE),
        0.1,
        replicas,
        temperature=TAUS[0],
        sigma=0.3,
        epsilon=0.2,
        thermostat=0.0,
        total=20,
        schedules=schedules,
    )
    move = tempering_of(job, **ADL)
    rung = np.arange(replicas, dtype=np.int32) % 3
    state = begun(move, job, step=11, rung=rung, weight=WEIGHTS)
    draw_joint(state, factor * np.array(TAUS)[rung], np.array(ADL["sigma"])[rung], np.array(ADL["epsilon"])[rung])
    value, before = harmonic_energy(state.position), state.copy()
    if mistake == "sign":
        value = -value
    if mistake == "weights' sign":
        state.extra["tempering_weight"] *= -1
    if mistake == "unscheduled":
        move = replace(move, ladder=replace(move.ladder, base=replace(move.ladder.base, schedules={})))
    move.attempt(state, exact(value))
    moved = state.extra["rung"] != rung
    assert 0.1 < moved.mean() < 0.9
    if mistake == "momenta stay":
        state.momentum[...] = before.momentum
    if mistake == "xi stays":
        state.thermostat[...] = before.thermostat
    if mistake == "xi is not stretched":
        mean = np.array(ADL["sigma"]) ** 2 / (2 * np.array(TAUS))
        state.thermostat[:, 0] = before.thermostat[:, 0] + mean[state.extra["rung"]] - mean[rung]
    occupied = [z_score((state.extra["rung"] == i).astype(float), 1 / 3) for i in range(3)]
    return max(joint_z(state, moved, factor), *np.abs(occupied))


def test_moves_keep_the_joint_law():
    assert move_once() < 5


def test_moves_under_a_schedule_use_the_temperatures_in_force():
    assert move_once(factor=0.6) < 5
    assert move_once("unscheduled", factor=0.6) > 10


@pytest.mark.parametrize("mistake", ["sign", "weights' sign", "momenta stay", "xi stays", "xi is not stretched"])
def test_power_of_the_joint_law(mistake):
    assert move_once(mistake) > 8


def test_xi_without_noise_and_xi_that_stands_still():
    """Without D the thermostat's mean is 0 on every rung; without E it is a constant of the replica."""
    for word, values, stretched in (
        ("BACECAB", {"epsilon": 0.2}, [np.sqrt(TAUS[1] / TAUS[0]), np.sqrt(TAUS[2] / TAUS[1])]),
        ("BAOAB", {"friction": 1.0}, [1, 1]),
    ):
        job = job_of(word, well(STIFFNESS, SIZE), 0.1, 400, temperature=TAUS[0], **values)
        move = tempering_of(job)
        rung = np.arange(400, dtype=np.int32) % 2
        state = begun(move, job, rung=rung)
        state.thermostat[...] = 0.7
        move.attempt(state, exact(np.zeros(400)))
        up = state.extra["rung"] > rung
        for i in (0, 1):
            np.testing.assert_allclose(state.thermostat[up & (rung == i), 0], 0.7 * stretched[i])
        assert up.sum() > 100


def test_a_schedule_on_sigma_moves_the_mean_of_xi():
    """m = sigma^2 / (2 tau) with both as in the last step done."""
    schedules = {("sigma", 0): Linear(schedule="linear", final=0.2)}
    job = job_of(
        "BACDEDCAB",
        well(STIFFNESS, SIZE),
        0.1,
        100,
        temperature=TAUS[0],
        sigma=0.8,
        epsilon=0.2,
        total=20,
        schedules=schedules,
    )
    move = tempering_of(job)
    state = begun(move, job, step=11)
    means = (0.8 * 0.6) ** 2 / (2 * np.array(TAUS))
    state.thermostat[...] = means[0]
    move.attempt(state, exact(np.full(100, 1e3)))
    assert 20 < state.extra["rung"].sum() < 80
    np.testing.assert_allclose(state.thermostat[:, 0], means[state.extra["rung"]])


def test_variance_is_smoothed_by_rung_and_replica():
    """The mean of the estimates a replica had on that rung; unknown ones are passed over."""
    job, rng = langevin(30), np.random.default_rng(0)
    move = tempering_of(job)
    state = begun(move, job, weight=WEIGHTS)
    total, seen = np.zeros((30, 3)), np.zeros((30, 3))
    for step in range(2, 42):
        state.step = step
        variance, at = rng.exponential(size=30), (np.arange(30), state.extra["rung"].copy())
        value = rng.gamma(SIZE / 2, size=30)
        value[step % 7] = np.nan
        total[at] += np.where(np.isnan(value), 0, variance)
        seen[at] += ~np.isnan(value)
        move.attempt(state, exact(value, variance))
    assert seen.max() <= 50
    assert (seen > 3).sum() > 50
    np.testing.assert_array_equal(state.extra["tempering_seen"], seen)
    np.testing.assert_allclose(state.extra["tempering_variance"][seen > 0], (total / np.maximum(seen, 1))[seen > 0])


# -- noisy energies, two modes -----------------------------------------------------------------------------------------


def noisy_z(sd=0.6, told=None, correction=True, replicas=120_000):
    """Largest |z| of occupation and mean energy on every rung after one attempt decided by noisy energies."""
    job = langevin(replicas)
    move = tempering_of(job, correction=correction)
    rung, rng = np.arange(replicas, dtype=np.int32) % 3, np.random.default_rng(5)
    state = begun(move, job, rung=rung, weight=WEIGHTS)
    value = rng.gamma(SIZE / 2, size=replicas) * np.array(TAUS)[rung]
    move.attempt(state, exact(value + sd * rng.normal(size=replicas), sd**2 if told is None else told))
    at = [state.extra["rung"] == i for i in range(3)]
    scores = [z_score(here.astype(float), 1 / 3) for here in at]
    return np.abs(scores + [z_score(value[here], SIZE * tau / 2) for here, tau in zip(at, TAUS, strict=True)]).max()


def test_gaussian_noise_of_known_variance_is_corrected_for():
    assert noisy_z() < 5
    assert noisy_z(sd=1.2) < 5


def test_power_of_the_correction():
    assert noisy_z(sd=1.2, correction=False) > 10
    assert noisy_z(told=-(0.6**2)) > 10  # its sign flipped


def mode_run(taus=(1.0, 3.0, 10.0), noise=0.0, replicas=400, burn_in=1500, attempts=2500, weight=None, **options):
    """Replicas from the left mode of the mixture; per replica the part of attempts on each rung, and of those the part
    on the right.
    """
    job = langevin(replicas, size=1, temperature=taus[0])
    move = tempering_of(job, burn_in if weight is None else 1, temperatures=list(taus), **options)
    state, rng = begun(move, job, np.full((replicas, 1), -4.0), weight=weight), np.random.default_rng(3)
    rung, on, right = state.extra["rung"], np.zeros((replicas, 3)), np.zeros((replicas, 3))
    row = np.arange(replicas)
    for n in range(burn_in + attempts):
        state.step = n + (1 if weight is None else 2)
        state.position[:, 0] = metropolis(state.position[:, 0], np.array(taus)[rung], rng)
        value = mixture_energy(state.position[:, 0])
        move.attempt(state, exact(value + noise * rng.normal(size=replicas), noise**2))
        if n >= burn_in:
            on[row, rung] += 1
            right[row, rung] += state.position[:, 0] > 0
    return on / attempts, right / attempts, move, state


def mode_z(on, right, taus=(1.0, 3.0, 10.0)):
    """z of P(right | rung), a ratio of means over replicas."""
    return z_score(right - right_of_zero(taus)[0] * on, 0.0)


@pytest.mark.parametrize("noise", [0.0, 1.5])
def test_mode_weights_and_uniform_occupation_with_exact_weights(noise):
    logs = right_of_zero((1.0, 3.0, 10.0))[1]
    on, right, move, state = mode_run(weight=logs[0] - logs, noise=noise, burn_in=300)
    assert abs(z_score(on, 1 / 3)).max() < 5
    assert abs(mode_z(on, right)).max() < 5
    assert move.summary(state)["round_trips_per_replica"] > 10


def test_power_of_mode_weights():
    logs = right_of_zero((1.0, 3.0, 10.0))[1]
    on, right, *_ = mode_run(weight=logs[0] - logs, noise=1.5, burn_in=300, correction=False)
    assert max(abs(mode_z(on, right)).max(), abs(z_score(on, 1 / 3)).max()) > 8
    on, right, *_ = mode_run(weight=1.1 * (logs[0] - logs), burn_in=300)
    assert abs(z_score(on, 1 / 3)).max() > 8


def test_weights_are_found_during_burn_in():
    """Then frozen: near -log Z, and right in what they are used for whatever they are."""
    logs = right_of_zero((1.0, 3.0, 10.0))[1]
    on, right, move, state = mode_run()
    g = state.extra["tempering_weight"]
    assert g[0] == 0
    np.testing.assert_allclose(g, logs[0] - logs, atol=0.1)
    np.testing.assert_allclose(on.mean(axis=0), 1 / 3, atol=0.04)
    np.testing.assert_allclose(move.summary(state)["occupation"], on.mean(axis=0), atol=1e-12)
    assert abs(mode_z(on, right)).max() < 5
    assert move.warnings(state) == []


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
    json.dumps(move.summary(state), allow_nan=False)


def test_no_moves_at_temperature_zero():
    job = langevin(20, total=10, schedules={("temperature", 0): Linear(schedule="linear")})
    move = tempering_of(job)
    state = begun(move, job, step=11)
    move.attempt(state, exact(np.arange(20.0)))
    assert not state.extra["rung"].any()
    json.dumps(move.summary(state), allow_nan=False)


def test_weights_statistics_and_hyperparameters():
    job = langevin(3)
    move = tempering_of(job)
    state = begun(move, job, rung=[0, 2, 1])
    np.testing.assert_array_equal(move.log_weight(state), [0, -np.inf, -np.inf])
    assert move.statistics(state)["rung"].tolist() == [0, 2, 1]
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
    assert move.summary(state)["round_trips"] == 0
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
