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
    acceptance : measures that of single steps, of the replicas that count.
    """

    course: Course
    step: int
    launch: Launch
    position: np.ndarray
    held: np.ndarray
    energy: float
    sound: bool
    acceptance: Callable[[], float]

    @cached_property
    def mended(self) -> np.ndarray:
        """Positions after a descent; whoever it lost is where the stage began."""
        lost = ~np.isfinite(self.position).all(axis=1)
        return np.where(lost[:, None], self.held, self.position)
