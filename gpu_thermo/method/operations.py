"""The table of all operations: letters and whole-step updates."""

from collections import ChainMap

from ..errors import SpecError
from .letters import LETTERS
from .record import Operation
from .updates import UPDATES

OPERATIONS: ChainMap[str, Operation] = ChainMap(LETTERS, UPDATES)
"""Every operation by symbol: a view of LETTERS and UPDATES."""


def operation(symbol: str) -> Operation:
    """The record of `symbol`.

    Raises
    ------
    SpecError
        If there is none.
    """
    if symbol not in OPERATIONS:
        raise SpecError(
            f"There is no operation '{symbol}'. Letters: {' '.join(LETTERS)}; updates: {', '.join(UPDATES)}."
        )
    return OPERATIONS[symbol]


def kept_names() -> tuple[str, ...]:
    """Names of the arrays that operations carry beside the state, over all of them."""
    return tuple(dict.fromkeys(name for record in (*LETTERS.values(), *UPDATES.values()) for name in record.keeps))


def definitions() -> str:
    """C++ definitions of all operations, each once."""
    records = (*LETTERS.values(), *UPDATES.values())
    return "\n\n".join(dict.fromkeys(text for record in records for text in record.code))
