"""How much energies keep of themselves from one attempt of a ladder to the next: what decides whether a window longer
than 1 is right.

Only replicas that were not moved in between are compared, each with the mean of its rung. Noise of the energies is
fresh at every attempt: it adds nothing to their covariance, and its known variance is taken off theirs.
"""

import math

import numpy as np

COLUMNS = 8
"""Of the sums of each rung: reference, n, sums of a, b, ab, aa, bb (before and now, less the reference), and of v."""
MOST_KEPT = 0.03
"""Correlation, three standard errors included, up to which energies are called forgotten. On harmonic wells the mean
energy of windows of any length is then right to 0.1 % (measured: .04 times the correlation)."""
ERRORS = 3.0


def add(sums: np.ndarray, rung: np.ndarray, before: np.ndarray, now: np.ndarray, variance: np.ndarray) -> None:
    """Add one attempt to `sums` [Q, COLUMNS]; `before` [R] is NaN for who was moved since.

    Parameters
    ----------
    rung, now, variance : [R] where each replica is, its energy, and the known variance of that energy's noise.
    """
    for q in range(len(sums)):
        here = rung == q
        if np.isnan(sums[q, 0]) and np.isfinite(now[here]).any():
            sums[q, 0] = now[here][np.isfinite(now[here])][0]
        here &= np.isfinite(before) & np.isfinite(now)
        a, b = before[here] - sums[q, 0], now[here] - sums[q, 0]
        v = np.nan_to_num(variance[here])
        sums[q, 1:] += len(a), a.sum(), b.sum(), (a * b).sum(), (a * a).sum(), (b * b).sum(), v.sum()


def kept(sums: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Correlation of energies with those an attempt before, and its standard error, [Q] each; NaN where there is
    nothing to say.
    """
    _, n, a, b, ab, aa, bb, v = sums.T
    with np.errstate(invalid="ignore", divide="ignore"):
        covariance = ab / n - (a / n) * (b / n)
        spread = np.sqrt((aa / n - (a / n) ** 2) * (bb / n - (b / n) ** 2))
        own = spread - v / n
        known = (n > 1) & (own > 0)
        return np.where(known, covariance / own, np.nan), np.where(known, spread / own / np.sqrt(n), np.nan)


def forgotten(sums: np.ndarray) -> bool:
    """Whether it is known of every rung that its energies are forgotten between attempts."""
    correlation, error = kept(sums)
    return bool((np.abs(correlation) + ERRORS * error <= MOST_KEPT).all())


def worst(sums: np.ndarray) -> tuple[float, float]:
    """The largest correlation of any rung and its error; NaN where that is not known."""
    correlation, error = kept(sums)
    if np.isnan(correlation).any():
        return math.nan, math.nan
    q = int((np.abs(correlation) + ERRORS * error).argmax())
    return float(correlation[q]), float(error[q])
