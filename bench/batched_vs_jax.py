"""The batched NumPy engine beside jax.vmap + lax.scan + jit on the CPU: AdLaLa, interleaved.

`python -m bench.batched_vs_jax [--pairs 10]`
"""

import argparse
from collections.abc import Callable

from gpu_thermo.build import setup
from gpu_thermo.engines import BatchedEngine
from gpu_thermo.spec import RunSpec
from gpu_thermo.state import Segment

from . import jax_peer
from .common import interleave, rate, ratios, save, summary

CASES = {"d20_B25_R1000": (20, 25, 500, 1000, 100), "d100_B20_R1000": (100, 20, 1000, 1000, 40)}


def ours(hidden: int, batch: int, points: int, replicas: int, steps: int) -> Callable[[], object]:
    """A function that advances our R replicas by `steps` steps."""
    spec = RunSpec.from_dict({
        "data": {"name": "spirals", "train": points}, "model": {"hidden": hidden},
        "run": {"replicas": replicas, "batch": batch, "steps": 10**6, "burn_in": 0, "thin": 10**6},
    })  # fmt: skip
    ready = setup(spec)
    engine, state = BatchedEngine(ready.job), ready.initial_state()
    return lambda: engine.advance(state, Segment(state.step, steps))


def main() -> None:
    """Run all cases and write the result file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=10)
    pairs = parser.parse_args().pairs
    result = {}
    for name, (hidden, batch, points, replicas, steps) in CASES.items():
        work = replicas * steps
        contenders = {"batched": rate(work, ours(hidden, batch, points, replicas, steps))}
        for generator in ("threefry2x32", "rbg"):
            contenders[f"jax_{generator}"] = rate(work, jax_peer.make(hidden, batch, points, replicas, steps, generator))
        figures = interleave(contenders, pairs)
        best = max((g for g in figures if g != "batched"), key=lambda g: summary(figures[g])["median"])
        result[name] = {"replica_steps_per_second": {g: summary(f) for g, f in figures.items()}, "faster_jax": best,
                        "ratio_to_faster_jax": ratios(figures["batched"], figures[best])}  # fmt: skip
        print(name, {g: f"{summary(f)['median'] / 1e6:.3f} M/s" for g, f in figures.items()}, result[name]["ratio_to_faster_jax"])
    save("batched_vs_jax", {"unit": "replica-steps/s", "cases": result})


if __name__ == "__main__":
    main()
