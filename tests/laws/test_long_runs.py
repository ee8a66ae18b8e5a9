"""Long runs: counters beyond 2^32, memory over millions of steps, and accumulators that do not lose small steps."""

import gc
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from linear_maps import job_of, moments, well

from gpu_thermo import iterate
from gpu_thermo.averages.moments import RunningMoments
from gpu_thermo.data import Dataset
from gpu_thermo.engines import BatchedEngine, Batching, FusedEngine, FusedPredictor
from gpu_thermo.engines.base import initial_state
from gpu_thermo.engines.operations.arrays import NumpyOperations
from gpu_thermo.errors import Status
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method import letters
from gpu_thermo.running.agenda import Agenda
from gpu_thermo.spec.run import RunSection
from gpu_thermo.state import Segment
from gpu_thermo.streams import Purpose, make_keys, minibatch, normals
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.posterior import MlpTarget
from gpu_thermo.verify.sampling import silent_network

compiled = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
FAR = 2**32
ENGINES = [BatchedEngine, pytest.param(FusedEngine, marks=compiled)]


def binary_job(word, batching, dtype=np.float64, replicas=5, stepsize=0.2, **values):
    """A small network on minibatches, each replica with a seed of its own."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(1, 30, 2))
    data = Dataset(
        "test",
        "binary",
        x,
        (x.sum(axis=2) > 0).astype(np.int64),
        x[:, :1],
        np.ones((1, 1), np.int64),
        ("a", "b"),
        ("0", "1"),
    )
    target = MlpTarget(MlpModel(2, 3, 1, "binary", "tanh", 1.0), data, np.zeros(replicas, np.int64), dtype)
    hyper = {"temperature": 0.05, "friction": 0.5, "sigma": 0.2, "epsilon": 0.1, "thermostat": 0.3} | values
    job = job_of(word, target, stepsize, replicas, dtype=dtype, batching=batching, partition="layer", **hyper)
    return replace(job, seed=job.seed * np.uint64(2**40) + job.stream)


def begun(job, step):
    """A state that has done one step, moved to `step`."""
    state = initial_state(job, np.random.default_rng(1).normal(size=(job.replicas, job.target.layout.size)) * 0.5)
    BatchedEngine(job).advance(state, Segment(0, 1))
    state.step, state.evaluations = step, job.program.gradients_before(step)
    return state


def forward(engine, state, *lengths, record=()):
    """The state after segments of the given lengths, and what was recorded in the last."""
    state = state.copy()
    for length in lengths:
        ring = engine.advance(
            state, Segment(state.step, length, tuple(s for s in record if state.step < s <= state.step + length))
        )
    return state, ring


def largest_difference(a, b):
    """Over positions, momenta, gradients and thermostats."""
    names = ("position", "momentum", "gradient", "thermostat")
    return max(abs(getattr(a, name) - getattr(b, name)).max() for name in names)


# -- counters ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [FAR - 1, FAR, FAR + 1, 2**40 + 3, 2**48 - 1])
def test_step_noise_has_the_address_of_its_whole_step(step, native):
    """With no force and infinite friction the momentum is the noise itself: that of `step`, not of its low 32 bits."""
    job = job_of("BAO", well(0.0, 6), 0.1, 3, temperature=1.0, friction=np.inf)
    state = initial_state(job, np.zeros((3, 6)))
    state.step = step
    BatchedEngine(job, native=native).advance(state, Segment(step, 1))
    keys, blocks = make_keys(job.seed, job.stream), np.arange(2, dtype=np.uint64)
    expected, wrapped = (
        normals(keys, blocks, Purpose.STEP, s, dtype=np.float64)[:, :6] for s in (step, step % FAR + (step < FAR))
    )
    np.testing.assert_allclose(state.momentum, expected, atol=1e-13)
    assert abs(state.momentum - wrapped).max() > 0.1
    assert state.step == step + 1


@compiled
@pytest.mark.parametrize(("word", "mode"), [("BACDEDCAB", "subset"), ("OBABO", "epoch"), ("ABOBA", "replacement")])
def test_engines_agree_across_two_to_the_32(word, mode):
    """Six steps from 2^32 - 3 on: engines agree to rounding, a cut at the boundary changes no bit, and steps do not
    repeat.
    """
    job = binary_job(word, Batching(mode, 7))
    batched, fused = BatchedEngine(job), FusedEngine(job, threads=1)
    batched._operations = NumpyOperations  # not the compiled noise, which is the fused engine's own
    state = begun(job, FAR - 3)
    (a, ring), (b, other) = (forward(engine, state, 6, record=(FAR - 1, FAR + 2)) for engine in (batched, fused))
    assert largest_difference(a, b) < 1e-12
    np.testing.assert_allclose(other.position, ring.position, atol=1e-12)
    assert ring.steps == other.steps == (FAR - 1, FAR + 2)
    assert (a.step, a.evaluations) == (b.step, b.evaluations) == (FAR + 3, job.program.gradients_before(FAR + 3))
    for engine, whole in ((batched, a), (fused, b)):
        cut, _ = forward(engine, state, 3, 1, 2)
        assert largest_difference(cut, whole) == 0
        half, _ = forward(engine, state, 3)
        assert largest_difference(forward(engine, half, 3)[0], whole) == 0
        half.step, half.evaluations = 0, job.program.gradients_before(0)  # what a 32-bit counter would do
        assert largest_difference(forward(engine, half, 3)[0], whole) > 1e-3


@pytest.mark.parametrize("first", [0, FAR - 4, 2**47])
def test_epochs_are_permutations_however_far(first):
    """Batches of one epoch are disjoint, and other epochs are other permutations."""
    keys, per_epoch = make_keys([7], [3]), 6
    first -= first % per_epoch
    epochs = [
        np.concatenate([minibatch(keys, "epoch", 24, 4, first + e * per_epoch + i)[0] for i in range(per_epoch)])
        for e in range(3)
    ]
    assert all(sorted(epoch) == list(range(24)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


@pytest.mark.parametrize("make", ENGINES)
def test_a_far_step_of_freezing_is_recorded_whole(make):
    """A replica that overflows after 2^32 steps is marked with that step."""
    job = binary_job("BAOAB", Batching("subset", 7))
    job.hyper.stepsize[2] = 1e200
    state, _ = forward(make(job), begun(replace(job, hyper=job.hyper.take(np.array([0, 1, 1, 3, 4]))), FAR + 5), 4)
    assert state.status.tolist() == [0, 0, state.status[2], 0, 0]
    assert state.status[2] in list(Status)[1:]
    assert FAR + 6 <= state.frozen_step[2] <= FAR + 9
    assert np.delete(state.frozen_step, 2).tolist() == [-1] * 4


def test_far_draws_are_planned_exactly():
    """Recording steps of a run of 2^40 steps are those of its grid, one by one."""
    agenda = Agenda(RunSection(steps=2**40, burn_in=2**39, thin=2**20, trace=3_000))
    assert (agenda.draws, agenda.draw_steps[-1]) == (2**19, 2**40)
    for start in (2**32 - 5_000, 2**39 - 5_000, 2**39 + 2**20 - 5_000, 2**40 - 10_000):
        window = range(start + 1, start + 10_001)
        draws = [s for s in window if s > 2**39 and s % 2**20 == 0]
        assert [s for s in window if agenda.is_draw(s)] == draws
        assert agenda.record_steps(start, start + 10_000) == tuple(
            sorted({*draws, *(s for s in window if s % 3_000 == 0)})
        )


# -- memory and drift --------------------------------------------------------------------------------------------------


def resident_bytes():
    """Resident memory of this process."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def silent_run(steps, thin):
    """Snapshots of 16 tiny networks whose data say nothing (noise sd 1e9): wells of stiffness 1 at tau = 0.5, so <q^2>
    is known.
    """
    return iterate({
        "data": {"name": "gap", "train": 4, "test": 0},
        "model": {"hidden": 2, "prior_sd": 0.5, "noise_sd": 1e9, "init": "prior"},
        "method": {"name": "langevin", "stepsize": 0.8, "friction": 1.0, "temperature": 0.5},
        "run": {"replicas": 16, "steps": steps, "burn_in": 0, "thin": thin, "trace": thin, "batch": 1, "keep": []},
    }, threads=1)  # fmt: skip


