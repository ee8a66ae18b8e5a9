"""Quantiles of mixtures of normal laws as predictions at many points want them: in float32, to `CLOSE` of the mixture's
standard deviation. `mixtures` has them exactly, of every law, at six times the work.

Axes: D draws, J points and targets together, K levels.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = Any
CLOSE = 3e-5
"""Of a mixture's sd: how far a quantile may be off."""
MOST_EXTREME = 0.01
"""Nearest level to 0 or 1: nearer, the polynomial of `_tail` says too little of what is left."""
_VALUES = 1 << 15
"""Values of a temporary: 128 kB, so that all of them stay in a core's cache."""
_STEPS, _NEAR, _FLAT = 12, 3e-4, 0.01
"""Steps at most; how far from the end, in sd, Newton's next step is the last, as what is left falls as its square; and
the density, per sd, below which float32 does not tell where the end is.
"""
_TOP = float(1 / np.sqrt(2 * np.pi))
_TAIL = (_TOP * np.array([0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429])).astype(np.float32)
_SLOPE = np.float32(0.2316419)
"""Abramowitz and Stegun, 26.2.17: error below 7.5e-8."""


def normal_quantiles(location: Array, scale: Array, weight: Array, levels: Array) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles [K, J] of mixtures over draws of normal laws, and [J] where all of them were found.

    Parameters
    ----------
    location, scale : [D, J]. weight : [D], of sum 1. levels : [K], none nearer to 0 or 1 than MOST_EXTREME.
    """
    out = np.empty((len(levels), location.shape[1]))
    found = np.ones(location.shape[1], bool)
    weight = np.asarray(weight, np.float64)
    for part in _pieces(*location.shape):
        mixture = _Standard(location[:, part], scale[:, part], weight)
        for k, level in enumerate(levels):
            x, good = mixture.quantile(float(level))
            out[k, part] = mixture.mean + mixture.sd * x
            found[part] &= good
    return out, found


def _pieces(draws: int, points: int) -> Iterator[slice]:
    step = max(16, _VALUES // draws)
    for start in range(0, points, step):
        yield slice(start, start + step)


class _Standard:
    """Mixtures [J] of mean 0 and sd 1."""

    def __init__(self, location: Array, scale: Array, weight: Array) -> None:
        self._weight = w = weight.astype(np.float32)
        self.mean = weight @ location
        a, q = (location - self.mean).astype(np.float32), scale.astype(np.float32)
        a2, q2 = a * a, q * q
        sd = np.sqrt(w @ (a2 + q2))
        self.sd = sd.astype(np.float64)
        a2 += np.float32(3) * q2
        with np.errstate(all="ignore"):
            self._skew = (w @ (a2 * a)).astype(np.float64) / self.sd**3
            a2 *= a2
            q2 *= q2
            q2 *= np.float32(6)
            a2 -= q2
            self._tails = (w @ a2).astype(np.float64) / self.sd**4 - 3
            a /= sd
            np.divide(sd, q, out=q)
        self._near = _NEAR * np.minimum(1.0, 10.0 / q.max(axis=0))  # less where a law is narrow: there it bends sooner
        self._a, self._r, self._z, self._t, self._e = a, q, a2, q2, np.empty_like(a)
        self._tail = np.empty_like(a)

    def quantile(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """[J], and where it was found: Newton's steps in normal scores, in which a mixture's distribution is nearly
        straight, from Cornish and Fisher's expansion; to the middle of what is known where they leave it.
        """
        from scipy.special import ndtri  # takes a tenth of the time that a run takes to begin

        score = float(ndtri(level))
        at = self._expanded(score)
        low, high = np.full(at.shape, -12.0), np.full(at.shape, 12.0)
        done = np.zeros(at.shape, bool)
        for _ in range(_STEPS):
            found, density = self._at(at)
            low, high = np.where(found < level, at, low), np.where(found < level, high, at)
            with np.errstate(all="ignore"):
                own = ndtri(found)
                step = (own - score) * np.exp(-own * own / 2) * _TOP / density
                newton = at - step
                last = (abs(step) < self._near) & (density > _FLAT)
            inside = (newton >= low) & (newton <= high)
            at = np.where(done, at, np.where(inside | last, newton, (low + high) / 2))
            done |= last
            if done.all():
                break
        return at, done

    def _expanded(self, z: float) -> np.ndarray:
        """Where the quantile of score z is, to third order in the moments."""
        g1, g2 = self._skew, self._tails
        x = z + g1 * (z * z - 1) / 6 + g2 * (z**3 - 3 * z) / 24 - g1 * g1 * (2 * z**3 - 5 * z) / 36
        with np.errstate(invalid="ignore"):
            return np.where((abs(g1) < 1) & (abs(g2) < 3), x, z)

    def _at(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distribution and density at x [J]."""
        z, t, e, tail = self._z, self._t, self._e, self._tail
        np.subtract(x.astype(np.float32), self._a, out=z)
        z *= self._r
        np.multiply(z, z, out=e)
        e *= np.float32(-0.5)
        np.exp(e, out=e)
        np.abs(z, out=t)
        t *= _SLOPE
        t += np.float32(1)
        np.reciprocal(t, out=t)
        np.multiply(t, _TAIL[-1], out=tail)
        for c in _TAIL[-2::-1]:
            tail += c
            tail *= t
        tail *= e
        np.subtract(np.float32(0.5), tail, out=tail)
        np.copysign(tail, z, out=tail)
        e *= self._r
        return 0.5 + (self._weight @ tail).astype(np.float64), _TOP * (self._weight @ e).astype(np.float64)
