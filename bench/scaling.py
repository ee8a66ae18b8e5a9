"""Cost of a fused replica-step against R, d, B and threads, one at a time from d 20, B 25, R 1000.

`python -m bench.scaling [--rounds 5] [--quick]`
"""

import argparse
from typing import Any

from gpu_thermo.cost import count, total
from gpu_thermo.engines.base import cores

from .cases import spirals
from .common import adapted, human, interleave, save, summary
from .contenders import Ours

HIDDEN, BATCH, REPLICAS = 20, 25, 1000
SWEEPS: dict[str, list[int]] = {
    "replicas": [1, 8, 64, 256, 1000, 4000, 16_000, 64_000],
    "hidden": [4, 8, 16, 20, 32, 50, 100, 200, 500],
    "batch": [1, 2, 5, 10, 25, 50, 100, 250, 500],
    "threads": sorted({1, *(2**i for i in range(10) if 2**i <= cores()), cores()}),
}


def contender(axis: str, value: int) -> tuple[Ours, float]:
    """The fused engine at one point of a sweep, and its operations a replica-step."""
    hidden, batch, replicas = (
        value if axis == a else v for a, v in (("hidden", HIDDEN), ("batch", BATCH), ("replicas", REPLICAS))
    )
    ours = Ours(spirals(hidden, batch), replicas, "fused", threads=value if axis == "threads" else None)
    return ours, total(count(ours.job)).operations


def sweep(axis: str, values: list[int], rounds: int, seconds: float) -> dict[str, Any]:
    """Figures of one sweep, its points interleaved."""
    points = {str(v): contender(axis, v) for v in values}
    figures = interleave({v: adapted(o.advance, o.replicas, seconds) for v, (o, _) in points.items()}, rounds)
    return {
        v: {"replica_steps_per_second": (s := summary(f)), "nanoseconds": 1e9 / s["median"], "operations": points[v][1],
            "operations_per_second": s["median"] * points[v][1]}
        for v, f in figures.items()
    }  # fmt: skip


def main() -> None:
    """Run all sweeps, print them, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--quick", action="store_true", help="two points of each sweep")
    given = parser.parse_args()
    results = {}
    for axis, values in SWEEPS.items():
        results[axis] = sweep(
            axis, values[:2] if given.quick else values, 1 if given.quick else given.rounds, given.seconds
        )
        for value, r in results[axis].items():
            cost = f"{r['nanoseconds']:10.0f} ns {human(r['operations_per_second']):>8}op/s"
            print(
                f"{axis:9} {value:>6} {human(r['replica_steps_per_second']['median']):>8} replica-steps/s {cost}",
                flush=True,
            )
    if not given.quick:
        save("scaling", {"base": {"hidden": HIDDEN, "batch": BATCH, "replicas": REPLICAS}, "sweeps": results})


if __name__ == "__main__":
    main()
