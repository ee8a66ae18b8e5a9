"""Runs that stop themselves: those of a study in one launch, and the same one after another; the bits are equal.

`python -m bench.turns [--pairs 5] [--cases ...]`

Both ways in turn, in this process; what is compiled is compiled before. Seconds of the processor and of the clock for
all runs of a case, their stores included.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gpu_thermo.study import StudySpec
from gpu_thermo.study.together import make_parts
from gpu_thermo.study.tuned import make_part
from gpu_thermo.study.work import Work, make_work

from .common import ratios, save, summary

Parts = dict[str, dict[str, np.ndarray]]
TOGETHER, ALONE = "in one launch", "one after another"
TIMES = ("seconds", "seconds_to_tolerance")


def _moons(points: int, hidden: int, replicas: int, seeds: int) -> dict[str, Any]:
    return {
        "data": {"name": "moons", "train": points, "test": points}, "model": {"hidden": hidden, "prior_sd": 1.0},
        "method": {"name": "langevin", "temperature": 0.02}, "run": {"tolerance": 0.1, "replicas": replicas},
        "seeds": {"count": seeds}, "study": {"shard": seeds},
    }  # fmt: skip


CASES: dict[str, dict[str, Any]] = {
    "double well, 16 runs of 32": {
        "target": {"name": "double_well"}, "method": {"name": "langevin", "temperature": 1.0},
        "run": {"tolerance": 0.1, "replicas": 32}, "seeds": {"count": 16},
    },
    "2-5-1, 50 points, 16 runs of 32": _moons(50, 5, 32, 16),
    "2-5-1, 50 points, 8 runs of 128": _moons(50, 5, 128, 8),
    "2-20-1, 200 points, 8 runs of 128": _moons(200, 20, 128, 8),
}  # fmt: skip


def carried_out(job: Work, together: bool) -> tuple[float, float, Parts]:
    """Seconds of the processor and of the clock for all runs, and what was kept of each."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder)
        (store / "status" / "parts").mkdir(parents=True)
        processor, clock = time.process_time(), time.perf_counter()
        for launch in job.launches(job.shards):
            if together:
                make_parts(launch, store, ("cpu", "auto", None))
            else:
                for shard in launch:
                    make_part(shard, store, "cpu")
        took = time.process_time() - processor, time.perf_counter() - clock
        parts = {path.stem: dict(np.load(path)) for path in (store / "status" / "parts").iterdir()}
    return *took, parts


def equal(one: Parts, other: Parts) -> bool:
    """Whether all that was kept is the same, times aside."""
    return one.keys() == other.keys() and all(
        np.array_equal(values, other[run][name], equal_nan=values.dtype.kind == "f")
        for run, kept in one.items() for name, values in kept.items() if name not in TIMES
    )  # fmt: skip


def measure(study: dict[str, Any], pairs: int) -> dict[str, Any]:
    """Both ways, `pairs` times in turn, after one of each."""
    job = make_work(StudySpec.from_dict(study), None, "cpu", "auto")
    ways: dict[str, Callable[[], tuple[float, float, Parts]]] = {
        TOGETHER: lambda: carried_out(job, True),
        ALONE: lambda: carried_out(job, False),
    }
    (_, _, one), (_, _, other) = (run() for run in ways.values())
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for _ in range(pairs):
        for name, run in ways.items():
            seconds[name].append(run()[:2])
    out: dict[str, Any] = {"launches": len(job.launches(job.shards)), "bits_equal": equal(one, other)}
    for i, kind in enumerate(("processor", "clock")):
        figures = {name: [pair[i] for pair in found] for name, found in seconds.items()}
        out[kind] = {name: summary(found) for name, found in figures.items()}
        out[kind]["takes less by"] = ratios(figures[ALONE], figures[TOGETHER])
    return out


def main() -> None:
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    given = parser.parse_args()
    found = {}
    for name in given.cases:
        found[name] = measure(CASES[name], given.pairs)
        for kind in ("processor", "clock"):
            figures = {way: f"{s['median']:.2f}" for way, s in found[name][kind].items()}
            print(f"{name:36} {kind:10} {figures}, bits equal: {found[name]['bits_equal']}", flush=True)
    save("turns", {"cases": found})


if __name__ == "__main__":
    main()
