"""LMV fig. 8: two-turn spirals, 20 hidden units, 10,000 steps, 100 runs of each method; published beside obtained.

`python -m bench.lmv_fig8 [--runs 100]`

Every run has its own data realisation and its own initial state, the same for all methods, so that the comparison is
paired. Details the paper leaves out (data realisation, initialisation, xi per layer or per tensor) move single means by
some points; the gap between AdLaLa and the rest is the reproducible fact.
"""

import argparse
import time
from typing import Any

import numpy as np

from gpu_thermo.run import iterate

from .common import save

METHODS: dict[str, tuple[dict[str, Any], float | None]] = {
    "SGD h .1": ({"name": "sgd", "stepsize": 0.1}, 79.0),
    "Adam h .005": ({"name": "adam", "stepsize": 0.005}, 83.7),
    "SGLD h .1 sigma .1": ({"name": "sgld", "stepsize": 0.1, "sigma": 0.1}, 78.0),
    "AdLaLa gamma .5": (
        {"name": "adlala", "stepsize": 0.25, "sigma": 0.01, "temperature": 1e-4, "epsilon": 0.1, "friction": 0.5},
        93.4,
    ),
    "AdLaLa gamma 10": (
        {"name": "adlala", "stepsize": 0.25, "sigma": 0.01, "temperature": 1e-4, "epsilon": 0.1, "friction": 10.0},
        85.5,
    ),
}
BEST = "AdLaLa gamma .5"
"""Whom the others are compared with, in pairs."""


def accuracies(method: dict[str, Any], runs: int, steps: int) -> np.ndarray:
    """Test accuracy [runs] in percent after the last step."""
    spec = {
        "data": {"name": "spirals", "turns": 2, "train": 500, "test": 1000, "seeds": list(range(runs))},
        "model": {"hidden": 20},
        "method": method, "run": {"replicas": runs, "steps": steps, "burn_in": 0, "thin": steps, "trace": steps,
            "batch": 25, "keep": []},
    }  # fmt: skip
    (last,) = iterate(spec)
    return 100 * last.statistics["test_accuracy"]


def row(found: np.ndarray, published: float | None) -> dict[str, Any]:
    """What stands in the result file of a method's accuracies [runs]."""
    sd = found.std(ddof=1)
    return {
        "published": published, "mean": found.mean(), "standard_error": sd / np.sqrt(len(found)), "sd": sd,
        "worst": found.min(), "runs": len(found),
    }  # fmt: skip


def paired(best: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Mean of best - other over runs, and the same in its standard errors."""
    difference = best - other
    return difference.mean(), float(difference.mean() / (difference.std(ddof=1) / np.sqrt(len(other))))


def main() -> None:
    """Run all methods, print the table, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--steps", type=int, default=10_000)
    given = parser.parse_args()
    obtained, rows, gaps = {}, {}, {}
    begin = time.perf_counter()
    print(f"{'method':22} {'published':>9} {'obtained':>15}   min   median   seconds")
    for name, (method, published) in METHODS.items():
        start = time.perf_counter()
        a = obtained[name] = accuracies(method, given.runs, given.steps)
        r = rows[name] = row(a, published)
        figures = f"{published:9.1f} {r['mean']:8.1f} +- {r['standard_error']:3.1f} {a.min():5.1f} {np.median(a):8.1f}"
        print(f"{name:22} {figures} {time.perf_counter() - start:9.1f}")
    best = obtained.pop(BEST)
    for name, a in obtained.items():
        points, gaps[name] = paired(best, a)
        print(f"{BEST} above {name}: {points:.1f} points, {gaps[name]:.1f} paired standard errors")
    result = {"unit": "test accuracy, percent", "steps": given.steps, "methods": rows, "paired_z_of_adlala": gaps}
    save("lmv_fig8", result | {"seconds": time.perf_counter() - begin})


if __name__ == "__main__":
    main()