def check_long_run(steps, thin, allowed):
    """No growth of memory after the first fifth, and the same exact law in every fifth: <q^2> = tau, <p^2> = tau (1 -
    h^2/4).
    """
    per_fifth = steps // thin // 5
    means, sizes = np.zeros((5, 2, 16)), []
    for i, snapshot in enumerate(silent_run(steps, thin)):
        means[i // per_fifth] += np.array(
            [(snapshot.position.astype(float) ** 2).mean(axis=1), snapshot.kinetic_temperature[:, 0]]
        )
        if (i + 1) % per_fifth == 0:
            sizes.append(resident_bytes())
    means /= per_fifth
    exact = moments("BAOAB", 0.8, gamma=1.0, tau=0.5)[:2]
    z = (means.mean(axis=2) - exact) / (means.std(axis=2, ddof=1) / 4)
    assert abs(z).max() < 7  # t-distributed: 16 replicas
    assert (means.std(axis=2) / means.mean(axis=2)).max() < 0.3
    grown = f"resident memory grew: {[s // 1024 for s in sizes]} KiB"
    assert min(np.diff(sizes)) < allowed / 4, grown  # a leak grows in every fifth, an allocator's arena in one
    assert max(sizes[1:]) - sizes[0] < 8 * allowed, grown


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_and_law_over_two_hundred_thousand_steps():
    check_long_run(200_000, 500, allowed=4 * 2**20)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads /proc")
def test_memory_and_law_over_ten_million_steps():
    check_long_run(10_000_000, 2_500, allowed=4 * 2**20)


# -- accumulators ------------------------------------------------------------------------------------------------------

