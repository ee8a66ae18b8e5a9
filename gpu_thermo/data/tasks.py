"""Tasks: what a data set asks of a network; how its outputs answer is a likelihood's (targets/likelihoods/)."""

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One task.

    Attributes
    ----------
    fewest, most : classes a data set of this task may have; 0 where numbers are asked for, one or more a point.
    outputs : outputs of a network, from the number of classes or of regression targets.
    """

    name: str
    fewest: int
    most: float
    outputs: Callable[[int], int]

    @property
    def numeric(self) -> bool:
        """Whether answers are numbers, float64 [.., n], and not labels, int64."""
        return self.most == 0


def classification(classes: int) -> str:
    """The task of a data set with so many classes."""
    return next(task.name for task in TASKS.values() if task.fewest <= classes <= task.most)


TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        Task("binary", 2, 2, lambda classes: 1),
        Task("multiclass", 2, math.inf, lambda classes: classes),
        Task("regression", 0, 0, lambda targets: targets),
    )
}
