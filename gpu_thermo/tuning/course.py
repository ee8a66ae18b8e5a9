"""The course of a run that tunes itself: descent, adaptation, burn-in, sampling (equations.md section 14).

A Course is all that was decided so far, plain numbers that stand in the checkpoint as JSON; a Tuner (tuner.py) makes
the next one of it. The step counter never goes back, and a stage's draws never count for the next, but for those of
the window that ends burn-in.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from . import rules
from .rules import Lengths

DESCENT, ADAPTATION, LADDER, BURN_IN, FALL, SAMPLING = PHASES = (
    "descent", "adaptation", "ladder", "burn-in", "fall", "sampling",
)  # fmt: skip
HURRIED = "time"
"""In place of a test of burn-in that failed, where half of the time was gone."""
DROPPED = "dropped"
"""In the log: a stage of sampling whose draws were dropped, as more time let burn-in go on."""


@dataclass(frozen=True)
class Course:
    """Where a run stands and what it has decided.

    Attributes
    ----------
    phase, window : one of PHASES, and the number of the stage in it. begun, stop : steps at which the stage began, and
    is judged.
    stepsize, friction : in force; gamma by partition. mass : of each tensor, once it is estimated.
    batch : points of a minibatch, where the run has found that so few will do; 0 for what the spec says.
    temperatures : of the rungs of a ladder, once it stands. lengths : of blocks and windows. doubled : how often n was.
    burned : whether burn-in ended by its own rules. stuck : windows in which nothing drifted and replicas did not mix.
    lowered : whether h was lowered for its bias. ended : why the run has stopped: tolerance, max_steps, max_time; ""
    while it goes on. kept : steps between kept draws.
    origin, first : step at which sampling began, and steps of its first segment.
    makeshift : step at which replicas were kept as they stood, since time was over before the first draw; 0 where draws
    are draws. hurried : whether burn-in was cut short, as half of the time was gone.
    path : "" for the ordinary way, or that of falling.py, of which plan : windows of the descent; fall : stepsizes from
    which and to which.
    log : what each stage came to.
    """

    phase: str = DESCENT
    window: int = 0
    begun: int = 0
    stop: int = rules.DESCENT_STEPS
    stepsize: float = 0.0
    friction: tuple[float, ...] = ()
    mass: dict[str, float] = field(default_factory=dict)
    batch: int = 0
    temperatures: tuple[float, ...] = ()
    lengths: Lengths = field(default_factory=lambda: Lengths(1, 1, rules.QUARTER))
    doubled: int = 0
    burned: bool = False
    stuck: int = 0
    lowered: bool = False
    ended: str = ""
    kept: int = 1
    origin: int = 0
    first: int = 0
    makeshift: int = 0
    hurried: bool = False
    path: str = ""
    plan: int = 0
    fall: tuple[float, ...] = ()
    log: tuple[dict[str, Any], ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain data; numbers come back bit for bit from JSON."""
        return asdict(self)

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Course":
        """Inverse of `to_dict`, after JSON."""
        lengths = Lengths(**plain["lengths"])
        rows = {name: tuple(plain.get(name, ())) for name in ("friction", "fall", "log", "temperatures")}
        return cls(**{**plain, **rows, "lengths": lengths})

    def to_json(self) -> str:
        """As text."""
        return json.dumps(self.to_dict())

    @property
    def may_burn_on(self) -> bool:
        """Whether it has ended by the ordinary rules without the end of its burn-in, to which more time would go."""
        return self.phase == SAMPLING and bool(self.ended) and not self.burned and not self.path

    @property
    def timed(self) -> bool:
        """Whether a clock decided anything, so that the same run may come to something else."""
        return self.ended == "max_time" or any(line.get("failed") == [HURRIED] for line in self.log)

    def goes_on(self, tolerance: float, max_steps: int) -> bool:
        """Whether a run that has stopped goes on for another tolerance, or with more steps."""
        if self.phase != SAMPLING or self.ended in ("", "max_time"):
            return True
        error = self.latest(SAMPLING).get("error", math.inf)  # of a run that ended before its first draw
        wanting = error > tolerance or bool(self.path and not self.burned)
        return wanting and self.stop + self.kept <= max_steps

    def logged(self, **entry: Any) -> "Course":
        """With one more line in the log."""
        line = {"phase": self.phase, "window": self.window, "begun": self.begun, "stepsize": self.stepsize, **entry}
        return replace(self, log=(*self.log, line))

    def noted(self, facts: Mapping[str, Any]) -> "Course":
        """With these facts in the last line of the log."""
        return replace(self, log=(*self.log[:-1], self.log[-1] | dict(facts))) if facts and self.log else self

    def replacing(self, lost: np.ndarray) -> "Course":
        """With the numbers of the rows that were `lost` [R + B] in the last line: they go on from where others are."""
        return self.noted({"replaced": np.flatnonzero(lost).tolist()} if lost.any() else {})

    @property
    def replaced(self) -> list[tuple[int, list[int]]]:
        """(Step at which the window began, rows that were lost in it) of each window that lost some."""
        return [(line["begun"], line["replaced"]) for line in self.log if line.get("replaced")]

    def expected(self, tolerance: float, max_steps: int, step: int) -> int | None:
        """Steps of the whole run, as the square of the error falls with the steps; None before burn-in was judged."""
        if self.ended:
            return step
        error = self.latest(SAMPLING).get("error") or self.latest(BURN_IN).get("error")
        if error is None:
            return None
        done = self.begun - self.origin if self.latest(SAMPLING) else 4 * self.lengths.quarter
        start = self.origin if self.phase == SAMPLING else self.stop
        whole = done * (error / tolerance) ** 2 * rules.MARGIN
        return int(min(max(start + whole, self.stop), max_steps))

    def without_draws(self) -> "Course":
        """As if nothing had been sampled: draws there were are dropped, and their lines in the log say so."""
        log = tuple(line | {"phase": DROPPED} if line["phase"] == SAMPLING else line for line in self.log)
        return replace(self, makeshift=0, log=log)

    def latest(self, phase: str) -> Mapping[str, Any]:
        """The last line of that phase; {} where there is none."""
        return next((line for line in reversed(self.log) if line["phase"] == phase), {})
