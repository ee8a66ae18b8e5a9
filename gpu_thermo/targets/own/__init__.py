"""A user's own network: JAX, PyTorch or NumPy in place of our perceptrons, all else ours.

Reading order: base (what a network has to be), with_numpy, with_jax, with_torch, model (its likelihood and prior),
check (what is asked of it before it runs).
"""

from typing import Any

from ...errors import SpecError
from .base import OwnNetwork
from .with_jax import JaxNetwork
from .with_numpy import NumpyNetwork
from .with_torch import TorchNetwork

__all__ = ["JaxNetwork", "NumpyNetwork", "OwnNetwork", "TorchNetwork", "as_network"]


def as_network(given: Any) -> OwnNetwork:
    """A network from what the user gave: one of the classes here, a torch.nn.Module, or a pair (apply, params) of JAX.

    Raises
    ------
    SpecError
        It is none of them, or its library is missing.
    """
    if isinstance(given, OwnNetwork):
        return given
    if isinstance(given, tuple) and len(given) == 2 and callable(given[0]) and not callable(given[1]):
        return JaxNetwork(*given)
    if hasattr(given, "named_parameters") and hasattr(given, "named_buffers"):
        return TorchNetwork(given)
    raise SpecError(
        f"network is {type(given).__name__}: give a torch.nn.Module, a pair (apply, params) of a JAX function and its"
        " pytree, or a NumpyNetwork."
    )
