"""The batched engine: identity over cuts, recording, freezing, updates, restarts (equations.md sections 3 and 7)."""

from dataclasses import replace

import numpy as np
import pytest
from linear_maps import advance, job_of, start, well

from gpu_thermo.engines import BatchedEngine, Job, choose_engine
from gpu_thermo.errors import SpecError, Status
from gpu_thermo.method.schedules import Cosine, Cyclical
from gpu_thermo.running.setup import setup
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment, State

METHODS = {
    "adlala": {"name": "adlala", "temperature": 1e-3, "thermostat": 0.1},
    "baefeab": {"name": "splitting", "word": "BAEFEAB", "partition": "tensor"},
    "lol": {"name": "lol"},
    "aboba": {"name": "splitting", "word": "ABOBA"},
    "scheduled": {"name": "langevin", "stepsize": {"value": 0.3, "schedule": "cyclical", "cycles": 2},
                  "temperature": {"value": 0.1, "schedule": "cosine"}},
    "adam": {"name": "adam"},
    "sgld": {"name": "sgld"},
    "coolmomentum": {"name": "coolmomentum"},
    "momentum": {"name": "momentum", "convention": "II"},
    "frozen": {"name": "adlala", "freeze": ["hidden"]},
}  # fmt: skip


def network(method="adlala", replicas=7, hidden=6, minibatch="subset", dtype="float32", seeds=(0, 1)):
    """A small run of 40 steps: its job and initial state."""
    batch = {} if minibatch == "full" else {"batch": 8}
    tree = {
        "data": {"train": 30, "test": 2, "seeds": list(seeds)},
        "model": {"hidden": hidden, "init_sd": 0.5, "prior_sd": 2.0, "dtype": dtype},
        "method": METHODS[method],
        "run": {"replicas": replicas, "steps": 40, "burn_in": 0, "thin": 40, "minibatch": minibatch, **batch},
    }
    ready = setup(RunSpec.from_dict(tree))
    return ready.job, ready.initial_state()


def run(job, state, cuts=(40,), record=(), **engine):
    """Advance a copy of `state` through segments that end at `cuts`."""
    state, worker, rings = state.copy(), BatchedEngine(job, **engine), []
    for end in cuts:
        within = tuple(step for step in record if state.step < step <= end)
        rings.append(worker.advance(state, Segment(state.step, end - state.step, within)))
    return state, rings


def rows(state, r):
    """The state of some replicas."""
    return State.from_arrays({name: v[r] for name, v in state.arrays().items()}, state.step, state.evaluations)


def assert_identical(a, b):
    """Bit for bit, NaN where NaN."""
    assert (a.step, a.evaluations) == (b.step, b.evaluations)
    assert a.arrays().keys() == b.arrays().keys()
    for name, value in a.arrays().items():
        np.testing.assert_array_equal(value, b.arrays()[name], err_msg=name)
        assert value.dtype == b.arrays()[name].dtype


def take(job, r):
    """The same job for some replicas."""
    target = job.target
    if hasattr(target, "dataset"):
        target = type(target)(target.model, _Data(target), target.dataset[r], target.dtype)
    return Job(job.program, target, job.hyper.take(r), job.batching, job.seed[r], job.stream[r], job.dtype)


class _Data:
    """What a target needs of its data set."""

    def __init__(self, target):
        self.x_train, self.y_train, self.x_test, self.y_test = (
            target.x_train,
            target.y_train,
            target.x_test,
            target.y_test,
        )
        self.points, self.count = target.points, len(target.x_train)


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
    ready = setup(RunSpec.from_dict(spec))
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


class Overflowing:
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


# -- walls --------


class Boxed:
    """A target within walls |q_i| <= bounds."""

    def __init__(self, inner, bounds):
        self.inner, self.layout, self.points, self.bounds = inner, inner.layout, 0, bounds

    def energy_and_gradient(self, position, batch):
        return self.inner.energy_and_gradient(position, batch)


