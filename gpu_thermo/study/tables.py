"""Numbers out of a study: one row for each kind of run, and how the kinds compare."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from ..errors import SpecError, Status, did_you_mean
from ..targets.likelihoods import SCORES
from .grids import StudySpec
from .parts import PENDING
from .reading import labels, values_of
from .statistics import PairedDifference, Summary, paired_differences, summarise

_SMALL = ("nll", *(name for name, score in SCORES.items() if score.lower_is_better))
LOWER_IS_BETTER = (
    *_SMALL,
    *(f"average_{name}" for name in _SMALL),
    *("loss", "brier", "ece", "crps", "miscalibration", "steps_to", "gradients_to", "seconds", "autocorrelation"),
)
TIMES = "steps_to"
"""What the names of outcomes begin with that say when: a run without one never got there."""
MOST_COMPARED = 12
"""Kinds of runs beyond which comparing all pairs is no table any more."""


def outcomes(study: xr.Dataset) -> list[str]:
    """Variables with one number for each run, hyperparameters and seeds aside."""
    return [str(name) for name, v in study.data_vars.items() if v.dims == ("chain",) and name != "status"]


def best_outcome(study: xr.Dataset) -> str:
    """What a table is about unless asked for: the last network's score, or its loss."""
    known = outcomes(study)
    wanted = (*SCORES, "loss", "gradients_to_tolerance", "ess_per_gradient", "energy")
    return next((name for name in wanted if name in known), known[0] if known else "status")


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
        return values_of(study, "cell"), labels(study)
    parts = []
    for name in by:
        if name not in study.coords or study[name].dims != ("chain",):
            known = [str(n) for n, c in study.coords.items() if c.dims == ("chain",)]
            raise SpecError(f"There is no '{name}' to group by. {did_you_mean(name, known)}")
        parts.append(values_of(study, name))
    table = np.column_stack([_ranks(p) for p in parts])
    _, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    names = [", ".join(_value(study, name, part[i]) for name, part in zip(by, parts, strict=True)) for i in first]
    return inverse.reshape(-1), names


def _ranks(values: np.ndarray) -> np.ndarray:
    """[chain] by which groups are ordered: numbers by their size, texts as they come."""
    if values.dtype.kind not in "TUO":
        return np.asarray(values, np.float64)
    _, first, inverse = np.unique(values, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.float64)


