"""When an answer is there: running averages against a long reference, at every checkpoint of a run."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MEAN, VARIANCE = 0.05, 0.10
"""Largest rms over the 50 inputs: of the mean's error in posterior sd, of the variance's relative error."""
REFERENCE_SHARE = 0.25
"""Of MEAN and VARIANCE that a reference's own errors may be."""
STAYS = 1.5
"""A run goes on until it has so many times as many draws as where the answer was first there for good."""
FOLDER = Path(__file__).parent / "references"


@dataclass(frozen=True)
class Truth:
    """Mean and variance [50] of a problem, their standard errors, and where they are from."""

    mean: np.ndarray
    variance: np.ndarray
    mean_error: np.ndarray
    variance_error: np.ndarray
    provenance: dict[str, Any]

    @property
    def errors(self) -> tuple[float, float]:
        """rms of its own errors, as those of a run are counted."""
        of_mean, of_variance = self.mean_error / np.sqrt(self.variance), self.variance_error / self.variance
        return float(np.sqrt((of_mean**2).mean())), float(np.sqrt((of_variance**2).mean()))

    def off(self, mean: np.ndarray, variance: np.ndarray) -> tuple[float, float]:
        """rms errors of averages [50]."""
        of_mean = (mean - self.mean) / np.sqrt(self.variance)
        of_variance = variance / self.variance - 1
        return float(np.sqrt((of_mean**2).mean())), float(np.sqrt((of_variance**2).mean()))


def path_of(name: str, folder: Path = FOLDER) -> Path:
    """Where the reference of a problem is."""
    return folder / f"{name}.npz"


def truth(name: str, folder: Path = FOLDER) -> Truth:
    """The reference of a problem; `python -m bench.answer reference NAME` makes it."""
    path = path_of(name, folder)
    if not path.exists():
        raise SystemExit(f"{path} is not there: make it by python -m bench.answer reference {name}")
    with np.load(path) as kept:
        arrays = {key: kept[key] for key in ("mean", "variance", "mean_error", "variance_error")}
        return Truth(**arrays, provenance=json.loads(str(kept["provenance"])))


class Trail:
    """Checkpoints of one run: running averages against the truth.

    Attributes
    ----------
    points : of each checkpoint seconds, processor seconds, gradients, draws, error of the mean, of the variance.
    """

    def __init__(self, known: Truth) -> None:
        self.known, self.points = known, []
        self._sums, self._count = np.zeros((2, len(known.mean))), 0

    def add(self, seconds: float, processor: float, gradients: int, values: np.ndarray) -> None:
        """A checkpoint with the draws [n, 50] that came since the last one."""
        about = values - self.known.mean  # squares about it, so that nothing cancels
        self._sums += [about.sum(axis=0), (about**2).sum(axis=0)]
        self._count += len(values)
        mean = self._sums[0] / max(self._count, 1)
        off = self.known.off(self.known.mean + mean, self._sums[1] / max(self._count, 1) - mean**2)
        self.points.append((seconds, processor, gradients, self._count, *off))

    @staticmethod
    def _within(point: tuple[float, ...]) -> bool:
        return point[4] <= MEAN and point[5] <= VARIANCE

    def answer(self) -> int | None:
        """The first checkpoint from which on all are within; None where the last is not."""
        first = None
        for i, point in enumerate(self.points):
            first = (i if first is None else first) if self._within(point) else None
        return first

    def settled(self) -> bool:
        """Whether it has stayed within for STAYS times the draws."""
        at = self.answer()
        return at is not None and self.points[-1][3] >= STAYS * self.points[at][3]

    def told(self) -> dict[str, Any]:
        """What a row says."""
        at, names = self.answer(), ("seconds", "processor", "gradients", "draws", "mean", "variance")
        of = lambda i: dict(zip(names, self.points[i], strict=True))  # noqa: E731
        drawn = next((i for i, point in enumerate(self.points) if point[3]), None)
        return {
            "first_draw": None if drawn is None else of(drawn), "answer": None if at is None else of(at),
            "end": of(-1) if self.points else None, "checkpoints": len(self.points),
        }  # fmt: skip
