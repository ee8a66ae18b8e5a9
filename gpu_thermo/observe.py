"""What is computed of the replicas at each recorded moment: full-batch energy, test scores, predictions at probes, running averages.

Replicas go in blocks of 256, in order, so that memory is bounded and every sum has one fixed order.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .build import Setup
from .engines.predictor import Predictor
from .moments import BLOCK, RunningMoments

Array = Any


@dataclass
class Observation:
    """Numbers of one moment: `statistics` name -> [R] float64; `predictions` [R, probe, n] where asked for."""

    statistics: dict[str, np.ndarray]
    predictions: np.ndarray | None


class Observer:
    """Evaluates replicas on all training, test and probe points, and feeds the running moments.

    Parameters
    ----------
    setup : the run. moments : running sums, updated at draws. predictor : who does the forward passes. threads : for predictors without
        threads of their own.
    """

    def __init__(self, setup: Setup, moments: RunningMoments, predictor: Predictor, threads: int = 1) -> None:
        self._setup, self._moments, self._predictor = setup, moments, predictor
        target, dtype = setup.target, setup.job.dtype
        self._train, self._test = (target.x_train, target.y_train), (target.x_test, target.y_test)
        self._points = target.x_test if setup.data.test_points else setup.points.astype(dtype)
        self._probes = setup.probes.astype(dtype) if "predictions" in setup.spec.run.keep else None
        self._sums = predictor.has_moments and not moments.has_density
        self._pool = ThreadPoolExecutor(threads) if threads > 1 and not predictor.has_moments else None

    def __call__(self, position: np.ndarray, is_draw: bool) -> Observation:
        """Observe the replicas at `position` [R, P]; frozen ones (NaN) give NaN."""
        rows = [slice(i, min(i + BLOCK, len(position))) for i in range(0, len(position), BLOCK)]
        one = lambda r: self._block(position[r], r, is_draw)  # noqa: E731
        parts = []
        for r, (statistics, phi, predictions) in zip(rows, self._pool.map(one, rows) if self._pool else map(one, rows), strict=True):
            if phi is not None:
                self._moments.update(phi, self._setup.ensemble[r], log_density=self._log_density(phi, r))
            elif is_draw:
                self._add_sums(position[r], r)
            parts.append((statistics, predictions))
        statistics = {name: np.concatenate([p[0][name] for p in parts]) for name in parts[0][0]}
        predictions = None if parts[0][1] is None else np.concatenate([p[1] for p in parts])
        return Observation(statistics, predictions)

    def _block(self, position: np.ndarray, rows: slice, is_draw: bool) -> tuple[dict[str, np.ndarray], Any, Any]:
        with np.errstate(all="ignore"):
            statistics = {"energy": self._energy(position, rows)} | self._test_scores(position, rows)
            phi = self._phi(position, rows, self._points) if is_draw and not self._sums else None
            predictions = self._phi(position, rows, self._probes) if is_draw and self._probes is not None else None
        return statistics, phi, predictions

    def _energy(self, position: np.ndarray, rows: slice) -> np.ndarray:
        """Full-batch U [Rb], prior included."""
        total = self._scores(position, rows, *self._train)[0] / self._setup.data.points
        if self._setup.model.prior_sd is not None:
            theta = position.astype(np.float64)
            total += (theta * theta).sum(axis=-1) / (2 * self._setup.model.prior_sd**2 * self._setup.data.points)
        return total

    def _test_scores(self, position: np.ndarray, rows: slice) -> dict[str, np.ndarray]:
        """Mean test NLL [Rb], and accuracy or RMSE."""
        points = self._setup.data.test_points
        if not points:
            return {}
        loss, right = self._scores(position, rows, *self._test)
        nll = loss / points
        if self._setup.model.task == "regression":
            return {"test_rmse": np.sqrt(right / (points * self._setup.model.outputs)), "test_nll": nll}
        return {"test_accuracy": np.where(np.isfinite(nll), right / points, np.nan), "test_nll": nll}

    def _scores(self, position: np.ndarray, rows: slice, x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
        loss, right = np.empty(len(position)), np.empty(len(position))
        for mine, dataset in self._pieces(rows):
            loss[mine], right[mine] = self._predictor.scores(position[mine], x[dataset], y[dataset])
        return loss, right

    def _phi(self, position: np.ndarray, rows: slice, x: Array) -> np.ndarray:
        """Phi [Rb, point, n] at the points of the replicas' own data sets."""
        out = np.empty((len(position), x.shape[1], self._setup.model.outputs), position.dtype)
        for mine, dataset in self._pieces(rows):
            out[mine] = self._predictor.phi(position[mine], x[dataset])
        return out

    def _log_density(self, phi: np.ndarray, rows: slice) -> np.ndarray | None:
        """Log likelihood of the test targets [Rb, T] under each replica, where the moments want it (regression)."""
        if not self._moments.has_density:
            return None
        return -self._setup.model.losses(phi, self._test[1][self._setup.dataset[rows]])

    def _add_sums(self, position: np.ndarray, rows: slice) -> None:
        """Running averages of a block by the predictor's own sums; frozen replicas are left out."""
        ensemble, alive = self._setup.ensemble[rows], np.isfinite(position).all(axis=-1)
        for e in np.unique(ensemble[alive]):
            mine = np.flatnonzero(alive & (ensemble == e))
            x = self._points[self._setup.ensemble_dataset[e]]
            self._moments.add_sums(int(e), len(mine), self._predictor.moments(position[mine], x))  # type: ignore[attr-defined]

    def _pieces(self, rows: slice) -> Iterator[tuple[np.ndarray, int]]:
        """Rows of the block that share a data set."""
        sets = self._setup.dataset[rows]
        for dataset in np.unique(sets):
            yield np.flatnonzero(sets == dataset), int(dataset)
