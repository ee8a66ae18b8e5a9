"""Functions that activations and likelihoods share, safe against overflow, for NumPy and CuPy."""

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
