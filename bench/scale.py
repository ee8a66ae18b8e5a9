"""Scale: what replicas, points and workers cost on this machine, by powers, and what follows for larger ones.

`python -m bench.scale [--axes replicas points minibatches workers] [--most 1000000] [--seconds 2] [--rounds 3]` goes on
where its result ends; `python -m bench.tables` then fills docs/scale.md, which says what is assumed.

Every point is a process of its own. `replicas`: AdLaLa, d 20, B 25, R 1e3 to 1e6, the engine alone. `points`: BAOAB on
all of N points, 1e3 to 1e5, R 64. `minibatches`: AdLaLa with B 25 of the same N points, whose cost should not know N.
`workers`: run loop with its store, R 2048, in this process (0) and on 1, 2 and 4 Dask workers of one machine. Rates are
of the clock; processor seconds stand beside them, which other programs on the machine hardly touch. Start is what it
takes from a prepared run to the end of its first step, compiled before; memory is the largest the process has been.
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gpu_thermo.engines import Engine, Job
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import State

from .cases import spirals
from .common import RESULTS, adapted, human
from .contenders import Ours
from .race.clock import processor
from .rows import grow

PLACE = RESULTS / "scale.json"
Row = dict[str, Any]
VALUES = {
    "replicas": [1_000, 10_000, 100_000, 1_000_000], "points": [1_000, 10_000, 100_000],
    "minibatches": [1_000, 10_000, 100_000], "workers": [0, 1, 2, 4],
}  # fmt: skip
HIDDEN, BATCH, FEW = 20, 25, 64
"""Hidden units, minibatch, replicas of the sweeps over points."""


@dataclass(frozen=True)
class Whole:
    """BAOAB on all of so many points."""

    points: int

    def ready(self, replicas: int) -> tuple[Job, Callable[[Engine], State]]:
        """The job, and what makes its start."""
        long = 10**9
        run = {"replicas": replicas, "minibatch": "full", "steps": long, "burn_in": 0, "thin": long, "trace": long}
        method = {"name": "langevin", "stepsize": 0.1, "friction": 1.0, "posterior_temperature": 1.0}
        tree = {"data": {"name": "spirals", "train": self.points}, "model": {"hidden": HIDDEN, "prior_sd": 1.0},
                "method": method, "run": run | {"keep": []}}  # fmt: skip
        made = prepare(RunSpec.from_dict(tree))
        return made.job, made.begin


def engine(axis: str, value: int, seconds: float) -> Row:
    """Rate, processor seconds and start of the fused engine at one point."""
    case: Any = Whole(value) if axis == "points" else spirals(HIDDEN, BATCH)
    if axis == "minibatches":
        case = replace(case, points=value)
    many = value if axis == "replicas" else FEW
    case.ready(many)
    begin = time.perf_counter()
    ours = Ours(case, many, "fused")
    start = time.perf_counter() - begin
    figure = adapted(ours.advance, many, seconds)
    before, clock = processor(), time.perf_counter()
    rate = figure()
    busy, wall = processor() - before, time.perf_counter() - clock
    return {"rate": rate, "busy": busy / (rate * wall), "start": start}


def shared(value: int, seconds: float) -> Row:
    """The same of a run with its store on so many workers."""
    from . import sharding

    way = {count: name for name, count in sharding.WAYS.items()}[value]
    rate, per_processor, start = sharding.timed("d 20", way, seconds)
    return {"rate": rate, "busy": 1 / per_processor, "start": start}


def point(axis: str, value: int, seconds: float) -> Row:
    """One measurement, in this process."""
    found = shared(value, seconds) if axis == "workers" else engine(axis, value, seconds)
    unit = 1 if sys.platform == "darwin" else 1024
    return found | {"memory": unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}


def apart(key: Mapping[str, Any], seconds: float) -> Row:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "bench.scale", "point", key["axis"], str(key["value"]), "--seconds", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        return {"failed": (done.stderr.strip().splitlines() or ["?"])[-1][:300]}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


# -- what follows ------------------------------------------------------------------------------------------------------


def medians(rows: list[Row], axis: str) -> dict[int, Row]:
    """Of every value measured, over rounds."""
    out: dict[int, Row] = {}
    for value in sorted({r["value"] for r in rows if r["axis"] == axis and "failed" not in r}):
        of = [r for r in rows if (r["axis"], r["value"]) == (axis, value) and "failed" not in r]
        middle = lambda name, of=of: sorted(r[name] for r in of)[len(of) // 2]  # noqa: E731
        out[value] = {name: middle(name) for name in ("rate", "busy", "start", "memory")}
    return out


def slope(found: Mapping[int, Row], cost: Callable[[int, Row], float]) -> float:
    """Least-squares power of a cost in the value: 1 is proportional, 0 none."""
    pairs = [(math.log(value), math.log(cost(value, row))) for value, row in found.items() if value > 0]
    if len(pairs) < 2:
        return float("nan")
    x, y = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return sum((a - x) * (b - y) for a, b in pairs) / sum((a - x) ** 2 for a, _ in pairs)


ASSUMED = {
    "cores": 2, "disk": 740e6, "network": 1e9, "thin": 500, "gpus": 8, "parameters": 81,
}  # fmt: skip
"""Cores a worker, bytes a second of the one writer and of the scheduler's network, steps between draws, GPUs of a node,
parameters of the network with 20 units."""


def cluster(rows: list[Row], workers: int, replicas: int) -> Row:
    """A run on so many workers: seconds of a thousand steps of all replicas, in computing and in writing, which go on
    beside each other, and the replica-steps a second that come of it.

    Computing is that of one worker here, with the share of the replicas that it has; what a worker's messages cost is
    in its processor seconds. One process writes all draws, and all pass through its network.
    """
    one = medians(rows, "workers").get(1)
    if one is None:
        return {}
    a = ASSUMED
    draw = 4 * a["parameters"] * replicas / a["thin"]
    computing = 1000 * replicas * one["busy"] / (a["cores"] * workers)
    writing = 1000 * draw / min(a["disk"], a["network"])
    return {"computing": computing, "writing": writing, "rate": 1000 * replicas / max(computing, writing)}


def gpus(paper: Mapping[str, Any], case: str, replicas: int) -> Row:
    """The same of GPUs of one node, by bench.device.paper's figures for one: shares of the replicas, one writer."""
    a, of = ASSUMED, paper["cases"][case]
    each = of[str(replicas)]
    computing = each["steps"] + each["looking"] + each["bus"] + each["host"]  # of `thin` steps, each GPU its own share
    writing = a["gpus"] * each["writing"]
    return {"replicas": a["gpus"] * replicas, "computing": computing, "writing": writing,
            "rate": a["gpus"] * replicas * paper["thin"] / max(computing, writing)}  # fmt: skip


