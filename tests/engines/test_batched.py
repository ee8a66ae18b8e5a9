"""The batched engine: identity over cuts, recording, freezing, updates, restarts (equations.md sections 3 and 7)."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from engine_cases import METHODS, assert_identical, network, rows, run, take
from linear_maps import advance, job_of, start, well
from metropolis_cases import braced

from gpu_thermo.engines import BatchedEngine
from gpu_thermo.engines.coefficients import Coefficients
from gpu_thermo.errors import Status
from gpu_thermo.method.schedules import Cosine, Cyclical
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment
from gpu_thermo.targets.base import Target

# -- identity --------


@pytest.mark.parametrize(
    ("method", "minibatch"),
    [*((m, "subset") for m in METHODS), ("adlala", "epoch"), ("adlala", "replacement"), ("adlala", "full")],
)
def test_a_replica_is_the_same_in_any_company(method, minibatch, native):
    """R = 7, three of them in another order, and one alone: bit for bit, in any segments, threads and blocks."""
    job, state = network(method, minibatch=minibatch)
    whole, _ = run(job, state, (24,), threads=1, native=native)
    assert np.isfinite(whole.position).all()
    assert (whole.position != state.position).any(axis=1).all()
    for r in (np.array([5, 0, 2]), slice(4, 5)):
        alone, _ = run(take(job, r), rows(state, r), (11, 24), native=native)
        assert_identical(alone, rows(whole, r))
    for cuts, engine in (
        ((1, 2, 24), {"threads": 2}),
        ((12, 23, 24), {"block": 2}),
        (range(1, 25), {"threads": 3, "block": 3}),
    ):
        assert_identical(run(job, state, cuts, native=native, **engine)[0], whole)


@pytest.mark.parametrize("task", ["spirals", "gap", "wine"])
def test_tasks_and_precisions(task, dtype, native):
    """Also for regression, several classes and float64."""
    tree = {"train": 30, "test": 2} if task != "wine" else {}
    spec = {
        "data": {"name": task, **tree},
        "model": {"hidden": 5, "dtype": np.dtype(dtype).name},
        "run": {"replicas": 9, "batch": 8},
    }
    ready = prepare(RunSpec.from_dict(spec))
    job, state = ready.job, ready.initial_state()
    whole, _ = run(job, state, (15,), native=native)
    assert whole.position.dtype == dtype
    assert_identical(
        run(take(job, slice(6, 8)), rows(state, slice(6, 8)), (10, 15), native=native)[0], rows(whole, slice(6, 8))
    )


def test_thousands_of_replicas(native):
    """Replica r in R = 4096 and R = 7, with uneven blocks in between."""
    job, state = network(replicas=4096, hidden=4)
    many, _ = run(job, state, (12,), native=native)
    few, _ = run(take(job, slice(0, 7)), rows(state, slice(0, 7)), (5, 12), native=native)
    assert_identical(few, rows(many, slice(0, 7)))
    assert_identical(run(job, state, (12,), block=1000, threads=2, native=native)[0], many)


def test_native_noise_is_numpy_noise():
    """The two sources agree to rounding over the first steps; minibatches and noise to 1e-6."""
    from gpu_thermo.kernels.toolchain import find_compiler

    if find_compiler() is None:
        pytest.skip("no C++ compiler")
    for dtype, tolerance in (("float32", 1e-4), ("float64", 1e-12)):
        job, state = network(dtype=dtype)
        a, b = (run(job, state, (10,), native=native)[0] for native in (False, True))
        np.testing.assert_allclose(a.position, b.position, atol=tolerance)


# -- recording --------


def test_recording(native):
    """What is recorded after a step is the state after that step, whatever the segments."""
    job, state = network()
    _, (whole,) = run(job, state, (40,), (1, 17, 18, 40), native=native)
    for i, step in enumerate((1, 17, 18, 40)):
        there, _ = run(job, state, (step,), native=native)
        np.testing.assert_array_equal(whole.position[i], there.position)
        np.testing.assert_array_equal(whole.thermostat[i], there.thermostat)
        np.testing.assert_array_equal(whole.energy[i], there.energy)
        for k, columns in enumerate(job.program.partition.slices):
            p = there.momentum[:, columns].astype(float)
            np.testing.assert_allclose(whole.kinetic_temperature[i, :, k], (p * p).mean(axis=1), rtol=1e-6)
    _, parts = run(job, state, (17, 20, 40), (1, 17, 18, 40), native=native)
    assert [r.steps for r in parts] == [(1, 17), (18,), (40,)]
    for name in ("position", "thermostat", "kinetic_temperature", "energy"):
        np.testing.assert_array_equal(np.concatenate([getattr(r, name) for r in parts]), getattr(whole, name))


def test_recording_changes_nothing():
    job, state = network()
    assert_identical(run(job, state, (40,), range(1, 41))[0], run(job, state)[0])


def test_recorded_energy_is_that_of_the_last_evaluation():
    job, state = network(minibatch="full")
    after, (ring,) = run(job, state, (40,), (40,))
    exact = job.target.energy_and_gradient(after.position, type("All", (), {"index": None, "replica": np.arange(7)}))[0]
    np.testing.assert_allclose(
        ring.energy[0], exact, rtol=1e-12
    )  # BACDEDCAB and BAOAB end with a kick at the recorded position


# -- freezing --------

PLANTED = {
    "position": Status.NONFINITE_GRADIENT,
    "momentum": Status.NONFINITE_GRADIENT,
    "thermostat": Status.NONFINITE_THERMOSTAT,
}


@pytest.mark.parametrize("where", [*PLANTED, "gradient"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_bad_replica_is_frozen_and_the_others_go_on(where, value, native):
    """Planted at step 5: frozen after the sixth step with its cause, NaN from then on; the others bit for bit as
    without it.
    """
    job, state = network(replicas=6)
    state, _ = run(job, state, (5,), native=native)
    clean, bad = state.copy(), state.copy()
    getattr(bad, where)[2, 0] = value
    engine = {"native": native, "block": 4}
    (clean_ring,) = [advance(job, clean, 20, (6, 20), **engine)]
    (ring,) = [advance(job, bad, 20, (5 + 1, 20), **engine)]
    others = np.array([0, 1, 3, 4, 5])
    assert_identical(rows(bad, others), rows(clean, others))
    np.testing.assert_array_equal(ring.position[:, others], clean_ring.position[:, others])
    assert bad.status[2] > 0
    assert bad.frozen_step[2] == 6
    if where == "thermostat" and np.isnan(value):
        assert bad.status[2] == Status.NONFINITE_THERMOSTAT
    for array in (bad.position, bad.momentum, bad.gradient, bad.thermostat, bad.energy):
        assert np.isnan(array[2]).all()
    assert np.isnan(ring.position[:, 2]).all()
    assert np.isnan(ring.energy[:, 2]).all()
    before = bad.copy()
    advance(job, bad, 3, **engine)
    assert (bad.status[2], bad.frozen_step[2]) == (before.status[2], 6)


def test_divergence_is_found_at_its_step(native):
    """A stepsize far beyond stability overflows: the step is the first at which the position is not finite."""
    job = job_of("BAOAB", well(1.0, 3), np.array([0.5, 1e4]), 2, dtype=np.float32, temperature=1.0, friction=0.0)
    state = start(job)
    finite = []
    for _ in range(30):
        advance(job, state, 1, native=native)
        finite.append(bool(np.isfinite(state.position[1]).all()))
    assert state.frozen_step.tolist() == [-1, finite.index(False) + 1]
    assert state.status[0] == Status.RUNNING
    again = start(job)
    advance(job, again, 30, native=native)
    assert_identical(again, state)


class Overflowing(Target):
    """A well whose force on its first coordinate is infinite for replica 0."""

    def __init__(self, inner):
        self.inner, self.layout, self.points = inner, inner.layout, 0

    def energy_and_gradient(self, position, batch):
        energy, gradient = self.inner.energy_and_gradient(position, batch)
        gradient[batch.replica == 0, 0] = np.inf
        return energy, gradient


def test_a_frozen_partition_cannot_freeze_the_replica():
    """A force that moves nothing is no reason, and a neighbour's trouble is none either."""
    job = job_of(
        {"hidden": None, "output": "BAOAB"}, Overflowing(well(1.0, 3, split=1)), 0.5, 2, temperature=1.0, friction=1.0
    )
    state = start(job)
    state.position[1, 2] = np.nan
    advance(job, state, 5, block=2)
    assert state.status.tolist() == [Status.RUNNING, Status.NONFINITE_GRADIENT]
    assert np.isfinite(state.position[0]).all()


