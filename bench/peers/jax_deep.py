"""A perceptron of several hidden layers under BAOAB in JAX: silu, a normal prior of sd 1, Gaussian noise of known sd.

JaxDeep is JAX as one would write it: one replica's step with jax.grad, scanned over steps, mapped over replicas and
their keys. BatchedJax has all replicas in one program: batched matrix products, the noise of all in one call, one key.
Replicas as the last axis, with products written out as sums over inputs, took 50 s to compile and was 9 times slower
than either.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .jitted import Mapped, Together


class JaxDeep(Mapped):
    """R replicas of BAOAB by vmap, scan and jit.

    Parameters
    ----------
    x, y : training inputs [N, m] and targets [N, 1]. hidden : d_1 .. d_L. replicas, batch : R, B (N for all points).
    h, tau, noise_sd : stepsize, temperature, sd of the targets; friction and prior sd are 1. generator : of JAX's keys.
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray, hidden: Sequence[int], replicas: int, batch: int, h: float, tau: float,
        noise_sd: float, generator: str = "threefry2x32",
    ) -> None:  # fmt: skip
        self._x, self._y, self._batch, self.replicas = jnp.asarray(x), jnp.asarray(y), batch, replicas
        self._h, self._tau, self._noise_sd = h, tau, noise_sd
        widths = (x.shape[1], *hidden, 1)
        self._shapes = list(pairwise(widths))
        self.parameters = sum(a * b + b for a, b in self._shapes)
        self.chunk = max(1, 2_000 * 128 // (replicas * batch))
        key = jax.random.key(2)
        shape = (replicas, self.parameters)
        self._state = (0.3 * jax.random.normal(key, shape), jnp.zeros(shape), jnp.zeros(shape))
        self._key = self._keys(jax.random.key(1, impl=generator))
        self._advance = jax.jit(self._many(), donate_argnums=0)
        self.advance(1)

    def _step(self, state: Any, key: Any) -> tuple[Any, ...]:
        """B A O A B, the gradient of the last B reused by the next step's first."""
        (q, p, g), h = state, self._h
        one, other = jax.random.split(key)
        p = p - h / 2 * g
        q = q + h / 2 * p
        a = np.exp(-h)
        p = a * p + np.sqrt(self._tau * (1 - a * a)) * jax.random.normal(one, q.shape)
        q = q + h / 2 * p
        g = jax.grad(lambda t: self._energy(t, *self._points(other)))(q)
        return q, p - h / 2 * g, g

    def _points(self, key: Any) -> tuple[Any, Any]:
        if self._batch == len(self._x):
            return self._x, self._y
        index = jax.random.randint(key, (*self._lead, self._batch), 0, len(self._x))
        return self._x[index], self._y[index]

    _lead: tuple[int, ...] = ()

    def _tensors(self, theta: Any) -> list[tuple[Any, Any]]:
        """w [.., in, out] and b [.., 1, out] of each layer."""
        out, at, lead = [], 0, theta.shape[:-1]
        for a, b in self._shapes:
            w, at = theta[..., at : at + a * b].reshape(*lead, a, b), at + a * b
            out.append((w, theta[..., None, at : at + b]))
            at += b
        return out

    def _squares(self, theta: Any, x: Any, y: Any) -> Any:
        """Squared errors in units of the noise, [.., B, 1], of theta [.., P]."""
        value = x
        *layers, (w, b) = self._tensors(theta)
        for v, c in layers:
            value = jax.nn.silu(value @ v + c)
        return ((value @ w + b - y) / self._noise_sd) ** 2

    def _energy(self, theta: Any, x: Any, y: Any) -> Any:
        """U of one network theta [P], or the sum over networks theta [R, P]."""
        squares = self._squares(theta, x, y) / 2
        return squares.sum() / self._batch + (theta * theta).sum() / (2 * len(self._x))

    def loss(self) -> float:
        """Mean squared error over all points and replicas, in units of the noise."""
        return float(self._squares(self._state[0], self._x, self._y).mean())


class BatchedJax(Together, JaxDeep):
    """All replicas in one program."""

    @property
    def _lead(self) -> tuple[int, ...]:
        return (self.replicas,)


FORMS: dict[str, tuple[type[JaxDeep], str]] = {
    "jax": (JaxDeep, "threefry2x32"), "jax_rbg": (JaxDeep, "rbg"), "jax_batched": (BatchedJax, "threefry2x32"),
    "jax_batched_rbg": (BatchedJax, "rbg"),
}  # fmt: skip
