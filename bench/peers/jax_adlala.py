"""AdLaLa in JAX: state kept on the device, jitted calls of many steps. Minibatches are drawn with replacement, the
cheapest JAX has.

JaxAdlala is JAX as one would write it: one replica's step with jax.grad, scanned over steps, mapped over replicas and
their keys. TunedJax is what timing led to (CPU, d 20 and 500): noise for all replicas in one call, and with few inputs
the gradient written out, whose sums XLA fuses. That beats the plain form by about a third at d 20 and equals it at d
500.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import EPSILON, GAMMA, SIGMA, TAU, Case, H, Health, arrays, kinetic, loss_of
from .jitted import Mapped, Together

WORK = 20_000
"""Replica-steps of one jitted call at 20 hidden units: long enough to hide the dispatch, short enough to adapt the step
count. A GPU, whose dispatch takes longer than many a step, gets a million times that: always 100 steps."""
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


def step(case: Case, state: Any, noise: Any, force: Callable[[Any], Any]) -> tuple[Any, ...]:
    """B A (C D E D C | O) A B, the gradient of the last B reused by the next step's first; q, p, g [..., P], xi [...,
    1].
    """
    q, p, g, xi = state
    n1 = case.hidden_parameters
    p = p - H / 2 * g
    q = q + H / 2 * p
    first, second = p[..., :n1], p[..., n1:]
    scale, a = SIGMA * np.sqrt(H / 2), np.exp(-GAMMA * H)
    first = first * jnp.exp(-H / 2 * xi) + scale * noise[0]
    xi = xi + H * EPSILON * ((first * first).sum(-1, keepdims=True) - n1 * TAU)
    first = (first + scale * noise[1]) * jnp.exp(-H / 2 * xi)
    second = a * second + np.sqrt(TAU * (1 - a * a)) * noise[2]
    p = jnp.concatenate([first, second], axis=-1)
    q = q + H / 2 * p
    g = force(q)
    return q, p - H / 2 * g, g, xi


class JaxAdlala(Mapped):
    """R replicas of AdLaLa by vmap, scan and jit.

    Parameters
    ----------
    case, replicas : what to run. generator : threefry2x32 or rbg.
    """

    def __init__(self, case: Case, replicas: int, generator: str = "threefry2x32") -> None:
        self.case, self.replicas = case, replicas
        work = WORK if jax.default_backend() == "cpu" else WORK * 10**6
        self.chunk = max(1, min(100, work * 20 // (replicas * case.hidden * max(1, case.inputs // 8))))
        self._x, self._y = data(case)
        self._key = self._keys(jax.random.key(1, impl=generator))
        shape = (replicas, case.parameters)
        self._state = (
            0.01 * jax.random.normal(jax.random.key(2), shape),
            jnp.zeros(shape),
            jnp.zeros(shape),
            jnp.zeros((replicas, 1)),
        )
        self._advance = jax.jit(self._many(), donate_argnums=0)
        self.advance(1)

    def _step(self, state: Any, key: Any) -> tuple[Any, ...]:
        """One replica's step."""
        return self._drawn(state, key, (), lambda q, x, y: jax.grad(lambda t: loss(self.case, t, x, y))(q))

    def _drawn(self, state: Any, key: Any, lead: tuple[int, ...], force: Callable[..., Any]) -> tuple[Any, ...]:
        """A step with noise and minibatches [*lead, ...] from `key`."""
        case, n1 = self.case, self.case.hidden_parameters
        *keys, last = jax.random.split(key, 4)
        noise = [jax.random.normal(k, (*lead, n)) for k, n in zip(keys, (n1, n1, case.parameters - n1), strict=True)]
        index = jax.random.randint(last, (*lead, case.batch), 0, case.points)
        return step(case, state, noise, lambda q: force(q, self._x[index], self._y[index]))

    def health(self) -> Health:
        """Loss and kinetic temperature now."""
        return Health(loss_of(self.case, self._state[0]), kinetic(self.case, self._state[1]))


class TunedJax(Together, JaxAdlala):
    """The same with all replicas in one program, one key for all of them."""

    def _step(self, state: Any, key: Any) -> tuple[Any, ...]:
        """All replicas' step."""
        return self._drawn(state, key, (self.replicas,), lambda q, x, y: gradient(self.case, q, x, y))
