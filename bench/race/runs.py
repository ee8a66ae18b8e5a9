"""What a contender hands over on its way."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Chunk:
    """Draws since the last chunk.

    Attributes
    ----------
    theta : [n, P], as a problem lays them out. gradients : of all chains from the start, warm-up counted. at : seconds
    and processor seconds, where they are not now. said : what else a row shall say.
    """

    theta: np.ndarray
    gradients: int
    at: tuple[float, float] | None = None
    said: dict[str, Any] = field(default_factory=dict)


Contender = Callable[..., Iterator[Chunk]]
"""(problem, seed, clock) -> chunks, as long as it is asked for more."""
