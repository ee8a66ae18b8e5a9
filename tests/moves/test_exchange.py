"""Replica exchange: exact laws on every rung after swaps, alone and with an engine (equations.md section 5).

Each ladder is independent of the others and is the unit of every z-score. Each law is shown to have power: a planted
mistake fails it.
"""

from dataclasses import replace

import numpy as np
import pytest
from ladder_cases import (
    ADL,
    SIZE,
    STIFFNESS,
    TAUS,
    begun,
    draw_joint,
    exact,
    exchange_of,
    harmonic_energy,
    joint_z,
    langevin,
    metropolis,
    mixture_energy,
    right_of_zero,
    thermostatted,
)
from linear_maps import z_score

from gpu_thermo.engines import BatchedEngine, initial_state
from gpu_thermo.method.schedules import Linear
from gpu_thermo.moves.ladder import MEMORY, smooth
from gpu_thermo.state import Segment

# -- the joint law of (q, p, xi) on every rung, which swaps must leave as it is ----------------------------------------


def swap_once(mistake=None, factor=1.0, ladders=40_000):
    """Attempts from the exact law; `mistake` changes the move or what it is given."""
    schedules = None if factor == 1 else {("temperature", 0): Linear(schedule="linear", final=2 * factor - 1)}
    job = thermostatted(ladders, total=20, schedules=schedules)
    move = exchange_of(job, **ADL)
    state = begun(move, job, step=11)  # the last step done is number 10 of 20, where the schedule is at `factor`
    rung = state.extra["rung"].copy()
    draw_joint(state, factor * np.array(TAUS)[rung], np.array(ADL["sigma"])[rung], np.array(ADL["epsilon"])[rung])
    value, before = harmonic_energy(state.position), state.copy()
    if mistake == "energies too large":
        value = value * 1.2
    if mistake == "sign":
        value = -value
    if mistake == "unscheduled":
        move = replace(move, ladder=replace(move.ladder, base=replace(move.ladder.base, schedules={})))
    for _ in range(2):  # even pairs, then odd ones
        move.attempt(state, exact(value))
    moved = state.extra["rung"] != rung
    assert 0.2 < moved.mean() < 0.99
    if mistake == "momenta stay":
        state.momentum[...] = before.momentum
    if mistake == "momenta by tau":
        state.momentum *= state.momentum / before.momentum
    if mistake == "xi stays":
        state.thermostat[...] = before.thermostat
    return joint_z(state, moved, factor)


def test_swaps_keep_the_joint_law():
    assert swap_once() < 5


def test_swaps_under_a_schedule_use_the_temperatures_in_force():
    assert swap_once(factor=0.6) < 5
    assert swap_once("unscheduled", factor=0.6) > 10


@pytest.mark.parametrize("mistake", ["energies too large", "sign", "momenta stay", "momenta by tau", "xi stays"])
def test_power_of_the_joint_law(mistake):
    assert swap_once(mistake) > 8


# -- noisy energies ----------------------------------------------------------------------------------------------------


def noisy_z(sd=0.6, told=None, correction=True, ladders=40_000):
    """Largest |z| of the mean energy on every rung after one swap decided by energies with Gaussian noise of that
    sd.
    """
    job = langevin(ladders)
    move = exchange_of(job, correction=correction)
    state = begun(move, job)
    rng, tau = np.random.default_rng(5), np.array(TAUS)[state.extra["rung"]]
    state.position[...] = rng.normal(size=state.position.shape) * np.sqrt(tau / STIFFNESS)[:, None]
    value = harmonic_energy(state.position)
    move.attempt(state, exact(value + sd * rng.normal(size=len(value)), sd**2 if told is None else told))
    return max(abs(z_score(value[state.extra["rung"] == i], SIZE * tau / 2)) for i, tau in enumerate(TAUS))


def test_gaussian_noise_of_known_variance_is_corrected_for():
    assert noisy_z() < 5
    assert noisy_z(sd=1.2) < 5


def test_power_of_the_correction():
    assert noisy_z(correction=False) > 10
    assert noisy_z(told=-(0.6**2)) > 10  # its sign flipped
    assert noisy_z(told=2 * 0.6**2) > 8  # v where v / 2 is due


def test_variance_is_smoothed_by_rung():
    """A plain mean of the first MEMORY estimates, then an exponential average; what is not known is passed over."""
    rng = np.random.default_rng(0)
    estimates = rng.exponential(size=(MEMORY, 2, 3))
    estimates[7, 0, 1] = np.nan
    v = np.full((2, 3), np.nan)
    for i, new in enumerate(estimates):
        before, v = v, smooth(v, new, i)
    np.testing.assert_allclose(v[1], estimates[:, 1].mean(axis=0))
    assert v[0, 1] == pytest.approx(np.nanmean(estimates[:, 0, 1]), rel=0.05)
    np.testing.assert_allclose(smooth(v, v + 1.0, 10 * MEMORY), v + 1 / MEMORY)
    assert np.isfinite(before).all()

    job = langevin(2)
    move = exchange_of(job, acceptance_factor=1e-300)
    state = begun(move, job)
    for step in (1, 2):
        state.step = step
        move.attempt(state, exact(np.zeros(6), [1.0, 2, 3, 4, 5, np.nan if step == 1 else 6]))
    np.testing.assert_array_equal(state.extra["exchange_variance"], [[1, 2, 3], [4, 5, 6]])


# -- two modes ---------------------------------------------------------------------------------------------------------


