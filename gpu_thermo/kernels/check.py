"""Compile a pairwise set of GPU kernels without a GPU: `python -m gpu_thermo.kernels.check [--arch sm_90 ...] [--json
FILE]`.

Every two values of any two choices below (dynamics, task, activation, minibatches, partition, network and type, team)
meet in some variant.
Compiled with the flags that CuPy gives NVRTC. Prints registers, spills and stack of each, with the prediction and
elementwise kernels, and ends with 1 if something does not compile, or takes local memory on sm_90 where it must not:
one hidden layer with m = 2, n = 1, d <= 200, and 4 x 16 and 20 x 20 at depth; or if a kernel whose speed is promised
(promised.py) executes more instructions for a replica-step than its record allows, where there is nvdisasm.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any

from ..errors import GpuThermoError
from ..method.named import get_method, make_program
from ..targets.networks import ACTIVATIONS, TASKS, MlpModel
from .elementwise import elementwise_source
from .emit import MODES, Emitter, predict_device_source
from .executed import LINES, Executed, Launch, count
from .nvrtc import CUPY_FLAGS, Resources, nvrtc_compile, nvrtc_version, resources
from .promised import ARCH, PROMISES, most
from .sass import count_instructions, disassembled

ARCHITECTURES = ("sm_75", "sm_90", "sm_120")
STRICT = "sm_90"
CHOICES: dict[str, tuple[Any, ...]] = {
    "dynamics": ("adlala", "adl", "lol", "sgld", "adam", "coolmomentum", "BAEFEAB", "ABCDEFBA"),
    "network": ((2, 20, 32), (2, 200, 32), (2, 100, 64), (13, 40, 32)),
    "activation": tuple(ACTIVATIONS),
    "mode": MODES,
    "task": tuple(TASKS),
    "partition": ("all", "layer", "tensor"),
    "team": (0, 128),
    "outputs": (1, 3),
    "prior": (None, 1.0),
}
"""Dynamics: a method or a word. Network: m, d, bits. Team: 0 is chosen from the network. Outputs: of tasks that have a
choice."""
APART = {"dynamics", "activation"}
"""Choices that know nothing of each other: letters move parameters, activations are asked by gradients alone."""


@dataclass(frozen=True)
class Variant:
    """One kernel source: `group` is fused, predict or elementwise. A promised one is counted for a `launch`."""

    group: str
    name: str
    source: str
    strict: bool
    launch: Launch | None = None
    promise: str = ""


@dataclass(frozen=True)
class Result:
    """What came of one kernel of a variant on one architecture; `error` is empty where nothing went wrong. Instructions
    are counted where there is nvdisasm: of the text (sass.py), and of a promised kernel what a replica-step `executed`
    by its `team`, with the `most` that its record allows.
    """

    group: str
    name: str
    arch: str
    kernel: str
    strict: bool
    seconds: float
    resources: Resources | None
    error: str = ""
    instructions: Mapping[str, int] = field(default_factory=dict)
    promise: str = ""
    executed: Executed | None = None
    most: float | None = None
    team: int = 0

    @property
    def slower(self) -> bool:
        """Whether a promised kernel executes more than its record allows."""
        return self.executed is not None and self.most is not None and self.executed.instructions > self.most

    @property
    def wrong(self) -> bool:
        """Whether the check fails by it: no compilation, local memory or more instructions where speed is promised."""
        r = self.resources
        return r is None or bool(self.error) or self.slower or (self.strict and self.arch == STRICT and r.local > 0)


@cache
def pairwise() -> tuple[Mapping[str, Any], ...]:
    """Rows of CHOICES in which every two values of different choices meet, but for those APART, found greedily and
    always the same.
    """
    names = tuple(CHOICES)
    missing = {
        ((a, i), (b, j))
        for a, b in itertools.combinations(range(len(names)), 2)
        if {names[a], names[b]} != APART
        for i in range(len(CHOICES[names[a]])) for j in range(len(CHOICES[names[b]]))
    }  # fmt: skip
    rows: list[Mapping[str, Any]] = []
    while missing:
        row = dict(min(missing))
        for k in range(len(names)):
            if k not in row:
                gains = [_gain(missing, row, (k, i)) for i in range(len(CHOICES[names[k]]))]
                row[k] = gains.index(max(gains)) if max(gains) else len(rows) % len(gains)
        missing -= set(itertools.combinations(sorted(row.items()), 2))
        rows.append({names[k]: CHOICES[names[k]][i] for k, i in sorted(row.items())})
    return tuple(rows)


def _gain(missing: set[tuple[tuple[int, int], tuple[int, int]]], row: Mapping[int, int], value: tuple[int, int]) -> int:
    """Missing pairs that `value` would complete with `row`."""
    return sum((min(value, old), max(value, old)) in missing for old in row.items())


def variants(rows: Iterable[Mapping[str, Any]] | None = None) -> list[Variant]:
    """Every source of the check, or the fused ones of `rows` alone."""
    fused = [fused_variant(row) for row in (pairwise() if rows is None else rows)]
    if rows is not None:
        return fused
    return (
        fused
        + standard_variants()
        + promised_variants()
        + power_variants()
        + deep_variants()
        + contour_variants()
        + _predict_variants()
        + _elementwise_variants()
    )


def fused_variant(row: Mapping[str, Any]) -> Variant:
    """The segment kernel of one row."""
    m, d, bits = row["network"]
    task = row["task"]
    n = row["outputs"] if TASKS[task].numeric else TASKS[task].outputs(3)
    model = MlpModel(m, d, n, task, row["activation"], row["prior"])
    word = row["dynamics"] if row["dynamics"].isupper() else None
    method = get_method("splitting" if word else row["dynamics"])
    layered = method.words and "all" not in method.words and row["partition"] == "all"
    program = make_program(method, model.layout.partition("layer" if layered else row["partition"]), word)
    batch = row.get("batch", 100 if row["mode"] == "full" else 20)
    contour, power = row.get("contour", False), row.get("power", False)
    work = program.braces is not None
    emitter = Emitter(program, model, row["mode"], batch, bits, contour, work=work, power=power)
    sharing = emitter.sharing(row["team"] or None)
    team = sharing.team
    name = (
        f"{row['dynamics']} {task} {row['activation']} {row['mode']} {program.partition.kind}"
        f" m{m} d{'x'.join(map(str, model.hidden))} n{n}"
        f" float{bits} team {team}"
    )
    name += " prior" * bool(row["prior"]) + " contour" * contour + " power" * power
    name += f" B {batch}" if "batch" in row else ""
    strict, launch = row.get("strict", _is_standard(model)), None
    if "promise" in row:
        tile = min(batch, sharing.tile or 64)
        launch = Launch(batch, row["points"], team, tile, m, model.hidden, n)
    return Variant("fused", name, emitter.source("device", team), strict, launch, row.get("promise", ""))


def standard_variants() -> list[Variant]:
    """AdLaLa on two inputs."""
    return [fused_variant(_STANDARD | {"network": (2, d, 32)}) for d in (20, 200)]


def promised_variants() -> list[Variant]:
    """The kernels whose speed is promised, as `bench.device` measures them."""
    more = {"strict": True}
    return [fused_variant({**_STANDARD, **one.row, **more, "promise": name, "points": one.points})
            for name, one in PROMISES.items()]  # fmt: skip


def power_variants() -> list[Variant]:
    """Kernels with powers of the likelihood, for evidence, plain and in braces; deep_variants has another."""
    base = _STANDARD | {"power": True, "prior": 1.0, "partition": "all", "network": (2, 20, 32)}
    rows = [base | {"dynamics": "BAOAB"}, base | {"dynamics": "{BAOAB}", "mode": "full"}]
    return [fused_variant(row) for row in rows]


def deep_variants() -> list[Variant]:
    """Kernels of several hidden layers: those of two tables and of the spirals, other words, float64, all that fits."""
    table = {"task": "regression", "activation": "silu", "prior": 1.0, "mode": "full"}
    rows = [
        table | {"dynamics": "BAOAB", "network": (5, (16, 16, 16, 16), 32), "strict": True, "power": True},
        table | {"dynamics": "mclmc", "network": (5, (16, 16, 16, 16), 32), "outputs": 2, "partition": "all"},
        table | {"dynamics": "adam", "network": (13, (32, 32), 64), "activation": "tanh"},
        {"network": (2, (20, 20), 32), "strict": True},
        {"network": (2, (20, 20), 32), "dynamics": "BAEFEAB", "partition": "tensor", "task": "multiclass", "team": 64},
        {"network": (13, (64, 64), 32), "dynamics": "sgld", "contour": True, "prior": 1.0},
    ]
    return [fused_variant(_STANDARD | row) for row in rows]


def contour_variants() -> list[Variant]:
    """Kernels with a contour: the words it is mostly used with on two inputs, a larger network, and float64 in teams of
    several warps.
    """
    base = _STANDARD | {"contour": True, "prior": 1.0}
    rows = [
        base | {"dynamics": word, "network": (2, d, 32)}
        for word in ("sgld", "BAOAB", "BACDEDCAB")
        for d in (20, 100, 200)
    ]
    rows.append(
        base
        | {
            "dynamics": "BAEFEAB",
            "network": (13, 40, 32),
            "task": "multiclass",
            "partition": "tensor",
            "activation": "tanh",
        }
    )
    rows.append(
        base
        | {
            "dynamics": "OBABO",
            "network": (2, 100, 64),
            "task": "regression",
            "outputs": 3,
            "mode": "epoch",
            "team": 128,
        }
    )
    return [fused_variant(row) for row in rows]


_STANDARD: dict[str, Any] = {
    "dynamics": "adlala", "activation": "relu", "mode": "subset", "task": "binary", "partition": "layer", "team": 0,
    "outputs": 1,
    "prior": None,
}  # fmt: skip


def _predict_variants() -> list[Variant]:
    sizes: list[tuple[tuple[int, tuple[int, ...], int, str, str], int]] = [
        ((2, (200,), 1, "binary", "relu"), 32),
        ((2, (100,), 1, "regression", "tanh"), 64),
        ((13, (50,), 3, "multiclass", "softplus"), 32),
        ((5, (16, 16, 16, 16), 1, "regression", "silu"), 32),
    ]
    return [
        Variant(
            "predict",
            f"{' '.join(s[3:])} m{s[0]} d{'x'.join(map(str, s[1]))} n{s[2]} float{bits}",
            predict_device_source(MlpModel(*s), bits),
            s[0] == 2,
        )
        for s, bits in sizes
    ]


def _elementwise_variants() -> list[Variant]:
    return [Variant("elementwise", f"float{bits}", elementwise_source(bits), True) for bits in (32, 64)]


def _is_standard(model: MlpModel) -> bool:
    return model.inputs == 2 and model.outputs == 1 and model.layers == 1 and model.hidden[0] <= 200


def check(variant: Variant, arch: str) -> list[Result]:
    """Compile one variant; a failure is a result too."""
    start, counted = time.process_time(), variant.launch is not None and arch == ARCH
    try:
        cubin, log = nvrtc_compile(variant.source, arch, (*CUPY_FLAGS, "--ptxas-options=-v", *[LINES] * counted))
    except GpuThermoError as error:
        return [
            Result(variant.group, variant.name, arch, "", variant.strict, time.process_time() - start, None, str(error))
        ]
    seconds, text = time.process_time() - start, disassembled(cubin)
    counts, found, trouble = count_instructions(text), None, ""
    if counted and text and variant.launch is not None:
        try:
            found = count(text, variant.source, variant.launch)
        except GpuThermoError as unknown:
            trouble = str(unknown)
    allowed, team = most(variant.promise, nvrtc_version()), variant.launch.team if variant.launch else 0
    return [
        Result(variant.group, variant.name, arch, k, variant.strict, seconds, r, trouble, counts.get(k, {}),
               variant.promise, found, allowed, team)
        for k, r in sorted(resources(log).items())
    ]  # fmt: skip


def check_all(jobs: Iterable[Variant], architectures: Iterable[str], processes: int | None = None) -> Iterator[Result]:
    """`check` of every variant for every architecture, in processes, in order, as they come.

    Processes are spawned: a fork takes over the locks of every thread that a package of the caller (JAX, BLAS) started.
    """
    work = [(v, arch) for v in jobs for arch in architectures]
    with ProcessPoolExecutor(processes or os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        for rows in pool.map(check, *zip(*work, strict=True)):
            yield from rows


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m gpu_thermo.kernels.check", description="Compile GPU kernels without a GPU."
    )
    parser.add_argument(
        "--arch", nargs="+", default=ARCHITECTURES, help=f"architectures (default: {' '.join(ARCHITECTURES)})"
    )
    parser.add_argument("--json", help="file to record the results in")
    parser.add_argument("--promised", action="store_true", help="only the kernels whose speed is promised")
    parser.add_argument("--processes", type=int, help="compilers at once (default: one a processor)")
    options = parser.parse_args(arguments)
    start, jobs = time.perf_counter(), promised_variants() if options.promised else variants()
    results = []
    for r in check_all(jobs, options.arch, options.processes):
        print(_line(r), flush=True)
        results.append(r)
    wrong = [r for r in results if r.wrong]
    seconds = time.perf_counter() - start
    print(f"NVRTC {nvrtc_version()}: {len(jobs)} sources for {' '.join(options.arch)}")
    print(f"{len(results)} kernels in {seconds:.0f} s, {len(wrong)} wrong")
    if options.json:
        with open(options.json, "w") as file:
            json.dump(
                {
                    "nvrtc": nvrtc_version(),
                    "seconds": seconds,
                    "kernels": [asdict(r) | {"wrong": r.wrong} for r in results],
                },
                file,
                indent=1,
            )
    return 1 if wrong else 0


def _line(r: Result) -> str:
    mark = "WRONG" if r.wrong else "     "
    if r.resources is None or r.error:
        return f"{mark} {r.arch:7s} {r.group:12s} {r.name}: {r.error}"
    numbers = f"{r.resources.registers:4d} registers {r.resources.spill_stores + r.resources.spill_loads:6d} spilled"
    return f"{mark} {r.arch:7s} {numbers} {r.resources.stack:5d} stack  {r.group} {r.kernel}: {r.name}{_executed(r)}"


def _executed(r: Result) -> str:
    """Of a promised kernel, beside its record."""
    if r.executed is None:
        return ""
    allowed = "no record for this NVRTC" if r.most is None else f"at most {r.most:,.0f} by kernels/promised.py"
    return f", {r.executed.instructions:,.0f} instructions a replica-step ({allowed})"


if __name__ == "__main__":
    sys.exit(main())
