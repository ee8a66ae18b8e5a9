"""The fused engine against the batched reference, its bitwise promises, frozen replicas, and teams of many members
without a GPU.
"""

import ctypes
import dataclasses
import threading

import numpy as np
import pytest
from guarded import guarded

from gpu_thermo.data import Dataset
from gpu_thermo.engines.base import Batching, Job
from gpu_thermo.engines.batched import BatchedEngine
from gpu_thermo.engines.fused import FusedEngine, aligned, fill, make_emitter
from gpu_thermo.engines.operations.arrays import NumpyOperations
from gpu_thermo.errors import Status
from gpu_thermo.kernels.toolchain import find_compiler, host_library
from gpu_thermo.method.named import get_method, make_program
from gpu_thermo.method.schedules import Cosine, Linear
from gpu_thermo.state import Hyper, Segment, State
from gpu_thermo.targets.networks import ShlpModel, ShlpTarget

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
slow = pytest.mark.slow


def make_data(task, m, n, points, count):
    g = np.random.default_rng(0)
    x = g.normal(size=(count, points, m))
    y = {
        "binary": lambda: (x.sum(-1) > 0).astype(np.int64),
        "multiclass": lambda: g.integers(0, n, size=(count, points)),
        "regression": lambda: g.normal(size=(count, points, n)),
    }[task]()
    names = tuple(f"x{i}" for i in range(max(m, n)))
    classes = () if task == "regression" else ("no", "yes") if task == "binary" else names[:n]
    targets = names[:n] if task == "regression" else ()
    return Dataset("test", task, x, y, x[:, :8], y[:, :8], names[:m], classes, targets)


def make_job(method="adlala", word=None, *, replicas=11, d=6, m=2, n=1, task="binary", activation="relu", mode="subset",
             batch=10, points=64, partition=None, sets=1, dtype=np.float32, freeze=(), prior=None, schedules=None,
             convention="I"):  # fmt: skip
    model = ShlpModel(m, d, n, task, activation, prior, 0.7)
    split = model.layout.partition(partition or get_method(method).partition)
    program = make_program(get_method(method), split, word, freeze, convention)
    g, shape = np.random.default_rng(1), (replicas, len(split.names))
    base = {"temperature": 0.01, "friction": 1, "sigma": 0.2, "epsilon": 0.3}
    values = {name: value * (1 + g.random(shape)) for name, value in base.items()}
    hyper = Hyper.constant(
        replicas, shape[1], 0.1 + 0.1 * g.random(replicas), total=100, momentum=0.9, thermostat=0.1, **values
    )
    target = ShlpTarget(model, make_data(task, m, n, points, sets), np.arange(replicas) % sets, dtype)
    seed = np.arange(replicas, dtype=np.uint64) % 3 + 2**40
    batching = Batching(mode, points if mode == "full" else batch)
    hyper = dataclasses.replace(hyper, schedules=schedules or {})
    return Job(program, target, hyper, batching, seed, np.arange(replicas, dtype=np.uint64), dtype)


def make_state(job):
    g, shape = np.random.default_rng(3), (job.replicas, job.target.layout.size)
    position, momentum = ((size * g.normal(size=shape)).astype(job.dtype) for size in (0.3, 0.1))
    state = State.at(position, momentum, job.hyper.thermostat.copy())
    if job.program.update == "adam":
        state.extra = {name: np.zeros(shape, job.dtype) for name in ("adam_mean", "adam_square")}
    return state


def take(job, rows):
    """The same job for some of its replicas."""
    target = job.target
    part = object.__new__(ShlpTarget)
    part.__dict__.update(target.__dict__, dataset=target.dataset[rows])
    return dataclasses.replace(
        job, hyper=job.hyper.take(rows), seed=job.seed[rows], stream=job.stream[rows], target=part
    )


def run(engine, job, *lengths, record=()):
    state, rings = make_state(job), []
    for length in lengths:
        within = tuple(s for s in record if state.step < s <= state.step + length)
        rings.append(engine.advance(state, Segment(state.step, length, within)))
    return state, rings


def assert_close(a, b, dtype):
    tolerance = 2e-6 if dtype == np.float32 else 1e-13
    for name, value in a.arrays().items():
        if value.dtype.kind == "f":
            scale = max(1e-3, np.abs(value).max())
            np.testing.assert_allclose(b.arrays()[name] / scale, value / scale, atol=tolerance, rtol=0, err_msg=name)
        else:
            np.testing.assert_array_equal(b.arrays()[name], value, err_msg=name)
    assert (a.step, a.evaluations) == (b.step, b.evaluations)


