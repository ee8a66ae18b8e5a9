"""What a user's own network has to be: tensors by name, outputs, and the pull-back of a gradient of the outputs.

Axes: R replicas, P parameters of the network, B points, m inputs, n outputs.
"""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from typing import Any

import numpy as np

from ...errors import SpecError

Array = Any
Pull = Callable[[np.ndarray], np.ndarray]
"""A gradient of the outputs [R, B, n] -> that of the parameters [R, P]."""
RESERVED = ("all", "likelihood", "schedule", "value")
"""Names with a meaning of their own where a spec names partitions."""
LEAST_WIDTH = 32


class OwnNetwork(ABC):
    """Base of networks given from Python; one subclass for each library.

    Parameters
    ----------
    start : path of a tensor, as its parts -> its values, where replicas start unless told otherwise. Tensors that
    share their first part are one partition, and follow one another.
    label : name in reports.

    Attributes
    ----------
    tensors : name -> shape, in the order of a position. layers : partition -> its tensors. start : name -> values.
    library : what it is written in.

    Raises
    ------
    SpecError
        Parameters that are no numbers, that are none, or whose names are taken.
    """

    library: str

    def __init__(self, start: Mapping[tuple[str, ...], Any], label: str | None) -> None:
        named = _named(start)
        self.start = {".".join(path): values for path, values in named.items()}
        self.start = {plain(name): _numbers(name, values) for name, values in self.start.items()}
        if len(self.start) < len(start):
            raise SpecError(f"Two parameters of the network have one name: {', '.join('.'.join(p) for p in named)}.")
        self.tensors = {name: values.shape for name, values in self.start.items()}
        self.layers: dict[str, tuple[str, ...]] = {}
        for path, name in zip(named, self.tensors, strict=True):
            first = plain(path[0])
            self.layers[first] = (*self.layers.get(first, ()), name)
        if taken := [name for name in self.layers if name in RESERVED]:
            raise SpecError(f"The network has a part '{taken[0]}', a word of the spec's own: give it another name.")
        self.sizes = [int(np.prod(shape)) for shape in self.tensors.values()]
        self.size = sum(self.sizes)
        if not self.size:
            raise SpecError("The network has no parameters: there is nothing to sample.")
        self.label = label or type(self).__name__

    @abstractmethod
    def outputs(self, position: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Raw outputs [R, B, n] of replicas [R, P] at inputs [B, m], shared, or [R, B, m]; a new array of the same
        precision.
        """

    @abstractmethod
    def outputs_and_pull(self, position: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, Pull]:
        """The same, and what carries a gradient of the outputs back to the parameters."""

    def obstacle(self, dtype: np.dtype) -> str:
        """Why the library cannot compute in this precision as it is configured; empty if it can."""
        return ""

    def named(self, given: Any) -> Any:
        """Starts that name the library's own parameters, by our names; anything else as it is."""
        if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
            return given
        return {name if name in self.tensors else plain(name): values for name, values in given.items()}

    @property
    def version(self) -> str:
        """The library with its version."""
        return version_of(self.library)

    def units(self, points: int, inputs: int) -> int | None:
        """Values that products with parameters (dense, convolutions) give at so many points, in one replica; None where
        nobody can look inside.
        """
        return None

    def width(self, inputs: int) -> int:
        """Values that a point takes in one replica, roughly, for bills and blocks: what one more point adds to the
        library's own count; without one, units counted by their biases, or by the weights, each of which has two layers
        at its sides, in whatever order; most layers have a weight at both of theirs.
        """
        with suppress(Exception):  # whatever the network cannot do is told where it is first evaluated
            one, two = self.units(1, inputs), self.units(2, inputs)
            if one is not None and two is not None and two > one:
                return max(LEAST_WIDTH, two - one)
        biases = sum(shape[0] for shape in self.tensors.values() if len(shape) == 1)
        sides = sum(sum(sorted(shape)[-2:]) for shape in self.tensors.values() if len(shape) > 1)
        return max(LEAST_WIDTH, biases, -(-sides // 2))

    @property
    def sha256(self) -> str:
        """Identity of what is fixed about it: names and shapes, in order. What it computes is compared by a probe."""
        named = [[name, list(shape)] for name, shape in self.tensors.items()]
        return hashlib.sha256(json.dumps([named, list(self.layers)]).encode()).hexdigest()

    def split(self, position: Array) -> list[Array]:
        """The tensors [R, *shape] of `position` [R, P], as views where the library has any."""
        out, first = [], 0
        for shape, size in zip(self.tensors.values(), self.sizes, strict=True):
            out.append(position[..., first : first + size].reshape(*position.shape[:-1], *shape))
            first += size
        return out


def plain(name: str) -> str:
    """A parameter's path as a name that stores, TOML and Python take: letters, digits and _; `layer` before a digit."""
    word = re.sub(r"\W", "_", name).strip("_") or "parameter"
    return f"layer{word}" if word[0].isdigit() else word


def require(library: str, name: str) -> Any:
    """The module of an optional library; SpecError says how to get it."""
    from importlib import import_module

    try:
        return import_module(library)
    except ImportError as error:
        raise SpecError(f"{name} needs {library}, which cannot be imported ({error}): pip install {library}.") from None


def version_of(library: str) -> str:
    """The library with its version."""
    return f"{library} {metadata.version(library)}"


def in_words(error: Exception, longest: int = 300) -> str:
    """An exception of the user's function on one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text if len(text) <= longest else text[: longest - 3] + '...'}"


def _named(start: Mapping[tuple[str, ...], Any]) -> dict[tuple[str, ...], Any]:
    """Paths without a first part `params` that all of them share, as Flax has it."""
    paths: Sequence[tuple[str, ...]] = list(start)
    if paths and all(len(path) > 1 and path[0] == "params" for path in paths):
        return {path[1:]: values for path, values in start.items()}
    return {path or ("parameters",): values for path, values in start.items()}


def _numbers(name: str, values: Any) -> np.ndarray:
    out = np.asarray(values)
    if out.dtype.kind != "f":
        raise SpecError(
            f"The network's parameter '{name}' holds {out.dtype}: only floating-point numbers can be sampled. Keep"
            " others out of the parameters."
        )
    if not np.isfinite(out).all():
        raise SpecError(f"The network's parameter '{name}' is not finite: replicas start there. Give finite values.")
    return out
