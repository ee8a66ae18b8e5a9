"""Jobs, states and comparisons for the tests of the fused engine; teams of members without a GPU."""

import ctypes
import dataclasses
import threading

import numpy as np
import pytest
from guarded import guarded
from widths import widths

from gpu_thermo.data import Dataset
from gpu_thermo.engines.base import Batching, Job
from gpu_thermo.engines.batched import BatchedEngine
from gpu_thermo.engines.fused import FusedEngine, aligned, fill, make_emitter
from gpu_thermo.engines.operations.arrays import NumpyOperations
from gpu_thermo.engines.work import RECORDED, kept_arrays
from gpu_thermo.kernels.toolchain import host_library
from gpu_thermo.method.named import get_method, make_program
from gpu_thermo.method.schedules import Cosine, Linear
from gpu_thermo.state import Hyper, Segment, State
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.posterior import MlpTarget


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
             convention="I", masses=False, work=False):  # fmt: skip
    model = MlpModel(m, d, n, task, activation, prior, 0.7)
    split = model.layout.partition(partition or get_method(method).partition)
    program = make_program(get_method(method), split, word, freeze, convention)
    g, shape = np.random.default_rng(1), (replicas, len(split.names))
    base = {"temperature": 0.01, "friction": 1, "sigma": 0.2, "epsilon": 0.3}
    values = {name: value * (1 + g.random(shape)) for name, value in base.items()}
    hyper = Hyper.constant(
        replicas, shape[1], 0.1 + 0.1 * g.random(replicas), total=100, momentum=0.9, thermostat=0.1, **values
    )
    target = MlpTarget(model, make_data(task, m, n, points, sets), np.arange(replicas) % sets, dtype)
    seed = np.arange(replicas, dtype=np.uint64) % 3 + 2**40
    batching = Batching(mode, points if mode == "full" else batch)
    hyper = dataclasses.replace(hyper, schedules=schedules or {})
    if work:  # one temperature for all partitions, and proposals of 0 to 4 steps side by side
        tau = np.repeat(hyper.temperature[:, :1], shape[1], axis=1)
        hyper = dataclasses.replace(hyper, temperature=tau, block=np.arange(replicas) % 5)
    scale = 0.3 + g.random((replicas, model.layout.size)) if masses else None
    stream = np.arange(replicas, dtype=np.uint64)
    return Job(program, target, hyper, batching, seed, stream, dtype, scale=scale, work=work)


def make_state(job):
    g, shape = np.random.default_rng(3), (job.replicas, job.target.layout.size)
    position, momentum = ((size * g.normal(size=shape)).astype(job.dtype) for size in (0.3, 0.1))
    state = State.at(position, momentum, job.hyper.thermostat.copy())
    state.extra = {name: np.zeros(shape, job.dtype) for name in job.program.keeps}
    if job.counts_work:
        kept = kept_arrays(job.program, *shape, job.dtype)
        state.extra |= {name: np.zeros(a.shape, a.dtype) for name, a in kept.items()}
    return state


def take(job, rows):
    """The same job for some of its replicas."""
    target = job.target
    part = object.__new__(MlpTarget)
    part.__dict__.update(target.__dict__, dataset=target.dataset[rows])
    return dataclasses.replace(
        job, hyper=job.hyper.take(rows), seed=job.seed[rows], stream=job.stream[rows], target=part,
        scale=None if job.scale is None else job.scale[rows],
    )  # fmt: skip


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


