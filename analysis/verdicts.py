"""What a diagnosis holds: verdicts of each ensemble, and a report of them as text and as JSON."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from gpu_thermo_analysis.convergence import Convergence
from gpu_thermo_analysis.temperatures import Temperature


@dataclass(frozen=True)
class Verdict:
    """One sentence; `passed` is None where it informs and judges nothing."""

    topic: str
    passed: bool | None
    text: str


@dataclass(frozen=True)
class EnsembleDiagnosis:
    """All about one ensemble.

    Attributes
    ----------
    chains, frozen, draws : all chains, those that froze and are left out, stored draws of each.
    label : chains that were judged; a ladder is one, its target rung.
    differs : in what the ensemble differs from the run's others.
    cost : what effective draws cost (cost.py).
    convergence : None where there are no predictions or no running chains.
    weight_ess : effective draws of importance weights, or NaN.
    calibration : what `held_out` says of it; empty of a potential.
    """

    ensemble: int
    chains: int
    frozen: int
    draws: int
    convergence: Convergence | None
    temperatures: tuple[Temperature, ...]
    weight_ess: float
    verdicts: tuple[Verdict, ...]
    label: str = ""
    differs: str = ""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)

    @property
    def trusted(self) -> bool:
        """Nothing failed, and something passed."""
        passed = [v.passed for v in self.verdicts]
        return False not in passed and True in passed

    @property
    def headline(self) -> str:
        """One line: whether to trust the averages, and what stands against it."""
        chains = self.label or f"{self.chains - self.frozen} chains"
        finished = f" of {self.chains}, the others froze" if self.frozen and not self.label else ""
        which = f"{self.differs}; " if self.differs else ""
        name = f"Ensemble {self.ensemble} ({which}{chains}{finished}, {self.draws} draws each)"
        failed = [v.topic for v in self.verdicts if v.passed is False]
        if failed:
            return f"{name}: do not trust yet: {', '.join(failed)}."
        return f"{name}: nothing speaks against its averages." if self.trusted else f"{name}: cannot be judged."


@dataclass(frozen=True)
class Diagnosis:
    """What `diagnose` found; `str()` is the report."""

    ensembles: tuple[EnsembleDiagnosis, ...]

    @property
    def trusted(self) -> bool:
        """Whether all ensembles are."""
        return all(e.trusted for e in self.ensembles)

    @property
    def lines(self) -> list[str]:
        """The report: per ensemble a headline, then its verdicts."""
        marks = {True: "ok", False: "!!", None: "--"}
        return [
            line
            for e in self.ensembles
            for line in (e.headline, *(f"  {marks[v.passed]} {v.text}" for v in e.verdicts))
        ]

    def __str__(self) -> str:
        return "\n".join(self.lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries for JSON; NaN and infinity become None and a string."""
        rows = [{**asdict(e), "trusted": e.trusted, "headline": e.headline} for e in self.ensembles]
        return {"trusted": self.trusted, "ensembles": _plain(rows)}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value
