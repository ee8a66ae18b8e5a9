"""Draws of a window of burn-in, which wait for the verdict on it: of a window that passes they are the first that
count, of any other they are dropped. Until then they stand in the checkpoint, and nowhere else in the store.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from ..engines import Job
from ..engines.base import moment_bytes
from ..state import Recorded
from ..tuning.rules import DRAWS

MOST_BYTES = 2**24
"""Of the draws of a window up to which they wait: they are written at each commit, and copied for it."""


@dataclass
class Waiting:
    """Recorded moments of the replicas that count, one draw each, in order."""

    draws: list[Recorded] = field(default_factory=list)

    def __len__(self) -> int:
        """Draws."""
        return len(self.draws)

    def add(self, draw: Recorded) -> None:
        """One more, copied out of the ring that it was recorded in."""
        copies: dict[str, Any] = {name: np.array(value) for name, value in _arrays(draw).items()}
        self.draws.append(replace(draw, **copies, there=None))

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it by name, for a checkpoint; nothing where nobody waits."""
        if not self.draws:
            return {}
        each = [_arrays(draw) for draw in self.draws]
        stacked = {name: np.concatenate([arrays[name] for arrays in each]) for name in each[0]}
        return {"steps": np.array([draw.steps[0] for draw in self.draws]), **stacked}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "Waiting":
        """Inverse of `arrays`."""
        values: dict[str, Any] = dict(arrays)
        steps = values.pop("steps", np.zeros(0, np.int64))
        each = ({name: value[i : i + 1] for name, value in values.items()} for i in range(len(steps)))
        return cls([Recorded((int(step),), **draw) for step, draw in zip(steps, each, strict=True)])


def waiting_bytes(job: Job) -> int:
    """Of a window of draws of this job's replicas; 0 where they are too many to wait."""
    size = 4 * DRAWS * moment_bytes(job)
    return size if size <= MOST_BYTES else 0


def _arrays(draw: Recorded) -> dict[str, np.ndarray]:
    """What was recorded, by name."""
    values = {f.name: getattr(draw, f.name) for f in fields(draw) if f.name not in ("steps", "there")}
    return {name: value for name, value in values.items() if value is not None}
