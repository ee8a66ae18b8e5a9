"""Small runs on tables, as `gpu-thermo fit` makes them."""

from pathlib import Path

import numpy as np

import gpu_thermo as gt
from gpu_thermo.estimators.table import Wanted, plan_table
from gpu_thermo_cli.fitted import remarks

SMALL = {"hidden": (4,), "replicas": 32, "tolerance": 0.2, "max_gradients": 3_000}
ROWS = 120


def write_table(path: Path, classes: bool = False, positive: bool = False) -> Path:
    """y depends on a, and on colour; not on b. Some of b are missing; `<i>` is a name that wants care in HTML."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, ROWS))
    colour = rng.choice(["red", "<i>blue"], ROWS)
    y = 2 * a + (colour == "red") + 0.3 * rng.normal(size=ROWS)
    answers = np.where(y > 0.5, "yes", "no") if classes else np.exp(y) if positive else y
    lines = [f"{p:.5f},{q:.5f},{c},{v}" for p, q, c, v in zip(a, b, colour, answers, strict=True)]
    lines[3] = lines[3].replace(f"{b[3]:.5f}", "")
    path.write_text("a,b,colour,y\n" + "\n".join(lines) + "\n")
    return path


def fitted(folder: Path, classes: bool = False, positive: bool = False) -> Path:
    """The store of a small run."""
    plan = plan_table(write_table(folder / "t.csv", classes, positive), "y", wanted=Wanted(log=positive), **SMALL)
    gt.sample(plan.spec, folder / "run.zarr", remarks=remarks(True)).close()
    return folder / "run.zarr"