WALLED = {
    "BAOAB": {"friction": 1.0},
    "BACDEDCAB": {"sigma": 1.0, "epsilon": 0.3},
    "ABOBA": {"friction": 1.0},
    "sgld": {},
}


@pytest.mark.parametrize("word", WALLED)
def test_a_step_that_leaves_the_box_is_taken_back(word):
    """Each step is that of the open target, or the position kept with its momentum turned round; both happen."""
    values = {"temperature": 1.0, **WALLED[word]}
    make = lambda target: job_of(word, target, 0.6, 40, **values)  # noqa: E731
    boxed, free = make(Boxed(well(1.0, 2, 0.5), 1.0)), make(well(1.0, 2, 0.5))
    momentum = np.random.default_rng(0).normal(size=(40, 2))
    state, worker, rejected = start(boxed, 0.3, momentum), BatchedEngine(boxed, block=16), 0
    state.position.clip(-1, 1, out=state.position)
    for step in range(25):
        before, trial = state.copy(), state.copy()
        BatchedEngine(free).advance(trial, Segment(step, 1))
        worker.advance(state, Segment(step, 1))
        out = (np.abs(trial.position) > 1).any(axis=1)
        rejected += out.sum()
        for name in ("position", "thermostat"):
            np.testing.assert_array_equal(getattr(state, name)[out], getattr(before, name)[out])
        np.testing.assert_array_equal(state.momentum[out], -before.momentum[out])
        kept = trial if word == "sgld" else before  # sgld evaluates where it stands, and that evaluation stands too
        if step:
            np.testing.assert_array_equal(state.gradient[out], kept.gradient[out])
            np.testing.assert_array_equal(state.energy[out], kept.energy[out])
        for name, value in trial.arrays().items():
            np.testing.assert_array_equal(state.arrays()[name][~out], value[~out], err_msg=name)
    assert 50 < rejected < 900
    assert (state.status == 0).all()
    assert np.isfinite(state.energy).all()


def test_a_walled_harmonic_well_has_its_law():
    """SGLD at a small stepsize in a box: <q^2> of the truncated Gaussian, over independent replicas."""
    from scipy.stats import truncnorm

    job = job_of("sgld", Boxed(well(1.0, 4), 0.8), 2e-3, 400, temperature=1.0)
    state, worker, sums = start(job, scale=0.3), BatchedEngine(job), []
    state.position.clip(-0.8, 0.8, out=state.position)
    for _ in range(60):
        worker.advance(state, Segment(state.step, 50))
        sums.append((state.position**2).mean(axis=1))
    mean = np.mean(sums[20:], axis=0)
    error = mean.std(ddof=1) / len(mean) ** 0.5
    exact = truncnorm(-0.8, 0.8).var()
    assert abs(mean.mean() - exact) < 5 * error + 0.02 * exact  # O(h) of the walls
    assert abs(mean.mean() - 1) > 50 * error  # the open well


def test_walls_are_the_batched_engines():
    """Also for a network, which the fused engine would take otherwise."""
    job = network()[0]
    job.target.bounds = 3.0
    assert choose_engine(job, "auto", "cpu") == "batched"
    with pytest.raises(SpecError, match=r"cannot run this: it knows no walls \(bounds\). Use --engine batched"):
        choose_engine(job, "fused", "cpu")


def test_what_is_not_finite_in_a_box_is_frozen():
    job = job_of("BAOAB", Boxed(well(1.0, 2), 1.0), 0.1, 3, temperature=1.0, friction=1.0)
    state = start(job, scale=0.1)
    state.momentum[1] = np.inf
    advance(job, state, 2)
    assert state.status.tolist()[::2] == [0, 0]
    assert state.frozen_step.tolist() == [-1, 1, -1]


# -- whole-step updates --------


