"""What tuning costs: against runs that are told stepsize, friction and length, and count as early as they may."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gpu_thermo.verify.references import load

from .tuned_runs import Row, moments, sampled, spec_of
from .tuned_truth import known, rms, scored

BURN_INS = (100, 200, 400, 800, 1_600, 3_200)
SEEDS_BY_HAND = range(100, 108)
WORKS = 1.2
"""rms z of means and of variances, over seeds and inputs, up to which a burn-in was long enough."""


def wanted(row: Row) -> float:
    """Steps of draws in which a run's error comes to its tolerance, as its square falls with them."""
    drawn = row["steps"] - row["origin"]
    return float(drawn * min(1.0, (row["error"] / row["tolerance"]) ** 2))


def by_hand(name: str, start: str, rows: Sequence[Row]) -> dict[str, Any]:
    """The shortest burn-in that works with the numbers that the tuned runs `rows` found, their medians: against as many
    draws as those made, and against those alone that the tolerance takes.
    """
    reference = load(name)
    h, gamma = (float(np.median([np.mean(row[key]) for row in rows])) for key in ("stepsize", "friction"))
    block, stride = (int(np.median([row[key] for row in rows])) for key in ("block", "kept"))
    stride = max(1, round(stride / block)) * block
    kept = int(np.median([row["steps"] - row["origin"] for row in rows])) // stride
    needed = math.ceil(np.median([wanted(row) for row in rows]) / stride)
    first = [-(-steps // stride) for steps in BURN_INS]
    steps = (first[-1] + kept) * stride
    method = {"word": "{BAOAB}", "block": block, "stepsize": h, "friction": gamma}
    run = {"steps": steps, "burn_in": 0, "thin": stride, "trace": steps, "minibatch": "full"}
    z: dict[int, list[np.ndarray]] = {at: [] for at in first}
    for seed in SEEDS_BY_HAND:
        tree, _ = sampled(reference, spec_of(reference, start, seed, method, **run))
        for at in first:
            z[at].append(scored(moments(reference, tree, slice(at, at + kept)), *known(name)))
    found = {at * stride: rms(np.stack(values)).tolist() for at, values in z.items()}
    working = [steps for steps, values in found.items() if max(values) <= WORKS]
    tuned = float(np.median([row["steps"] for row in rows]))
    whole, least = (min(working) + draws * stride if working else None for draws in (kept, needed))
    return {
        "reference": name, "start": start, "tolerance": rows[0]["tolerance"], "stepsize": h, "friction": gamma,
        "block": block, "kept": kept * stride, "rms": found, "burn_in": min(working, default=None),
        "by_hand": whole, "tuned": tuned, "cost": None if whole is None else tuned / whole - 1,
        "least": least, "cost_to_tolerance": None if least is None else tuned / least - 1,
    }  # fmt: skip
