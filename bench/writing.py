"""What writing costs: R 1024, d 100, thin 100, the run loop with its store against the same loop without one,
interleaved.

`python -m bench.writing [--pairs 10]`
"""

import argparse
import tempfile
import time
from pathlib import Path

from gpu_thermo.run import iterate, sample

from .common import interleave, ratios, save, summary


def spec(steps: int) -> dict:
    """AdLaLa on the four-turn spirals at the size the issue names."""
    return {
        "data": {"name": "spirals"}, "model": {"hidden": 100},
        "run": {"replicas": 1024, "steps": steps, "burn_in": 0, "thin": 100, "trace": 10**6},
    }  # fmt: skip


def main() -> None:
    """Time both and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--engine", default="auto")
    given = parser.parse_args()

    def silent() -> float:
        begin = time.perf_counter()
        for _ in iterate(spec(given.steps), device="cpu", engine=given.engine):
            pass
        return given.steps / (time.perf_counter() - begin)

    def written() -> float:
        with tempfile.TemporaryDirectory() as folder:
            begin = time.perf_counter()
            sample(spec(given.steps), Path(folder) / "run.zarr", device="cpu", engine=given.engine).close()
            return given.steps / (time.perf_counter() - begin)

    figures = interleave({"without store": silent, "with store": written}, given.pairs)
    cost = ratios(figures["without store"], figures["with store"])
    print({name: summary(f) for name, f in figures.items()}, "cost of writing:", cost)
    save(
        f"writing_{given.engine}",
        {"unit": "steps/s at R 1024", "figures": {n: summary(f) for n, f in figures.items()}, "slowdown": cost},
    )


if __name__ == "__main__":
    main()
