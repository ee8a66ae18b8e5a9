"""What is computed of the replicas at each recorded moment: full-batch energy, test scores, predictions at probes, running averages.

Replicas go in blocks of 256, in order, and points in chunks, so that memory is bounded and every sum has one fixed order.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from .build import Setup
from .moments import RunningMoments

Array = Any

BLOCK = 256
_POINTS = 4096
_BYTES = 8 * 2**20


@dataclass
class Observation:
    """Numbers of one moment: `statistics` name -> [R] float64; `predictions` [R, probe, n] where asked for."""

    statistics: dict[str, np.ndarray]
    predictions: np.ndarray | None


class Observer:
    """Evaluates replicas on all training, test and probe points, and feeds the running moments.

    Parameters
    ----------
    setup : the run. moments : running sums, updated at draws. probes : whether predictions at the probes are wanted. xp : NumPy or CuPy.
    """

    def __init__(self, setup: Setup, moments: RunningMoments, probes: bool, xp: Any = np, threads: int = 1) -> None:
        self._setup, self._moments, self._xp = setup, moments, xp
        dtype = setup.job.dtype
        self._train = xp.asarray(setup.target.x_train), xp.asarray(setup.target.y_train)
        self._test = xp.asarray(setup.target.x_test), xp.asarray(setup.target.y_test)
        self._points = self._test[0] if setup.data.test_points else xp.asarray(setup.points, dtype)
        self._probes = xp.asarray(setup.probes, dtype) if probes else None
        self._pool = ThreadPoolExecutor(threads) if threads > 1 and xp is np else None

    def __call__(self, position: np.ndarray, is_draw: bool) -> Observation:
        """Observe the replicas at `position` [R, P]; frozen ones (NaN) give NaN."""
        rows = [slice(i, min(i + BLOCK, len(position))) for i in range(0, len(position), BLOCK)]
        one = lambda r: self._block(position[r], r, is_draw)  # noqa: E731
        parts = []
        for r, (statistics, phi, predictions) in zip(rows, self._pool.map(one, rows) if self._pool else map(one, rows), strict=True):
            if phi is not None:
                self._moments.update(phi, self._setup.ensemble[r])
            parts.append((statistics, predictions))
        statistics = {name: np.concatenate([p[0][name] for p in parts]) for name in parts[0][0]}
        predictions = None if parts[0][1] is None else np.concatenate([p[1] for p in parts])
        return Observation(statistics, predictions)

    def _block(self, position: np.ndarray, rows: slice, is_draw: bool) -> tuple[dict[str, np.ndarray], Any, Any]:
        with np.errstate(all="ignore"):
            statistics = {"energy": self._energy(position, rows)} | self._test_scores(position, rows)
            phi = self._predict(position, rows, self._points) if is_draw else None
            predictions = self._predict(position, rows, self._probes) if is_draw and self._probes is not None else None
        return statistics, phi, predictions

    def _energy(self, position: np.ndarray, rows: slice) -> np.ndarray:
        """Full-batch U [Rb], prior included."""
        total = self._sums(position, rows, *self._train)["loss"] / self._setup.data.points
        if self._setup.model.prior_sd is not None:
            theta = position.astype(np.float64)
            total += (theta * theta).sum(axis=-1) / (2 * self._setup.model.prior_sd**2 * self._setup.data.points)
        return total

    def _test_scores(self, position: np.ndarray, rows: slice) -> dict[str, np.ndarray]:
        """Mean test NLL [Rb], and accuracy or RMSE."""
        points = self._setup.data.test_points
        if not points:
            return {}
        sums = self._sums(position, rows, *self._test)
        nll = sums["loss"] / points
        if self._setup.model.task == "regression":
            return {"test_rmse": np.sqrt(sums["square"] / (points * self._setup.model.outputs)), "test_nll": nll}
        return {"test_accuracy": np.where(np.isfinite(nll), sums["right"] / points, np.nan), "test_nll": nll}

    def _sums(self, position: np.ndarray, rows: slice, x: Array, y: Array) -> dict[str, np.ndarray]:
        """Sums over all points [Rb] float64: loss, and right answers or squared errors."""
        model, xp = self._setup.model, self._xp
        out = {"loss": np.zeros(len(position)), "right": np.zeros(len(position)), "square": np.zeros(len(position))}
        for r, dataset in self._pieces(rows, x.shape[1]):
            theta = xp.asarray(position[r])
            for start in range(0, x.shape[1], _POINTS):
                cut = slice(start, start + _POINTS)
                raw, labels = model.outputs_at(theta, x[dataset, cut], xp), y[dataset, cut][None]
                full = xp.broadcast_to(labels, (raw.shape[0], *labels.shape[1:]))
                out["loss"][r] += _host(model.losses(raw, full, xp).sum(axis=-1, dtype=np.float64))
                if model.task == "regression":
                    out["square"][r] += _host(((raw - labels) ** 2).sum(axis=(1, 2), dtype=np.float64))
                else:
                    guess = raw[..., 0] > 0 if model.task == "binary" else raw.argmax(axis=-1)
                    out["right"][r] += _host((guess == labels).sum(axis=-1))
        return out

    def _predict(self, position: np.ndarray, rows: slice, x: Array) -> np.ndarray:
        """Phi [Rb, point, n] at the replicas' own data sets' points."""
        model, xp = self._setup.model, self._xp
        out = np.empty((len(position), x.shape[1], model.outputs), position.dtype)
        for r, dataset in self._pieces(rows, x.shape[1]):
            theta = xp.asarray(position[r])
            for start in range(0, x.shape[1], _POINTS):
                cut = slice(start, start + _POINTS)
                out[r, cut] = _host(model.predict(theta, x[dataset, cut], xp))
        return out

    def _pieces(self, rows: slice, points: int) -> Iterator[tuple[np.ndarray, int]]:
        """Rows of the block that share a data set, few enough for their hidden activations to stay in cache."""
        sets = self._setup.dataset[rows]
        per_replica = 4 * min(points, _POINTS) * (self._setup.model.hidden + 4 * self._setup.model.outputs)
        size = max(1, _BYTES // per_replica) if self._xp is np else BLOCK
        for dataset in np.unique(sets):
            (mine,) = np.nonzero(sets == dataset)
            for i in range(0, len(mine), size):
                yield mine[i : i + size], int(dataset)


def _host(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.get()
