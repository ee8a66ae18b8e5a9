"""Partitions of a potential's coordinates by name."""

from collections.abc import Mapping, Sequence

import numpy as np

from ...errors import SpecError
from ..base import Layout
from .base import RESERVED, plain


def partitioned(size: int, coordinates: Sequence[str], partitions: Mapping[str, int | Sequence[str]]) -> Layout:
    """The layout of P coordinates in named parts, each a range of them: name -> how many, or which ones, in order.

    Raises
    ------
    SpecError
        A name that cannot be used, or parts that are no consecutive ranges of all coordinates.
    """
    counts: dict[str, int] = {}
    for name, part in partitions.items():
        if not isinstance(name, str) or name in RESERVED or plain(name) != name:
            raise SpecError(f"Partition {name!r} has no name for a spec: letters, digits and _, none of {RESERVED}.")
        counts[name] = _count(name, part, coordinates[sum(counts.values()) :])
    if sum(counts.values()) != size:
        raise SpecError(
            f"The partitions have {sum(counts.values())} coordinates"
            f" ({', '.join(f'{n} {c}' for n, c in counts.items())}), the potential {size}: each belongs to one."
        )
    return Layout({name: (n,) for name, n in counts.items()}, {name: (name,) for name in counts}, np.arange(size))


def _count(name: str, part: int | Sequence[str], following: Sequence[str]) -> int:
    if isinstance(part, int) and not isinstance(part, bool) and part >= 1:
        return part
    if isinstance(part, Sequence) and not isinstance(part, str) and len(part):
        if tuple(part) == tuple(following[: len(part)]):
            return len(part)
        raise SpecError(
            f"Partition '{name}' is {list(part)[:10]}, and the coordinates that follow are"
            f" {list(following[: len(part)])}: parts are ranges in the order of the coordinates."
        )
    raise SpecError(f"Partition '{name}' = {part!r}: give how many coordinates it has, or a list of their names.")
