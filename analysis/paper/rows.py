"""Published beside obtained: rows of numbers, and claims made in words, each checked on a study."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from gpu_thermo.study.statistics import PairedDifference, paired_differences, summarise
from gpu_thermo.study.tables import TIMES, best_group, ends, grouped, lower_is_better, paired

CLOSE = 0.03
"""Accuracies this close agree."""


@dataclass(frozen=True)
class Row:
    """One number: what was published (None where only a picture was), and the mean over runs with its standard error
    and spread.

    Attributes
    ----------
    runs : that have a value, of `attempted` (the same unless given). bound : ">" or "<" where only a bound is known.
    """

    what: str
    published: float | None
    obtained: float
    error: float
    sd: float
    runs: int
    remark: str = ""
    attempted: int = 0
    bound: str = ""

    @property
    def counted(self) -> str:
        """How many runs the number is of: 16, or 14 of 16."""
        return f"{self.runs} of {self.attempted}" if self.attempted > self.runs else str(self.runs)

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
    return Row(what, published, s.mean, s.error, s.sd, s.count, attempted=s.attempted)


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
    """Median steps to an accuracy, a run that never gets there being later than the last step, and the ratio of two
    groups' medians.
    """
    name, end = f"{TIMES}_{100 * level:g}", float(ends(study).min())
    groups = {label: values[~np.isnan(values)] for label, values in paired(study, name).items()}
    out = []
    for label, values in groups.items():
        s = summarise(values, lower_is_better=True, end=end)
        late = np.isinf(s.median)
        remark = f"{s.count} of {s.attempted} runs get there" if s.missing else ""
        what, value = f"{label}: median steps to {level:.0%}", end if late else s.median
        error = (s.median_high - s.median_low) / 4 if np.isfinite(s.median_high) else np.nan
        bound = ">" if late else ""
        out.append(Row(what, None, value, np.nan if late else error, s.sd, s.count, remark, s.attempted, bound))
    return [*out, _ratio(groups[slow], groups[fast], end, f"{slow} / {fast}", published)]


def _ratio(slow: np.ndarray, fast: np.ndarray, end: float, what: str, published: Mapping[str, float]) -> Row:
    """Ratio of two medians with the spread of bootstrap samples; a bound where half the runs of one never get there."""
    a, b = (summarise(v, lower_is_better=True, end=end).median for v in (slow, fast))
    runs, attempted = int(np.isfinite(slow).sum()), len(slow)
    remark, bound, ratio, error = "", "", np.nan, np.nan
    if np.isinf(a) and np.isinf(b):
        remark = "not known: half the runs of neither get there"
    elif np.isinf(a):
        remark, bound, ratio = "a lower bound: half the runs never get there", ">", end / b
    elif np.isinf(b):
        remark, bound, ratio = "an upper bound: half the runs of the other never get there", "<", a / end
    else:
        ratio, error = float(a / b), _bootstrapped_ratio(slow, fast)
    return Row(what, published.get(what), float(ratio), error, np.nan, runs, remark, attempted, bound)


def _bootstrapped_ratio(slow: np.ndarray, fast: np.ndarray) -> float:
    """Standard error of the ratio of medians; NaN where resampled medians are beyond the end."""
    random = np.random.default_rng(0)
    picked = [v[random.integers(0, len(v), (2000, len(v)))] for v in (slow, fast)]
    with np.errstate(invalid="ignore"):
        ratios = np.divide(*(np.quantile(v, 0.5, axis=1, method="inverted_cdf") for v in picked))
    return float(ratios.std()) if np.isfinite(ratios).all() else float("nan")


def claim(
    study: xr.Dataset, text: str, first: str, relation: str, second: str, outcome: str = "accuracy", kind: str = "mean",
    by: Sequence[str] = (),
) -> Claim:  # fmt: skip
    """Whether the first group's mean (or sd) is above (">") or below ("<") the second's; open where the runs leave it
    open. Runs without a value are beyond the bad end, and then means are not compared but pairs.
    """
    groups = paired(study, outcome, by)
    sign = 1 if relation == ">" else -1
    a, b = groups[first], groups[second]
    if kind == "sd":
        s, t = summarise(a[~np.isnan(a)]), summarise(b[~np.isnan(b)])
        clear = (s.sd_low > t.sd_high or s.sd_high < t.sd_low) and not (s.missing or t.missing)
        lost = f", of {s.count} of {s.attempted} and {t.count} of {t.attempted} runs" if s.missing or t.missing else ""
        return Claim(text, f"sd {s.sd:.3g} against {t.sd:.3g}{lost}", bool(sign * (s.sd - t.sd) > 0) if clear else None)
    (c,) = paired_differences({first: a, second: b}, end=float(ends(study).min()) if outcome[:8] == TIMES else None)
    above = c.wins - 0.5 if c.test == "sign" else c.difference
    return Claim(text, _evidence(study, outcome, a, b, c), bool(sign * above > 0) if c.clear else None)


def _evidence(study: xr.Dataset, outcome: str, a: np.ndarray, b: np.ndarray, c: PairedDifference) -> str:
    """Means, or where runs are missing medians, finished of attempted, and in how many pairs the first is larger."""
    if c.test == "t":
        return f"{np.nanmean(a):.3g} against {np.nanmean(b):.3g}, p {c.p:.1g}"
    end = float(ends(study).min()) if outcome.startswith(TIMES) else None
    parts = []
    for values in (a, b):
        s = summarise(values[~np.isnan(values)], lower_is_better=lower_is_better(outcome), end=end)
        middle = s.shown(s.median)
        parts.append(f"{middle if isinstance(middle, str) else f'{middle:.3g}'} ({s.count} of {s.attempted} runs)")
    return f"median {' against '.join(parts)}, larger in {c.wins:.0%} of {c.pairs} pairs, p {c.p:.1g}"


def best(study: xr.Dataset, label: str, outcome: str = "accuracy") -> Claim:
    """Whether a group is above the best of the others (the highest mean, or median where runs have no value); open
    where the runs leave it open.
    """
    groups = paired(study, outcome)
    other = best_group({name: values for name, values in groups.items() if name != label}, lower=False)
    (c,) = paired_differences({label: groups[label], other: groups[other]})
    above = c.wins - 0.5 if c.test == "sign" else c.difference
    text = f"{label} has the highest {'median' if c.test == 'sign' else 'mean'} {outcome}"
    evidence = f"the best other is {other}: {_evidence(study, outcome, groups[label], groups[other], c)}"
    return Claim(text, evidence, bool(above > 0) if c.clear else None)


def rises(study: xr.Dataset, label: str, name: str, expected: bool = True) -> Claim:
    """Whether a learning curve ends above its lowest point by a tenth, as `expected` or not; the mean over runs of a
    cell. Open where the difference is within two standard errors, or where runs are missing.
    """
    cell = json.loads(study.attrs["cells"]).index(label)
    mine = (study["cell"].to_numpy() == cell) & (study["status"].to_numpy() >= 0)
    curves = study[f"curve_{name}"].to_numpy()[mine].astype(np.float64)
    recorded = np.isfinite(curves).any(axis=0)
    curves, steps = curves[:, recorded], study["step"].to_numpy()[recorded]
    whole = np.isfinite(curves).all(axis=1)
    if not whole.any():
        return Claim(f"{label}'s {name}", f"0 of {len(whole)} runs finished", None)
    curve = curves[whole].mean(axis=0)
    end, low = float(curve[-1]), int(curve.argmin())
    excess = curves[whole][:, -1] - 1.1 * curves[whole][:, low]
    error = float(excess.std(ddof=1) / np.sqrt(len(excess))) if len(excess) > 1 else np.inf
    lost = "" if whole.all() else f", {int(whole.sum())} of {len(whole)} runs finished"
    evidence = f"{curve[low]:.3g} at step {int(steps[low]):,}, {end:.3g} at the end{lost}"
    text = f"{label}'s {name} {'rises' if expected else 'does not rise'} again"
    known = whole.all() and abs(excess.mean()) > 2 * error
    return Claim(text, evidence, bool(excess.mean() > 0) is expected if known else None)