def reference(update, gradient, theta, lr, steps, mu=0.9, rho=None):
    """Positions after each step, in plain float64, as printed in equations.md section 3."""
    v, m, s, out = 0.0, 0.0, 0.0, []
    for k in range(1, steps + 1):
        g = -gradient(theta)  # G of the equations
        if update == "sgd":
            theta = theta + lr * g
        elif update == "momentum":
            v = mu * v + lr * g
            theta = theta + v
        elif update == "momentum2":
            v = mu * v + (1 - mu) * g
            theta = theta + lr * v
        elif update == "adam":
            m, s = 0.9 * m - 0.1 * g, 0.999 * s + 0.001 * g * g
            theta = theta - lr * (m / (1 - 0.9**k)) / (np.sqrt(s / (1 - 0.999**k)) + 1e-8)
        elif update == "coolmomentum":
            v = rho[k - 1] * v + lr * (1 + rho[k - 1]) / 2 * g
            theta = theta + v
        out.append(theta)
    return np.array(out)


@pytest.mark.parametrize("update", ["sgd", "momentum", "momentum2", "adam", "coolmomentum"])
def test_updates_against_their_equations(update, dtype):
    from gpu_thermo.method.schedules import Cooling

    stiffness, lr = np.array([1.0, 0.3, 2.0]), np.array([0.1, 0.02])
    cooling = Cooling(law="published", rho=0.9)
    schedules = {("momentum", 0): cooling} if update == "coolmomentum" else None
    job = job_of(
        update, well(np.tile(stiffness, (2, 1)), 3), lr, 2, dtype=dtype, total=30, schedules=schedules, momentum=0.9
    )
    state = start(job)
    first = state.position.astype(float)
    ring = advance(job, state, 30, range(1, 31))
    for r in range(2):
        expected = reference(
            update, lambda q: stiffness * q, first[r], lr[r], 30, rho=0.9 * cooling.tabulate(0, 30, 30)
        )
        np.testing.assert_allclose(ring.position[:, r], expected, rtol=0, atol=1e-5 if dtype == np.float32 else 1e-13)


# -- restarts --------


@pytest.mark.parametrize("method", METHODS)
def test_a_restored_state_goes_on_as_if_nothing_had_happened(method, native):
    """Through arrays and back, as a checkpoint does; nothing else is needed, and nothing is left in the engine."""
    job, state = network(method)
    whole, _ = run(job, state, native=native)
    half, _ = run(job, state, (23,), native=native)
    saved = {name: value.copy() for name, value in half.arrays().items()}
    restored = State.from_arrays(saved, half.step, half.evaluations)
    if method == "adam":
        assert set(restored.extra) == {"adam_mean", "adam_square"}
    advance(job, restored, 17, native=native)
    assert_identical(restored, whole)
    assert restored.evaluations == job.program.gradients_before(40)


def test_a_copy_is_deep():
    job, state = network("adam")
    copy = state.copy()
    advance(job, state, 3)
    assert_identical(copy, network("adam")[1])


def test_hyperparameters_of_some_replicas():
    job, _ = network("scheduled")
    taken = job.hyper.take(np.array([3, 1]))
    np.testing.assert_array_equal(taken.stepsize, job.hyper.stepsize[[3, 1]])
    assert taken.schedules == job.hyper.schedules
    assert taken.total == job.hyper.total


def test_seeds_and_streams_are_what_tells_replicas_apart():
    """Two replicas with the same address and start are equal for ever; another seed or stream differs."""
    job, state = network(replicas=4, seeds=(0,))
    job = replace(job, seed=np.array([1, 1, 2, 1], np.uint64), stream=np.array([0, 0, 0, 1], np.uint64))
    for array in (state.position, state.momentum):
        array[:] = array[:1]
    after, _ = run(job, state)
    np.testing.assert_array_equal(after.position[0], after.position[1])
    assert (after.position[0] != after.position[2]).any()
    assert (after.position[0] != after.position[3]).any()
