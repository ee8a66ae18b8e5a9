"""A network given as a JAX function of its parameters; JAX is imported where such a network is made."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import SpecError
from .base import OwnNetwork, Pull, require


class JaxNetwork(OwnNetwork):
    """A network `apply(params, x)` in JAX, differentiated and mapped over replicas by JAX, compiled once a shape.

    Parameters
    ----------
    apply : `apply(params, x)` with x [B, m] returns the raw outputs [B, n] (or [B]) of one network; pure.
    params : a pytree of arrays, an example whose values are where replicas start. Names are paths in it; what is on
        its first level is a partition (of a level `params` alone, as Flax has it, what is below).
    label : name in reports.

    Precision float64 needs JAX in its own float64: jax.config.update("jax_enable_x64", True).
    """

    library = "jax"

    def __init__(self, apply: Callable[..., Any], params: Any, *, label: str | None = None) -> None:
        jax = require("jax", "A network in JAX")
        if not callable(apply):
            raise SpecError(f"apply = {apply!r} is no function: give apply(params, x), and params as a pytree.")
        leaves, self._structure = jax.tree_util.tree_flatten_with_path(params)
        super().__init__({tuple(_word(part) for part in path): leaf for path, leaf in leaves}, label)
        self._jax, self._apply = jax, apply
        one = jax.vmap(self._one, (0, None)), jax.vmap(self._one, (0, 0))
        self._outputs = [jax.jit(f) for f in one]
        self._both = [jax.jit(lambda q, x, f=f: jax.vjp(lambda q: f(q, x), q)) for f in one]
        self._pull = jax.jit(lambda pull, d_out: pull(d_out)[0])

    def outputs(self, position: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Raw outputs [R, B, n]."""
        return np.array(self._outputs[x.ndim - 2](position, x))

    def outputs_and_pull(self, position: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, Pull]:
        """The same, and the pull-back."""
        out, pull = self._both[x.ndim - 2](position, x)
        return np.array(out), lambda d_out: np.asarray(self._pull(pull, d_out))

    def units(self, points: int, inputs: int) -> int:
        """Of the program that JAX makes of it, without running it."""
        shaped = [self._jax.ShapeDtypeStruct(shape, np.float32) for shape in ((self.size,), (points, inputs))]
        return _products(self._jax.make_jaxpr(self._one)(*shaped).jaxpr)

    def obstacle(self, dtype: np.dtype) -> str:
        """JAX computes in float32 unless told otherwise."""
        if dtype != np.float64 or self._jax.config.jax_enable_x64:
            return ""
        return (
            'JAX computes in float32: call jax.config.update("jax_enable_x64", True) before anything else, or use'
            ' dtype = "float32"'
        )

    def named(self, given: Any) -> Any:
        """A pytree like the network's own, by our names; anything else as in the base."""
        leaves, structure = self._jax.tree_util.tree_flatten(given)
        return dict(zip(self.tensors, leaves, strict=True)) if structure == self._structure else super().named(given)

    def _one(self, q: Any, x: Any) -> Any:
        """Outputs [B, n] of one network from its parameters [P]."""
        out = self._apply(self._jax.tree_util.tree_unflatten(self._structure, self.split(q)), x)
        if out.ndim not in (1, 2) or out.shape[0] != x.shape[0]:
            raise SpecError(f"The network returns shape {out.shape} for {x.shape[0]} points: return [points, outputs].")
        return out.reshape(x.shape[0], -1)


def _products(program: Any) -> int:
    """Values that matrix products and convolutions of a JAX program give, those of the functions it calls with them."""
    count = 0
    for equation in program.eqns:
        inner = [p for p in equation.params.values() if hasattr(p, "eqns") or hasattr(p, "jaxpr")]
        count += sum(_products(getattr(p, "jaxpr", p)) for p in inner)
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            count += sum(out.aval.size for out in equation.outvars)
    return count


def _word(part: Any) -> str:
    """One part of a path in a pytree."""
    for name in ("key", "name", "idx"):
        if hasattr(part, name):
            return str(getattr(part, name))
    return str(part)
