"""The log density that every peer samples, in JAX: up to a constant minus N U of our own (tests/bench/test_answer.py
compares them at random points).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from .problems import Problem

Theta = Any


def log_density(p: Problem) -> Callable[[Theta], Any]:
    """theta [P] -> log likelihood + log prior."""
    x, y = jnp.asarray(p.x), jnp.asarray(p.y, float)

    def logarithm(theta: Theta) -> Any:
        net, own = theta[: p.size - p.own], theta[p.size - p.own :]
        value = x
        for layer, (w, b) in enumerate(p.tensors(theta)):
            value = (jnp.tanh(value) if layer else value) @ w.T + b
        out = value[:, 0]
        prior = -(net**2).sum() / (2 * p.prior_sd**2) - ((own - p.centre) ** 2).sum() / 2
        if p.noise_sd is None:
            return (y * out - jnp.logaddexp(0, out)).sum() + prior
        eta = own[0] if p.own else jnp.log(p.noise_sd)
        return (-0.5 * ((y - out) * jnp.exp(-eta)) ** 2 - eta).sum() + prior

    return logarithm


def start(p: Problem, key: Any) -> Any:
    """[P], a draw of the prior."""
    normal = jax.random.normal(key, (p.size,))
    net = p.size - p.own
    return jnp.concatenate([p.prior_sd * normal[:net], p.centre + normal[net:]])
