"""Contour: the update rule against its dense formula, merging, summaries, refusals (equations.md section 5)."""

import dataclasses

import numpy as np
import pytest
from contour_cases import METHODS, RULE, advance, begin, contour_job, weights

from gpu_thermo.engines import BatchedEngine, FusedEngine
from gpu_thermo.errors import SpecError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.schedules import Cosine, Linear
from gpu_thermo.moves.contour import Contour
from gpu_thermo.moves.contour import ContourOptions as Options
from gpu_thermo.state import Segment, State

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")


# -- the rule ----------------------------------------------------------------------------------------------------------


def dense_step(c, w, seen, u, tau, omega):
    """One update as equations.md section 5 prints it, on the whole vector w of one replica: new w, multiplier, Psi."""
    j = min(max(int(np.floor((u - c.lowest) / c.width)), 0), c.bins - 1)
    inside = c.lowest <= u < c.lowest + c.bins * c.width
    slope, psi = 0.0, w[j]
    if j > 0 and inside and seen[j - 1]:
        slope = (np.log(w[j]) - np.log(w[j - 1])) / c.width
        psi = np.exp(np.log(w[j - 1]) + slope * (u - (c.lowest + j * c.width)))
    if c.published:
        psi = w[j]
    step = omega * w[j] ** ((1 if c.interacting else c.zeta) - c.zeta) * psi**c.zeta
    seen[j] |= omega > 0
    return w + step * (np.eye(c.bins)[j] - w), float(np.clip(1 + c.zeta * tau * slope, *c.clip)), psi


@pytest.mark.parametrize(
    "form",
    [{}, {"interacting": True}, {"published": True}, {"zeta": 0.0}, {"zeta": 1.5, "clip": (0.5, 1.2)}, {"learn": 100}],
)
def test_updates_against_the_dense_formula(form):
    """Shift and visited bin together are the vector step on all of w, over 400 evaluations of energies that wander out
    of range.
    """
    c = dataclasses.replace(RULE, **form)
    g, replicas = np.random.default_rng(0), 5
    energy = 0.8 + np.cumsum(0.1 * g.normal(size=(400, replicas)), axis=0)
    energy = 0.2 + np.abs((energy - 0.2) % 2.4 - 1.2)  # folded into [.2, 1.4]: the bins are [.3, 1.3]
    tau, log_omega = g.uniform(0.01, 0.5, replicas), c.log_omega(0, 400)
    omega = np.exp(log_omega)
    np.testing.assert_allclose(
        omega, [min(0.3, 5 / (k**0.8 + 10)) if k < (c.learn or 400) else 0 for k in range(400)], rtol=1e-14
    )
    state = State.at(np.zeros((replicas, 1)), np.zeros((replicas, 1)), np.zeros((replicas, 1)))
    c.begin(state)
    w, seen = np.full((replicas, c.bins), 1 / c.bins), np.zeros((replicas, c.bins), bool)
    clipped = np.zeros(replicas)
    for k in range(400):
        multiplier = c.flatten(state.extra, energy[k], tau, log_omega[k], np.ones(replicas, bool))
        for r in range(replicas):
            w[r], expected, _ = dense_step(c, w[r], seen[r], energy[k, r], tau[r], omega[k])
            clipped[r] += expected in c.clip
            np.testing.assert_allclose(multiplier[r], expected, rtol=1e-9)
    np.testing.assert_allclose(weights(state.extra), w, rtol=1e-11)
    np.testing.assert_array_equal(state.extra["contour_seen"], seen)
    np.testing.assert_array_equal(state.extra["contour_clipped"], clipped)
    np.testing.assert_array_equal(state.extra["contour_outside"], ((energy < 0.3) | (energy >= 1.3)).sum(axis=0))
    assert (state.extra["contour_outside"] > 0).all()
    np.testing.assert_array_equal(state.extra["contour_visits"].sum(axis=1), 400)
    if c.learn:
        assert (
            (state.extra["contour_seen"] == 0) & (state.extra["contour_visits"] > 0)
        ).any()  # a bin first visited later stays unseen
    psi = [dense_step(c, w[r], seen[r].copy(), energy[9, r], 1.0, 0.0)[2] for r in range(replicas)]
    np.testing.assert_allclose(c.log_weight(state, energy[9], slice(None)), c.zeta * np.log(psi), rtol=1e-9, atol=1e-13)


def test_energies_that_are_no_numbers_and_replicas_that_are_frozen():
    """Infinite ones are out of range; NaN and frozen ones change nothing and leave the gradient as it is."""
    state = State.at(np.zeros((5, 1)), np.zeros((5, 1)), np.zeros((5, 1)))
    RULE.begin(state)
    before = state.copy()
    energy, running = np.array([np.inf, -np.inf, np.nan, 0.5, 0.5]), np.array([True, True, True, False, True])
    multiplier = RULE.flatten(state.extra, energy, np.ones(5), np.log(0.1), running)
    np.testing.assert_array_equal(multiplier, 1.0)
    np.testing.assert_array_equal(state.extra["contour_outside"], [1, 1, 0, 0, 0])
    assert state.extra["contour_visits"][:2, [-1, 0]].tolist() == [[1, 0], [0, 1]]
    for name, value in state.extra.items():
        np.testing.assert_array_equal(value[2:4], before.extra[name][2:4])
    np.testing.assert_allclose(weights(state.extra).sum(axis=1), 1, rtol=1e-14)
    assert np.isnan(RULE.log_psi(state.extra, energy)).tolist() == [False, False, True, False, False]


