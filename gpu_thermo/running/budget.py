"""Steps and seconds that a run which tunes itself may still take."""

import math
import time
from dataclasses import dataclass

from ..spec.run import RunSection

SPENT = 0.95
"""Of run.max_time that is laid out: clocks are not exact, and a last commit takes its time."""


@dataclass
class Budget:
    """What a run may take, and how fast it goes.

    Attributes
    ----------
    steps : at most, in all. seconds : at most; None where nobody asks.
    before, since : seconds that the run had taken, and when that was (perf_counter). begun : step and time at which the
    stage began. fastest : steps a second of the fastest segment so far, as the first ones are short and slow.
    earlier : seconds that were taken before it went on now; None while that is not known.
    """

    steps: int
    seconds: float | None
    before: float
    since: float
    begun: tuple[int, float]
    fastest: float = 0.0
    earlier: float | None = None

    @classmethod
    def of(cls, run: RunSection, step: int) -> "Budget":
        """Of a run that goes on from this step now."""
        now = time.perf_counter()
        return cls(int(run.max_steps or run.steps), run.max_time, 0.0, now, (step, now))

    def stage(self, step: int) -> None:
        """A stage begins."""
        self.begun = step, time.perf_counter()

    def saw(self, steps: int, seconds: float) -> None:
        """A segment of so many steps took so long."""
        self.fastest = max(self.fastest, steps / max(seconds, 1e-6))

    def took(self, seconds: float) -> None:
        """The run has taken so long by now, what it took before it was resumed included."""
        now = time.perf_counter()
        if self.earlier is None:
            self.earlier = max(0.0, seconds - (now - self.since))
        self.before, self.since = seconds, now

    @property
    def elapsed(self) -> float:
        """Seconds that the run has taken."""
        return self.before + time.perf_counter() - self.since

    def seconds_left(self, step: int) -> float:
        """At most, at the fastest speed so far: the first segments are slow, and would promise hours."""
        by_steps = (self.steps - step) / self.fastest if self.fastest else math.inf
        return max(0.0, by_steps if self.seconds is None else min(by_steps, self.seconds - self.elapsed))

    @property
    def spent(self) -> float:
        """Share of the time that is gone; 0 where any time will do."""
        return 0.0 if self.seconds is None else self.elapsed / self.seconds

    @property
    def half_gone(self) -> bool:
        """Whether half of the time is gone that there was when it began, or went on."""
        earlier = self.earlier or 0.0
        return self.seconds is not None and self.elapsed - earlier >= (self.seconds - earlier) / 2

    def left(self, step: int, share: float = 1.0) -> int:
        """Steps still allowed, each of which costs 1/share of those of the stage that has ended."""
        rate = (step - self.begun[0]) / max(time.perf_counter() - self.begun[1], 1e-9)
        return self.within(step, rate * share)

    def within(self, step: int, rate: float) -> int:
        """Steps still allowed at this rate a second."""
        left = self.steps - step
        if self.seconds is not None:
            left = min(left, int((SPENT * self.seconds - self.elapsed) * rate))
        return max(0, left)
