"""Simulated tempering: the joint law of rung, q, p and xi; noisy energies; two modes (equations.md section 5).

Replicas are independent once the weights are frozen, and the unit of every z-score. Each law fails with a planted
mistake.
"""

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
)
from linear_maps import job_of, well, z_score
from tempering_cases import WEIGHTS, begun, langevin, tempering_of

from gpu_thermo.method.schedules import Linear

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
    assert move.facts(state)["round_trips_per_replica"] > 10


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
    np.testing.assert_allclose(move.facts(state)["occupation"], on.mean(axis=0), atol=1e-12)
    assert abs(mode_z(on, right)).max() < 5
    assert move.warnings(state) == []
