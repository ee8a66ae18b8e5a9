"""A predictor made of predictors, one on each device: every call goes to one that is free."""

from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any

import numpy as np

from .arrays import Predictor

Array = Any


class PooledPredictor:
    """What `parts` answer, which are alike; one object may serve many threads, and as many calls as parts run at a
    time.
    """

    def __init__(self, parts: Sequence[Predictor]) -> None:
        self.has_moments, self.at_once = parts[0].has_moments, len(parts)
        self._free: SimpleQueue[Any] = SimpleQueue()
        for part in parts:
            self._free.put(part)

    def phi(self, position: Array, x: Array) -> np.ndarray:
        """Phi [r, T, n]."""
        return self._by(lambda part: part.phi(position, x))

    def scores(self, position: Array, x: Array, y: Array, weight: Array | None = None) -> tuple[np.ndarray, np.ndarray]:
        """See Predictor."""
        return self._by(lambda part: part.scores(position, x, y, weight))

    def moments(self, position: Array, x: Array) -> dict[str, np.ndarray]:
        """Sums over replicas, where the parts have them."""
        return self._by(lambda part: part.moments(position, x))

    def _by(self, call: Callable[[Any], Any]) -> Any:
        part = self._free.get()
        try:
            return call(part)
        finally:
            self._free.put(part)
