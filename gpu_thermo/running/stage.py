"""What a stage of a run that tunes itself has come to: all that the next decision is made from."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..state import State
from ..tuning.course import BURN_IN, SAMPLING, Course
from ..tuning.windows import Window
from .launch import Launch


@dataclass(frozen=True)
class Stage:
    """A stage that is over; what takes a look at all rows is looked at once it is asked for.

    Attributes
    ----------
    course : as it was; on the falling way, draws that were sampled judged. launch : what went on. state : of all rows.
    window : sums of the stage. held : [rows, P] where all rows began. waiting : draws that wait for the verdict.
    """

    course: Course
    launch: Launch
    state: State
    window: Window
    held: np.ndarray
    waiting: int = 0

    @property
    def step(self) -> int:
        """At which it ended."""
        return self.state.step

    @cached_property
    def position(self) -> np.ndarray:
        """[rows, P] where all rows are."""
        return np.array(self.state.position)

    @cached_property
    def mended(self) -> np.ndarray:
        """Positions from which the next stage may begin: whoever is no number is where the stage began, and whoever ran
        away is where another is.
        """
        broken = ~np.isfinite(self.position).all(axis=1)
        sound = np.where(broken[:, None], self.held, self.position)
        return self.launch.replaced(sound, self.lost)

    @property
    def energy(self) -> float:
        """Median over the replicas that count, where they are."""
        return self.median(np.asarray(self.state.energy, np.float64))

    def median(self, values: np.ndarray) -> float:
        """Over the replicas that count and are finite; infinite where none is."""
        mine = values[: self.launch.replicas]
        mine = mine[np.isfinite(mine)]
        return float(np.median(mine)) if len(mine) else float("inf")

    @cached_property
    def sound(self) -> bool:
        """Whether no row was frozen, and all that was seen is finite."""
        return self.state.running == self.state.replicas and bool(self.window.finite().all())

    @cached_property
    def lost(self) -> np.ndarray:
        """[rows] who ran away in this stage, or stayed where it was (lost.py); nobody where nobody is sound."""
        tuner, full = self.launch.tuner, self.course.phase in (BURN_IN, SAMPLING)
        lost = self.window.lost(tuner.outputs if full else 0, tuner.heat, tuner.braces and full)
        return lost & ~lost[: self.launch.replicas].all()

    def acceptance(self, lost: np.ndarray | None = None) -> float:
        """Of single steps, of the replicas that count and are not lost: over the window where the engine counts work,
        else from where they are now.
        """
        mine = slice(self.launch.replicas) if lost is None else np.flatnonzero(~lost[: self.launch.replicas])
        seen = self.window.rows(mine).mean_acceptance
        if not np.isnan(seen):
            return seen
        return self.launch.acceptance(self.position, self.step, self.course.stepsize)
