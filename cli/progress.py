"""Progress of a run on stderr: a bar in a terminal, elsewhere a plain line every ten seconds."""

import math
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from .output import clock, console, count, say

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live

    from gpu_thermo.run import Progress

INTERVAL = 10.0
"""Seconds between plain lines."""
PHASES = {
    "descent": "looking for networks that fit", "adaptation": "finding the length of a step",
    "ladder": "placing temperatures", "burn-in": "forgetting where it began (nothing counts yet)",
    "fall": "settling down in small steps", "sampling": "collecting networks",
}  # fmt: skip
"""What a run does, for people who know no physics."""


class Meter:
    """Shows what it is called with, which is a `Progress` after every segment; use it as a context manager.

    Attributes
    ----------
    step : of the last one; None before the first.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet, self._last_line = quiet, time.monotonic()
        self._live: Live | None = None
        self.step: int | None = None

    def __enter__(self) -> Self:
        if not self._quiet:
            where = console(stderr=True)
            if where.is_terminal:
                from rich.live import Live

                self._live = Live("starting ...", console=where, auto_refresh=False, transient=True)
                self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: "Progress") -> None:
        """Show `progress`."""
        self.step = progress.step
        if self._live is not None:
            self._live.update(self.bar(progress), refresh=True)
        elif not self._quiet and time.monotonic() - self._last_line >= INTERVAL:
            self._last_line = time.monotonic()
            say(self.line(progress))

    def bar(self, progress: "Progress") -> "RenderableType":
        """What a terminal shows."""
        return bar(progress)

    def line(self, progress: "Progress") -> str:
        """What stands on a plain line."""
        return line(progress)


def bar(progress: "Progress") -> "RenderableType":
    """Three lines: the bar, the speed, the physics."""
    from rich.console import Group
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(expand=True, padding=(0, 1))
    grid.add_column(ratio=1)
    for _ in range(2):
        grid.add_column(no_wrap=True, justify="right")
    steps = f"{progress.step:,} of {progress.total_steps:,} steps"
    shown = ProgressBar(total=progress.total_steps, completed=progress.step)
    grid.add_row(shown, *((_goal(progress), left(progress)) if progress.phase else (steps, left(progress))))
    return Group(grid, Text(_speed(progress)), Text(_physics(progress)))


def line(progress: "Progress") -> str:
    """The same on one line."""
    percent = f"{100 * progress.step / max(1, progress.total_steps):.0f} %"
    where = f"step {progress.step:,} of {progress.total_steps:,} ({percent}), {left(progress)}"
    if progress.phase:
        where = f"{_goal(progress)}, {left(progress)}"
    return ", ".join((where, _speed(progress), _physics(progress)))


def _goal(progress: "Progress") -> str:
    """Phase, and error against tolerance, of a run that stops itself."""
    found = f", error {progress.error:.2g} of {progress.tolerance:g} sd" if math.isfinite(progress.error) else ""
    return f"{progress.phase}, step {progress.step:,}{found}"


def left(progress: "Progress") -> str:
    """Time left, as far as it is known: until the error of averages is, what the run may take."""
    if math.isfinite(progress.seconds_left):
        return f"{clock(progress.seconds_left)} left"
    if math.isfinite(progress.most_seconds_left):
        return f"at most {clock(progress.most_seconds_left)} left"
    return "time left not known yet"


def _speed(progress: "Progress") -> str:
    speeds = f"{count(progress.steps_per_second)} steps/s, {count(progress.replica_steps_per_second)} replica-steps/s"
    return f"{speeds}, {progress.draws:,} draws ({progress.committed_draws:,} committed)"


def _physics(progress: "Progress") -> str:
    energy = [f"energy {progress.energy:.4f}"] if math.isfinite(progress.energy) else []
    kinetic = ", ".join(f"{name} {value:.2e}" for name, value in progress.kinetic_temperature.items())
    return ", ".join([*energy, *([f"kinetic T {kinetic}"] if kinetic else []), f"{progress.frozen:,} frozen"])


class Words(Meter):
    """Progress in words that need no physics."""

    def line(self, progress: "Progress") -> str:
        """One line."""
        return in_words(progress)

    def bar(self, progress: "Progress") -> "RenderableType":
        """The line under a bar."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        bar = ProgressBar(total=progress.total_steps, completed=progress.step, width=60)
        return Group(bar, Text(in_words(progress)))


def in_words(progress: "Progress") -> str:
    """What it does, how well averages are known, and how long it will take."""
    doing = PHASES.get(progress.phase, progress.phase)
    known = ""
    if math.isfinite(progress.error):
        known = f"; averages are known to {progress.error:.2f} of their spread, the goal is {progress.tolerance:g}"
    return f"{doing}{known}; {left(progress)}"
