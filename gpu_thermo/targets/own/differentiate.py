"""Energies written in JAX or PyTorch, differentiated by these, as functions of NumPy arrays."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import GpuThermoError, RunError, SpecError
from .base import in_words, require

Array = Any
Energy = Callable[..., Any]
"""(positions [R, P], points [R, B] or None where there are any) -> U [R]."""
LIBRARIES = ("jax", "torch")


def differentiated(function: Energy, library: str) -> tuple[Energy, Energy]:
    """The energy alone, and the pair (energy, gradient), as functions (position, *more) of NumPy arrays.

    Row r of the energy depends on row r of the positions only, so that the gradient of the sum is all gradients.

    Raises
    ------
    SpecError
        The library is unknown, missing, or computes in float32 only.
    """
    if library not in LIBRARIES:
        raise SpecError(f"library = {library!r} is unknown: {', '.join(LIBRARIES)}, or None for NumPy.")
    alone, both = (_jax if library == "jax" else _torch)(function)
    return _guarded(alone, library), _guarded(both, library)


def _guarded(function: Energy, library: str) -> Energy:
    """RunError in one line in place of whatever the user's function, or its library, raises."""

    def call(*arguments: Any) -> Any:
        """The function's answer."""
        try:
            return function(*arguments)
        except GpuThermoError:
            raise
        except Exception as error:  # whatever a user's function raises
            text = f"The function cannot be evaluated or differentiated by {library} ({in_words(error)})."
            raise RunError(text) from error

    return call


def _jax(function: Energy) -> tuple[Energy, Energy]:
    jax = require("jax", "A potential in JAX")
    if not jax.config.jax_enable_x64:
        raise SpecError(
            "A potential is checked and recorded in float64, and JAX computes in float32: call jax.config.update("
            '"jax_enable_x64", True) before anything else.'
        )

    def both(q: Any, *more: Any) -> Any:
        energy, pull = jax.vjp(lambda q: function(q, *more), q)
        return energy, pull(jax.numpy.ones_like(energy))[0]

    fast, fast_both = jax.jit(function), jax.jit(both)
    return (
        lambda q, *more: np.array(fast(q, *more)),
        lambda q, *more: tuple(np.array(value) for value in fast_both(q, *more)),
    )


def _torch(function: Energy) -> tuple[Energy, Energy]:
    torch = require("torch", "A potential in PyTorch")

    def tensors(values: tuple[Any, ...]) -> list[Any]:
        return [v if v is None else torch.from_numpy(np.array(v)) for v in values]

    def alone(*arguments: Any) -> Any:
        with torch.no_grad():
            return function(*tensors(arguments)).numpy()

    def both(*arguments: Any) -> Any:
        """Energies, and their gradients by the first argument."""
        with torch.enable_grad():
            q, *more = tensors(arguments)
            energy = function(q.requires_grad_(), *more)
            (gradient,) = torch.autograd.grad(energy.sum(), q)
        return energy.detach().numpy(), gradient.numpy()

    return alone, both
