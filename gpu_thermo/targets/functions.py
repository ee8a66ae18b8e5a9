"""Functions that activations and likelihoods share, safe against overflow, for NumPy and CuPy."""

import math
from typing import Any

import numpy as np

Array = Any


def sigmoid(x: Array, xp: Any) -> Array:
    """1 / (1 + exp(-x)); exp may overflow to inf, which gives the right 0."""
    with np.errstate(over="ignore"):
        return 1 / (1 + xp.exp(-x))


def softplus(x: Array, xp: Any) -> Array:
    """log(1 + exp(x))."""
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-abs(x)))


def softmax(x: Array, xp: Any) -> Array:
    """exp(x) over its sum along the last axis."""
    e = xp.exp(x - x.max(axis=-1, keepdims=True))
    e /= e.sum(axis=-1, keepdims=True)
    return e


STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360)
"""Coefficients of 1/x, 1/x^3, ... in the logarithm of the gamma function."""


def log_factorial(y: Array, xp: Any) -> Array:
    """log y! of whole numbers from 0 to 1e9: Stirling's series at y + 9, from which the factors y + 1 to y + 8 are
    taken off (Abramowitz and Stegun 6.1.41).
    """
    real = y.dtype.type
    x = y + real(9)
    series, square = xp.zeros_like(x), 1 / (x * x)
    for c in STIRLING[::-1]:
        series = series * square + real(c)
    low = (y + 1) * (y + 2) * (y + 3) * (y + 4)
    high = (y + 5) * (y + 6) * (y + 7) * (y + 8)
    return (x - real(0.5)) * xp.log(x) - x + real(math.log(2 * math.pi) / 2) + series / x - xp.log(low) - xp.log(high)
