"""Harmonic wells, the targets of the exact laws (equations.md section 10)."""

from copy import copy
from typing import Any

import numpy as np

from ..streams import Purpose, normals
from .base import Batch, Layout

Array = Any


class Harmonic:
    """U = sum_i k q_i^2 / 2 with independent N(0, noise_sd^2) on each force component.

    Parameters
    ----------
    stiffness : number, [R] or [R, P]; k of each replica (and coordinate).
    size : P. noise_sd : standard deviation of the gradient noise, a number or [R].
    """

    points = 0

    def __init__(self, stiffness: Any, size: int, noise_sd: Any = 0.0) -> None:
        self.layout = Layout({"position": (size,)}, {"all": ("position",)}, np.arange(size))
        k = np.asarray(stiffness, np.float64)
        self._stiffness = k[:, None] if k.ndim == 1 else k
        self._noise_sd = np.asarray(noise_sd, np.float64).reshape(-1, 1)
        self._noisy = bool(np.any(np.asarray(noise_sd) != 0))
        self._blocks = np.arange(-(-size // 4), dtype=np.uint64)
        self._xp: Any = np

    def to(self, xp: Any) -> "Harmonic":
        """The same with its arrays in another library."""
        moved = copy(self)
        moved._xp = xp
        for name in ("_stiffness", "_noise_sd", "_blocks"):
            setattr(moved, name, xp.asarray(getattr(self, name)))
        return moved

    def energy_and_gradient(self, position: Array, batch: Batch) -> tuple[Array, Array]:
        """U [R] and k q + noise [R, P]."""
        k = _rows(self._stiffness, batch.replica)
        gradient = (k * position).astype(position.dtype)
        energy = (gradient * position).sum(axis=-1, dtype=np.float64) / 2
        if self._noisy:
            assert batch.keys is not None
            noise = normals(batch.keys, self._blocks, Purpose.TARGET, batch.evaluation, dtype=position.dtype.type, xp=self._xp)
            gradient += (_rows(self._noise_sd, batch.replica)).astype(position.dtype) * noise[:, : position.shape[1]]
        return energy, gradient


def _rows(values: Array, replica: Array) -> Array:
    return values if values.ndim < 2 or values.shape[0] == 1 else values[replica]