def check_against_batched(job, fused=None):
    batched, fused = BatchedEngine(job), fused or FusedEngine(job, threads=2)
    batched._operations = NumpyOperations  # not the compiled noise, which is the fused engine's own
    for steps in (1, 2, 10):
        record = tuple(sorted({max(1, steps // 2), steps}))
        (a, (r,)), (b, (q,)) = (run(engine, job, steps, record=record) for engine in (batched, fused))
        assert_close(a, b, job.dtype)
        for name in ("position", "thermostat", "kinetic_temperature", "energy"):
            np.testing.assert_allclose(getattr(q, name), getattr(r, name), rtol=2e-5, atol=2e-6, err_msg=name)
        for name in RECORDED if job.counts_work else ():  # U is rounded at its own size, and tau is .01
            np.testing.assert_allclose(getattr(q, name), getattr(r, name), rtol=1e-4, atol=1e-3, err_msg=name)


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
    "fixed length": {"method": "mclmc", "n": 2, "task": "regression", "m": 3, "activation": "tanh", "prior": 1.0},
    "masses": {"method": "splitting", "word": "ABCDEFBA", "masses": True, "task": "multiclass", "n": 3, "prior": 1.0},
    "masses, fixed length": {"method": "mclmc", "masses": True, "n": 2, "task": "regression", "m": 3, "prior": 1.0},
}  # fmt: skip


_FULL = {"method": "splitting", "mode": "full", "work": True}
WORK = {
    "braces": _FULL | {"word": "{BAOAB}", "prior": 1.0},
    "braces, float64, evaluated in the middle": _FULL | {
        "word": "{ABOBA}", "dtype": np.float64, "task": "multiclass", "n": 5, "prior": 1.0, "points": 150, "sets": 3},
    "braces, hybrid, deep": _FULL | {"word": "O{BABABAB}", "d": (6, 5), "activation": "tanh", "points": 53},
    "braces, two words": _FULL | {"word": {"hidden": "{BAOAB}", "output": "O{BAB}O"}, "partition": "layer",
                                  "task": "regression", "n": 2, "dtype": np.float64},
    "braces, deep, masses": _FULL | {"word": "{OABAO}", "d": (3, 4), "masses": True, "prior": 1.5,
                                     "partition": "layer"},
    "braces, free flight": _FULL | {"word": "{UBU}", "activation": "tanh", "dtype": np.float64},
    "braces, fixed length": _FULL | {"method": "mclmc", "word": "{KAK}S", "task": "regression", "m": 3, "n": 2,
                                     "activation": "tanh", "prior": 1.0, "dtype": np.float64},
    "braces, frozen output": _FULL | {"word": {"hidden": "{OBABO}"}, "freeze": ("output",), "partition": "layer"},
    "work": _FULL | {"word": "BAOAB", "partition": "layer", "prior": 1.0},
    "work, evaluated in the middle": _FULL | {"word": "ABOBA", "points": 150},
    "work, fixed length": _FULL | {"method": "mclmc", "task": "regression", "m": 3, "n": 2, "prior": 1.0,
                                   "dtype": np.float64},
}  # fmt: skip
"""Words whose work is counted, and proposals of 0 to 4 steps."""


DEEP = {
    "deep adlala": {"d": (6, 5), "sets": 3},
    "deep lol, schedules, prior": {"d": (3, 11, 4), "method": "lol", "task": "regression", "n": 7, "m": 5, "prior": 1.0,
                                   "activation": "silu", "mode": "full", "points": 53,
                                   "schedules": {("stepsize", 0): Cosine(schedule="cosine", final=0.1)}},
    "deep, a word a tensor": {"d": (5, 1, 6), "method": "splitting", "partition": "tensor", "mode": "epoch",
                              "word": {"hidden": "BACDEDCAB", "w2": "BAOAB", "b3": "BAEFEAB", "output": "OBABO"},
                              "task": "multiclass", "n": 3, "activation": "gelu", "dtype": np.float64},
    "deep, middle frozen": {"d": (4, 4, 4), "method": "splitting", "word": "BAOAB", "freeze": ("hidden2",),
                            "mode": "replacement", "activation": "tanh"},
    "deep adam": {"d": (16, 16), "method": "adam", "m": 3, "activation": "sine", "batch": 33},
}  # fmt: skip
"""Several hidden layers: sizes that are no multiple of a block of sums, and one that is."""


AT_EVERY_WIDTH = (
    "adlala",
    "every thermostat letter by tensor",
    "multiclass, tanh, three dimensions",
    "regression, softplus",
    "fixed length",
    "masses",
)


def narrower(cases):
    """(case, bits of vectors, dtype) at every width but the widest, which all tests have; precisions take turns, so
    that each case, and each width, has both.
    """
    return [
        pytest.param(case, bits, dtype, id=f"{case}-{bits} bits-{dtype.__name__}")
        for i, case in enumerate(cases)
        for j, bits in enumerate(widths()[:-1])
        for dtype in ((np.float32, np.float64)[(i + j) % 2],)
    ]


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
