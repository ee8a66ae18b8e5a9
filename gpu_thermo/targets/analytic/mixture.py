"""Mixtures of normal distributions: U = -log density, so that temperature 1 samples the mixture itself."""

import math
from typing import Any

import numpy as np

from ...errors import SpecError
from ..base import Array
from .base import Analytic, finite, positive

MAX_VALUES = 2**22
"""Modes times coordinates."""
WEIGHT_SLACK = 1e-6


class GaussianMixture(Analytic):
    """U(q) = -log sum_j w_j N(q; m_j, diag s_j^2), by log-sum-exp: finite, with the nearest modes' slope, however far
    away.

    Parameters
    ----------
    means : [M, P], or [M] for one coordinate. weights : [M], positive, of sum 1; equal by default.
    sd : number, [M] or [M, P], standard deviations. gradient_noise_sd, energy_noise_sd : see Analytic.
    """

    _arrays = ("_log_scale", "_means", "_inverse_sd")

    def __init__(
        self, means: Any, sd: Any = 1.0, weights: Any = None, gradient_noise_sd: Any = 0.0, energy_noise_sd: Any = 0.0
    ) -> None:
        self.means = finite("means", means)
        if self.means.ndim == 1:
            self.means = self.means[:, None]
        if self.means.ndim != 2 or not 0 < self.means.size <= MAX_VALUES:
            raise SpecError(
                f"means of shape {np.shape(means)}: give [modes, coordinates], at most {MAX_VALUES} numbers."
            )
        modes, size = self.means.shape
        super().__init__(size, gradient_noise_sd, energy_noise_sd)
        self.weights = _weights(np.full(modes, 1 / modes) if weights is None else weights, modes)
        self.sd = _sd(sd, modes, size)
        self._means, self._inverse_sd = self.means, 1 / self.sd
        self._log_scale = np.log(self.weights) - np.log(self.sd).sum(axis=1) - size * math.log(2 * math.pi) / 2

    def _evaluate(self, position: Array, replica: Array) -> tuple[Array, Array]:
        xp, dtype = self._xp, position.dtype
        inverse_sd = self._inverse_sd.astype(dtype, copy=False)
        z = (position[:, None, :] - self._means.astype(dtype, copy=False)) * inverse_sd
        log_density = self._log_scale.astype(dtype, copy=False) - (z * z).sum(axis=-1) / dtype.type(2)
        top = log_density.max(axis=1, keepdims=True)
        share = xp.exp(log_density - top)
        total = share.sum(axis=1, keepdims=True)
        energy = -(top + xp.log(total))[:, 0].astype(np.float64)
        share /= total
        z *= inverse_sd
        z *= share[:, :, None]
        return energy, z.sum(axis=1)


def _weights(weights: Any, modes: int) -> np.ndarray:
    w = positive("weights", weights)
    if w.shape != (modes,):
        raise SpecError(f"weights has shape {w.shape} for {modes} means: give one weight for each.")
    total = w.sum()
    if abs(total - 1) > WEIGHT_SLACK:
        raise SpecError(f"weights = {w[:10].tolist()} sum to {total:.9g}, not 1: divide each by {total:.9g}.")
    return w / total


def _sd(sd: Any, modes: int, size: int) -> np.ndarray:
    """[M, P] from a number, [M] or [M, P]."""
    s = positive("sd", sd)
    if s.shape not in ((), (modes,), (modes, size)):
        raise SpecError(
            f"sd has shape {s.shape}: give a number, one for each of the {modes} modes, or [{modes}, {size}]."
        )
    return np.broadcast_to(s[:, None] if s.ndim == 1 else s, (modes, size)).copy()
