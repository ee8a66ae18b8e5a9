"""What is sampled: the Target protocol, how parameters are laid out, and the Potential protocol of targets given by a
formula.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from ..cost import Count
from ..errors import SpecError
from ..method.partition import Partition, make_partition
from ..streams import Keys

Array = Any


@dataclass(frozen=True)
class Layout:
    """Names, shapes and axes of a replica's tensors in storage order, their layers, and the random lane of each
    parameter.

    Attributes
    ----------
    tensors : name -> shape. layers : name -> names of its consecutive tensors.
    lanes : [P] int64; parameter i draws lane `lanes[i]`: block lane div 4, word lane mod 4 (equations.md section 7).
    dims : name -> names of the tensor's axes; NAME_dim_0, NAME_dim_1, ... (as xarray has it) where none are given.
    groups : name -> names of layers that it stands for together.
    """

    tensors: Mapping[str, tuple[int, ...]]
    layers: Mapping[str, tuple[str, ...]]
    lanes: np.ndarray
    dims: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Parameters of each tensor."""
        return {name: int(np.prod(shape)) for name, shape in self.tensors.items()}

    @cached_property
    def size(self) -> int:
        """P."""
        return sum(self.sizes.values())

    @cached_property
    def variables(self) -> dict[str, tuple[tuple[str, ...], tuple[int, ...]]]:
        """Name -> (dims, shape) of each tensor, as a store takes them."""
        return {
            name: (self.dims.get(name) or tuple(f"{name}_dim_{i}" for i in range(len(shape))), shape)
            for name, shape in self.tensors.items()
        }

    def partition(self, kind: str) -> Partition:
        """Partition of the parameters by "layer", "tensor" or "all"."""
        return make_partition(kind, self.sizes, self.layers, self.groups)

    def split(self, position: Array) -> dict[str, Array]:
        """Views [..., *shape] of the tensors in `position` [..., P]."""
        out, start = {}, 0
        for name, shape in self.tensors.items():
            stop = start + int(np.prod(shape))
            out[name] = position[..., start:stop].reshape(*position.shape[:-1], *shape)
            start = stop
        return out

    def join(self, tensors: Mapping[str, Array]) -> Array:
        """Inverse of `split`."""
        flat = [
            np.asarray(tensors[name]).reshape(*np.shape(tensors[name])[: -len(shape)], -1)
            for name, shape in self.tensors.items()
        ]
        return np.concatenate(flat, axis=-1)


@dataclass(frozen=True)
class Batch:
    """What one evaluation sees.

    Attributes
    ----------
    index : [R, B] training points of each replica, or None for all of them.
    replica : the replicas' places [R] int64 in the target's own per-replica arrays (data sets, spring constants).
    keys : who draws, for targets with noise of their own. evaluation : gradient ordinal.
    """

    index: Array | None
    replica: Array
    keys: Keys | None = None
    evaluation: int = 0


class Target(Protocol):
    """A potential over R replicas of P parameters."""

    layout: Layout
    points: int
    """N, or 0 for a target without data."""
    bounds: float | None = None
    """Half the side of the box |q_i| <= bounds that positions stay in (engines reject steps out of it), or None."""
    fused: Any = None
    """The network (MlpModel) that the fused engine has kernels for, or None where it has none."""
    library: str = ""
    """Whose arithmetic it is where it is not ours, with its version ("jax 0.10"); such a target runs on the CPU."""

    def to(self, xp: Any) -> "Target":
        """The same with its arrays in another library (NumPy, or CuPy on its current device)."""
        ...

    def energy_and_gradient(self, position: Array, batch: Batch) -> tuple[Array, Array]:
        """U [R] float64 and its gradient [R, P] at `position` [R, P]."""
        ...

    def energy_on(self, position: Array, batch: Batch) -> Array:
        """U [R] float64 as `energy_and_gradient` has it, where that takes less."""
        return self.energy_and_gradient(position, batch)[0]

    def beside(self, others: "Sequence[Target]") -> "Target | None":
        """What the replicas of this one and of others by the same spec are about, one after another; None where their
        data make them different.
        """
        return self

    def arithmetic(self, points: int) -> dict[str, Count]:
        """Arithmetic of an evaluation on `points` points, by part: forward, backward.

        Raises
        ------
        SpecError
            The target does not count it.
        """
        raise SpecError("Operations are counted for perceptrons only.")

    def widest(self, points: int) -> int:
        """Values of a replica in the largest array of an evaluation on `points` points: the parameters, or more."""
        return self.layout.size

    def evaluation_values(self, points: int) -> int:
        """About how many values of a replica an evaluation on `points` points holds at once, its gradient included."""
        return self.layout.size + 4 * self.widest(points)


class Potential(Target, Protocol):
    """A target given by a formula: no data (`points` is 0), exact energies beside noisy ones.

    `energy_and_gradient` adds independent normal noise to every gradient component and to the energy, addressed by the
    replica's keys and the evaluation (equations.md section 7, purpose 7); `energy` and `gradient` never do.
    """

    coordinates: tuple[str, ...]
    """Names of the P coordinates."""
    gradient_noise_sd: Any
    """Standard deviation of the noise on each gradient component, a number or [R]."""
    energy_noise_sd: Any
    """Standard deviation of the noise on the energy, a number or [R]."""
    fingerprint: str
    """Identity of what a spec does not say: a user's function; "" where the spec says it all."""

    def to(self, xp: Any) -> "Potential":
        """The same with its arrays in another library."""
        ...

    def energy(self, position: Array, replica: Array | None = None) -> Array:
        """Exact U [R] float64, computed in float64, at `position` [R, P] of the replicas `replica` [R] (0..R-1 by
        default).
        """
        ...

    def gradient(self, position: Array, replica: Array | None = None) -> Array:
        """Exact gradient [R, P] at `position` [R, P], in its precision."""
        ...
