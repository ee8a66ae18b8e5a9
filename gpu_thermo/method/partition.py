"""Named ranges over the P parameters of a replica."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import SpecError

KINDS = ("layer", "tensor", "all")


@dataclass(frozen=True)
class Partition:
    """K consecutive named ranges that cover the P parameters.

    `groups` lets one name stand for several ranges: under "tensor", `hidden` means w1 and b1; in a network with more
    hidden layers it means all of them, hidden1, hidden2 and so on; where a likelihood has parameters of its own,
    `output` means those, too, unless `likelihood` names them; `all` always means every range.
    """

    kind: str
    names: tuple[str, ...]
    bounds: tuple[tuple[int, int], ...]
    groups: Mapping[str, tuple[int, ...]]

    @property
    def size(self) -> int:
        """P, the number of parameters of one replica."""
        return self.bounds[-1][1]

    @property
    def slices(self) -> tuple[slice, ...]:
        """One slice over the parameter axis for each range."""
        return tuple(slice(*b) for b in self.bounds)

    @property
    def counts(self) -> tuple[int, ...]:
        """n_k, the number of parameters of each range."""
        return tuple(stop - start for start, stop in self.bounds)

    def resolve(self, name: str) -> tuple[int, ...]:
        """Indices of the ranges that `name` stands for; SpecError if none."""
        if name in self.groups:
            return self.groups[name]
        if name in self.names:
            return (self.names.index(name),)
        known = ", ".join(dict.fromkeys((*self.names, *self.groups)))
        raise SpecError(f"There is no partition '{name}' under partition = \"{self.kind}\". Names: {known}.")


def make_partition(
    kind: str,
    tensors: Mapping[str, int],
    layers: Mapping[str, tuple[str, ...]],
    groups: Mapping[str, tuple[str, ...]] | None = None,
) -> Partition:
    """Partition of `tensors` (name -> number of parameters, in storage order) by layer, by tensor, or as one.

    `layers` names consecutive tensors: {"hidden": ("w1", "b1"), "output": ("w2", "b2")}. `groups` names several layers
    at once: {"hidden": ("hidden1", "hidden2")}.
    """
    if kind == "all":
        return Partition(kind, ("all",), ((0, sum(tensors.values())),), {"all": (0,)})
    if kind not in KINDS:
        raise SpecError(f"partition = {kind!r} is unknown. Partitions: {', '.join(KINDS)}.")
    members = layers if kind == "layer" else {name: (name,) for name in tensors}
    bounds, start = [], 0
    for tensor_names in members.values():
        stop = start + sum(tensors[t] for t in tensor_names)
        bounds.append((start, stop))
        start = stop
    names = tuple(members)
    places = {layer: (layer,) if kind == "layer" else tensor_names for layer, tensor_names in layers.items()}
    places |= {name: tuple(t for layer in held for t in places[layer]) for name, held in (groups or {}).items()}
    found = {
        name: tuple(names.index(t) for t in held)
        for name, held in places.items() if name not in names or name in (groups or {})
    }  # fmt: skip
    return Partition(kind, names, tuple(bounds), {"all": tuple(range(len(names)))} | found)
