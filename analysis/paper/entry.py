"""What a published figure is here: a study, a drawing, and a table of published beside obtained."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import xarray as xr

from gpu_thermo_analysis.paper.rows import Claim, Row
from gpu_thermo_analysis.study_figures import Drawn

Tree = dict[str, Any]


@dataclass(frozen=True)
class Entry:
    """One published figure.

    Attributes
    ----------
    study : of published size. draw : the picture. rows : numbers beside the published ones. claims : what the paper
    says in words, and
        whether it is so here. ours : settings that are not in the paper. beside : what the numbers stand beside, a
        table's column.
    """

    id: str
    title: str
    study: Tree
    draw: Callable[[xr.Dataset], Drawn]
    rows: Callable[[xr.Dataset], list[Row]]
    claims: Callable[[xr.Dataset], list[Claim]]
    ours: str
    beside: str = "published"


MIN_STEPS = 1000
"""Fewest steps of a study at reduced size."""


def scaled(study: Tree, scale: float) -> Tree:
    """A smaller study: `scale` times the seeds (4 at least) and steps (MIN_STEPS at least, ending on the same grid of
    recorded points).
    """
    if scale >= 1:
        return study
    run, seeds = dict(study["run"]), dict(study["seeds"])
    trace = min(run["trace"], MIN_STEPS)
    run |= {"trace": trace, "steps": max(trace, int(max(MIN_STEPS, run["steps"] * scale)) // trace * trace)}
    if run.get("burn_in"):
        run["burn_in"] = run["steps"] - (study["run"]["steps"] - study["run"]["burn_in"])
    seeds["count"] = max(4, round(seeds["count"] * scale))
    return {**study, "run": run, "seeds": seeds}


def method(label: str, name: str, stepsize: float, **rest: Any) -> Tree:
    """One entry of a grid over methods."""
    return {"label": label, "name": name, "stepsize": stepsize, **rest}


def spirals(turns: float, train: int = 1000, test: int = 1000, **rest: Any) -> Tree:
    """[data]"""
    return {"name": "spirals", "turns": turns, "train": train, "test": test, **rest}


def study(data: Tree, hidden: int, batch: int, steps: int, trace: int, seeds: int, grid: Tree, **rest: Any) -> Tree:
    """A study of LMV's kind."""
    run = {"steps": steps, "batch": batch, "trace": trace}
    return {"data": data, "model": {"hidden": hidden}, "run": run, "grid": grid, "seeds": {"count": seeds}, **rest}
