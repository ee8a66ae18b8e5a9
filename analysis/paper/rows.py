"""Published beside obtained: rows of numbers, and claims made in words, each checked on a study."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.study.statistics import paired_differences, summarise
from gpu_thermo.study.tables import grouped, paired

CLOSE = 0.03
"""Accuracies this close agree."""


@dataclass(frozen=True)
class Row:
    """One number: what was published (None where only a picture was), and the mean over runs with its standard error
    and spread.
    """

    what: str
    published: float | None
    obtained: float
    error: float
    sd: float
    runs: int
    remark: str = ""

    @property
    def verdict(self) -> str:
        """In words: whether the published value, often of one run, lies within the spread of ours; or the row's own
        remark.
        """
        if self.published is None or self.remark:
            return self.remark
        gap = self.obtained - self.published
        if abs(gap) <= max(CLOSE * max(1.0, abs(self.published)), 2 * self.error if np.isfinite(self.error) else 0.0):
            return "agrees"
        side = "higher" if gap > 0 else "lower"
        return f"{side}, within the spread" if abs(gap) <= 2 * self.sd else f"{side} by {abs(gap):.2g}"


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, the evidence here, and whether it holds; `holds` is None where the runs do not
    decide.
    """

    text: str
    evidence: str
    holds: bool | None


def sentence(rows: Sequence[Row], claims: Sequence[Claim], full: bool) -> str:
    """One plain paragraph on agreement."""
    parts = []
    said = [r for r in rows if r.published is not None and not r.remark]
    if said and full:
        good = sum(r.verdict == "agrees" or "within" in r.verdict for r in said)
        parts.append(f"{good} of {len(said)} published numbers agree with ours or lie within the spread of our runs.")
    for holds, lead in ((True, "Holds here"), (False, "Does not hold here"), (None, "Left open by these runs")):
        found = [f"{c.text} ({c.evidence})" for c in claims if c.holds is holds]
        if found:
            parts.append(f"{lead}: {'; '.join(found)}.")
    if not full:
        parts.append("Made at reduced size: not comparable with the published numbers.")
    return " ".join(parts)


def _row(what: str, published: float | None, values: np.ndarray) -> Row:
    s = summarise(values)
    return Row(what, published, s.mean, s.error, s.sd, s.count)


def final(study: xr.Dataset, published: Mapping[str, float], outcome: str = "accuracy") -> list[Row]:
    """Outcome of every group at the end."""
    return [_row(label, published.get(label), values) for label, values in grouped(study, outcome).items()]


def spread(study: xr.Dataset, outcome: str, by: Sequence[str] = ()) -> list[Row]:
    """Outcome of every group, nothing published in numbers."""
    return [_row(label, None, values) for label, values in grouped(study, outcome, by).items()]


def at_step(study: xr.Dataset, name: str, steps: Sequence[int], published: Mapping[str, Sequence[float]]) -> list[Row]:
    """Points of learning curves, where they were recorded."""
    cells, known = json.loads(study.attrs["cells"]), study["step"].to_numpy()
    out = []
    for i, label in enumerate(cells):
        rows = np.flatnonzero((study["cell"].to_numpy() == i) & (study["status"].to_numpy() >= 0))
        for k, step in enumerate(steps):
            if step in known:
                values = study[f"curve_{name}"][rows, int(np.searchsorted(known, step))].to_numpy()
                out.append(_row(f"{label}, step {step:,}", published[label][k] if label in published else None, values))
    return out


def first_step(study: xr.Dataset, level: float, published: Mapping[str, float], slow: str, fast: str) -> list[Row]:
    """Steps to an accuracy, runs that never get there counted as the whole run, and the ratio of two groups'
    medians.
    """
    name = f"steps_to_{100 * level:g}"
    groups, there = _times(study, name), {label: int(np.isfinite(v).sum()) for label, v in paired(study, name).items()}
    out = []
    for label, values in groups.items():
        row = _row(f"{label}: steps to {level:.0%}", None, values)
        out.append(
            replace(
                row, remark="" if there[label] == len(values) else f"{there[label]} of {len(values)} runs get there"
            )
        )
    ratio = float(np.median(groups[slow]) / np.median(groups[fast]))
    bound = "a lower bound: half the runs never get there" if 2 * there[slow] <= len(groups[slow]) else ""
    return [
        *out,
        Row(f"{slow} / {fast}", published.get(f"{slow} / {fast}"), ratio, np.nan, np.nan, len(groups[slow]), bound),
    ]


def _times(study: xr.Dataset, name: str) -> dict[str, np.ndarray]:
    end = float(study["step"].to_numpy()[-1])
    return {label: np.where(np.isnan(values), end, values) for label, values in paired(study, name).items()}


def claim(
    study: xr.Dataset, text: str, first: str, relation: str, second: str, outcome: str = "accuracy", kind: str = "mean",
    by: Sequence[str] = (),
) -> Claim:  # fmt: skip
    """Whether the first group's mean (or sd) is above (">") or below ("<") the second's; open where the runs leave it
    open.
    """
    groups: dict[str, Any] = _times(study, outcome) if outcome.startswith("steps_to") else paired(study, outcome, by)
    sign = 1 if relation == ">" else -1
    a, b = groups[first], groups[second]
    if kind == "sd":
        s, t = summarise(a), summarise(b)
        clear = s.sd_low > t.sd_high or s.sd_high < t.sd_low
        return Claim(text, f"sd {s.sd:.3g} against {t.sd:.3g}", bool(sign * (s.sd - t.sd) > 0) if clear else None)
    (c,) = paired_differences({first: a, second: b})
    evidence = f"{np.nanmean(a):.3g} against {np.nanmean(b):.3g}, p {c.p:.1g}"
    return Claim(text, evidence, bool(sign * c.difference > 0) if c.clear else None)


def best(study: xr.Dataset, label: str, outcome: str = "accuracy") -> Claim:
    """Whether a group has the highest mean of all."""
    means = {
        name: float(np.nanmean(values)) for name, values in paired(study, outcome).items() if np.isfinite(values).any()
    }
    top = max(means, key=lambda name: means[name])
    rest = max((v for name, v in means.items() if name != label), default=np.nan)
    return Claim(
        f"{label} has the highest mean {outcome}", f"{means[label]:.3g}, the best other {rest:.3g}", top == label
    )


def rises(study: xr.Dataset, label: str, name: str, expected: bool = True) -> Claim:
    """Whether a learning curve ends above its lowest point by a tenth, as `expected` or not; the mean over runs of a
    cell.
    """
    cell = json.loads(study.attrs["cells"]).index(label)
    curve = np.nanmean(study[f"curve_{name}"].to_numpy()[study["cell"].to_numpy() == cell].astype(np.float64), axis=0)
    curve, steps = curve[~np.isnan(curve)], study["step"].to_numpy()[~np.isnan(curve)]
    end, low = float(curve[-1]), int(curve.argmin())
    evidence = f"{curve[low]:.3g} at step {int(steps[low]):,}, {end:.3g} at the end"
    text = f"{label}'s {name} {'rises' if expected else 'does not rise'} again"
    return Claim(text, evidence, bool(end > 1.1 * curve[low]) is expected)
