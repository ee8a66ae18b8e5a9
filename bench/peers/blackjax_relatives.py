"""blackjax's own SGLD and SGNHT kernels over all replicas: its nearest relatives of AdLaLa, which it does not have.

Its kernels are mapped over replicas, each with its own key, as its documentation does; the gradient is the one of the
JAX peer. blackjax samples exp(log density / temperature): the log density handed over is -U, the temperature tau.
"""

from typing import Any

import blackjax
import jax
import jax.numpy as jnp

from ..cases import TAU, Case, Health, kinetic, loss_of
from .jax_adlala import WORK, data, loss
from .jitted import Jitted

STEP = {"sgld": 0.1, "sgnht": 0.1}
ALPHA = 0.1


class Blackjax(Jitted):
    """R replicas of `kernel`, "sgld" or "sgnht"."""

    def __init__(self, case: Case, replicas: int, kernel: str = "sgld") -> None:
        self.case, self.replicas, self._name = case, replicas, kernel
        self.chunk = max(1, min(100, WORK * 20 // (replicas * case.hidden * max(1, case.inputs // 8))))
        self._x, self._y = data(case)
        minus = jax.grad(lambda theta, batch: -loss(case, theta, *batch))
        self._kernel = blackjax.sgld(minus) if kernel == "sgld" else blackjax.sgnht(minus, alpha=ALPHA)
        keys = jax.random.split(jax.random.key(1), replicas)
        start: Any = 0.01 * jax.random.normal(jax.random.key(2), (replicas, case.parameters))
        self._state: Any = start if kernel == "sgld" else jax.vmap(lambda q, k: self._kernel.init(q, k))(start, keys)
        if kernel == "sgnht":
            self._state = self._state._replace(momentum=jnp.sqrt(TAU) * self._state.momentum)
        self._key = jax.random.key(3)
        self._advance = jax.jit(self._chunk, donate_argnums=0)
        self.advance(1)

    def _one(self, state: Any, key: Any) -> Any:
        draw, noise = jax.random.split(key)
        index = jax.random.randint(draw, (self.case.batch,), 0, self.case.points)
        return self._kernel.step(noise, state, (self._x[index], self._y[index]), STEP[self._name], TAU)

    def _chunk(self, state: Any, key: Any) -> tuple[Any, Any]:
        key, own = jax.random.split(key)
        step = lambda s, k: (jax.vmap(self._one)(s, jax.random.split(k, self.replicas)), None)  # noqa: E731
        return jax.lax.scan(step, state, jax.random.split(own, self.chunk))[0], key

    def health(self) -> Health:
        """Loss now; kinetic temperature where there are momenta."""
        if self._name == "sgld":
            return Health(loss_of(self.case, self._state))
        return Health(loss_of(self.case, self._state.position), kinetic(self.case, self._state.momentum))
