"""Laws of one number, by location m and scale s: of which a posterior predictive is a mixture (equations.md section 9).

All functions broadcast over NumPy arrays, compute in float64, and take the likelihood's settings last.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any
Settings = Mapping[str, float]


@dataclass(frozen=True)
class Law:
    """One law.

    Attributes
    ----------
    variance : (m, s, settings) -> of an answer; inf where it has none.
    log_density : (y, m, s, settings) -> log density, or log probability of a whole number.
    cdf : (y, m, s, settings) -> P(answer <= y). quantile : (level, m, s, settings) -> the smallest y with cdf >= level.
    discrete : whether answers are whole numbers.
    distance : (m, s) -> E|X| of an answer X, in closed form where that is affordable; None elsewhere. Of two
    normal numbers the difference is normal, too, so that it gives distances of mixtures.
    """

    name: str
    variance: Callable[[Array, Array, Settings], Array]
    log_density: Callable[[Array, Array, Array, Settings], Array]
    cdf: Callable[[Array, Array, Array, Settings], Array]
    quantile: Callable[[Array, Array, Array, Settings], Array]
    discrete: bool = False
    distance: Callable[[Array, Array], Array] | None = None


def _normal_log_density(y: Array, m: Array, s: Array, settings: Settings) -> Array:
    return -(((y - m) / s) ** 2) / 2 - np.log(s) - math.log(2 * math.pi) / 2


def _normal_cdf(y: Array, m: Array, s: Array, settings: Settings) -> Array:
    from scipy.special import ndtr

    return ndtr((y - m) / s)


def _normal_quantile(level: Array, m: Array, s: Array, settings: Settings) -> Array:
    from scipy.special import ndtri

    return m + s * ndtri(level)


def _normal_distance(gap: Array, s: Array) -> Array:
    """E|X| of X normal with mean `gap` and sd s."""
    from scipy.special import ndtr

    z = gap / s
    return gap * (2 * ndtr(z) - 1) + s * np.exp(-z * z / 2) * math.sqrt(2 / math.pi)


NORMAL = Law(
    "normal",
    lambda m, s, c: np.square(s) + 0 * m,
    _normal_log_density,
    _normal_cdf,
    _normal_quantile,
    distance=_normal_distance,
)


def student_t_norm(dof: float) -> float:
    """Minus log of the density of a standard Student t at 0."""
    return math.lgamma(dof / 2) - math.lgamma((dof + 1) / 2) + math.log(dof * math.pi) / 2


def _student_variance(m: Array, s: Array, settings: Settings) -> Array:
    dof = settings["dof"]
    return np.square(s) * (dof / (dof - 2) if dof > 2 else math.inf) + 0 * m


def _student_log_density(y: Array, m: Array, s: Array, settings: Settings) -> Array:
    dof = settings["dof"]
    return -student_t_norm(dof) - np.log(s) - (dof + 1) / 2 * np.log1p(((y - m) / s) ** 2 / dof)


def _student_cdf(y: Array, m: Array, s: Array, settings: Settings) -> Array:
    from scipy.special import stdtr

    return stdtr(settings["dof"], (y - m) / s)


def _student_quantile(level: Array, m: Array, s: Array, settings: Settings) -> Array:
    from scipy.special import stdtrit

    return m + s * stdtrit(settings["dof"], level)


STUDENT_T = Law("student_t", _student_variance, _student_log_density, _student_cdf, _student_quantile)


_LARGE = 1e9
"""Rates from which on the normal law, with its first correction, tells quantiles to the whole number; pdtrik fails at
1e12."""


def _poisson_log_density(y: Array, m: Array, s: Array, settings: Settings) -> Array:
    from scipy.special import gammaln, xlogy

    return xlogy(y, m) - m - gammaln(np.asarray(y, np.float64) + 1)


def _poisson_cdf(y: Array, m: Array, s: Array, settings: Settings) -> Array:
    from scipy.special import gammaincc

    whole = np.floor(y)
    return np.where(whole < 0, 0.0, gammaincc(np.maximum(whole, 0) + 1, m))


def _poisson_quantile(level: Array, m: Array, s: Array, settings: Settings) -> Array:
    from scipy.special import ndtri, pdtrik

    with np.errstate(invalid="ignore"):
        z = ndtri(level)
        guess = np.ceil(np.where(m < _LARGE, pdtrik(level, m), m + np.sqrt(m) * z + (z * z - 1) / 6))
        guess = np.maximum(np.where(np.isnan(guess), 0.0, guess), 0.0)
        guess = np.where(m == np.inf, np.inf, guess)
    down = np.maximum(guess - 1, 0)
    return np.where(_poisson_cdf(down, m, s, settings) >= level, down, guess)


POISSON = Law(
    "poisson", lambda m, s, c: m + 0 * s, _poisson_log_density, _poisson_cdf, _poisson_quantile, discrete=True
)
