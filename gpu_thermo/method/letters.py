"""The letters of splitting words: what each does to (theta, p, xi), and its coefficients (equations.md section 2).

A letter's coefficients are float64 arrays that broadcast over replicas, computed once per stepsize; its map is plain
array code, in place.
kernels/letters.h holds the same maps for CUDA and C++.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Letter:
    """One letter: the hyperparameters it reads, whether it draws noise, and its coefficients.

    `coefficients(h, hyper)` takes the substep's own length h and the hyperparameters by name (float64, broadcastable).
    """

    symbol: str
    formula: str
    reads: tuple[str, ...]
    noise: bool
    thermostat: bool
    coefficients: Callable[[Array, Mapping[str, Array]], tuple[Array, ...]]


def _ornstein_uhlenbeck(h: Array, hyper: Mapping[str, Array]) -> tuple[Array, Array]:
    """a = exp(-gamma h) and sqrt(v), v = -tau expm1(-2 gamma h); gamma = inf gives a = 0, v = tau."""
    rate = np.where(np.isinf(hyper["friction"]), np.inf, hyper["friction"] * h)
    return np.exp(-rate), np.sqrt(-hyper["temperature"] * np.expm1(-2 * rate))


LETTERS: dict[str, Letter] = {
    letter.symbol: letter
    for letter in (
        Letter("A", "theta += h p", (), False, False, lambda h, hyper: (h,)),
        Letter("B", "p += h G", (), False, False, lambda h, hyper: (h,)),
        Letter("C", "p *= exp(-h xi)", (), False, True, lambda h, hyper: (h,)),
        Letter("D", "p += sigma sqrt(h) R", ("sigma",), True, False, lambda h, hyper: (hyper["sigma"] * np.sqrt(h),)),
        Letter(
            "E", "xi += h epsilon (p.p - n tau)", ("epsilon", "temperature"), False, True,
            lambda h, hyper: (h * hyper["epsilon"], hyper["count"] * hyper["temperature"]),
        ),
        Letter(
            "F", "p = exp(-xi h) p + sigma sqrt(h phi(2 xi h)) R", ("sigma",), True, True,
            lambda h, hyper: (h, hyper["sigma"] * np.sqrt(h)),
        ),
        Letter("O", "p = a p + sqrt(v) R", ("friction", "temperature"), True, False, _ornstein_uhlenbeck),
    )
}  # fmt: skip


def drift(theta: Array, p: Array, h: Array) -> None:
    """A: theta += h p."""
    theta += h * p


def kick(p: Array, gradient: Array, h: Array) -> None:
    """B: p += h G, G = -gradient."""
    p -= h * gradient


def damp(p: Array, xi: Array, h: Array) -> None:
    """C: p *= exp(-h xi); the exponent is formed in float64 and rounded once."""
    p *= np.exp((-h * xi).astype(p.dtype))


def diffuse(p: Array, noise: Array, scale: Array) -> None:
    """D: p += scale R, scale = sigma sqrt(h)."""
    p += scale * noise


def regulate(xi: Array, p: Array, rate: Array, target: Array) -> None:
    """E: xi += rate (p.p - target), rate = h epsilon, target = n tau; xi is float64 so that small steps are not
    lost.
    """
    xi += rate * (square_sum(p)[:, None] - target)


def thermostat_exact(p: Array, xi: Array, noise: Array, h: Array, scale: Array) -> None:
    """F: p = exp(-xi h) p + scale sqrt(phi(2 xi h)) R, scale = sigma sqrt(h): C and D together, solved exactly."""
    exponent = xi * h
    p *= np.exp(-exponent).astype(p.dtype)
    p += (scale * np.sqrt(phi(2 * exponent))).astype(p.dtype) * noise


def ornstein_uhlenbeck(p: Array, noise: Array, a: Array, root_v: Array) -> None:
    """O: p = a p + sqrt(v) R."""
    p *= a
    p += root_v * noise


def phi(x: Array) -> Array:
    """phi(x) = -expm1(-x) / x, by its series 1 - x/2 + x^2/6 for abs(x) < 1e-3."""
    small = abs(x) < 1e-3
    safe = np.where(small, 1.0, x)
    return np.where(small, 1 - x / 2 + x * x / 6, -np.expm1(-safe) / safe)


def square_sum(p: Array) -> Array:
    """p.p of each replica [R], summed in float64 whatever the dtype of p."""
    return (p * p).sum(axis=-1, dtype=np.float64)
