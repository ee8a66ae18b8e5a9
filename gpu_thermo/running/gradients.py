"""Gradients on all points that a run which tunes itself asks for beside its steps, by the kernel of its descent: array
code takes a second for some ten thousand points, and a run asks some eighty times.
"""

from dataclasses import dataclass, replace

import numpy as np

from ..engines import FusedEngine, Job, initial_state
from ..engines.base import Batching
from ..state import Hyper, Segment

LARGE = 300_000
"""Points x parameters from which on: of less, array code is as fast, and bits of runs stay what they were."""
AT_ONCE = 32
"""Replicas of one call: two vectors of float32, for two threads."""


@dataclass(frozen=True)
class Gradients:
    """A step of Adam that goes nowhere: what it leaves behind is the gradient where it was.

    Attributes
    ----------
    engine : of AT_ONCE replicas on all points, at learning rate 0.
    """

    engine: FusedEngine

    @classmethod
    def of(cls, descent: Job, engine: str, device: str, threads: int | None = None) -> "Gradients | None":
        """Of a run whose descent is this; None where its points are few, or kernels do not carry it on the host."""
        if engine != "fused" or not device.startswith("cpu"):
            return None
        if descent.target.points * descent.target.layout.size < LARGE:
            return None
        some = descent.take(slice(0, AT_ONCE))
        hyper = Hyper.constant(AT_ONCE, len(some.program.texts), 0.0, some.hyper.total)
        job = replace(some, hyper=hyper, batching=Batching("full", descent.target.points))
        return cls(FusedEngine(job, "cpu", threads))

    def __call__(self, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """U [r] float64 and its gradient [r, P] at `position` [r, P], of AT_ONCE replicas at most; NaN where they are
        not finite.
        """
        count, job = len(position), self.engine.job
        state = initial_state(job, position[np.arange(AT_ONCE) % count])
        self.engine.advance(state, Segment(0, 1))
        lost = state.status != 0
        energy = np.where(lost, np.nan, state.energy)
        gradient = np.where(lost[:, None], np.nan, state.gradient)
        return energy[:count], gradient[:count]
