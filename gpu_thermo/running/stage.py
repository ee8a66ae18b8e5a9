"""What a stage of a run that tunes itself has come to: all that the next decision is made from."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..tuning.course import Course
from .launch import Launch


@dataclass(frozen=True)
class Stage:
    """A stage that is over.

    Attributes
    ----------
    course, step : as it was, draws that were sampled judged; and the step at which it ended. launch : what went on.
    position, held : [rows, P] where all rows are, and where they began.
    energy : median over the replicas that count. sound : whether no row was frozen, and all that was seen is finite.
    acceptance : measures that of single steps, of the replicas that count. lost : [rows] who ran away (lost.py).
    """

    course: Course
    step: int
    launch: Launch
    position: np.ndarray
    held: np.ndarray
    energy: float
    sound: bool
    acceptance: Callable[[], float]
    lost: np.ndarray

    @cached_property
    def mended(self) -> np.ndarray:
        """Positions from which the next stage may begin: whoever is no number is where the stage began, and whoever ran
        away is where another is.
        """
        broken = ~np.isfinite(self.position).all(axis=1)
        sound = np.where(broken[:, None], self.held, self.position)
        return self.launch.replaced(sound, self.lost)
