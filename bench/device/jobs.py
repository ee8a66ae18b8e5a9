"""Random small jobs that between them have every pair of word, task, activation, minibatch mode, partition, precision
and team size.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from gpu_thermo.data import Dataset
from gpu_thermo.engines.base import Batching, Job
from gpu_thermo.engines.work import kept_arrays
from gpu_thermo.method.named import METHODS, get_method, make_program
from gpu_thermo.method.updates import UPDATES
from gpu_thermo.moves.contour import Contour
from gpu_thermo.state import Hyper, State
from gpu_thermo.targets.networks import ACTIVATIONS, TASKS, MlpModel
from gpu_thermo.targets.posterior import MlpTarget

NAMED = tuple(name for name in UPDATES if name in METHODS)
WORDS = ("BACDEDCAB", "BAEFEAB", "BAOAB", "OBABO", "ABOBA", "OBA", "UBU", "ABCDEFBA", "EBAB", *NAMED)
FACTORS: dict[str, tuple[Any, ...]] = {
    "word": WORDS, "task": tuple(TASKS), "activation": tuple(ACTIVATIONS),
    "mode": ("subset", "epoch", "symmetric", "replacement", "full"), "partition": ("layer", "tensor", "all"),
    "bits": (32, 64), "team": (4, 8, 16, 32, 64, 128),
}  # fmt: skip
CONTOURS = [
    dict(zip(FACTORS, row, strict=True)) | {"contour": "contour"}
    for row in (
        ("sgld", "binary", "tanh", "subset", "all", 32, 32),
        ("BAOAB", "multiclass", "tanh", "subset", "layer", 32, 64),
        ("BACDEDCAB", "regression", "softplus", "epoch", "tensor", 64, 128),
        ("ABOBA", "binary", "relu", "full", "layer", 64, 32),
    )
]
"""Cases whose gradients a contour scales, beside the pairwise ones."""
BRACES = [
    dict(zip(FACTORS, row, strict=True)) | {"braces": "braces"}
    for row in (
        ("{BAOAB}", "binary", "tanh", "full", "layer", 64, 32),
        ("{ABOBA}", "multiclass", "softplus", "full", "all", 64, 64),
        ("O{BAB}O", "regression", "tanh", "full", "tensor", 64, 128),
        ("{KAK}S", "binary", "tanh", "full", "all", 64, 32),
    )
]
"""Cases with proposals of 0 to 4 steps."""
DEEP = [
    dict(zip((*FACTORS, "hidden"), row, strict=True))
    for row in (
        ("BACDEDCAB", "regression", "tanh", "full", "layer", 32, 64, (13, 9, 6)),
        ("BAEFEAB", "multiclass", "softplus", "subset", "tensor", 64, 32, (7, 5)),
        ("KASAK", "binary", "relu", "epoch", "all", 64, 128, (20, 17, 33, 16)),
        ("adam", "regression", "identity", "replacement", "layer", 64, 64, (16, 16)),
    )
]
DEEP.append(BRACES[2] | {"team": 64, "hidden": (5, 9)})
"""Cases of several hidden layers, beside the others."""
HIDDEN = {4: 9, 8: 13, 16: 35, 32: 40, 64: 70, 128: 200}
"""Units by team: some members have one more than others."""
Case = dict[str, Any]


def pairwise(factors: dict[str, tuple[Any, ...]] = FACTORS, seed: int = 0, tries: int = 40) -> list[Case]:
    """Cases that cover every pair of values of any two factors: each is the best of `tries` random ones through an
    uncovered pair.
    """
    names, g = list(factors), np.random.default_rng(seed)
    open_pairs = {
        ((a, u), (b, v))
        for a, b in itertools.combinations(names, 2)
        for u in range(len(factors[a]))
        for v in range(len(factors[b]))
    }
    cases = []
    while open_pairs:
        (a, u), (b, v) = min(open_pairs)
        picks = [{n: int(g.integers(len(factors[n]))) for n in names} | {a: u, b: v} for _ in range(tries)]
        best = max(picks, key=lambda p: len(_pairs(p, names) & open_pairs))
        open_pairs -= _pairs(best, names)
        cases.append({n: factors[n][i] for n, i in best.items()})
    return cases


def _pairs(pick: dict[str, int], names: list[str]) -> set[tuple[tuple[str, int], tuple[str, int]]]:
    return {((a, pick[a]), (b, pick[b])) for a, b in itertools.combinations(names, 2)}


def label(case: Case) -> str:
    """One line."""
    return " ".join(str(v) for v in case.values())


def make_job(case: Case, replicas: int = 37, points: int = 150, batch: int = 10) -> Job:
    """A job with a value of its own for each replica's hyperparameters, two data sets, a prior where the activation is
    not relu.
    """
    task, hidden = case["task"], case.get("hidden", HIDDEN[case["team"]])
    m, n = {"binary": (2, 1), "multiclass": (3, 3), "regression": (1, 2)}[task]
    prior = None if case["activation"] == "relu" else 1.5
    model = MlpModel(m, hidden, n, task, case["activation"], prior, 0.7)
    update = case["word"] in UPDATES
    method = get_method(case["word"] if update else "splitting")
    partition = model.layout.partition(case["partition"])
    program = make_program(method, partition, None if update else case["word"], (), "I")
    g, shape = np.random.default_rng(1), (replicas, len(partition.names))
    values = {
        name: base * (1 + g.random(shape))
        for name, base in (("temperature", 0.01), ("friction", 1), ("sigma", 0.2), ("epsilon", 0.3))
    }
    contour = None
    if "contour" in case:
        values["temperature"] = values["temperature"][:, :1]  # one for all partitions
        contour = Contour(zeta=0.8, bins=20, lowest=0.0, width=0.1, omega_max=0.2, learn=7)
    if "braces" in case:
        values["temperature"] = values["temperature"][:, :1]
    stepsize = (0.02 if update else 0.1) * (1 + g.random(replicas))
    hyper = Hyper.constant(replicas, shape[1], stepsize, total=100, momentum=0.9, thermostat=0.1, **values)
    if "braces" in case:
        hyper = replace(hyper, block=np.arange(replicas) % 5)
    dtype = np.float32 if case["bits"] == 32 else np.float64
    target = MlpTarget(model, _data(task, m, n, points), np.arange(replicas) % 2, dtype)
    seed = np.arange(replicas, dtype=np.uint64) % 3 + 2**40
    batching = Batching(case["mode"], points if case["mode"] == "full" else batch)
    return Job(program, target, hyper, batching, seed, np.arange(replicas, dtype=np.uint64), dtype, contour)


def _data(task: str, m: int, n: int, points: int) -> Dataset:
    g = np.random.default_rng(0)
    x = g.normal(size=(2, points, m))
    numeric = TASKS[task].numeric
    y: Any = g.normal(size=(2, points, n)) if numeric else g.integers(0, max(2, n), size=(2, points))
    names = tuple(f"x{i}" for i in range(max(m, n, 2)))
    classes = () if numeric else names[: max(2, n)]
    return Dataset("check", task, x, y, x[:, :8], y[:, :8], names[:m], classes, names[:n] if numeric else ())


def make_state(job: Job, poison: bool = False) -> State:
    """A random state; poisoned, everything a first step must write before it reads is NaN."""
    g, shape = np.random.default_rng(3), (job.replicas, job.target.layout.size)
    p = (0.1 * g.normal(size=shape)).astype(job.dtype)
    state = State.at(
        (0.3 * g.normal(size=shape)).astype(job.dtype), p, np.ascontiguousarray(np.nan_to_num(job.hyper.thermostat))
    )
    state.extra = {name: np.zeros(shape, job.dtype) for name in job.program.keeps}
    if job.contour is not None:
        job.contour.begin(state)
    if job.counts_work:
        kept = kept_arrays(job.program, *shape, job.dtype)
        state.extra |= {name: np.zeros(a.shape, a.dtype) for name, a in kept.items()}
    if poison:
        state.gradient[...] = np.nan
    return state


def chosen(quick: bool) -> Iterator[tuple[int, Case]]:
    """Numbered cases: all, or a few of different words."""
    cases = pairwise()
    few = [*list({c["word"]: c for c in cases}.values())[:6], CONTOURS[0], *BRACES[:2], DEEP[0], DEEP[-1]]
    yield from enumerate(few if quick else [*CONTOURS, *BRACES, *DEEP, *cases])
