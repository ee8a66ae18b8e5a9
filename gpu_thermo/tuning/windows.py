"""Sums over the draws of a window, and what they say: all that a decision needs, and all of it in the checkpoint.

A window is a few equal parts (quarters; sampling is one part). R replicas, Q quantities, K partitions. Values are added
draw by draw in order, so that sums do not depend on how a run was cut into segments.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .lost import SOME, SOME_HEATS, hardly_moving, outlying, stuck
from .statistics import squared_deviation

VIRIALS = 2
"""Instants of each part at which theta . dU/dtheta is seen: it takes a gradient on all points."""


@dataclass
class Window:
    """Sums of the draws of each part of a window.

    Attributes
    ----------
    count : [parts] draws. total, square : [parts, R, Q] of the quantities and their squares.
    acceptance : [R, 3] proposals, and over them sums of min(1, exp(-w/tau)) and of its square.
    product : [instants, R, K] theta . dU/dtheta / n, at the ends of so many equal stretches of a part; NaN until then.
    """

    count: np.ndarray
    total: np.ndarray
    square: np.ndarray
    acceptance: np.ndarray
    product: np.ndarray

    @classmethod
    def empty(cls, parts: int, replicas: int, quantities: int, partitions: int) -> "Window":
        """No draws yet."""
        shape = parts, replicas, quantities
        return cls(
            np.zeros(parts, np.int64), np.zeros(shape), np.zeros(shape), np.zeros((replicas, 3)),
            np.full((VIRIALS * parts, replicas, partitions), np.nan),
        )  # fmt: skip

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it by name, for a checkpoint."""
        return dict(vars(self))

    @classmethod
    def of(cls, arrays: Mapping[str, Any]) -> "Window":
        """Inverse of `arrays`."""
        return cls(**{name: np.array(arrays[name]) for name in cls.__annotations__})

    @property
    def parts(self) -> int:
        """Parts of the window."""
        return len(self.count)

    @property
    def instants(self) -> int:
        """Of each part at which theta . dU/dtheta is seen."""
        return len(self.product) // self.parts

    @property
    def draws(self) -> int:
        """Draws in all."""
        return int(self.count.sum())

    def add(self, part: int, values: np.ndarray) -> None:
        """A draw: `values` [R, Q], NaN where a replica is frozen."""
        self.count[part] += 1
        with np.errstate(all="ignore"):  # a stepsize that is too large may show anything
            self.total[part] += values
            self.square[part] += values * values

    def propose(self, acceptance: np.ndarray, proposals: np.ndarray) -> None:
        """Proposals [R] since the last time, and their mean acceptance [R]; NaN where there were none."""
        known = np.nan_to_num(acceptance)
        self.acceptance[:, 0] += np.where(np.isnan(acceptance), 0.0, np.nan_to_num(proposals))
        self.acceptance[:, 1] += known * np.nan_to_num(proposals)

    @property
    def mean_acceptance(self) -> float:
        """Mean over all proposals of the rows seen; NaN where none were made."""
        seen = self.acceptance[:, 0].sum()
        return float(self.acceptance[:, 1].sum() / seen) if seen else float("nan")

    def rows(self, rows: np.ndarray | slice) -> "Window":
        """The same of some replicas."""
        return Window(
            self.count, self.total[:, rows], self.square[:, rows], self.acceptance[rows], self.product[:, rows]
        )  # fmt: skip

    def lost(self, energy: int, heat: float, proposed: bool) -> np.ndarray:
        """[R] replicas whose energy, the quantity of that number, lies far outside; or, where steps are `proposed`, who
        stay where they are, or hardly move outside. heat : P tau / 2.
        """
        if not self.draws:
            return np.zeros(len(self.acceptance), bool)
        mean, square = (moment[:, energy] for moment in self.moments())
        far = outlying(mean, square, heat)
        if not proposed:
            return far
        outside = outlying(mean, square, heat, SOME, SOME_HEATS)
        return far | stuck(self.acceptance) | (outside & hardly_moving(self.acceptance))

    def finite(self) -> np.ndarray:
        """[R] whether all that a replica has shown is a number."""
        return (np.isfinite(self.total) & np.isfinite(self.square)).all(axis=(0, 2))

    def moments(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and mean square [R, Q] of each replica's draws."""
        return self.total.sum(axis=0) / self.draws, self.square.sum(axis=0) / self.draws

    def part_mean(self, quantity: int) -> np.ndarray:
        """[R] mean of one quantity over the window's draws."""
        return np.asarray(self.total[:, :, quantity].sum(axis=0) / self.draws)

    def change(self, squared: int) -> np.ndarray:
        """[R, Q + squared] second half minus first half: of every quantity, and of the squared deviations of the first
        `squared` of them from their mean over the window.
        """
        half = self.parts // 2
        first, second = (self._between(*at) for at in ((0, half), (half, self.parts)))
        centre = self.moments()[0].mean(axis=0)[:squared]
        wide = [squared_deviation(m[:, :squared], s[:, :squared], centre) for m, s in (first, second)]
        return np.hstack([second[0] - first[0], wide[1] - wide[0]])

    def _between(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray]:
        """Mean and mean square [R, Q] of some parts."""
        draws = self.count[start:stop].sum()
        return self.total[start:stop].sum(axis=0) / draws, self.square[start:stop].sum(axis=0) / draws

    def virial(self) -> np.ndarray:
        """[R, K] mean of theta . dU/dtheta / n over the instants at which it was seen."""
        seen = ~np.isnan(self.product).all(axis=(1, 2))
        return np.asarray(self.product[seen].mean(axis=0))