# -- schedules --------


def test_equal_substeps_share_their_coefficients(monkeypatch):
    """BAOAB forms three of them, not five, and once for a segment without schedules."""
    formed = []
    values = Coefficients.values

    def counted(self, what, at=None):
        formed.append(what.operation)
        return values(self, what, at)

    monkeypatch.setattr(Coefficients, "values", counted)
    job = job_of("BAOAB", well(1.0, 3), 0.1, 4, friction=1.0, temperature=1.0)
    advance(job, start(job), 5)
    assert sorted(formed) == ["A", "B", "O"]


def test_schedules_follow_the_absolute_step():
    """In force = base x factor at that step: equal to single steps with the constants of each."""
    schedules = {
        ("stepsize", 0): Cyclical(schedule="cyclical", cycles=3),
        ("temperature", 0): Cosine(schedule="cosine", final=0.1),
    }
    job = job_of("BAOAB", well(1.3, 4), [0.5, 0.2], 2, total=20, schedules=schedules, temperature=2.0, friction=1.5)
    whole, _ = run(job, start(job), (20,))
    state = start(job)
    for step in range(20):
        h, tau = (s.tabulate(step, 1, 20)[0] for s in schedules.values())
        constant = job_of("BAOAB", well(1.3, 4), np.array([0.5, 0.2]) * h, 2, temperature=2.0 * tau, friction=1.5)
        advance(constant, state, 1)
    assert_identical(whole, state)


