"""Likelihoods of labels: bernoulli and categorical (equations.md section 1)."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ...cost import Count
from ..functions import sigmoid, softmax, softplus
from .base import Array, Classes, Code, Constants, Likelihood, Score

_TINY = float(np.finfo(np.float64).tiny)
"""The logarithm of anything smaller is slow."""


def _accuracy(guess: Callable[[Array], Array]) -> Score:
    """Share of points whose guess is the label; NaN for a replica whose losses are not finite."""
    return Score(
        "accuracy", "accuracy", False,
        lambda out, y, xp: (guess(out) == y).sum(axis=-1),
        lambda right, points, outputs, nll: np.where(np.isfinite(nll), right / points, np.nan),
    )  # fmt: skip


# -- bernoulli ---------------------------------------------------------------------------------------------------------


def _binary_entropy(p: np.ndarray) -> np.ndarray:
    p = p[..., 0]
    return -(p * np.log(np.maximum(p, _TINY)) + (1 - p) * np.log(np.maximum(1 - p, _TINY)))


BERNOULLI = Likelihood(
    "bernoulli", "binary", "softplus(f) - y f; Phi = 1 / (1 + exp(-f)), of class 1", "equations.md section 1",
    settings=(), constants=lambda settings: {}, outputs=lambda n: n, targets=lambda outputs: 1, labels=None,
    losses=lambda out, y, c, xp: softplus(out[..., 0], xp) - y * out[..., 0],
    residual=lambda out, y, c, xp: sigmoid(out, xp) - y[..., None],
    respond=sigmoid,
    score=_accuracy(lambda out: out[..., 0] > 0),
    classes=Classes(lambda phi: np.concatenate([1 - phi, phi], axis=-1), _binary_entropy, slice(1, 2)),
    values=None, log_density=None, top=lambda outputs: 1.5 * math.log(2),
    axis=lambda classes, targets: ("probability",),
    names=lambda classes, targets: (f"P({classes[-1]})",) if classes else (),
    count=Count(8, 9),
    code=Code(
        loss="return softplus_of(out[0]) - y[0] * out[0];",
        residual="out[0] = (sigmoid_of(out[0]) - y[0]) * share;",
        # H = log(1 + e) + |f| e / (1 + e), e = exp(-|f|), cancels nowhere
        respond="""
    const real size = clamp(magnitude(out[0]), scalar(0), scalar(1e4)), e = exp_of(-size);
    out[0] = sigmoid_of(out[0]);
    return log1p_of(e) + size * (e / (e + scalar(1)));""",
        right="""
    const real one = splat(scalar(1));
    return select(select(out[0] > zero(), one, zero()) == y[0], one, zero());""",
    ),
)  # fmt: skip


# -- categorical -------------------------------------------------------------------------------------------------------


def _categorical_losses(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    top = out.max(axis=-1, keepdims=True)
    log_norm = xp.log(xp.exp(out - top).sum(axis=-1)) + top[..., 0]
    return log_norm - xp.take_along_axis(out, y[..., None], axis=-1)[..., 0]


def _categorical_residual(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    p = softmax(out, xp)
    p -= y[..., None] == xp.arange(out.shape[-1])
    return p


CATEGORICAL = Likelihood(
    "categorical", "multiclass", "log sum_k exp(f_k) - f_y; Phi = softmax(f)", "equations.md section 1",
    settings=(), constants=lambda settings: {}, outputs=lambda n: n, targets=lambda outputs: 1, labels=np.int64,
    losses=_categorical_losses,
    residual=_categorical_residual,
    respond=softmax,
    score=_accuracy(lambda out: out.argmax(axis=-1)),
    classes=Classes(lambda phi: phi, lambda p: -(p * np.log(np.maximum(p, _TINY))).sum(axis=-1), slice(None)),
    values=None, log_density=None, top=lambda outputs: 1.5 * math.log(max(outputs, 2)),
    axis=lambda classes, targets: tuple(classes),
    names=lambda classes, targets: tuple(classes),
    count=Count(8, 11),
    code=Code(
        loss="""
    real top = out[0], sum = zero(), own = zero();
    for (int o = 1; o < OUTPUTS; ++o) top = select(top > out[o], top, out[o]);
    for (int o = 0; o < OUTPUTS; ++o) {
      sum += exp_of(out[o] - top);
      own = select(y[0] == splat(scalar(o)), out[o], own);
    }
    return log_of(sum) + top - own;""",
        residual="""
    real top = out[0], sum = zero();
    for (int o = 1; o < OUTPUTS; ++o) top = select(top > out[o], top, out[o]);
    for (int o = 0; o < OUTPUTS; ++o) sum += out[o] = exp_of(out[o] - top);
    for (int o = 0; o < OUTPUTS; ++o) out[o] = out[o] / sum;
    for (int o = 0; o < OUTPUTS; ++o) out[o] = select(y[0] == splat(scalar(o)), out[o] - scalar(1), out[o]) * share;""",
        respond="""
    real top = out[0], sum = zero(), mean = zero();
    for (int o = 1; o < OUTPUTS; ++o) top = select(top > out[o], top, out[o]);
    for (int o = 0; o < OUTPUTS; ++o) {
      const real gap = clamp(out[o] - top, scalar(-1e4), scalar(0)), e = exp_of(gap);
      sum += e;
      mean += e * gap;
      out[o] = e;
    }
    for (int o = 0; o < OUTPUTS; ++o) out[o] = out[o] / sum;
    return log_of(sum) - mean / sum;""",
        # the first of equals
        right="""
    const real one = splat(scalar(1));
    real top = out[0], best = zero();
    for (int o = 1; o < OUTPUTS; ++o) {
      best = select(out[o] > top, splat(scalar(o)), best);
      top = select(out[o] > top, out[o], top);
    }
    return select(best == y[0], one, zero());""",
    ),
)  # fmt: skip
