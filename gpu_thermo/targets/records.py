"""What records of this folder share: they are found by name, and carry C++ text.

The text is the bodies of functions, which kernels/network.py pastes before the headers: no kernel names a record.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ..errors import SpecError, did_you_mean

CONSTANTS = 4
"""Most constants that a record's C++ may read: kernels have room for as many."""

Record = TypeVar("Record")


@dataclass(frozen=True)
class Tail:
    """A tensor that belongs to no unit of a network: it stands behind them, in parameters and in lanes.

    Attributes
    ----------
    name, shape, dims : of the tensor, as in Layout. partition : the layer it belongs to.
    """

    name: str
    shape: tuple[int, ...]
    partition: str
    dims: tuple[str, ...]

    @property
    def size(self) -> int:
        """Its parameters."""
        return math.prod(self.shape)


def look_up(what: str, name: str, table: Mapping[str, Record]) -> Record:
    """The record of that name; SpecError says the nearest known one."""
    if name not in table:
        raise SpecError(f"There is no {what} '{name}'. {did_you_mean(name, table, always=True)}")
    return table[name]


def packed(constants: Mapping[str, float]) -> tuple[float, ...]:
    """Values of a record's constants in order, zeros after them, CONSTANTS in all."""
    return (*constants.values(), *(CONSTANTS - len(constants)) * (0.0,))


def check_bodies(what: str, code: Any, optional: tuple[str, ...] = ()) -> None:
    """ValueError unless every text of `code` is a function's body: without its C++ a record would be one thing to the
    batched engine and nothing, or another, to the fused one. `code` None is array code alone.
    """
    if code is None:
        return
    for field in fields(code):
        text = getattr(code, field.name)
        is_body = isinstance(text, str) and text.strip().endswith((";", "}"))
        if not is_body and not (text == "" and field.name in optional):
            raise ValueError(
                f"{what}: its C++ text '{field.name}' is {text!r}. Give the body of that function, as in 'return z;'."
            )
