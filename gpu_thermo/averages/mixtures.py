"""The posterior predictive of numbers as what it is, a mixture over draws of the laws of an answer: its distribution,
quantiles, scores and calibration (equations.md section 9). Nothing here takes it for a normal law.

Axes: D draws, T points, n targets, K levels. Everything is float64; temporaries have at most `_VALUES` values.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from ..targets.likelihoods.laws import NORMAL, Law, Settings
from .normal_quantiles import MOST_EXTREME, normal_quantiles

Array = Any

_VALUES = 1 << 18
"""Values of a temporary: 2 MB, which stays in a core's cache."""
CLOSED_FORM = 256
"""Most draws for which the CRPS takes all pairs of them."""
MOST_SUMMED = 1 << 14
"""Largest count as far as which the CRPS of counts is a sum."""
_NODES = 24
"""Nodes between two of these where the CRPS is an integral."""
_EDGES = (1e-7, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 1 - 1e-7)
"""Levels at whose quantiles that integral is cut, beside the observation; what is left out beyond the ends is of the
order of the square of their probability."""
_STEPS, _ROOT_OF_TURN = 200, math.sqrt(2 * math.pi)
_LARGEST = 1e300
"""Counts beyond it are infinite."""


@dataclass(frozen=True)
class Mixture:
    """A mixture at T points.

    Attributes
    ----------
    law, settings : of an answer under one draw. location [D, T, n]. scale : broadcasts against it.
    weight : [D], of sum 1.
    """

    law: Law
    settings: Settings
    location: np.ndarray
    scale: np.ndarray
    weight: np.ndarray

    @classmethod
    def of(
        cls, law: Law, settings: Settings, location: Array, scale: Array = 1.0, log_weight: Array | None = None
    ) -> "Mixture":
        """The mixture of draws [D, T, n] with logarithms of weights [D]; equal weights by default."""
        location = np.asarray(location, np.float64)
        scale = np.broadcast_to(np.asarray(scale, np.float64), location.shape)
        log_w = np.zeros(len(location)) if log_weight is None else np.asarray(log_weight, np.float64)
        w = np.exp(log_w - log_w.max())
        return cls(law, settings, location, scale, w / w.sum())

    @property
    def shape(self) -> tuple[int, int]:
        """T, n."""
        return self.location.shape[1], self.location.shape[2]

    def _pieces(self, values: int) -> Iterator[slice]:
        """Draws, some at a time, for temporaries of `values` each."""
        step = max(1, _VALUES // max(1, values))
        for start in range(0, len(self.weight), step):
            yield slice(start, start + step)

    def _mean(self, of: Callable[[Array, Array, Settings], Array], y: Array) -> np.ndarray:
        """Mean over draws of `of(location, scale, settings)` at y [.., T, n]."""
        y = np.asarray(y, np.float64)
        shape = np.broadcast_shapes(y.shape, self.shape)
        total = np.zeros(shape)
        extra = (1,) * (len(shape) - 2)
        for d in self._pieces(int(np.prod(shape))):
            m, s = (a[d].reshape(-1, *extra, *self.shape) for a in (self.location, self.scale))
            total += np.tensordot(self.weight[d], of(m, s, self.settings), axes=1)
        return total

    def cdf(self, y: Array) -> np.ndarray:
        """P(answer <= y) for y [.., T, n]."""
        return np.clip(self._mean(lambda m, s, c: self.law.cdf(y, m, s, c), y), 0, 1)

    def log_density(self, y: Array) -> np.ndarray:
        """Log of the mixture's density (probability, of a count) for y [T, n], target by target."""
        top = np.full(self.shape, -np.inf)
        for d in self._pieces(int(np.prod(self.shape))):
            part = self.law.log_density(y, self.location[d], self.scale[d], self.settings)
            top = np.maximum(top, part.max(axis=0))
        top = np.where(np.isfinite(top), top, 0.0)
        with np.errstate(divide="ignore"):
            return top + np.log(self._mean(lambda m, s, c: np.exp(self.law.log_density(y, m, s, c) - top), y))

    def log_joint(self, y: Array) -> np.ndarray:
        """Log of the mean over draws of the density of all targets together [T]: independent under one draw, they are
        not so under the mixture.
        """
        log_w, total, top = (
            np.log(np.maximum(self.weight, 1e-300)),
            np.zeros(self.shape[0]),
            np.full(self.shape[0], -np.inf),
        )
        for d in self._pieces(int(np.prod(self.shape))):
            part = self.law.log_density(y, self.location[d], self.scale[d], self.settings).sum(axis=-1)
            part = part + log_w[d, None]
            new = np.maximum(top, part.max(axis=0))
            safe = np.where(np.isfinite(new), new, 0.0)
            total = total * np.exp(np.where(np.isfinite(top), top - safe, -np.inf)) + np.exp(part - safe).sum(axis=0)
            top = new
        with np.errstate(divide="ignore"):
            return np.where(np.isfinite(top), top, 0.0) + np.log(total)

    def quantiles(self, levels: Array) -> np.ndarray:
        """The smallest y with cdf(y) >= level, [K, T, n].

        The bracket is the range of the draws' own quantiles: below the smallest of them every draw has less than the
        level, and above the largest every draw has more.
        """
        at = np.asarray(levels, np.float64).reshape(-1, 1, 1)
        low = np.full((len(at), *self.shape), np.inf)
        high = -low
        for d in self._pieces(low.size):
            m, s = self.location[d, None], self.scale[d, None]
            own = self.law.quantile(at, m, s, self.settings)
            low, high = np.minimum(low, own.min(axis=0)), np.maximum(high, own.max(axis=0))
        return self._whole(at, low, high) if self.law.discrete else self._inverted(at, low, high)

    def close_quantiles(self, levels: Array) -> np.ndarray:
        """The same to CLOSE of the mixture's standard deviation, at a fraction of the work where that can be."""
        level = np.asarray(levels, np.float64).ravel()
        if self.law is not NORMAL or np.minimum(level, 1 - level).min(initial=1) < MOST_EXTREME:
            return self.quantiles(level)
        flat = (len(self.weight), -1)
        found, each = normal_quantiles(self.location.reshape(flat), self.scale.reshape(flat), self.weight, level)
        out = found.reshape(len(level), *self.shape)
        good = np.asarray(each.reshape(self.shape).all(axis=1))
        if not good.all():
            out[:, ~good] = self._at(~good).quantiles(level)
        return out

    def location_quantiles(self, levels: Array) -> np.ndarray:
        """Quantiles over draws of their own means of an answer [K, T, n]: the smallest mean below or at which draws of
        at least that share of the weight have theirs. What more data would narrow.
        """
        if (self.weight == self.weight[0]).all():
            share = np.cumsum(self.weight)
            places = [min(int((share < level - 1e-12).sum()), len(share) - 1) for level in np.ravel(levels)]
            return np.partition(self.location, sorted({*places}), axis=0)[places]
        order = np.argsort(self.location, axis=0, kind="stable")
        share = np.cumsum(self.weight[order], axis=0)
        sorted_means = np.take_along_axis(self.location, order, axis=0)
        out = np.empty((len(levels := np.asarray(levels, np.float64).ravel()), *self.shape))
        for k, level in enumerate(levels):
            place = np.minimum((share < level - 1e-12).sum(axis=0, keepdims=True), len(self.weight) - 1)
            out[k] = np.take_along_axis(sorted_means, place, axis=0)[0]
        return out

    def _whole(self, level: Array, low: Array, high: Array) -> np.ndarray:
        low = low - 1  # there the distribution is below the level, or it is -1
        endless = ~np.isfinite(high)
        high = np.where(endless, _LARGEST, high)
        while True:
            far = high > 2 * low + 64  # halves the number of digits, not the number
            middle = np.floor(np.where(far, np.sqrt(low + 2) * np.sqrt(high + 2) - 2, low + (high - low) / 2))
            between = (middle > low) & (middle < high)  # beyond 2^53 whole numbers are not next to each other
            if not between.any():
                return np.where(endless & (high >= _LARGEST), np.inf, high)
            enough = self.cdf(middle) >= level
            low, high = np.where(between & ~enough, middle, low), np.where(between & enough, middle, high)

    def _inverted(self, level: Array, low: Array, high: Array) -> np.ndarray:
        """Newton's steps in normal scores, in which the distribution of a mixture is nearly straight, from the normal
        law of its moments; bisection where they leave the bracket, and now and then.
        """
        from scipy.special import ndtri  # takes a tenth of the time that a run takes to begin

        score, enough = ndtri(level), 1e-9 * np.minimum(level, 1 - level)
        mean, spread = self._centre()
        at = best = np.clip(mean + spread * score, low, high)
        off = np.full(at.shape, np.inf)
        for i in range(_STEPS):
            found = self.cdf(at)
            closer = abs(found - level) < off
            best, off = np.where(closer, at, best), np.where(closer, abs(found - level), off)
            low, high = np.where(found < level, at, low), np.where(found < level, high, at)
            gap, size = high - low, np.maximum(abs(low), abs(high))
            if ((gap <= 1e-14 * size + 1e-300) | (off <= enough)).all():
                break
            with np.errstate(divide="ignore", over="ignore", invalid="ignore"):  # such a step leaves the bracket
                own = ndtri(found)
                newton = at - (own - score) * np.exp(-own * own / 2) / (_ROOT_OF_TURN * self._density(at))
            inside = (newton > low) & (newton < high) & (i % 8 < 7)
            at = np.where(off <= enough, best, np.where(inside, newton, low + gap / 2))
        return np.asarray(best)

    def _density(self, y: Array) -> np.ndarray:
        """Of the mixture at y [.., T, n]."""
        return self._mean(lambda m, s, c: np.exp(self.law.log_density(y, m, s, c)), y)

    def _centre(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean over draws of locations, and root of the mean square of what is about it, [T, n]."""
        mean, square = np.tensordot(self.weight, self.location, axes=1), np.zeros(self.shape)
        for d in self._pieces(int(np.prod(self.shape))):
            square += np.tensordot(self.weight[d], (self.location[d] - mean) ** 2 + self.scale[d] ** 2, axes=1)
        return mean, np.sqrt(square)

    def pit(self, y: Array) -> np.ndarray:
        """Probability integral transform [T, n]: uniform on [0, 1] where predictions are right. For counts it is the
        middle of the step, (P(< y) + P(<= y))/2.
        """
        return (self.cdf(y) + self.cdf(np.asarray(y) - 1)) / 2 if self.law.discrete else self.cdf(y)

    def inside(self, y: Array, coverage: Array) -> np.ndarray:
        """Whether y [T, n] lies in the central interval of each coverage, [K, T, n]."""
        out = (1 - np.asarray(coverage, np.float64).reshape(-1, 1, 1)) / 2
        upper = self.cdf(y)
        lower = self.cdf(np.asarray(y) - 1) if self.law.discrete else upper
        return (upper >= out) & (lower < 1 - out if self.law.discrete else lower <= 1 - out)

    def held(self, coverage: Array) -> np.ndarray:
        """Probability of the central interval of each coverage [K, T, n]: the coverage, and more of counts, whose
        intervals end at whole numbers.
        """
        level = np.asarray(coverage, np.float64).reshape(-1)
        if not self.law.discrete:
            return np.broadcast_to(level[:, None, None], (len(level), *self.shape))
        low, high = (self.quantiles(at) for at in ((1 - level) / 2, (1 + level) / 2))
        return self.cdf(high) - self.cdf(low - 1)

    def crps(self, y: Array) -> tuple[np.ndarray, str]:
        """Continuous ranked probability score, the integral of (F - 1{. >= y})^2, [T, n], and how it was computed.

        Normal laws of at most CLOSED_FORM draws: E|X - y| - E|X - X'|/2 over all pairs. Counts: the sum over whole
        numbers, as far as MOST_SUMMED. Else the integral by Gauss and Legendre's rule between some quantiles and y, in
        asinh of the distance from the median, so that heavy tails cost nothing.
        """
        y = np.asarray(y, np.float64)
        if self.law.discrete:
            last = np.maximum(self.quantiles((1 - 1e-10,))[0], y).max(axis=1)
            if (few := last <= MOST_SUMMED).all():
                return self._counted_crps(y, int(last.max())), "sum over counts"
            out = self._integrated_crps(y)
            if few.any():
                out[few] = self._at(few)._counted_crps(y[few], int(last[few].max()))
            return out, f"sum over counts, beyond {MOST_SUMMED:,} the integral of their distribution"
        if self.law.distance is not None and len(self.weight) <= CLOSED_FORM:
            return self._paired_crps(y), "closed form"
        return self._integrated_crps(y), "integral of the distribution"

    def _paired_crps(self, y: np.ndarray) -> np.ndarray:
        distance, w = self.law.distance, self.weight
        assert distance is not None
        out = np.tensordot(w, distance(self.location - y, self.scale), axes=1)
        for d in self._pieces(self.location.size):
            gap = self.location[d, None] - self.location[None]
            sd = np.sqrt(self.scale[d, None] ** 2 + self.scale[None] ** 2)
            out -= np.einsum("i,j,ij...->...", w[d], w, distance(gap, sd)) / 2
        return np.maximum(out, 0.0)

    def _integrated_crps(self, y: np.ndarray) -> np.ndarray:
        edges = self.quantiles(_EDGES)
        middle, unit = edges[len(_EDGES) // 2], np.maximum(edges[-2] - edges[1], 1e-300)
        stretched = np.arcsinh((np.concatenate([edges, y[None]]) - middle) / unit)
        cuts, own = np.sort(stretched, axis=0), stretched[-1]
        node, weight = (a.reshape(-1, 1, 1) for a in np.polynomial.legendre.leggauss(_NODES))
        out = np.zeros(self.shape)
        for start, end in pairwise(cuts):
            t = start + (end - start) * (1 + node) / 2
            f = self.cdf(middle + unit * np.sinh(t))
            rest = np.where(start >= own, 1 - f, f)
            out += (weight * rest**2 * np.cosh(t)).sum(axis=0) * unit * (end - start) / 2
        return out

    def _at(self, points: np.ndarray) -> "Mixture":
        """The same at some of the points [T]."""
        return Mixture(self.law, self.settings, self.location[:, points], self.scale[:, points], self.weight)

    def _counted_crps(self, y: np.ndarray, last: int) -> np.ndarray:
        out, step = np.zeros(self.shape), max(1, _VALUES // max(1, int(np.prod(self.shape))))
        for start in range(0, last + 1, step):
            k = np.arange(start, min(start + step, last + 1)).reshape(-1, 1, 1)
            out += ((self.cdf(np.broadcast_to(k, (len(k), *self.shape))) - (k >= y)) ** 2).sum(axis=0)
        return out
