"""Numbers out of a study: one row for each kind of run, and how the kinds compare."""

import difflib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..errors import SpecError
from ..targets.likelihoods import SCORES
from .parts import PENDING, labels
from .statistics import PairedDifference, Summary, paired_differences, summarise

_SMALL = ("nll", *(name for name, score in SCORES.items() if score.lower_is_better))
LOWER_IS_BETTER = (*_SMALL, *(f"average_{name}" for name in _SMALL), "loss", "brier", "ece", "steps_to", "seconds")
MOST_COMPARED = 12
"""Kinds of runs beyond which comparing all pairs is no table any more."""


def outcomes(study: xr.Dataset) -> list[str]:
    """Variables with one number for each run, hyperparameters and seeds aside."""
    return [str(name) for name, v in study.data_vars.items() if v.dims == ("chain",) and name != "status"]


def best_outcome(study: xr.Dataset) -> str:
    """What a table is about unless asked for: the last network's score, or its loss."""
    known = outcomes(study)
    return next((name for name in (*SCORES, "loss") if name in known), known[0] if known else "status")


def lower_is_better(outcome: str) -> bool:
    """Whether small values are good."""
    return outcome.startswith(LOWER_IS_BETTER)


def codes(study: xr.Dataset, by: Sequence[str] = ()) -> tuple[np.ndarray, list[str]]:
    """Number of each run's group [chain], and the groups' labels; without `by`, one group for each cell.

    Raises
    ------
    SpecError
        A name in `by` that is neither a varied field, nor a hyperparameter, nor a seed.
    """
    if not by:
        return study["cell"].to_numpy(), labels(study)
    parts = []
    for name in by:
        if name not in study.coords or study[name].dims != ("chain",):
            known = [str(n) for n, c in study.coords.items() if c.dims == ("chain",)]
            near = difflib.get_close_matches(name, known, 1)
            raise SpecError(
                f"There is no '{name}' to group by. {f'Did you mean {near[0]!r}?' if near else f'Known: {known}.'}"
            )
        parts.append(study[name].to_numpy())
    table = np.column_stack([np.asarray(p, np.float64) for p in parts])
    _, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    names = [", ".join(_value(study, name, part[i]) for name, part in zip(by, parts, strict=True)) for i in first]
    return inverse.reshape(-1), names


def _value(study: xr.Dataset, name: str, value: Any) -> str:
    texts = study[name].attrs.get("labels")
    if texts is not None:
        return str(json.loads(texts)[int(value)])
    return f"{name.removeprefix('method.')} {value:g}"


def grouped(study: xr.Dataset, outcome: str, by: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Values of one outcome of all finished runs, by group; a frozen run's are NaN."""
    if outcome not in study.variables or study[outcome].dims != ("chain",):
        near = difflib.get_close_matches(outcome, outcomes(study), 1)
        raise SpecError(
            f"There is no outcome '{outcome}'. {f'Did you mean {near[0]!r}?' if near else f'Known: {outcomes(study)}.'}"
        )
    code, names = codes(study, by)
    done = study["status"].to_numpy() != PENDING
    values = study[outcome].to_numpy().astype(np.float64)
    order = np.argsort(code[done], kind="stable")
    cuts = np.searchsorted(code[done][order], np.arange(len(names) + 1))
    sorted_values = values[done][order]
    return {name: sorted_values[a:b] for name, a, b in zip(names, cuts[:-1], cuts[1:], strict=True)}


def summaries(study: xr.Dataset, outcome: str | None = None, by: Sequence[str] = ()) -> dict[str, Summary]:
    """Summary of an outcome for each group."""
    outcome = outcome or best_outcome(study)
    return {
        name: summarise(values, lower_is_better=lower_is_better(outcome))
        for name, values in grouped(study, outcome, by).items()
    }


def comparisons(
    study: xr.Dataset, outcome: str | None = None, by: Sequence[str] = (), reference: str | None = None
) -> list[PairedDifference]:
    """Groups against each other over the seeds they share; with many groups, each against `reference` (the best by
    default).
    """
    outcome = outcome or best_outcome(study)
    groups = paired(study, outcome, by)
    if len(groups) < 2:
        return []
    if reference is not None and reference not in groups:
        raise SpecError(f"There is no group '{reference}' to compare with. Groups: {', '.join(groups)}.")
    if reference is None and len(groups) <= MOST_COMPARED:
        return paired_differences(groups)
    sign = -1 if lower_is_better(outcome) else 1
    means = {
        name: sign * np.nanmean(values) if np.isfinite(values).any() else -np.inf for name, values in groups.items()
    }
    against = reference or max(means, key=lambda name: means[name])
    return paired_differences(groups, [(against, name) for name in groups if name != against])


def paired(study: xr.Dataset, outcome: str, by: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Mean outcome of each group at each seed index [S], NaN where a group has none: entry i of every group has the
    same seeds.
    """
    grouped(study, outcome)  # for its checks
    code, names = codes(study, by)
    seed = study["seed_index"].to_numpy()
    values = study[outcome].to_numpy().astype(np.float64)
    known = (study["status"].to_numpy() != PENDING) & ~np.isnan(values)
    each = int(seed.max()) + 1
    slot = code[known] * each + seed[known]
    total = np.bincount(slot, weights=values[known], minlength=len(names) * each)
    count = np.bincount(slot, minlength=len(names) * each)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(len(names), each)
    return dict(zip(names, mean, strict=True))