def _value(study: xr.Dataset, name: str, value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{name.removeprefix('method.')} {value:g}"


def grouped(study: xr.Dataset, outcome: str, by: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Values of one outcome of all finished runs, by group; a frozen run's are NaN."""
    if outcome not in study.variables or study[outcome].dims != ("chain",):
        raise SpecError(f"There is no outcome '{outcome}'. {did_you_mean(outcome, outcomes(study))}")
    code, names = codes(study, by)
    done = values_of(study, "status") != PENDING
    values = values_of(study, outcome).astype(np.float64)
    order = np.argsort(code[done], kind="stable")
    cuts = np.searchsorted(code[done][order], np.arange(len(names) + 1))
    sorted_values = values[done][order]
    return {name: sorted_values[a:b] for name, a, b in zip(names, cuts[:-1], cuts[1:], strict=True)}


def summaries(study: xr.Dataset, outcome: str | None = None, by: Sequence[str] = ()) -> dict[str, Summary]:
    """Summary of an outcome for each group; a run without a value is beyond the bad end (see Summary)."""
    outcome = outcome or best_outcome(study)
    groups, lower = grouped(study, outcome, by), lower_is_better(outcome)
    if not outcome.startswith(TIMES):
        return {name: summarise(values, lower_is_better=lower) for name, values in groups.items()}
    ends = _grouped_ends(study, by)
    return {
        name: summarise(_until(values, ends[name]), lower_is_better=True, end=ends[name])
        for name, values in groups.items()
    }


def _until(values: np.ndarray, end: float) -> np.ndarray:
    """Times, NaN beyond `end` where some run was watched no longer and never got there."""
    return np.where(values > end, np.nan, values) if np.isnan(values).any() else values


def ends(study: xr.Dataset) -> np.ndarray:
    """The last recorded step of each cell [cell]: until when its runs were watched."""
    if '"tolerance"' in study.attrs["study"] or '"run.tolerance"' in study.attrs["study"]:
        specs = [cell.spec.run for cell in StudySpec.from_json(study.attrs["study"]).cells()]
        return np.array([run.max_steps or run.steps for run in specs], np.float64)
    last = float(values_of(study, "step")[-1])
    if '"run.steps"' not in study.attrs["study"] and '"run.trace"' not in study.attrs["study"]:
        return np.full(len(labels(study)), last)
    cells = StudySpec.from_json(study.attrs["study"]).cells()
    return np.array([c.spec.run.steps // c.spec.run.trace * c.spec.run.trace for c in cells], np.float64)


def _grouped_ends(study: xr.Dataset, by: Sequence[str]) -> dict[str, float]:
    """Until when all runs of each group were watched."""
    code, names = codes(study, by)
    watched = ends(study)[values_of(study, "cell")]
    shortest = np.full(len(names), np.inf)
    np.minimum.at(shortest, code, watched)
    return dict(zip(names, map(float, shortest), strict=True))


def comparisons(
    study: xr.Dataset, outcome: str | None = None, by: Sequence[str] = (), reference: str | None = None
) -> list[PairedDifference]:
    """Groups against each other over the seeds they share; with many groups, each against `reference` (the best by
    default).
    """
    outcome = outcome or best_outcome(study)
    groups = paired(study, outcome, by)
    end = float(ends(study).min()) if outcome.startswith(TIMES) else None
    if len(groups) < 2:
        return []
    if reference is not None and reference not in groups:
        raise SpecError(f"There is no group '{reference}' to compare with. Groups: {', '.join(groups)}.")
    if reference is None and len(groups) <= MOST_COMPARED:
        return paired_differences(groups, end=end)
    against = reference or best_group(groups, lower_is_better(outcome))
    return paired_differences(groups, [(against, name) for name in groups if name != against], end=end)


def best_group(groups: Mapping[str, np.ndarray], lower: bool) -> str:
    """The group with the best mean, or where runs of any are missing the best median, in which a missing one is beyond
    the bad end. NaN is nothing attempted.
    """
    sign = -1 if lower else 1
    attempted = {name: sign * values[~np.isnan(values)] for name, values in groups.items()}
    lost = any(np.isinf(v).any() for v in attempted.values())
    middle = np.median if lost else np.mean

    def rank(name: str) -> tuple[float, float]:
        """By the middle, then by how few are missing."""
        v = attempted[name]
        if not len(v):
            return -np.inf, -np.inf
        with np.errstate(invalid="ignore"):
            return float(middle(v)), float(np.isfinite(v).mean())  # as few missing as can be, of equals

    return max(attempted, key=rank)


def paired(study: xr.Dataset, outcome: str, by: Sequence[str] = ()) -> dict[str, np.ndarray]:
    """Outcome of each group at each seed index [S]: entry i of every group has the same seeds.

    Of several runs at a seed the mean; where one of them has no value, the median, in which it is infinite, on the
    side of the bad. NaN where none was done.
    """
    grouped(study, outcome)  # for its checks
    code, names = codes(study, by)
    seed = values_of(study, "seed_index")
    values = values_of(study, outcome).astype(np.float64)
    if outcome.startswith(TIMES):
        values = _until(values, float(ends(study).min()))
    done = values_of(study, "status") != PENDING
    bad = np.inf if lower_is_better(outcome) else -np.inf
    values = np.where(np.isfinite(values), values, bad)[done]
    each = int(seed.max()) + 1
    slot = (code * each + seed)[done]
    total = np.bincount(slot, weights=values, minlength=len(names) * each)
    count = np.bincount(slot, minlength=len(names) * each)
    with np.errstate(invalid="ignore"):
        mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    if (lost := np.isin(slot, slot[np.isinf(values)])).any():
        order = np.lexsort((values[lost], slot[lost]))
        place, first, n = np.unique(slot[lost][order], return_index=True, return_counts=True)
        ranked = values[lost][order]
        mean[place] = (ranked[first + (n - 1) // 2] + ranked[first + n // 2]) / 2
    return dict(zip(names, mean.reshape(len(names), each), strict=True))


def failures(study: xr.Dataset, by: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Runs that are done and were frozen or ended without a finite loss: one entry for each group and cause."""
    status = values_of(study, "status").copy()
    if "loss" in study:
        status = np.where((status == 0) & ~np.isfinite(values_of(study, "loss")), Status.NONFINITE_LOSS, status)
    code, names = codes(study, by)
    attempted = np.bincount(code[status != PENDING], minlength=len(names))
    found, runs = np.unique(np.stack([code, status])[:, status > 0], axis=1, return_counts=True)
    return [
        {
            "group": names[group], "runs": int(n), "attempted": int(attempted[group]),
            "cause": Status(cause).name.lower(), "remedy": Status(cause).remedy,
        }
        for (group, cause), n in zip(found.T.tolist(), runs, strict=True)
    ]  # fmt: skip