def line(found: Mapping[str, Any]) -> str:
    """For reading."""
    head = f"{found['axis']:12} {found['value']:>9,} round {found['round']} "
    if "failed" in found:
        return head + found["failed"]
    return (
        f"{head} {human(found['rate'])} replica-steps/s, {1e9 * found['busy']:.0f} ns of a processor each, start"
        f" {found['start']:.2f} s, {found['memory'] / 1e6:,.0f} MB"
    )


def main(given: list[str] | None = None) -> None:
    """Round after round, all points of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("one", nargs="*", help="point AXIS VALUE: one measurement")
    parser.add_argument("--axes", nargs="+", default=[*VALUES], choices=[*VALUES])
    parser.add_argument("--most", type=int, default=10**6, help="largest value of an axis")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--out", type=Path, default=PLACE)
    asked = parser.parse_args(given)
    if asked.one:
        print(json.dumps(point(asked.one[1], int(asked.one[2]), asked.seconds)))
        return
    keys = (
        {"axis": axis, "value": value, "round": turn}
        for turn in range(asked.rounds) for axis in asked.axes for value in VALUES[axis] if value <= asked.most
    )  # fmt: skip
    told = {"hidden": HIDDEN, "batch": BATCH, "few": FEW, "assumed": ASSUMED}
    grow(asked.out, keys, lambda key: apart(key, asked.seconds), told, line)


if __name__ == "__main__":
    main()
