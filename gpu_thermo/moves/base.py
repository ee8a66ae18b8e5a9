"""What the run loop asks of an ensemble move, and what it gives it."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from ..state import Hyper, State


@dataclass(frozen=True)
class Energies:
    """Energies of R replicas as a move sees them.

    Attributes
    ----------
    value : [R] float64, U; NaN where frozen. variance : [R] float64, variance of the noise of `value`; 0 for full-batch energies.
    """

    value: np.ndarray
    variance: np.ndarray


class EnsembleMove(Protocol):
    """Acts on the host between segments, after every step that `interval` divides. All it knows is in `state.extra`."""

    kind: str
    interval: int

    def begin(self, state: State) -> None:
        """Add the move's own arrays to `state.extra` at step 0."""
        ...

    def hyper(self, state: State) -> Hyper:
        """Hyperparameters [R] in force, before schedules."""
        ...

    def attempt(self, state: State, energies: Energies) -> None:
        """Act on `state` in place; attempt number `state.step // interval - 1`."""
        ...

    def log_weight(self, state: State) -> np.ndarray:
        """[R] logarithm of each replica's weight as a draw: 0 on the target rung, -inf elsewhere."""
        ...

    def statistics(self, state: State) -> dict[str, np.ndarray]:
        """Per-replica numbers [R] float64 to record at each draw, by name; the names never change."""
        ...

    def summary(self, state: State) -> dict[str, Any]:
        """What to report of the run so far: plain numbers, lists and texts."""
        ...