# -- hyperparameters and arrays of moves --------

SCHEDULED = {("stepsize", 0): Cosine(schedule="cosine"), ("temperature", 0): Cyclical(schedule="cyclical", cycles=2)}


@pytest.mark.parametrize("schedules", [{}, SCHEDULED])
def test_hyperparameters_of_one_call(schedules):
    """As if they were the job's; equal ones change nothing, and the next call without is the job's again."""
    job = job_of(
        "BAOAB", well(1.3, 4), [0.5, 0.2, 0.3], 3, total=20, schedules=schedules, temperature=2.0, friction=1.5
    )
    swapped = job.hyper.take(np.array([1, 2, 0]))
    worker, state, expected = BatchedEngine(job), start(job), start(job)
    for hyper, steps in ((swapped, 3), (None, 2), (replace(job.hyper), 4), (swapped, 5)):
        worker.advance(state, Segment(state.step, steps), hyper)
        other = job if hyper is None else replace(job, hyper=hyper)
        BatchedEngine(other).advance(expected, Segment(expected.step, steps))
    assert_identical(state, expected)
    assert not np.array_equal(state.position, run(job, start(job), (14,))[0].position)


@pytest.mark.parametrize("method", ["adlala", "adam"])
def test_arrays_of_moves_are_left_alone(method):
    """Whatever their shapes and types, also while a replica is frozen."""
    job, state = network(method, replicas=6)
    state.position[2, 0] = np.nan
    clean, _ = run(job, state, (5,), block=4)
    of_moves = {
        "exchange_rung": np.arange(6),
        "exchange_rate": np.ones((3, 2)),
        "exchange_count": np.array(7),
        "names": np.array(["a"]),
    }
    state.extra |= {name: value.copy() for name, value in of_moves.items()}
    after, _ = run(job, state, (5,), block=4)
    assert after.status[2] != 0
    for name, value in of_moves.items():
        np.testing.assert_array_equal(after.extra.pop(name), value)
    assert_identical(after, clean)


@pytest.mark.parametrize("word", ["BAOAB", "{BAOAB}"])
def test_what_is_recorded_goes_with_the_last_who_looks(word):
    """Not when garbage is collected: rings of many replicas would fill the memory before."""
    job = braced(word, well(np.array([[1.0]]), 1), 0.1, 4, temperature=1.0, friction=1.0)
    state = start(job)
    gc.collect()
    gc.disable()
    try:
        recorded = advance(job, state, 4, (2, 4))
        ring = weakref.ref(recorded)
        del recorded
        assert ring() is None
    finally:
        gc.enable()
