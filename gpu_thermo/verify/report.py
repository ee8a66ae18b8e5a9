"""Checks, scores and the report they make."""

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

LIMIT = 6.0
"""Largest |z| that passes. Some 300 scores go into a quick report; the measured false-alarm rate is in
tests/README.md."""


class Score(NamedTuple):
    """One statistic against its exact value: z over independent replicas, and the relative error that would be
    noticed.
    """

    what: str
    z: float
    sees: float


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes
    ----------
    group, name, engine : what was checked, and on which engine.
    kind : "z" (a z-score against LIMIT), or "difference" (a largest difference against its own limit; 0 means bit for
    bit).
    value, limit : the worst of `count` scores. `what` : which one that is. `sees` : relative error it would have
    noticed, or None.
    """

    group: str
    name: str
    engine: str
    kind: str
    value: float
    limit: float
    count: int = 1
    what: str = ""
    sees: float | None = None
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether the value is finite and within its limit."""
        return bool(math.isfinite(self.value) and self.value <= self.limit)


@dataclass(frozen=True)
class Report:
    """All checks of one device; `skipped` says what could not be checked, and why."""

    device: str
    mode: str
    checks: tuple[Check, ...]
    skipped: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return bool(self.checks) and all(check.passed for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def verdict(self) -> str:
        """One plain sentence."""
        if self.passed:
            engines = ", ".join(sorted({c.engine for c in self.checks} & {"batched", "fused"}))
            return f"Verified: all {len(self.checks)} checks passed on {self.device} ({engines})."
        if not self.checks:
            return "Nothing was checked."
        names = "; ".join(f"{c.group}, {c.name} ({c.engine})" for c in self.failures[:4])
        more = f" and {len(self.failures) - 4} more" if len(self.failures) > 4 else ""
        return (
            f"FAILED: {len(self.failures)} of {len(self.checks)} checks on {self.device}: {names}{more}. Do not trust"
            " samples from here."
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "passed": self.passed, "verdict": self.verdict, "device": self.device, "mode": self.mode,
            "seconds": self.seconds,
            "skipped": list(self.skipped), "checks": [asdict(c) | {"passed": c.passed} for c in self.checks],
        }  # fmt: skip


def score(what: str, values: np.ndarray, exact: float, scale: float | None = None) -> Score:
    """The mean of `values` [R], one for each independent replica, against `exact`; `scale` stands for an exact value of
    0.
    """
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    difference = float(values.mean()) - exact
    z = difference / error if error > 0 else 0.0 if difference == 0 else math.inf
    return Score(what, z if math.isfinite(difference) else math.nan, LIMIT * error / abs(scale or exact or 1.0))


def from_scores(group: str, name: str, engine: str, scores: Iterable[Score]) -> Check:
    """A check by its worst score; a NaN is worse than anything."""
    listed = list(scores)
    worst = max(listed, key=lambda s: math.inf if math.isnan(s.z) else abs(s.z))
    return Check(
        group,
        name,
        engine,
        "z",
        float(abs(worst.z)),
        LIMIT,
        len(listed),
        worst.what,
        float(max(s.sees for s in listed)),
    )


def from_difference(
    group: str, name: str, engine: str, value: float, limit: float, count: int, what: str = ""
) -> Check:
    """A check by a largest difference."""
    return Check(group, name, engine, "difference", float(value), limit, count, what)
