"""The moves a spec may name: a new one is a row here and a file of its own."""

from collections.abc import Sequence
from functools import cache, reduce
from operator import or_
from typing import Annotated, Any

from pydantic import Field, GetJsonSchemaHandler, PlainValidator, SerializeAsAny, TypeAdapter

from ..errors import SpecError
from .base import MoveOptions, kind_of
from .contour import ContourOptions
from .cyclical import CyclicalOptions
from .exchange import ExchangeOptions
from .tempering import TemperingOptions

MOVES: dict[str, type[MoveOptions]] = {
    kind_of(row): row for row in (CyclicalOptions, ExchangeOptions, TemperingOptions, ContourOptions)
}


@cache
def _union(models: tuple[type[MoveOptions], ...]) -> TypeAdapter[Any]:
    union: Any = Annotated[reduce(or_, models), Field(discriminator="kind")]
    return TypeAdapter(union)


def _read(given: Any) -> MoveOptions:
    """One of the table's models, whichever `kind` says; pydantic's errors name the member and the key."""
    options: MoveOptions = _union(tuple(MOVES.values())).validate_python(given)
    return options


class _Schema:
    """JSON schema of the table as it is."""

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> Any:
        return handler(_union(tuple(MOVES.values())).core_schema)


AnyMove = Annotated[SerializeAsAny[MoveOptions], PlainValidator(_read), _Schema]
"""[[moves]] of a spec: any row of the table."""


def check_together(options: Sequence[MoveOptions]) -> None:
    """Refuse moves that exclude each other.

    Raises
    ------
    SpecError
        The same kind twice, or two kinds that take the same.
    """
    kinds = [o.kind for o in options]
    listed = f"moves lists {', '.join(kinds)}"
    if len(set(kinds)) != len(kinds):
        raise SpecError(f"{listed}: each kind at most once.")
    taken = [o.takes for o in options if o.takes]
    if twice := next((what for what in taken if taken.count(what) > 1), None):
        *others, last = (kind for kind, row in MOVES.items() if row.takes == twice)
        raise SpecError(f"{listed}: of {', '.join(others)} and {last} a run takes one. Use two runs.")
