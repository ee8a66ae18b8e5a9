"""What the draws of the window that ended burn-in are worth, which its own tests have passed: z of them against NUTS,
beside those of all kept draws of the same runs, whose first they are where no window failed.
"""

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import numpy as np

import gpu_thermo as gt
from gpu_thermo.tuning.course import SAMPLING
from gpu_thermo.tuning.statistics import mean_error, total_variance, variance_error
from gpu_thermo.tuning.tuner import Tuner
from gpu_thermo.tuning.windows import Window
from gpu_thermo.verify.references import load

from .tuned_runs import REPLICAS, STARTS

NAME, SEEDS, TOLERANCE = "2_5_1", range(10), 0.05
PARTS = {"first half": slice(0, 2), "second half": slice(2, 4), "all of it": slice(0, 4)}
Means = tuple[np.ndarray, np.ndarray]


def run(start: str, seed: int) -> tuple[dict[str, Means], np.ndarray]:
    """Mean and mean square [R, probes] over the quarters of the window that ended burn-in, and over the kept draws; the
    places of the probes among the reference's inputs.
    """
    reference, seen = load(NAME), dict[str, Means]()
    judge = Tuner.after_burn_in

    def told(self: Tuner, course: Any, step: int, window: Window, *rest: Any) -> Any:
        found = judge(self, course, step, window, *rest)
        if found[0].phase == SAMPLING and found[0].burned:
            for name, part in PARTS.items():
                draws, mine = window.count[part].sum(), slice(self.replicas)
                sums = (a[part, mine, : self.outputs].sum(axis=0) / draws for a in (window.total, window.square))
                seen[name] = next(sums), next(sums)
        return found

    data = reference.x, reference.y.ravel().astype(int), reference.inputs, np.zeros(len(reference.inputs), int)
    spec = {
        "data": {"name": "arrays", "task": "binary", "standardise": False}, "model": reference.model | {"init": start},
        "method": {"name": "langevin", "posterior_temperature": 1.0},
        "run": {"replicas": REPLICAS, "tolerance": TOLERANCE, "seed": seed},
    }  # fmt: skip
    with patch.object(Tuner, "after_burn_in", told):
        tree = gt.sample(spec, data=data, threads=1)
    values = tree["probes"]["predictions"].to_numpy()[..., 0].astype(np.float64)
    seen["kept draws"] = values.mean(axis=1), (values**2).mean(axis=1)
    at = tree["constant_data"]["x_probe"].to_numpy()[0]
    return seen, np.array([int(np.argmin(((reference.inputs - x) ** 2).sum(axis=1))) for x in at])


def rows() -> Iterator[dict[str, Any]]:
    """rms z of means and of variances over runs and probes, and the median of the largest error, by part."""
    law, z, errors = load(NAME).laws["p"], dict[str, list[np.ndarray]](), dict[str, list[float]]()
    for start in STARTS:
        for seed in SEEDS:
            seen, at = run(start, seed)
            for name, (mean, square) in seen.items():
                error = np.hypot(mean_error(mean), law.mean_error[at])
                spread = np.hypot(variance_error(mean, square), law.variance_error[at])
                off = total_variance(mean, square) - law.variance[at]
                z.setdefault(name, []).append(np.stack([(mean.mean(axis=0) - law.mean[at]) / error, off / spread]))
                worst = (mean_error(mean) / np.sqrt(total_variance(mean, square))).max()
                errors.setdefault(name, []).append(float(worst))
    for name, found in z.items():
        rms = np.sqrt(np.square(found).mean(axis=(0, 2)))
        yield {"draws": name, "runs": len(found), "rms": rms.tolist(), "error": float(np.median(errors[name]))}
