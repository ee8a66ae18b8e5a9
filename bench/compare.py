"""Our engines and all peers on AdLaLa, and on BAOAB with four hidden layers (`bench.deep`), interleaved in one run.

`python -m bench.compare [--case d20_B25 ...] [--replicas 100 1000 10000] [--pairs 10] [--quick]`

Every round runs each contender once, with as many steps as take about --seconds, and measures the machine's
multiply-add peak beside them.
Away from R = 1000 a third of the rounds is made, and each is half as long.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gpu_thermo.cost import count, total
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.running.speed import multiply_adds

from . import contenders, deep, memory
from .cases import CASES, Case, spirals
from .common import RESULTS, adapted, human, interleave, ratios, save, summary

PEAK = "peak"
ALL: dict[str, Case | deep.Deep] = {**CASES, **deep.CASES}
JAX = ("jax_threefry", "jax_rbg")
MAIN_REPLICAS = 1000
QUICK = (spirals(8, 10), deep.Deep("2x4_B10", (4, 4), 10))


def makers(case: Case | deep.Deep, replicas: int) -> dict[str, Callable[[], Any]]:
    """What makes each contender that this machine can run, ours first."""
    if isinstance(case, deep.Deep):
        return case.contenders(replicas)
    return {name: partial(contenders.make, name, case, replicas) for name in contenders.names()}


def prepared(
    case: Case | deep.Deep, replicas: int, only: list[str] | None, seconds: float
) -> tuple[dict[str, Callable[[], float]], dict[str, str]]:
    """A timed function for each contender that works, and why the others do not; the peak where there is a compiler."""
    figures: dict[str, Callable[[], float]] = {}
    failed = {}
    for name, make in makers(case, replicas).items():
        if only and name not in only:
            continue
        try:
            peer = make()
            figures[name] = adapted(peer.advance, peer.replicas, seconds)
        except Exception as error:  # a peer that breaks must not stop the others
            failed[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            print(f"{case.name} R {replicas}: {name} failed: {failed[name]}", file=sys.stderr)
    if find_compiler() is not None:
        figures[PEAK] = lambda: multiply_adds(0.1)
    return figures, failed


def measure(
    case: Case | deep.Deep, replicas: int, pairs: int, only: list[str] | None, seconds: float
) -> dict[str, Any]:
    """One configuration: figures, ratios of the fused engine to each other contender, fractions of the peak."""
    ready, failed = prepared(case, replicas, only, seconds)
    return evaluate(case, interleave(ready, pairs), failed)


def evaluate(case: Case | deep.Deep, figures: Mapping[str, list[float]], failed: Mapping[str, str]) -> dict[str, Any]:
    """What one configuration's figures say."""
    first = "fused" if "fused" in figures else "batched"
    rates = {name: f for name, f in figures.items() if name != PEAK}
    parts = count(case.job())
    operations = total(parts).operations
    out: dict[str, Any] = {
        "replica_steps_per_second": {name: summary(f) for name, f in rates.items()},
        "ratios_of": first,
        "ratios": {name: ratios(rates[first], f) for name, f in rates.items() if name != first},
        "operations": {part: c.operations for part, c in parts.items()},
        "failed": dict(failed),
    }
    if PEAK in figures:
        out["peak"] = summary(figures[PEAK])
        ours = {name: [operations * a / b for a, b in zip(f, figures[PEAK], strict=True)] for name, f in rates.items()}
        out["fraction_of_peak"] = {name: summary(f) for name, f in ours.items()}
        out["limit"] = out["peak"]["median"] / 2 / total(parts).instructions
    present = [name for name in JAX if name in rates]
    if present:
        out["faster_jax"] = max(present, key=lambda name: summary(rates[name])["median"])
    return out


def show(title: str, result: Mapping[str, Any]) -> None:
    """One configuration's table."""
    print(
        f"\n{title}: peak {human(result.get('peak', {}).get('median', 0))}op/s,"
        f" {sum(result['operations'].values()):,.0f} op a replica-step"
    )
    print(
        f"{'contender':16} {'replica-steps/s':>16} {'range':>21} {result['ratios_of'] + ' is faster by':>22}"
        f" {'range':>15} {'of peak':>8}"
    )
    for name, s in result["replica_steps_per_second"].items():
        r = result["ratios"].get(name)
        peak = result.get("fraction_of_peak", {}).get(name)
        span = f"{human(s['lowest'])} to {human(s['highest'])}"
        ratio = f"{r['median']:22.1f} {r['lowest']:7.1f}-{r['highest']:.1f}" if r else f"{'':22} {'':>15}"
        share = f"{100 * peak['median']:.1f} %" if peak else ""
        print(f"{name:16} {human(s['median']):>16} {span:>21} {ratio:38} {share:>8}", flush=True)


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", default=list(ALL), choices=list(ALL))
    parser.add_argument("--replicas", type=int, nargs="+", default=[1000, 100, 10_000])
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=0.7, help="length of one timing")
    parser.add_argument("--only", nargs="+", help="contenders; all that are installed by default")
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a small network, two rounds, short timings: does it run?")
    parser.add_argument("--out", type=Path, default=RESULTS)
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Run all configurations, print their tables, write the result file after each."""
    args = arguments(given)
    cases = [ALL[name] for name in args.case]
    if args.quick:
        cases, args.replicas, args.pairs, args.seconds, args.no_memory = [*QUICK], [32], 2, 0.05, True
    results: dict[str, Any] = {}
    held: dict[str, Any] = {}
    if not args.no_memory and isinstance(cases[0], Case):
        held = {cases[0].name: memory.measure(cases[0].name, 2000, 12_000)}
    for case in cases:
        for replicas in args.replicas:
            pairs = args.pairs if replicas == MAIN_REPLICAS else max(2, args.pairs // 3)
            seconds = args.seconds if replicas == MAIN_REPLICAS else args.seconds / 2
            result = measure(case, replicas, pairs, args.only, seconds)
            results.setdefault(case.name, {})[str(replicas)] = result
            show(f"{case.name}, R {replicas}", result)
            save("compare", {"unit": "replica-steps/s", "cases": results, "memory": held}, args.out)


if __name__ == "__main__":
    main()