def assert_same(a, b):
    for name, value in a.arrays().items():
        np.testing.assert_array_equal(b.arrays()[name], value, err_msg=name)


CASES = {
    "adlala": {},
    "lol, schedules, prior": {"method": "lol", "task": "regression", "prior": 1.0, "m": 5, "activation": "identity",
                              "schedules": {("stepsize", 0): Cosine(schedule="cosine", final=0.1),
                                            ("temperature", 0): Linear(schedule="linear")}},
    "F, E, mixed words": {"method": "splitting", "word": {"hidden": "BAEFEAB", "output": "BACDEDCAB"}, "sets": 3},
    "every thermostat letter by tensor": {"method": "splitting", "word": "ABCDEFBA", "partition": "tensor",
                                          "mode": "replacement"},
    "multiclass, tanh, three dimensions": {"method": "splitting", "word": "OBABO", "partition": "all",
                                           "task": "multiclass", "n": 3, "m": 3, "activation": "tanh"},
    "regression, softplus": {"method": "splitting", "word": "ABOBA", "partition": "tensor", "task": "regression",
                             "n": 2, "m": 1, "activation": "softplus", "mode": "epoch", "points": 63},
    "frozen output, full": {"method": "splitting", "word": {"hidden": "BAOAB"}, "freeze": ("output",), "prior": 1.5,
                            "mode": "full"},
    "float64, full in tiles": {"dtype": np.float64, "task": "multiclass", "n": 5, "activation": "softplus",
                               "prior": 1.0, "mode": "full", "points": 150},
    "sgld": {"method": "sgld", "mode": "epoch"},
    "adam": {"method": "adam", "dtype": np.float64},
}  # fmt: skip
MORE = {
    **{f"word {word}": {"method": "splitting", "word": word, "partition": "layer"} for word in
       ("BAOAB", "OBABO", "ABOBA", "OABAO", "OBA", "BAOA", "BACDEDCAB", "BAEFEAB", "ABCDEDCBA", "BABO", "EBAB", "CDAB",
        "BAF")},
    **{f"method {name}": {"method": name}
       for name in ("sgd", "momentum", "coolmomentum", "langevin", "adl", "lala", "lol")},
    "momentum II": {"method": "momentum", "convention": "II"},
    **{f"{task} {activation}": {"task": task, "activation": activation, "n": 1 if task == "binary" else 3,
                               "dtype": np.float64}
       for task in ("binary", "multiclass", "regression") for activation in ("relu", "tanh", "softplus", "identity")},
    **{f"{mode} {partition}": {"method": "splitting", "word": "BACDEDCAB", "mode": mode, "partition": partition}
       for mode in ("subset", "epoch", "replacement", "full") for partition in ("layer", "tensor", "all")},
    "digits' size": {"method": "langevin", "m": 64, "d": 10, "n": 10, "task": "multiclass"},
    "odd sizes": {"d": 1, "m": 1, "batch": 1, "points": 2, "replicas": 1},
}  # fmt: skip


@pytest.mark.parametrize("case", [*CASES, *(pytest.param(name, marks=slow) for name in MORE)])
def test_agrees_with_batched(case):
    """Same addresses and minibatches, so states agree to rounding after 1, 2 and 10 steps, and so do the recorded
    moments.
    """
    agree_with_batched(make_job(**(CASES | MORE)[case]))


