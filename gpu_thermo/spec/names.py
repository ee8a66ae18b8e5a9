"""Names of records in a spec: whatever is in its table when the spec is read, registered records among it.

A spec that was written where more was registered (`registered` in it says what) can be read without: whoever carries it
out asks for the records first (registration.py).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from pydantic_core import CoreSchema, PydanticKnownError, core_schema

_ELSEWHERE: ContextVar[frozenset[str]] = ContextVar("elsewhere", default=frozenset())


@contextmanager
def elsewhere(labels: Iterable[Any]) -> Iterator[None]:
    """Within the block records of these labels ("letter L") are taken by name, whether they are here or not."""
    token = _ELSEWHERE.set(frozenset(map(str, labels)))
    try:
        yield
    finally:
        _ELSEWHERE.reset(token)


def is_elsewhere(kind: str, name: str) -> bool:
    """Whether the spec being read says of a record that it was registered."""
    return f"{kind} {name}" in _ELSEWHERE.get()


@dataclass(frozen=True)
class OneOf:
    """Annotation of a key that names a record of a kind: `names` gives what is in its table now."""

    kind: str
    names: Callable[[], Iterable[str]]

    def check(self, given: Any) -> str:
        """The name; as pydantic complains of a Literal where it is none."""
        known = tuple(self.names())
        if isinstance(given, str) and (given in known or is_elsewhere(self.kind, given)):
            return given
        *most, last = map(repr, known)
        raise PydanticKnownError("literal_error", {"expected": f"{', '.join(most)} or {last}" if most else last})

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        """Validation by `check`."""
        return core_schema.no_info_plain_validator_function(self.check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        """The names of now."""
        return {"enum": [*self.names()], "type": "string"}
