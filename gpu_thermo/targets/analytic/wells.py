"""Wells that are sums over coordinates: harmonic (the exact laws, equations.md section 10), double, quartic."""

from typing import Any

import numpy as np

from ...errors import SpecError
from ..base import Array
from .base import Analytic, finite, positive, rows_of


class Harmonic(Analytic):
    """U = sum_i k q_i^2 / 2.

    Parameters
    ----------
    stiffness : number, [R] or [R, P]; k of each replica (and coordinate). One row, [1, P], serves all replicas.
    size : P. gradient_noise_sd, energy_noise_sd : see Analytic.
    """

    _arrays = ("_stiffness",)

    def __init__(self, stiffness: Any, size: int, gradient_noise_sd: Any = 0.0, energy_noise_sd: Any = 0.0) -> None:
        super().__init__(size, gradient_noise_sd, energy_noise_sd)
        k = finite("stiffness", stiffness)
        if k.ndim > 2 or (k.ndim == 2 and k.shape[1] not in (1, size)):
            raise SpecError(
                f"stiffness has shape {k.shape}: give a number, one for each replica, or [replicas, {size}]."
            )
        self._stiffness = k[:, None] if k.ndim == 1 else k

    def _evaluate(self, position: Array, replica: Array) -> tuple[Array, Array]:
        gradient = (rows_of(self._stiffness, replica) * position).astype(position.dtype)
        return (gradient * position).sum(axis=-1, dtype=np.float64) / 2, gradient


class DoubleWell(Analytic):
    """U = sum_i height (q_i^2 / width^2 - 1)^2 + tilt q_i: wells near +-width, a barrier of about `height` between
    them.
    """

    def __init__(
        self, height: float = 1.0, width: float = 1.0, tilt: float = 0.0, size: int = 1,
        gradient_noise_sd: Any = 0.0, energy_noise_sd: Any = 0.0,
    ) -> None:  # fmt: skip
        super().__init__(size, gradient_noise_sd, energy_noise_sd)
        self.height, self.width = float(positive("height", height)), float(positive("width", width))
        self.tilt = float(finite("tilt", tilt))

    def _evaluate(self, position: Array, replica: Array) -> tuple[Array, Array]:
        t = position.dtype.type
        depth = position * position * t(self.width**-2) - t(1)
        energy = (depth * depth * t(self.height) + position * t(self.tilt)).sum(axis=-1, dtype=np.float64)
        return energy, depth * position * t(4 * self.height / self.width**2) + t(self.tilt)


class Quartic(Analytic):
    """U = sum_i quartic q_i^4 / 4 + quadratic q_i^2 / 2: smooth and confining, not harmonic, so that orders of accuracy
    show.
    """

    def __init__(
        self,
        quartic: float = 1.0,
        quadratic: float = 0.0,
        size: int = 1,
        gradient_noise_sd: Any = 0.0,
        energy_noise_sd: Any = 0.0,
    ) -> None:
        super().__init__(size, gradient_noise_sd, energy_noise_sd)
        self.quartic, self.quadratic = float(positive("quartic", quartic)), float(finite("quadratic", quadratic))

    def _evaluate(self, position: Array, replica: Array) -> tuple[Array, Array]:
        t = position.dtype.type
        square = position * position
        energy = (square * (square * t(self.quartic / 4) + t(self.quadratic / 2))).sum(axis=-1, dtype=np.float64)
        return energy, position * (square * t(self.quartic) + t(self.quadratic))