def agree_with_batched(job):
    batched, fused = BatchedEngine(job), FusedEngine(job, threads=2)
    batched._operations = NumpyOperations  # not the compiled noise, which is the fused engine's own
    for steps in (1, 2, 10):
        record = tuple(sorted({max(1, steps // 2), steps}))
        (a, (r,)), (b, (q,)) = (run(engine, job, steps, record=record) for engine in (batched, fused))
        assert_close(a, b, job.dtype)
        for name in ("position", "thermostat", "kinetic_temperature", "energy"):
            np.testing.assert_allclose(getattr(q, name), getattr(r, name), rtol=2e-5, atol=2e-6, err_msg=name)


AT_EVERY_WIDTH = (
    "adlala",
    "every thermostat letter by tensor",
    "multiclass, tanh, three dimensions",
    "regression, softplus",
)


@pytest.mark.parametrize("case", AT_EVERY_WIDTH)
def test_every_vector_width_agrees_with_batched(case, width, dtype):
    """Letters, minibatches and activations of those cases, in both precisions."""
    agree_with_batched(make_job(**CASES[case] | {"dtype": dtype}))


@pytest.fixture(scope="module")
def job():
    return make_job(replicas=37)


def test_bits_do_not_depend_on_segments_threads_or_company(job):
    whole, (ring,) = run(FusedEngine(job, threads=1), job, 24, record=(8, 16, 24))
    cut, rings = run(FusedEngine(job, threads=2), job, 1, 5, 2, 16, record=(8, 16, 24))
    assert_same(whole, cut)
    np.testing.assert_array_equal(np.concatenate([r.position for r in rings]), ring.position)
    np.testing.assert_array_equal(np.concatenate([r.kinetic_temperature for r in rings]), ring.kinetic_temperature)
    for rows in (slice(0, 1), slice(5, 14), slice(36, 37)):
        part = take(job, rows)
        state = make_state(job)
        alone = State.from_arrays({name: np.ascontiguousarray(v[rows]) for name, v in state.arrays().items()}, 0, 0)
        FusedEngine(part).advance(alone, Segment(0, 24))
        for name, value in whole.arrays().items():
            np.testing.assert_array_equal(alone.arrays()[name], value[rows], err_msg=name)


def test_scheduled_tables_may_be_cut_anywhere(monkeypatch):
    job = make_job("lala", schedules={("stepsize", 0): Cosine(schedule="cosine")})
    whole, _ = run(FusedEngine(job), job, 20)
    monkeypatch.setattr("gpu_thermo.engines.fused._TABLE_BYTES", 2000)
    engine = FusedEngine(job)
    assert engine._tables.longest < 20
    assert_same(whole, run(engine, job, 20, record=(3, 20))[0])


@pytest.mark.parametrize("schedules", [None, {("stepsize", 0): Cosine(schedule="cosine")}])
def test_hyperparameters_of_one_call(schedules):
    """As if they were the job's; equal ones change nothing, and the next call without is the job's again."""
    job = make_job(replicas=21, schedules=schedules)
    swapped = job.hyper.take(np.random.default_rng(5).permutation(21))
    engine, state, expected = FusedEngine(job), make_state(job), make_state(job)
    for hyper, steps in ((swapped, 3), (None, 2), (dataclasses.replace(job.hyper), 4), (swapped, 5)):
        engine.advance(state, Segment(state.step, steps), hyper)
        other = job if hyper is None else dataclasses.replace(job, hyper=hyper)
        FusedEngine(other).advance(expected, Segment(expected.step, steps))
    assert_same(state, expected)
    assert not np.array_equal(state.position, run(FusedEngine(job), job, 14)[0].position)


def test_arrays_of_moves_are_left_alone(job):
    of_moves = {"exchange_rung": np.arange(37), "exchange_rate": np.ones((3, 2)), "names": np.array(["a"])}
    state, clean = make_state(job), make_state(job)
    state.extra = {name: value.copy() for name, value in of_moves.items()}
    for s in (state, clean):
        FusedEngine(job).advance(s, Segment(0, 5))
    for name, value in of_moves.items():
        np.testing.assert_array_equal(state.extra.pop(name), value)
    assert_same(state, clean)


@pytest.mark.parametrize(
    ("array", "status"),
    [("position", Status.NONFINITE_GRADIENT), ("momentum", None), ("thermostat", Status.NONFINITE_THERMOSTAT)],
)
def test_a_replica_that_overflows_is_frozen_alone(job, array, status):
    """It turns into NaN with cause and step; the others keep every bit."""
    healthy, _ = run(FusedEngine(job), job, 6)
    engine, state = FusedEngine(job), make_state(job)
    engine.advance(state, Segment(0, 2))
    getattr(state, array)[9] = np.inf
    reference = state.copy()
    recorded = engine.advance(state, Segment(2, 4, (3, 6)))
    BatchedEngine(job).advance(reference, Segment(2, 4))
    assert state.status[9] == reference.status[9] != 0
    assert status is None or state.status[9] == status
    assert state.frozen_step[9] == 3
    assert np.isnan(state.position[9]).all()
    assert np.isnan(state.momentum[9]).all()
    assert np.isnan(state.thermostat[9]).all()
    assert np.isnan(recorded.position[:, 9]).all()
    others = np.arange(job.replicas) != 9
    for name, value in healthy.arrays().items():
        np.testing.assert_array_equal(state.arrays()[name][others], value[others], err_msg=name)


class Members(FusedEngine):
    """The device's way of sharing one replica among a team, with a host thread for each member."""

    def __init__(self, job, team):
        super().__init__(job, threads=1)
        self._library = host_library(make_emitter(job).source("members", team, 1))
        self._team, self._space = team, aligned(self._library.workspace_bytes())
        self._launch = self._all_members

    def _all_members(self, arrays, numbers, written):
        with guarded(arrays, constant=frozenset(arrays) - frozenset(written)) as there:
            self._guarded_members(there, numbers)

    def _guarded_members(self, arrays, numbers):
        arguments = fill(arrays, {name: a.ctypes.data for name, a in arrays.items()}, numbers)

        def member(i):
            space, last = ctypes.c_void_p(self._space.ctypes.data), ctypes.c_int64(numbers["replicas"])
            self._library.advance_member(ctypes.byref(arguments), space, ctypes.c_int64(0), last, ctypes.c_int64(i))

        threads = [threading.Thread(target=member, args=(i,)) for i in range(self._team)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()


TEAMS = {
    "a warp, two units for some": (32, {"d": 40}),
    "a warp, softmax over three": (
        32,
        {"d": 7, "task": "multiclass", "n": 3, "prior": 1.0, "partition": "tensor", "method": "adl"},
    ),
    "two warps": (64, {"d": 70, "batch": 40, "task": "regression", "n": 2, "activation": "tanh"}),
}


@pytest.mark.parametrize("case", TEAMS)
def test_teams_of_members_agree_with_one(case):
    """Team sums, shared points and E's reduction, without a GPU."""
    team, kind = TEAMS[case]
    job = make_job(**kind, replicas=3)
    alone, (r,) = run(FusedEngine(job), job, 4, record=(2, 4))
    together, (q,) = run(Members(job, team), job, 4, record=(2, 4))
    assert_close(alone, together, job.dtype)
    np.testing.assert_allclose(q.kinetic_temperature, r.kinetic_temperature, rtol=1e-5)


def test_a_team_freezes_together():
    job = make_job(d=40, replicas=3)
    engine, state = Members(job, 32), make_state(job)
    state.momentum[1, 37] = np.inf
    engine.advance(state, Segment(0, 2))
    assert list(state.frozen_step) == [-1, 1, -1]
    assert np.isnan(state.position[1]).all()
    assert np.isfinite(state.position[[0, 2]]).all()


def test_a_state_of_another_job_is_refused(job):
    state = make_state(job)
    state.momentum = state.momentum.astype(np.float64)
    with pytest.raises(ValueError, match=r"State.momentum is float64 .* needs float32"):
        FusedEngine(job).advance(state, Segment(0, 1))


LAWS = {"BAOAB": (1, 3 / 4, 0), "OBABO": (4 / 3, 1, 0), "ABOBA": (1, 4 / 3, 0), "OABAO": (3 / 4, 1, 0),
    "OBA": (1.07797, 1.57612, 0.78806),
        "BAOA": (1, 1, 0.5)}  # fmt: skip


@pytest.mark.parametrize(
    "word", ["BAOAB", "OBA", *(pytest.param(word, marks=slow) for word in LAWS if word not in ("BAOAB", "OBA"))]
)
def test_exact_stationary_law(word):
    """A network whose data say nothing (noise sd 1e6) has U = |theta|^2 / (2 s^2 N); here k = 1/(s^2 N) = 1, and h =
    gamma = tau = 1.
    """
    replicas, points = 256, 20
    model = ShlpModel(2, 10, 1, "regression", "relu", prior_sd=points**-0.5, noise_sd=1e6)
    program = make_program(get_method("splitting"), model.layout.partition("all"), word)
    target = ShlpTarget(model, make_data("regression", 2, 1, points, 1), np.zeros(replicas, np.int64))
    hyper = Hyper.constant(replicas, 1, 1.0, temperature=1.0, friction=1.0, thermostat=0.0)
    identity = np.arange(replicas, dtype=np.uint64)
    job = Job(program, target, hyper, Batching("subset", 5), identity, identity)
    size = model.layout.size
    engine, state = FusedEngine(job), State.at(*np.zeros((2, replicas, size), np.float32), np.zeros((replicas, 1)))
    moments = []
    for _ in range(40):
        engine.advance(state, Segment(state.step, 20))
        q, p = state.position.astype(np.float64), state.momentum.astype(np.float64)
        moments.append([(q * q).mean(axis=1), (p * p).mean(axis=1), (q * p).mean(axis=1)])
    per_replica = np.mean(moments[3:], axis=0)
    z = (per_replica.mean(axis=1) - LAWS[word]) / (per_replica.std(axis=1) / replicas**0.5)
    assert np.abs(z).max() < 5