def mode_z(taus=(1.0, 4.0, 10.0), noise=0.0, ladders=300, attempts=600, burn=100, **options):
    """z of the weight of the right mode on every rung, time averages of ladders that start in the left mode; and the
    move and state.
    """
    job = langevin(ladders, taus, size=1)
    move = exchange_of(job, temperatures=list(taus), **options)
    state, rng = begun(move, job, np.full((job.replicas, 1), -4.0)), np.random.default_rng(3)
    rung, right = state.extra["rung"], np.zeros((ladders, len(taus)))
    ladder = np.arange(job.replicas) // len(taus)
    for n in range(attempts):
        state.step = n + 1
        state.position[:, 0] = metropolis(state.position[:, 0], np.array(taus)[rung], rng)
        value = mixture_energy(state.position[:, 0])
        move.attempt(state, exact(value + noise * rng.normal(size=len(value)), noise**2))
        if n >= burn:
            right[ladder, rung] += state.position[:, 0] > 0
    return z_score(right / (attempts - burn), right_of_zero(taus)[0]), move, state


def test_mode_weights():
    z, move, state = mode_z()
    assert abs(z).max() < 5
    assert move.facts(state)["round_trips"] > 1000


def test_mode_weights_with_noisy_energies():
    assert abs(mode_z(noise=1.0)[0]).max() < 5
    assert abs(mode_z(noise=2.0)[0]).max() < 5


def test_power_of_mode_weights():
    assert abs(mode_z(acceptance_factor=1e-6)[0]).max() > 10  # without swaps tau = 1 stays where it started
    assert abs(mode_z(noise=2.0, correction=False)[0]).max() > 10


def test_a_scarce_acceptance_keeps_the_law():
    """A factor on every acceptance is symmetric."""
    z, move, state = mode_z(acceptance_factor=0.3, attempts=900)
    assert abs(z).max() < 5
    full = mode_z(attempts=300)
    low, high = (np.array(m.facts(s)["acceptance"]) for m, s in ((move, state), full[1:]))
    np.testing.assert_allclose(low / high, 0.3, rtol=0.05)


# -- with an engine ----------------------------------------------------------------------------------------------------


def ladder_run(job, move, state, attempts, sums=None):
    """Segments and attempts in turn; adds q^2, p^2 and xi of every rung to `sums` before each attempt."""
    engine = BatchedEngine(job)
    for _ in range(attempts):
        engine.advance(state, Segment(state.step, move.interval), move.hyper(state))
        if sums is not None:
            who = move._occupants(state.extra["rung"])
            for total, value in zip(sums, (state.position**2, state.momentum**2, state.thermostat), strict=True):
                total += value.mean(axis=1)[who]
        move.attempt(state, exact(harmonic_energy(state.position)))


def test_harmonic_wells_on_the_engine():
    """BAOAB has <q^2> = tau / k and <p^2> = tau (1 - h^2 k / 4) on every rung at any h, and swaps keep both."""
    job = langevin(150)
    move = exchange_of(job, interval=2)
    state = begun(move, job, step=0)
    ladder_run(job, move, state, 50)
    sums = np.zeros((3, 150, 3))
    ladder_run(job, move, state, 200, sums)
    tau = np.array(TAUS)
    assert abs(z_score(sums[0] / 200, tau / STIFFNESS)).max() < 5
    assert abs(z_score(sums[1] / 200, tau * (1 - STIFFNESS / 4))).max() < 5
    assert min(move.facts(state)["acceptance"]) > 0.3


@pytest.mark.slow
def test_thermostats_on_the_engine():
    """E xi = sigma^2 / (2 tau) on every rung while xi goes with the rung."""
    job = thermostatted(300)
    move = exchange_of(job, interval=5, **(ADL | {"stepsize": [0.05, 0.05, 0.05]}))
    state = begun(move, job, step=0)
    ladder_run(job, move, state, 500)
    sums = np.zeros((3, 300, 3))
    ladder_run(job, move, state, 2000, sums)
    tau, sigma = np.array(TAUS), np.array(ADL["sigma"])
    assert abs(z_score(sums[2] / 2000, sigma**2 / (2 * tau))).max() < 5
    assert abs(z_score(sums[0] / 2000, tau / STIFFNESS)).max() < 5


@pytest.mark.parametrize("options", [{"acceptance_factor": 1e-300, "interval": 2}, {"interval": 50}])
def test_without_swaps_replicas_are_independent(options):
    """Bit for bit the plain dynamics at each rung's own hyperparameters."""
    job = langevin(5)
    move = exchange_of(job, stepsize=[1.0, 0.9, 0.8], friction=[1.0, 2.0, 3.0], **options)
    state = begun(move, job, step=0)
    hyper = replace(
        job.hyper,
        temperature=np.tile(TAUS, 5)[:, None],
        stepsize=np.tile([1.0, 0.9, 0.8], 5),
        friction=np.tile([1.0, 2.0, 3.0], 5)[:, None],
    )
    plain = initial_state(job, state.position.copy())
    BatchedEngine(replace(job, hyper=hyper)).advance(plain, Segment(0, 40))
    if options["interval"] > 40:
        BatchedEngine(job).advance(state, Segment(0, 40), move.hyper(state))
    else:
        ladder_run(job, move, state, 20)
    for name in ("position", "momentum", "thermostat", "gradient", "energy"):
        np.testing.assert_array_equal(getattr(state, name), getattr(plain, name))