def test_merge_is_the_mean_from_one_old_histogram():
    """With interval 1 the published form: all replicas of a group step from the same w, and w becomes the mean; frozen
    ones stay out.
    """
    c = dataclasses.replace(RULE, interacting=True)
    job = contour_job(c, replicas=9, **METHODS["sgld"])
    group, engine, state = np.array([0, 1, 0, 0, 1, 1, 2, 0, 1]), FusedEngine(job), begin(job)
    for _ in range(30):
        engine.advance(state, Segment(state.step, 1))
        c.merge(state.extra, group, state.status)
    state.status[4] = 1
    old, seen = weights(state.extra), state.extra["contour_seen"].astype(bool)
    engine.advance(state, Segment(state.step, 1))
    omega = np.exp(c.log_omega(30, 1)[0])
    stepped = [dense_step(c, old[r], seen[r], state.energy[r], 1.0, omega)[0] for r in range(9)]
    frozen = {name: value[4].copy() for name, value in state.extra.items()}
    c.merge(state.extra, group, state.status)
    merged = weights(state.extra)
    for one in range(3):
        running = (group == one) & (state.status == 0)
        np.testing.assert_allclose(
            merged[running],
            np.broadcast_to(np.mean(np.array(stepped)[running], axis=0), merged[running].shape),
            rtol=1e-12,
        )
        np.testing.assert_array_equal(
            state.extra["contour_seen"][running], np.broadcast_to(seen[running].any(axis=0), (running.sum(), 20))
        )
    for name, value in frozen.items():
        np.testing.assert_array_equal(state.extra[name][4], value)
    assert np.ptp(old[group == 0], axis=0).max() == 0
    assert (state.extra["contour_shift"][state.status == 0] == 0).all()


def test_merge_of_tiny_weights():
    """Means are taken of w, through logarithms: nothing underflows."""
    state = State.at(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1)))
    dataclasses.replace(RULE, bins=3).begin(state)
    state.extra["contour_log_weight"][:] = [[-2000.0, -1.0, -5.0], [-2001.0, -3.0, -5.0]]
    RULE.merge(state.extra, np.zeros(2, int), np.zeros(2, int))
    expected = [-2000 + np.log((1 + np.exp(-1)) / 2), -1 + np.log((1 + np.exp(-2)) / 2), -5]
    np.testing.assert_allclose(state.extra["contour_log_weight"], [expected, expected], rtol=1e-14)


def test_summary():
    job = contour_job(dataclasses.replace(RULE, interacting=True), replicas=6, **METHODS["sgld"])
    state = advance(FusedEngine(job), job, 50)
    group = np.array([1, 0, 1, 0, 1, 0])
    out = job.contour.summary(state.extra, group)
    w, visits = weights(state.extra), state.extra["contour_visits"]
    assert len(out["edges"]) == 21
    for one in range(2):
        rows = group == one
        np.testing.assert_allclose(out["weight"][one], w[rows].mean(axis=0))
        power = w[rows].mean(axis=0) ** 0.75
        np.testing.assert_allclose(out["probability"][one], power / power.sum())
        np.testing.assert_array_equal(out["visits"][one], visits[rows].sum(axis=0))
        assert out["never_seen"][one] == (visits[rows].sum(axis=0) == 0).sum()
        assert out["outside"][one] == state.extra["contour_outside"][rows].sum() / visits[rows].sum()
        assert out["clipped"][one] == state.extra["contour_clipped"][rows].sum() / visits[rows].sum()


def test_options():
    made = Contour.make(
        Options(kind="contour", zeta=0.5, bins=7, omega=(1.0, 0.6, 100.0), clip=(-2.0, 3.0), interval=4), -1.0, 0.25, 9
    )
    assert (made.zeta, made.bins, made.lowest, made.width, made.omega, made.clip, made.interval, made.learn) == (
        0.5, 7, -1.0, 0.25, (1.0, 0.6, 100.0), (-2.0, 3.0), 4, 9)  # fmt: skip
    np.testing.assert_allclose(made.edges, -1 + 0.25 * np.arange(8))


REFUSED = {
    "no temperature": ({"method": "adam"}, {}, "'adam' .* reads none"),
    "two temperatures": ({"method": "lala"}, {"temperature": 1.0}, "one temperature for all partitions"),
    "two schedules": (
        {"method": "lala"},
        {"schedules": {("temperature", 1): Linear(schedule="linear")}},
        "one temperature",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("engine", [BatchedEngine, FusedEngine])
def test_methods_without_one_temperature_are_refused(case, engine):
    kind, change, message = REFUSED[case]
    job = contour_job(**kind)
    if "temperature" in change:
        job.hyper.temperature[0, 1] += 1
    job = dataclasses.replace(job, hyper=dataclasses.replace(job.hyper, schedules=change.get("schedules", {})))
    with pytest.raises(SpecError, match=message):
        engine(job)


def test_one_temperature_of_what_moves_is_enough():
    """A frozen partition has none; equal schedules on all are one."""
    job = contour_job(method="lala", schedules={("temperature", k): Cosine(schedule="cosine") for k in (0, 1)})
    RULE.check(job.program, job.hyper)
    frozen = contour_job(method="splitting", word={"hidden": "BAOAB"}, freeze=("output",))
    RULE.check(frozen.program, frozen.hyper)
