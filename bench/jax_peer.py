"""AdLaLa in JAX as one would write it: vmap over replicas, scan over steps, jit; minibatches with replacement (the cheapest JAX has)."""

from collections.abc import Callable
from typing import Any

import numpy as np


def make(
    hidden: int,
    batch: int,
    points: int,
    replicas: int,
    steps: int,
    generator: str = "threefry2x32",
    inputs: int = 2,
    x: Any = None,
    y: Any = None,
) -> Callable[[], None]:
    """A function that advances R replicas by `steps` steps; compiled and warm when returned."""
    import jax
    import jax.numpy as jnp

    h, tau, gamma, sigma, epsilon = 0.25, 1e-4, 0.1, 0.01, 0.05
    d, m = hidden, inputs
    n1 = m * d + d
    rng = np.random.default_rng(0)
    features = jnp.asarray(rng.normal(size=(points, m)) if x is None else x, jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, points) if y is None else y, jnp.float32)

    def loss(theta: Any, xb: Any, yb: Any) -> Any:
        w1, b1, w2, b2 = theta[: m * d].reshape(d, m), theta[m * d : n1], theta[n1 : n1 + d], theta[-1]
        z = jax.nn.relu(xb @ w1.T + b1) @ w2 + b2
        return jnp.mean(jax.nn.softplus(z) - yb * z)

    gradient = jax.grad(loss)

    def step(carry: Any, key: Any) -> tuple[Any, None]:
        q, p, g, xi = carry
        k1, k2, k3, k4 = jax.random.split(key, 4)
        p = p - h / 2 * g
        q = q + h / 2 * p
        first, second = p[:n1], p[n1:]
        first = first * jnp.exp(-h / 2 * xi) + sigma * jnp.sqrt(h / 2) * jax.random.normal(k1, (n1,))
        xi = xi + h * epsilon * (first @ first - n1 * tau)
        first = (first + sigma * jnp.sqrt(h / 2) * jax.random.normal(k2, (n1,))) * jnp.exp(-h / 2 * xi)
        a = jnp.exp(-gamma * h)
        second = a * second + jnp.sqrt(tau * (1 - a * a)) * jax.random.normal(k3, second.shape)
        p = jnp.concatenate([first, second])
        q = q + h / 2 * p
        index = jax.random.randint(k4, (batch,), 0, points)
        g = gradient(q, features[index], labels[index])
        return (q, p - h / 2 * g, g, xi), None

    advance = jax.jit(jax.vmap(lambda carry, key: jax.lax.scan(step, carry, jax.random.split(key, steps))[0]))
    size = n1 + d + 1
    keys = jax.random.split(jax.random.key(1, impl=generator), replicas)
    start = (0.01 * jax.random.normal(jax.random.key(2), (replicas, size)), jnp.zeros((replicas, size)), jnp.zeros((replicas, size)),
             jnp.zeros(replicas))  # fmt: skip

    def run() -> None:
        jax.block_until_ready(advance(start, keys))

    run()
    return run
