"""The plane of nine wells of the contour SGLD paper (Deng, Lin, Liang 2020)."""

from typing import Any

import numpy as np

from ..base import Array
from .base import Analytic

BOX = 2.5
_RADIUS2 = 7.0
_TURN = 1.2 * np.pi


class Plane(Analytic):
    """U = ((x^2 + y^2)/10 - cos 1.2 pi x - cos 1.2 pi y)/.3, plus r^2 - 7 where r^2 > 7; the published box is |x|, |y|
    <= 2.5.

    The slope jumps by 2 r at r^2 = 7, as published; U is continuous.
    """

    def __init__(self, bounds: float | None = BOX, gradient_noise_sd: Any = 0.0, energy_noise_sd: Any = 0.0) -> None:
        super().__init__(2, gradient_noise_sd, energy_noise_sd, bounds=bounds)

    def _evaluate(self, position: Array, replica: Array) -> tuple[Array, Array]:
        xp, t = self._xp, position.dtype.type
        angle = position * t(_TURN)
        square = position * position
        outer = xp.maximum(square.sum(axis=-1, dtype=np.float64) - _RADIUS2, 0)
        energy = ((square * t(0.1) - xp.cos(angle)) * t(1 / 0.3)).sum(axis=-1, dtype=np.float64) + outer
        gradient = (position * t(0.2) + xp.sin(angle) * t(_TURN)) * t(1 / 0.3)
        gradient += position * (2 * (outer > 0)[:, None]).astype(position.dtype)
        return energy, gradient
