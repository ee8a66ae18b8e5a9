"""A network of NumPy functions on all replicas at once."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ...errors import RunError, SpecError
from .base import OwnNetwork, Pull

Tensors = dict[str, np.ndarray]


class NumpyNetwork(OwnNetwork):
    """A network given as functions of all replicas' tensors.

    Parameters
    ----------
    params : name -> example values [*shape]; the part of a name before its first dot is its partition.
    forward : `forward(params, x)`: params name -> [R, *shape], x [1, B, m] or [R, B, m]; returns the raw outputs
        [R, B, n]. Where `vjp` is None it returns a pair (outputs, pull).
    vjp : `vjp(params, x, d_out)` with d_out [R, B, n]: name -> gradient [R, *shape] of sum(d_out * outputs). A `pull`
        takes d_out alone.
    label : name in reports.
    """

    library = "numpy"

    def __init__(
        self,
        params: Mapping[str, Any],
        forward: Callable[..., Any],
        vjp: Callable[..., Any] | None = None,
        *,
        label: str | None = None,
    ) -> None:
        if not isinstance(params, Mapping) or not all(isinstance(name, str) for name in params):
            raise SpecError("params of a NumpyNetwork is a dictionary: name -> example values of the tensor.")
        if not callable(forward) or not (vjp is None or callable(vjp)):
            raise SpecError(
                "forward and vjp of a NumpyNetwork are functions: forward(params, x), vjp(params, x, d_out)."
            )
        self._names = tuple(params)
        super().__init__({tuple(name.split(".")): value for name, value in params.items()}, label)
        self._forward, self._vjp = forward, vjp

    def outputs(self, position: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Raw outputs [R, B, n]."""
        return self._outputs(self._run(position, x), position, x)

    def outputs_and_pull(self, position: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, Pull]:
        """The same, and the pull-back."""
        result = self._run(position, x)
        out = self._outputs(result, position, x)
        if self._vjp is None:
            pull = result[1]
        else:
            vjp, tensors, points = self._vjp, self._tensors(position), _with_replicas(x)
            pull = lambda d_out: vjp(tensors, points, d_out)  # noqa: E731
        return out, lambda d_out: self._joined(pull(d_out), position)

    def _run(self, position: np.ndarray, x: np.ndarray) -> Any:
        return self._forward(self._tensors(position), _with_replicas(x))

    def _tensors(self, position: np.ndarray) -> Tensors:
        """Read-only views under the user's own names."""
        shown = position.view()
        shown.flags.writeable = False
        return dict(zip(self._names, self.split(shown), strict=True))

    def _outputs(self, result: Any, position: np.ndarray, x: np.ndarray) -> np.ndarray:
        if self._vjp is None:
            if not isinstance(result, tuple) or len(result) != 2 or not callable(result[1]):
                raise RunError("forward returns no pair (outputs, pull): return both, or give vjp as a function.")
            result = result[0]
        return _expect("outputs", result, (len(position), x.shape[-2]), position.dtype, 3)

    def _joined(self, gradient: Any, position: np.ndarray) -> np.ndarray:
        if not isinstance(gradient, Mapping) or set(gradient) != set(self._names):
            found = ", ".join(map(str, gradient)) if isinstance(gradient, Mapping) else type(gradient).__name__
            raise RunError(f"The vjp returns {found[:200]}: return a gradient for each of {', '.join(self._names)}.")
        parts = []
        for name, shape in zip(self._names, self.tensors.values(), strict=True):
            value = _expect(
                f"gradient of '{name}'", gradient[name], (len(position), *shape), position.dtype, 1 + len(shape)
            )
            parts.append(value.reshape(len(position), -1))
        return np.concatenate(parts, axis=1)


def _with_replicas(x: np.ndarray) -> np.ndarray:
    """[1, B, m] or [R, B, m]."""
    return x if x.ndim == 3 else x[None]


def _expect(name: str, value: Any, shape: tuple[int, ...], dtype: np.dtype, rank: int) -> np.ndarray:
    """`value` itself; RunError unless it starts with that shape, and has that rank and precision."""
    if np.ndim(value) != rank or np.shape(value)[: len(shape)] != shape:
        wanted = ", ".join(map(str, shape)) + (", n" if rank > len(shape) else "")
        raise RunError(f"The network's {name} has shape {np.shape(value)}: return [{wanted}].")
    if getattr(value, "dtype", None) != dtype:
        kind = getattr(value, "dtype", type(value).__name__)
        raise RunError(f"The network's {name} is {kind} for {dtype} parameters: compute in the parameters' precision.")
    return value
