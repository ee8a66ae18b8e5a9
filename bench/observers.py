"""What watching costs: the bare engine, the run loop with its averages, with the store, with the progress bar; the bits
are equal.

`python -m bench.observers [--pairs 10] [--steps 6000] [--replicas 256] [--hidden 100]`

The run is the embedded default (draws and learning curves every 500 steps, 32 probes), shortened. The bar is drawn on a
terminal that does not exist.
"""

import argparse
import io
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from gpu_thermo.engines import choose_engine, make_engine
from gpu_thermo.run import iterate, sample
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment
from gpu_thermo_cli.progress import Meter

from .common import interleave, ratios, save, summary

Run = Callable[[], tuple[float, np.ndarray]]
CHUNK = 500


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """Yes."""
        return True


def spec_of(steps: int, replicas: int, hidden: int) -> RunSpec:
    """The default run, shortened."""
    run = {"replicas": replicas, "steps": steps, "burn_in": 0, "thin": 500, "trace": 500}
    return RunSpec.from_dict({"model": {"hidden": hidden}, "run": run})


def bare(spec: RunSpec, engine: str) -> Run:
    """The engine alone, in segments of 500 steps, nothing recorded."""
    ready = prepare(spec)
    made = make_engine(ready.job, choose_engine(ready.job, engine, "cpu"), "cpu")

    def run() -> tuple[float, np.ndarray]:
        state = ready.initial_state()
        begin = time.perf_counter()
        while state.step < spec.run.steps:
            made.advance(state, Segment(state.step, min(CHUNK, spec.run.steps - state.step)))
        return time.perf_counter() - begin, state.position

    return run


def averages(spec: RunSpec, engine: str) -> Run:
    """The run loop: energies, test scores, probes and running averages, nothing written."""

    def run() -> tuple[float, np.ndarray]:
        begin = time.perf_counter()
        *_, last = iterate(spec, device="cpu", engine=engine)
        return time.perf_counter() - begin, last.position

    return run


def stored(spec: RunSpec, engine: str, bar: bool) -> Run:
    """The same with everything written, and perhaps the bar."""

    def run() -> tuple[float, np.ndarray]:
        with (
            tempfile.TemporaryDirectory() as folder,
            redirect_stderr(Terminal() if bar else sys.stderr),
            Meter(quiet=not bar) as meter,
        ):
            begin = time.perf_counter()
            tree = sample(
                spec, Path(folder) / "run.zarr", device="cpu", engine=engine, on_progress=meter if bar else None
            )
            seconds = time.perf_counter() - begin
            last = tree["posterior"].isel(draw=-1)
            parts = [last[name].to_numpy().reshape(spec.run.replicas, -1) for name in ("w1", "b1", "w2", "b2")]
            tree.close()
        return seconds, np.concatenate(parts, axis=1)

    return run


def measure(spec: RunSpec, engine: str, pairs: int) -> dict[str, Any]:
    """Times interleaved, slowdowns against the bare engine and against the step before, and whether all end in the same
    bits.
    """
    runs = {
        "engine alone": bare(spec, engine), "with averages": averages(spec, engine),
        "with store": stored(spec, engine, False),
        "with store and bar": stored(spec, engine, True),
    }  # fmt: skip
    ends: dict[str, np.ndarray] = {}

    def contender(name: str) -> Callable[[], float]:
        def figure() -> float:
            seconds, ends[name] = runs[name]()
            return spec.run.steps * spec.run.replicas / seconds

        return figure

    figures = interleave({name: contender(name) for name in runs}, pairs)
    names = list(figures)
    return {
        "replica_steps_per_second": {name: summary(f) for name, f in figures.items()},
        "slowdown": {name: ratios(figures[names[0]], figures[name]) for name in names[1:]},
        "slowdown_of_each": {b: ratios(figures[a], figures[b]) for a, b in pairwise(names)},
        "bits_equal": all(np.array_equal(ends[names[0]], e, equal_nan=True) for e in ends.values()),
    }  # fmt: skip


def main() -> None:
    """Measure, print, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--replicas", type=int, default=256)
    parser.add_argument("--hidden", type=int, default=100)
    parser.add_argument("--engine", default="auto")
    given = parser.parse_args()
    result = measure(spec_of(given.steps, given.replicas, given.hidden), given.engine, given.pairs)
    for name, s in result["replica_steps_per_second"].items():
        cost = result["slowdown"].get(name)
        text = (
            f"{100 * (cost['median'] - 1):+.1f} % ({100 * (cost['lowest'] - 1):+.1f} to"
            f" {100 * (cost['highest'] - 1):+.1f})"
            if cost
            else ""
        )
        print(f"{name:20} {s['median']:12,.0f} replica-steps/s  {text}")
    print("bits equal:", result["bits_equal"])
    sizes = {"steps": given.steps, "replicas": given.replicas, "hidden": given.hidden, "engine": given.engine}
    save("observers", {"unit": "replica-steps/s", **sizes, **result})


if __name__ == "__main__":
    main()
