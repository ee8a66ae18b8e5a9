"""What the JAX peers share: state and keys stay on the device, advanced by jitted calls of many steps."""

from collections.abc import Callable
from typing import Any

import jax


class Jitted:
    """Calls of `chunk` steps each: `_advance` takes the state and the key, and gives both back."""

    chunk: int
    _state: Any
    _key: Any
    _advance: Callable[[Any, Any], tuple[Any, Any]]

    def advance(self, steps: int) -> int:
        """Advance by whole jitted calls; waits for the device."""
        calls = max(1, round(steps / self.chunk))
        for _ in range(calls):
            self._state, self._key = self._advance(self._state, self._key)
        jax.block_until_ready(self._state)
        return calls * self.chunk


class Mapped(Jitted):
    """One replica's `_step` from a key, scanned over steps and mapped over `replicas` and their keys."""

    replicas: int

    def _step(self, state: Any, key: Any) -> Any:
        raise NotImplementedError

    def _keys(self, key: Any) -> Any:
        return jax.random.split(key, self.replicas)

    def _many(self) -> Callable[..., Any]:
        return jax.vmap(self._chunk)

    def _chunk(self, state: Any, key: Any) -> tuple[Any, Any]:
        key, own = jax.random.split(key)
        state, _ = jax.lax.scan(lambda s, k: (self._step(s, k), None), state, jax.random.split(own, self.chunk))
        return state, key


class Together(Mapped):
    """A `_step` of all replicas in one program, one key for all of them."""

    def _keys(self, key: Any) -> Any:
        return key

    def _many(self) -> Callable[..., Any]:
        return self._chunk
