"""Forward passes of many replicas over many points, for observation and prediction: by kernel where it can be, by array
code elsewhere.
"""

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np

from ...targets.networks import MlpModel
from ..base import Needs, cores

Array = Any
_POINTS = 4096
_BYTES = 8 * 2**20
_BLOCK = 256
"""Replicas of a call, or of a piece on a GPU."""


class Predictor(Protocol):
    """One network's replicas at shared points: `position` [r, P], `x` [T, m], `y` [T] or [T, n]."""

    has_moments: bool
    """Whether `moments` is there: sums over replicas without the array in between."""
    at_once: int
    """Calls that are best made at a time, from as many threads; 0 where it is for the caller to say."""

    def phi(self, position: Array, x: Array) -> np.ndarray:
        """Phi [r, T, n]."""
        ...

    def scores(self, position: Array, x: Array, y: Array, weight: Array | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Sums over the points [r] float64: negative log likelihood, each point's times its `weight` [T] where the
        model is weighted, and right answers (regression: squared errors).
        """
        ...


class ArrayPredictor:
    """NumPy or CuPy; points in chunks and replicas in pieces, so that hidden activations stay small."""

    has_moments, at_once = False, 0

    def __init__(self, model: MlpModel, xp: Any = np) -> None:
        self.model, self._xp = model, xp

    @staticmethod
    def needs(model: MlpModel, dtype: Any, points: int, device: str, threads: int | None) -> Needs:
        """Each thread's activations of a piece, before and after, and the temporaries of an activation."""
        size = min(_piece(model, points), _BLOCK) if device == "cpu" else _BLOCK
        widest = 3 * max(model.hidden) + sum(model.hidden) + 4 * model.outputs
        piece = size * np.dtype(dtype).itemsize * (min(points, _POINTS) * widest + model.parameters)
        return Needs(piece * (threads or cores())) if device == "cpu" else Needs(0, piece)

    def phi(self, position: Array, x: Array) -> np.ndarray:
        """Phi [r, T, n]."""
        out = np.empty((len(position), len(x), self.model.outputs), position.dtype)
        for rows, points in self._pieces(len(position), len(x)):
            theta, inputs = self._xp.asarray(position[rows]), self._xp.asarray(x[points])
            out[rows, points] = _host(self.model.predict(theta, inputs, self._xp))
        return out

    def scores(self, position: Array, x: Array, y: Array, weight: Array | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Sums over the points [r] float64: see Predictor."""
        model, xp = self.model, self._xp
        loss, right = np.zeros(len(position)), np.zeros(len(position))
        for rows, points in self._pieces(len(position), len(x)):
            theta = xp.asarray(position[rows])
            raw = model.outputs_at(theta, xp.asarray(x[points]), xp)
            labels = xp.asarray(y[points])[None]
            full = xp.broadcast_to(labels, (raw.shape[0], *labels.shape[1:]))
            losses = model.losses(raw, full, xp, theta)
            losses = losses if weight is None else losses * xp.asarray(weight[points], losses.dtype)
            loss[rows] += _host(losses.sum(axis=-1, dtype=np.float64))
            right[rows] += _host(model.likelihood.score.sums(raw, labels, xp))
        return loss, right

    def fold(
        self, position: Array, x: Array, weight: Array | None, scale: float, sums: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """As FusedPredictor.fold, by array code: `position`, `x` and `weight` stand on a GPU, and so do the sums until
        the last block is added.
        """
        xp, classes = self._xp, self.model.likelihood.classes
        out = {name: xp.asarray(value) for name, value in sums.items()}
        for rows, points in self._pieces(len(position), len(x)):
            w = xp.ones(len(position[rows])) if weight is None else weight[rows]
            phi = self.model.predict(position[rows], x[points], xp).astype(np.float64)
            phi = xp.where((w != 0)[:, None, None], phi, 0.0)  # a frozen replica is NaN
            weighted = w[:, None, None] * phi
            out["sum_w_phi"][points] += scale * weighted.sum(axis=0)
            out["sum_w_phi2"][points] += scale * (weighted * phi).sum(axis=0)
            if classes is not None and "sum_w_entropy" in out:
                out["sum_w_entropy"][points] += scale * (w[:, None] * classes.entropy(phi)).sum(axis=0)
        return {name: np.asarray(_host(value)) for name, value in out.items()}

    def block_sums(self, position: Array, x: Array, weight: Array | None) -> dict[str, np.ndarray]:
        """As FusedPredictor.block_sums."""
        shape = (len(x), self.model.outputs)
        empty = {"sum_w_phi": np.zeros(shape), "sum_w_phi2": np.zeros(shape), "sum_w_entropy": np.zeros(len(x))}
        each = [
            self.fold(position[i : i + _BLOCK], x, None if weight is None else weight[i : i + _BLOCK], 1.0, empty)
            for i in range(0, len(position), _BLOCK)
        ]
        return {name: np.stack([one[name] for one in each]) for name in empty}

    def _pieces(self, replicas: int, points: int) -> Iterator[tuple[slice, slice]]:
        size = _piece(self.model, points) if self._xp is np else _BLOCK
        for i in range(0, replicas, size):
            for t in range(0, points, _POINTS):
                yield slice(i, i + size), slice(t, t + _POINTS)


def _host(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.get()


def _piece(model: MlpModel, points: int) -> int:
    """Replicas whose activations stay small."""
    per_replica = 4 * min(points, _POINTS) * (sum(model.hidden) + 4 * model.outputs)
    return max(1, _BYTES // max(1, per_replica))
