"""Statistics over the replicas of an ensemble: is it stationary, has each replica forgotten its start, how large are
the errors of means and variances (equations.md section 14).

The unit is the replica: replicas are independent and alike, whatever happens within each. R replicas, Q quantities,
K partitions; everything is float64.
"""

from dataclasses import dataclass

import numpy as np

from ..streams import Purpose, make_keys, words

FLIPS = 400
"""Sign flips that a change is compared with."""
_BITS = 128
"""Signs of one random block."""


def signs(replicas: int, seed: int, ordinal: int, flips: int = FLIPS) -> np.ndarray:
    """[flips, R] of -1 and 1: bit r mod 32 of word r div 32 of a flip (equations.md section 7, purpose 10)."""
    keys = make_keys(np.full(flips, seed, np.uint64), np.arange(flips))
    blocks = np.arange(-(-replicas // _BITS), dtype=np.uint64)
    drawn = np.stack(words(keys, blocks, Purpose.FLIPS, ordinal), axis=-1).reshape(flips, -1)
    bits = (drawn[:, :, None] >> np.arange(32, dtype=np.uint64)) & np.uint64(1)
    return bits.reshape(flips, -1)[:, :replicas].astype(np.float64) * 2 - 1


def stationarity(change: np.ndarray, seed: int, ordinal: int) -> float:
    """p of the change [R, Q] of each replica between two halves of a window, where neither sign is likelier.

    The statistic is the mean over quantities of z^2, z the mean over replicas over its standard error; it is compared
    with itself after whole replicas had their signs flipped, which leaves correlations among quantities as they are.
    A quantity that never changes says nothing.
    """
    moving = change[:, (change != 0).any(axis=0)]
    replicas, quantities = moving.shape
    if not quantities or replicas < 2:
        return 1.0
    flips = np.concatenate([np.ones((1, replicas)), signs(replicas, seed, ordinal)])
    mean = flips @ moving / replicas
    spread = np.maximum((moving**2).mean(axis=0) - mean**2, np.finfo(float).tiny)
    statistic = (mean**2 / spread).mean(axis=1)
    return float((1 + np.count_nonzero(statistic[1:] >= statistic[0])) / len(flips))


def total_variance(mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """[Q] variance over all draws of all replicas, from each one's mean and mean square [R, Q] over its draws."""
    return np.maximum(square.mean(axis=0) - mean.mean(axis=0) ** 2, 0.0)


def variance_ratio(mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """[Q] variance over replicas of their means, over the variance of all draws: near 1 where replicas stay where they
    are, 0 where each has seen everything. 0 for a quantity that does not vary.
    """
    total = total_variance(mean, square)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, mean.var(axis=0, ddof=1) / total, 0.0)


def mean_error(mean: np.ndarray) -> np.ndarray:
    """[Q] standard error of the mean over replicas of `mean` [R, Q]."""
    return np.asarray(mean.std(axis=0, ddof=1) / np.sqrt(len(mean)))


def variance_error(mean: np.ndarray, square: np.ndarray) -> np.ndarray:
    """[Q] standard error of `total_variance`, by the jackknife over replicas."""
    count = len(mean)
    without_mean = (mean.sum(axis=0) - mean) / (count - 1)
    without_square = (square.sum(axis=0) - square) / (count - 1)
    left = without_square - without_mean**2
    return np.asarray(np.sqrt((count - 1) / count * ((left - left.mean(axis=0)) ** 2).sum(axis=0)))


def squared_deviation(mean: np.ndarray, square: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """[R, Q] mean over a replica's draws of the squared distance from `centre` [Q]."""
    return square - 2 * centre * mean + centre**2


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error."""

    value: float
    error: float

    def within(self, expected: float, errors: float) -> bool:
        """Whether it is at most so many errors from what is expected."""
        return abs(self.value - expected) <= errors * self.error


def virial(product: np.ndarray, temperature: np.ndarray) -> list[Estimate]:
    """theta . dU/dtheta / (n tau) of each partition, 1 under a proper prior (equations.md section 10): its mean over
    replicas, and that one's error.

    Parameters
    ----------
    product : [R, K], mean over a replica's draws of theta . dU/dtheta / n. temperature : [K], tau.
    """
    scaled = product / temperature
    return [Estimate(float(m), float(e)) for m, e in zip(scaled.mean(axis=0), mean_error(scaled), strict=True)]


# -- the stepsize's bias -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bias:
    """What a stepsize does to means, from a group at half of it.

    Attributes
    ----------
    by_quantity : [Q] c d / sd, the bias of each mean in posterior sd. error : [Q] of those.
    overall : root mean square over quantities, its own noise taken off, with its jackknife error.
    """

    by_quantity: np.ndarray
    error: np.ndarray
    overall: Estimate

    def excess(self, tolerance: float, errors: float = 3.5) -> bool:
        """Whether the bias of some quantity exceeds the tolerance by more than so many of its errors."""
        return bool((abs(self.by_quantity) - errors * self.error > tolerance).any())


def order_factor(first_order: bool) -> float:
    """c: bias(h) = c (bias(h) - bias(h/2)), 2 where it falls as h and 4/3 where as h^2."""
    return 2.0 if first_order else 4 / 3


def stepsize_bias(mean: np.ndarray, half: np.ndarray, sd: np.ndarray, factor: float) -> Bias:
    """Bias of the means of `mean` [R, Q] at h, from those of `half` [B, Q] at h/2, in units of `sd` [Q].

    The overall bias is the root of max(0, mean of c^2 (d^2 - e^2)); its error is that of the mean by the jackknife over
    the replicas of both groups, carried through the root.
    """
    a, b = factor * mean / sd, factor * half / sd
    d, e2 = a.mean(axis=0) - b.mean(axis=0), a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b)
    square = float((d**2 - e2).mean())
    spread = _left_out(a, b) + _left_out(b, a)
    size = np.sqrt(max(square, 0.0))
    error = np.sqrt(spread)
    return Bias(d, np.sqrt(e2), Estimate(float(size), float(error / (size + np.sqrt(size**2 + error)))))


def _left_out(a: np.ndarray, b: np.ndarray) -> float:
    """Jackknife variance of the mean of d^2 - e^2, from leaving out each replica of `a` in turn."""
    count, total, squares = len(a), a.sum(axis=0), (a * a).sum(axis=0)
    mean = (total - a) / (count - 1)
    variance = ((squares - a * a) / (count - 1) - mean**2) * (count - 1) / (count - 2)
    d = mean - b.mean(axis=0)
    left = (d**2 - variance / (count - 1) - b.var(axis=0, ddof=1) / len(b)).mean(axis=1)
    return float((count - 1) / count * ((left - left.mean()) ** 2).sum())


# -- superchains -------------------------------------------------------------------------------------------------------


APART = 5.0
"""Errors beyond which superchains disagree: the sum of squares of a few has a long tail."""


@dataclass(frozen=True)
class Superchains:
    """What superchains of replicas say of their starts.

    Attributes
    ----------
    disagreement : [Q] variance between superchains beyond what the spread within them explains, over the variance of
    all draws: near 0 where starts are forgotten; below 0 by noise. error : [Q] of that, where they are.
    nested : [Q] nested R-hat, root of 1 + variance between superchains over that within (Margossian et al. 2024).
    """

    disagreement: np.ndarray
    error: np.ndarray
    nested: np.ndarray

    @property
    def apart(self) -> bool:
        """Whether they disagree in some quantity."""
        return bool((self.disagreement > APART * self.error).any())


def superchains(mean: np.ndarray, square: np.ndarray, superchain: np.ndarray) -> Superchains:
    """Of replicas' means and mean squares [R, Q] of quantities that vary; `superchain` [R] numbers their starts."""
    members = [rows for name in np.unique(superchain) if len(rows := np.flatnonzero(superchain == name)) > 1]
    if len(members) < 2:
        nothing = np.zeros(mean.shape[1])
        return Superchains(nothing, nothing, np.full_like(nothing, np.nan))
    between = np.stack([mean[rows].mean(axis=0) for rows in members]).var(axis=0, ddof=1)
    spread = np.mean([mean[rows].var(axis=0, ddof=1) for rows in members], axis=0)
    noise = np.mean([mean[rows].var(axis=0, ddof=1) / len(rows) for rows in members], axis=0)
    inside = np.mean([(square[rows] - mean[rows] ** 2).mean(axis=0) for rows in members], axis=0)
    total = total_variance(mean, square)
    error = noise / total * np.sqrt(2 / (len(members) - 1))
    return Superchains((between - noise) / total, error, np.sqrt(1 + between / (spread + inside)))
