"""What sharing out a run costs: the run loop with its store, of one process, of threads with an engine each, and of
Dask workers, after their start, interleaved; and the start itself.

Beside the clock stands the processor time of all processes, which other programs on the machine hardly touch, and the
machine's load (programs that want a core, ours counted in) before and after.

`python -m bench.sharding [--rounds 2] [--seconds 2]`, minutes on two cores; workers need the extra `cluster`.
"""

import argparse
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gpu_thermo.engines import make_engine
from gpu_thermo.engines.base import cores
from gpu_thermo.engines.sharded import ShardedEngine
from gpu_thermo.run import Interrupted, sample
from gpu_thermo.running import places

from .common import interleave, ratios, save, summary

LONG = 100_000
CASES = {"d 20": (20, 25, 2048), "d 100": (100, 20, 1024)}
"""Hidden units, minibatch, replicas."""
WAYS = {"one process": 0, "one worker": 1, "two workers": 2, "four workers": 4}
THREADS = "two engines in threads"
SETTLED = 6
"""Segments until their length is found."""


def spec(case: str) -> dict[str, Any]:
    """AdLaLa on four-turn spirals, recorded as by default."""
    hidden, batch, replicas = CASES[case]
    run = {"replicas": replicas, "steps": LONG, "burn_in": 0, "thin": 500, "trace": 500, "batch": batch}
    return {"data": {"name": "spirals"}, "model": {"hidden": hidden}, "run": run}


@contextmanager
def in_threads() -> Iterator[None]:
    """Two engines of this process, each with half of the cores, as two GPUs would be."""
    each, real = max(1, cores() // 2), places.make_engine

    def make(job: Any, engine: str, device: str, threads: int | None, together: int) -> ShardedEngine:
        found = ShardedEngine.on(
            job, ["cpu"] * 2, lambda share, one: make_engine(share, engine, one, each), engine, together
        )
        found.device = "cpu"
        return found

    places.make_engine = make  # type: ignore[attr-defined]
    try:
        yield
    finally:
        places.make_engine = real  # type: ignore[attr-defined]


def processor_seconds() -> float:
    """Of this process and those below it, so far."""
    pids, ticks = [os.getpid()], 0
    while pids:
        place = Path(f"/proc/{pids.pop()}")
        with suppress(OSError):
            ticks += sum(map(int, (place / "stat").read_text().rpartition(")")[2].split()[11:13]))
            pids += [int(pid) for one in place.glob("task/*/children") for pid in one.read_text().split()]
    return ticks / os.sysconf("SC_CLK_TCK")


def timed(case: str, way: str, seconds: float) -> tuple[float, float, float]:
    """Replica-steps a second and a processor second once the run is under way, until it is stopped by a signal, and the
    seconds until its first segment is done.
    """
    seen: list[tuple[float, int, float]] = []
    began = time.perf_counter()

    def on_progress(progress: Any) -> None:
        seen.append((time.perf_counter(), progress.step, processor_seconds()))
        if seen[-1][0] - seen[min(SETTLED, len(seen) - 1)][0] > seconds:
            signal.raise_signal(signal.SIGINT)

    with tempfile.TemporaryDirectory() as folder, suppress(Interrupted):
        store = Path(folder) / "run.zarr"
        sample(spec(case), store, device="cpu", workers=WAYS.get(way, 0), on_progress=on_progress).close()
    (first, before, busy), (last, after, spent) = seen[SETTLED], seen[-1]
    done = CASES[case][2] * (after - before)
    return done / (last - first), done / (spent - busy), seen[0][0] - began


def measure(case: str, rounds: int, seconds: float) -> dict[str, Any]:
    """Every way of one case."""
    starts: dict[str, list[float]] = {way: [] for way in (*WAYS, THREADS)}
    busy: dict[str, list[float]] = {way: [] for way in starts}

    def of(way: str) -> Callable[[], float]:
        def once() -> float:
            with in_threads() if way == THREADS else tempfile.TemporaryDirectory():
                rate, each, start = timed(case, way, seconds)
            starts[way].append(start)
            busy[way].append(each)
            return rate

        return once

    found = interleave({way: of(way) for way in starts}, rounds)
    return {
        way: {
            "replica_steps_per_second": summary(found[way]), "cost": ratios(found["one process"], found[way]),
            "replica_steps_per_processor_second": summary(busy[way][1:]),
            "processor_cost": ratios(busy["one process"][1:], busy[way][1:]),
            "start_seconds": min(starts[way]),
        }
        for way in found
    }  # fmt: skip


def main() -> None:
    """Measure, print, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--case", choices=CASES, nargs="+", default=list(CASES))
    given = parser.parse_args()
    before = os.getloadavg()[0]
    results = {case: measure(case, given.rounds, given.seconds) for case in given.case}
    load = {"before": before, "after": os.getloadavg()[0]}
    for case, ways in results.items():
        for way, figures in ways.items():
            print(case, way, figures)
    save("sharding", {"unit": "replica-steps/s", "load": load, "cases": results})


if __name__ == "__main__":
    main()
