"""AdLaLa in JAX: one jitted scan over steps with all replicas side by side, state kept on the device.

Choices were made by timing (CPU, d 20 and 500): noise for all replicas in one call is as fast as or faster than vmap over one key per
replica (by a fifth with rbg); with few inputs the gradient written out, whose sums XLA fuses, beats jax.vmap(jax.grad) by a quarter at
d 20 and equals it at d 500. Minibatches are drawn with replacement, the cheapest JAX has.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import EPSILON, GAMMA, SIGMA, TAU, Case, H, Health, arrays, kinetic, loss_of

WORK = 20_000
"""Replica-steps of one jitted call at 20 hidden units: long enough to hide the dispatch, short enough to adapt the step count."""
FEW_INPUTS = 4


def split(case: Case, theta: Any) -> tuple[Any, Any, Any, Any]:
    """w1 [..., d, m], b1 [..., d], w2 [..., n, d], b2 [..., n] of theta [..., P]."""
    d, m, n, lead = case.hidden, case.inputs, case.outputs, theta.shape[:-1]
    w1, b1, w2, b2 = jnp.split(theta, (m * d, case.hidden_parameters, case.parameters - n), axis=-1)
    return w1.reshape(*lead, d, m), b1, w2.reshape(*lead, n, d), b2


def loss(case: Case, theta: Any, x: Any, y: Any) -> Any:
    """Mean loss of one network theta [P] on a minibatch."""
    w1, b1, w2, b2 = split(case, theta)
    out = jax.nn.relu(x @ w1.T + b1) @ w2.T + b2
    if case.outputs == 1:
        return jnp.mean(jax.nn.softplus(out[:, 0]) - y * out[:, 0])
    return jnp.mean(jax.nn.logsumexp(out, axis=-1) - jnp.take_along_axis(out, y[:, None], axis=-1)[:, 0])


def gradient(case: Case, theta: Any, x: Any, y: Any) -> Any:
    """Gradient [R, P] of all replicas, each on its minibatch [R, B, m], [R, B]."""
    if case.inputs > FEW_INPUTS or case.outputs > 1:
        return jax.vmap(jax.grad(lambda t, xb, yb: loss(case, t, xb, yb)))(theta, x, y)
    w1, b1, w2, b2 = split(case, theta)
    z = b1[:, None, :] + sum(x[:, :, k, None] * w1[:, None, :, k] for k in range(case.inputs))
    hidden = jax.nn.relu(z)
    residual = (jax.nn.sigmoid(jnp.einsum("rbd,rd->rb", hidden, w2[:, 0]) + b2) - y) / case.batch
    g2 = jnp.einsum("rb,rbd->rd", residual, hidden)
    back = jnp.where(z > 0, residual[:, :, None] * w2, 0)
    g1 = jnp.stack([(back * x[:, :, k, None]).sum(1) for k in range(case.inputs)], axis=-1)
    return jnp.concatenate([g1.reshape(len(theta), -1), back.sum(1), g2, residual.sum(1, keepdims=True)], axis=1)


def data(case: Case) -> tuple[Any, Any]:
    """Inputs and labels on the device."""
    x, y = arrays(case)
    return jnp.asarray(x), jnp.asarray(y, jnp.float32 if case.outputs == 1 else jnp.int32)


class JaxAdlala:
    """R replicas of AdLaLa.

    Parameters
    ----------
    case, replicas : what to run. generator : threefry2x32 or rbg.
    """

    def __init__(self, case: Case, replicas: int, generator: str = "threefry2x32") -> None:
        self.case, self.replicas = case, replicas
        self.chunk = max(1, min(100, WORK * 20 // (replicas * case.hidden * max(1, case.inputs // 8))))
        self._x, self._y = data(case)
        self._key = jax.random.key(1, impl=generator)
        shape = (replicas, case.parameters)
        self._state = (0.01 * jax.random.normal(jax.random.key(2), shape), jnp.zeros(shape), jnp.zeros(shape), jnp.zeros((replicas, 1)))
        self._advance = jax.jit(self._chunk, donate_argnums=0)
        self.advance(1)

    def _chunk(self, state: Any, key: Any) -> tuple[Any, Any]:
        key, own = jax.random.split(key)
        state, _ = jax.lax.scan(lambda s, k: (self._step(s, k), None), state, jax.random.split(own, self.chunk))
        return state, key

    def _step(self, state: Any, key: Any) -> tuple[Any, ...]:
        """B A (C D E D C | O) A B, the gradient of the last B reused by the next step's first."""
        q, p, g, xi = state
        n1, (r, size) = self.case.hidden_parameters, q.shape
        k1, k2, k3, k4 = jax.random.split(key, 4)
        p = p - H / 2 * g
        q = q + H / 2 * p
        first, second = p[:, :n1], p[:, n1:]
        scale = SIGMA * np.sqrt(H / 2)
        first = first * jnp.exp(-H / 2 * xi) + scale * jax.random.normal(k1, (r, n1))
        xi = xi + H * EPSILON * ((first * first).sum(1, keepdims=True) - n1 * TAU)
        first = (first + scale * jax.random.normal(k2, (r, n1))) * jnp.exp(-H / 2 * xi)
        a = np.exp(-GAMMA * H)
        second = a * second + np.sqrt(TAU * (1 - a * a)) * jax.random.normal(k3, (r, size - n1))
        p = jnp.concatenate([first, second], axis=1)
        q = q + H / 2 * p
        index = jax.random.randint(k4, (r, self.case.batch), 0, self.case.points)
        g = gradient(self.case, q, self._x[index], self._y[index])
        return q, p - H / 2 * g, g, xi

    def advance(self, steps: int) -> int:
        """Advance by whole jitted calls; waits for the device."""
        calls = max(1, round(steps / self.chunk))
        for _ in range(calls):
            self._state, self._key = self._advance(self._state, self._key)
        jax.block_until_ready(self._state)
        return calls * self.chunk

    def health(self) -> Health:
        """Loss and kinetic temperature now."""
        return Health(loss_of(self.case, self._state[0]), kinetic(self.case, self._state[1]))