SLOW = {"temperature": 0.25, "sigma": 1.0, "epsilon": 2e-9, "thermostat": 1.0}
"""p.p / n = sigma^2 / (2 xi) = 1/2, twice the target: xi grows by some 1e-9 a step, far below float32's 6e-8 at xi =
1."""


def slow_thermostat(make, dtype, steps=1_000):
    """xi - 1 [R] after `steps` steps of a thermostat that moves slowly."""
    job = job_of("BACDEDCAB", silent_network(16), 0.1, 16, dtype=dtype, **SLOW)
    start = np.random.default_rng(2).normal(size=(2, 16, job.target.layout.size)) * np.sqrt(0.5)
    state = initial_state(job, *start)
    make(job).advance(state, Segment(0, steps))
    return state.thermostat[:, 0] - 1


@pytest.mark.parametrize("make", ENGINES)
def test_the_thermostat_keeps_small_steps_in_single_precision(make):
    """xi of a float32 run drifts as that of a float64 run does, by the rate its equation gives."""
    single, double = (slow_thermostat(make, dtype) for dtype in (np.float32, np.float64))
    np.testing.assert_allclose(single, double, rtol=1e-4)
    n = silent_network(1).layout.size
    assert double.mean() == pytest.approx(1_000 * 0.1 * SLOW["epsilon"] * n * 0.25, rel=0.1)


def test_power_a_thermostat_in_single_precision_stands_still(monkeypatch):
    def regulate(xi, p, rate, target):
        xi[...] = (xi + rate * (letters.square_sum(p)[:, None] - target)).astype(np.float32)

    right = slow_thermostat(BatchedEngine, np.float64)
    monkeypatch.setitem(letters.LETTERS, "E", replace(letters.LETTERS["E"], act=regulate))
    assert (slow_thermostat(BatchedEngine, np.float32) < 0.1 * right).all()


@pytest.mark.parametrize("make", ENGINES)
def test_small_steps_of_positions_add_up(make):
    """3000 steps of 2e-4 of the position: float32 stays within 1e-4 of float64, most of that by the rounding of
    exp(-gamma h) near 1.
    """
    ends = []
    for dtype in (np.float32, np.float64):
        job = job_of("BAOAB", silent_network(8), 2e-4, 8, dtype=dtype, temperature=0.01, friction=1.0)
        state = initial_state(job, np.ones((8, job.target.layout.size)))
        make(job).advance(state, Segment(0, 3_000))
        ends.append(state.position.astype(np.float64))
    assert abs(ends[1] - 1).max() > 0.2
    np.testing.assert_allclose(ends[0], ends[1], rtol=0, atol=1e-4)


def added(steps, dtype=np.float64):
    """(sum_w_phi gained, exact gain) by `steps` draws of 256 replicas on top of 2e11 draws of mean 0.3."""
    sums = RunningMoments.empty(1, 2, 1)
    already = 200_000_000_000
    sums.sums |= {name: value.astype(dtype) for name, value in sums.sums.items() if value.dtype == np.float64}
    sums.sums["draws"][:], sums.sums["sum_w"][:], sums.sums["sum_w2"][:] = already, already, already
    sums.sums["sum_w_phi"][:] = before = 0.3 * already
    phi = np.random.default_rng(3).random((steps, 256, 2, 1)).astype(np.float32)
    for draw in phi:
        sums.update(draw, np.zeros(256, np.int64))
    assert sums.sums["draws"][0] == already + 256 * steps
    return sums.sums["sum_w_phi"][0, :, 0] - before, np.array([math.fsum(phi[:, :, t, 0].ravel()) for t in range(2)])


def test_running_averages_do_not_lose_draws():
    """Draws are counted one by one after 2e11 of them; sums in float32 would have stopped (power)."""
    gained, exact = added(50)
    np.testing.assert_allclose(gained, exact, rtol=1e-7)
    gained, exact = added(50, np.float32)
    assert (abs(gained - exact) > 0.1 * exact).all()


@compiled
def test_the_fused_predictor_sums_in_double():
    """The mean of 2^18 float32 predictions to 1e-7, where a running float32 sum is wrong by 1e-5 and more."""
    model, x = MlpModel(2, 3, 1, "binary", "tanh"), np.array([[0.5, -1.0], [2.0, 1.0]])
    position = np.random.default_rng(4).normal(size=(2**18, model.layout.size)).astype(np.float32)
    position[:, -1] += 3
    predictor, total = FusedPredictor(model, np.float32, threads=1), np.zeros(2)
    for rows in range(0, len(position), 256):
        total += predictor.moments(position[rows : rows + 256], x)["sum_w_phi"][:, 0]
    exact = model.predict(position.astype(np.float64), x)[..., 0]
    np.testing.assert_allclose(total, exact.sum(axis=0), rtol=1e-7)
    assert (abs(np.cumsum(exact.astype(np.float32), axis=0, dtype=np.float32)[-1] / exact.sum(axis=0) - 1) > 1e-5).any()
