"""The tables of `bench.eight`: scores of every set, ranks over sets, and each model beside the linear one."""

from collections.abc import Mapping, Sequence
from statistics import mean, median, stdev
from typing import Any

from .marks import Result, markdown, where

Row = Mapping[str, Any]
LINEAR, BOTH = ("ridge", "logistic"), "linear"
COVERAGE = 0.9


def eight(result: Result) -> str:
    """A table for numbers, one for classes, and what they come to."""
    rows, parts = result["rows"], [where(result)]
    done, failed = [r for r in rows if "failed" not in r], [r for r in rows if "failed" in r]
    for head, score in (
        (("set", "model", "splits", "RMSE", "NLL", "in 90 %", "width", "s", "trusted"), ("coverage", "width")),
        (("set", "model", "splits", "wrong", "NLL", "ECE", "s", "trusted"), ("ece",)),
    ):
        mine = [r for r in done if score[0] in r]
        cells = {(r["set"], r["model"]): of(mine, set=r["set"], model=r["model"]) for r in mine}
        parts.append(markdown(head, [_cell(*key, those, score) for key, those in cells.items()]))
    same = as_one(done)
    head = ("model", "sets", "mean rank by NLL", "worse than the linear one", "coverage off by more than .03",
            "s, median", "trusted")  # fmt: skip
    parts.append(markdown(head, [_model(name, same) for name in dict.fromkeys(r["model"] for r in same)]))
    parts += [f"{r['set']}, split {r['split']}, {r['model']}: no result, {r['failed']}." for r in failed]
    return "\n\n".join(parts)


def as_one(rows: Sequence[Row]) -> list[Row]:
    """Rows in which linear models have one name, whatever they are called."""
    return [{**r, "model": BOTH if r["model"] in LINEAR else r["model"]} for r in rows]


def of(rows: Sequence[Row], **wanted: Any) -> list[Row]:
    """Rows with these entries."""
    return [r for r in rows if all(r.get(name) == value for name, value in wanted.items())]


def spread(values: Sequence[float]) -> float:
    """Standard error of a mean; 0 of one value."""
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _cell(name: str, model: str, those: Sequence[Row], more: tuple[str, ...]) -> tuple[str, ...]:
    nll = [r["nll"] for r in those]
    error = f" +- {spread(nll):.3f}" if len(nll) > 1 else ""
    return (name, model, str(len(those)), f"{mean(r['error'] for r in those):.3f}", f"{mean(nll):.3f}{error}",
            *(f"{mean(r[k] for r in those):.3f}" for k in more), f"{mean(r['seconds'] for r in those):.1f}",
            trusted(those))  # fmt: skip


def trusted(those: Sequence[Row]) -> str:
    """Of how many; "" where nobody says."""
    return f"{sum(r['trusted'] for r in those)} of {len(those)}" if those and "trusted" in those[0] else ""


def ranks(rows: Sequence[Row], name: str) -> list[tuple[str, float]]:
    """(set, rank by NLL, mean over splits) of a model among those that have the split; 1 is the best, ties share.

    A set is left out where the model has none of its splits.
    """
    found: dict[str, list[float]] = {}
    for row in of(rows, model=name):
        beside = [r["nll"] for r in of(rows, set=row["set"], split=row["split"])]
        below, same = sum(v < row["nll"] for v in beside), sum(v == row["nll"] for v in beside)
        found.setdefault(row["set"], []).append(below + (same + 1) / 2)
    return [(one, mean(values)) for one, values in found.items()]


def beside_linear(rows: Sequence[Row], name: str) -> dict[str, tuple[float, float]]:
    """By set: how much more NLL the model has than the linear one on the same splits, and a standard error."""
    gaps: dict[str, list[float]] = {}
    for row in of(rows, model=name):
        for line in of(rows, set=row["set"], split=row["split"], model=BOTH):
            gaps.setdefault(row["set"], []).append(row["nll"] - line["nll"])
    return {one: (mean(values), spread(values)) for one, values in gaps.items()}


def off(rows: Sequence[Row], name: str) -> dict[str, float]:
    """By set of numbers: mean coverage of the 90 % interval."""
    mine = [r for r in of(rows, model=name) if "coverage" in r]
    return {one: mean(r["coverage"] for r in of(mine, set=one)) for one in dict.fromkeys(r["set"] for r in mine)}


def _model(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    """What a model comes to: sets where it is worse than the linear one by more than a standard error, with both."""
    found, mine = ranks(rows, name), of(rows, model=name)
    each = [value for _, value in found]
    worse = [f"{one} by {gap:.3f} +- {e:.3f}" for one, (gap, e) in beside_linear(rows, name).items() if gap > e]
    missed = [f"{one} {value:.3f}" for one, value in off(rows, name).items() if abs(value - COVERAGE) > 0.03]
    rank = f"{mean(each):.1f} +- {spread(each):.1f}"
    return (name, str(len(found)), rank, ", ".join(worse) or "nowhere", ", ".join(missed) or "nowhere",
            f"{median(r['seconds'] for r in mine):.1f}", trusted(mine))  # fmt: skip
