"""Is a healthy replica ever taken for a lost one: how near energies of right runs come to the limit."""

import json
from typing import Any

import numpy as np

from gpu_thermo.tuning.lost import FAR, HEATS
from gpu_thermo.verify.references import load

from .tuned_runs import REFERENCES, STARTS, sampled, spec_of, told

SEEDS = range(5)
TOLERANCE = 0.05


def row(name: str) -> dict[str, Any]:
    """Replicas that were replaced or called lost over all windows of a reference's runs, and the largest excess of an
    energy over the median of all kept draws, in spreads and in P tau / 2, beside the limits.
    """
    reference, replaced, lost, windows, spreads, heats = load(name), 0, 0, 0, 0.0, 0.0
    for start in STARTS:
        for seed in SEEDS:
            tree, _ = sampled(reference, spec_of(reference, start, seed, {}, tolerance=TOLERANCE))
            course, verdict = told(tree)
            energy = tree["sample_stats"]["energy"].to_numpy()
            low, median = np.quantile(energy, (0.25, 0.5))
            rules = _rules(tree)
            heat = sum(p * t for p, t in zip(rules["parameters"], rules["temperature"], strict=True)) / 2
            spreads = max(spreads, float((energy.max() - median) / (2 * (median - low))))
            heats = max(heats, float((energy.max() - median) / heat))
            replaced += sum(len(line.get("replaced", ())) for line in course["log"])
            windows, lost = windows + len(course["log"]), lost + verdict["lost"]
    return {
        "reference": name, "runs": len(STARTS) * len(SEEDS), "windows": windows, "replaced": replaced, "lost": lost,
        "spreads": spreads, "of": FAR, "heats": heats, "of_heats": HEATS,
    }  # fmt: skip


def _rules(tree: Any) -> dict[str, Any]:
    rules: dict[str, Any] = json.loads(tree["tuning"].attrs["rules"])
    return rules


def rows() -> list[dict[str, Any]]:
    """Of every reference."""
    return [row(name) for name in REFERENCES]
