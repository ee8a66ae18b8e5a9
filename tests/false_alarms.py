"""How often a right engine fails: every statistical check of `gpu-thermo verify`, and the statistical tests, over many
seeds.

    python tests/false_alarms.py [--of verify|tests] [--only TEXT] [--seeds 200] [--first 1] [--engine fused] [--table
    FILE.md]

Prints for each check the number of scores, and of those beyond 3, 4, 5 and 6 standard errors, beside what independent
Gaussian scores would give. `--of tests` measures test_transients.py, test_calibration.py, test_order.py,
test_bayes_linear.py, test_reference.py, test_nuts.py. Distances of ranks from uniform, and of slopes from an order, are
scaled to a limit of 6. The scores against NUTS share the reference's own error.
"""

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from gpu_thermo.verify import ensembles, posterior, wells
from gpu_thermo.verify import report as reports
from gpu_thermo.verify.sampling import Place
from gpu_thermo.verify.suite import QUICK, _laws

sys.path += [str(Path(__file__).parent / folder) for folder in ("laws", "helpers")]  # the tests whose scores are taken
LEVELS = (3, 4, 5, 6)
Scores = Iterator[tuple[str, Any]]
WORDS = (*((word, 0.0) for word in ("BAOAB", "OBABO", "OBA", "BACDEDCAB", "sgld")), ("BAOAB", 0.8), ("OBABO", 0.8))
"""Of the transients, with the sd of their force noise."""


def main() -> int:
    """Exit code 1 if any check passed the limit of 6 on any seed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--engine", default="fused")
    parser.add_argument("--of", choices=("verify", "tests"), default="verify")
    parser.add_argument(
        "--only", default="", help="the checks of `verify`, or families of tests, with this in their names"
    )
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    seeds = range(options.first, options.first + options.seeds)
    found = (
        measure(options.engine, seeds, options.only) if options.of == "verify" else measure_tests(seeds, options.only)
    )
    found = {
        name: np.where(np.isnan(z), np.inf, z) for name, z in found.items()
    }  # no number: a replica overflowed, and the check fails
    lines = table(found, options.seeds)
    print("\n".join(lines))
    if options.table:
        options.table.write_text("\n".join(lines) + "\n")
    return int(any((np.abs(z) > reports.LIMIT).any() for z in found.values()))


def measure(engine: str, seeds: range, only: str = "") -> dict[str, np.ndarray]:
    """All scores z of each check over `seeds`, of those checks with `only` in their names."""
    kept: dict[str, list[float]] = defaultdict(list)

    def keep(group: str, name: str, where: str, scores: list[reports.Score]) -> reports.Check:
        kept[f"{group}, {name} ({where})"] += [s.z for s in scores]
        return real(group, name, where, scores)

    real = reports.from_scores
    wells.from_scores = posterior.from_scores = ensembles.from_scores = keep  # type: ignore[assignment]
    for seed in seeds:
        steps = list(_laws(Place(engine, "cpu", None, seed), QUICK, full=False))
        if engine == "fused":  # wells of several stiffnesses, noisy forces and ladders are the batched engine's
            batched = _laws(Place("batched", "cpu", None, seed), QUICK, full=False)
            steps += [(name, step) for name, step in batched if name[0] == "moves" or name[1] == "BAOAB"]
        for name, step in steps:
            if only in " ".join(name):
                step()
        print(f"\rseed {seed} of {seeds[0]} to {seeds[-1]}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: np.array(z) for name, z in kept.items()}


def measure_tests(seeds: range, only: str = "") -> dict[str, np.ndarray]:
    """All scores of the statistical tests over `seeds`, those of the families with `only` in their names."""
    kept: dict[str, list[np.ndarray]] = defaultdict(list)
    for seed in seeds:
        for name, family in FAMILIES.items():
            for check, z in family(seed) if only in name else ():
                kept[check].append(np.atleast_1d(z))
        print(f"\rseed {seed} of {seeds[0]} to {seeds[-1]}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return {name: np.concatenate(z) for name, z in kept.items()}


def _transients(seed: int) -> Scores:
    import test_transients as transients

    for word, noise in WORDS:
        job = transients.job_for(word, noise=noise)
        job = replace(job, seed=np.full(job.replicas, 1000 + seed, np.uint64))
        yield f"autocorrelation, {word}{', noisy forces' if noise else ''}", transients.lagged_scores(word, job, noise)
        if not noise:
            yield f"displaced start, {word}", transients.mean_scores(word, job)


def _calibration(seed: int) -> Scores:
    import test_calibration as calibration

    for case in calibration.CASES:
        distance, z = calibration.departures(calibration.sample(case, seed=seed))
        yield f"calibration, {case}: distance x 6 / {calibration.BAND}", distance * 6 / calibration.BAND
        yield f"calibration, {case}: z of the spread", z
    calibration.pairs.cache_clear()


def _order(seed: int) -> Scores:
    import test_order as orders

    for word, (expected, case) in orders.CASES.items():
        try:
            slope, sd, _ = orders.order(word, case, seed=seed)
        except AssertionError:  # a quartic force overflowed at the larger stepsize
            slope, sd = np.inf, 0.0
        yield f"order, {word}: distance x 6 / limit", (slope - expected) * 6 / (0.15 + 3 * sd)


def _frozen(seed: int) -> Scores:
    import test_bayes_linear as bayes

    draws, f, design, grid = bayes.sample.__wrapped__(1.0, seed=seed)
    mean, cov = bayes.closed_form(design)
    yield "frozen hidden layer, weights", bayes.scores(draws, mean, cov)
    yield "frozen hidden layer, functions", bayes.scores(f, grid @ mean, grid @ cov @ grid.T)


def _linear(seed: int) -> Scores:
    import test_reference as reference

    with TemporaryDirectory() as folder:
        run = reference.linear.__wrapped__(Path(folder), seed=seed)
        yield "linear network", reference.linear_scores(run, reference.quadrature())


def _nuts(seed: int) -> Scores:
    import test_nuts as nuts

    for name in nuts.PACE:
        for quantity, z in nuts.all_scores(name, nuts.run_of(name, seed=seed)).items():
            yield f"{name.replace('_', '-')}, NUTS: {quantity}", z.ravel()


FAMILIES: dict[str, Callable[[int], Scores]] = {
    "transients": _transients, "calibration": _calibration, "order": _order, "frozen": _frozen, "linear": _linear,
    "nuts": _nuts,
}  # fmt: skip
"""Of `--of tests`: a seed to (name of a check, its scores)."""


def table(found: dict[str, np.ndarray], seeds: int) -> list[str]:
    """A Markdown table."""
    beyond = " | ".join(f"> {level}" for level in LEVELS)
    lines = [f"| check ({seeds} seeds) | scores | {beyond} | largest |", "|---|---|" + "---|" * (len(LEVELS) + 1)]
    everything = np.concatenate(list(found.values()))
    for name, z in [*found.items(), ("all", everything)]:
        counts = " | ".join(str(int((np.abs(z) > level).sum())) for level in LEVELS)
        lines.append(f"| {name} | {len(z)} | {counts} | {np.abs(z).max():.1f} |")
    expected = " | ".join(f"{len(everything) * math.erfc(level / math.sqrt(2)):.2g}" for level in LEVELS)
    return [*lines, f"| expected of independent Gaussian scores | {len(everything)} | {expected} | |"]


if __name__ == "__main__":
    sys.exit(main())
