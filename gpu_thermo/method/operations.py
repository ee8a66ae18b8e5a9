"""The table of all operations: letters and whole-step updates."""

from collections import ChainMap
from collections.abc import Iterable

from ..errors import SpecError
from .letters import LETTERS
from .record import Operation
from .updates import UPDATES

OPERATIONS: ChainMap[str, Operation] = ChainMap(LETTERS, UPDATES)
"""Every operation by symbol: a view of LETTERS and UPDATES."""


OWN: set[str] = set()
"""Symbols of those that the user registered (registration.py): kernels are written for the programs that have them."""


def compiled_operations(records: Iterable[Operation] = ()) -> tuple[Operation, ...]:
    """What kernels are written for: all operations of the package, and of the user's own those among `records`."""
    ours = (record for symbol, record in OPERATIONS.items() if symbol not in OWN)
    return tuple(r for r in (*ours, *(r for r in records if r.symbol in OWN)) if r.compiled)


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


def definitions(records: Iterable[Operation]) -> str:
    """C++ definitions of `records`, each once."""
    return "\n\n".join(dict.fromkeys(text for record in records for text in record.code))
