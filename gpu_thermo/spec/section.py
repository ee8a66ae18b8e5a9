"""The base of all sections of a spec."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationInfo, field_validator, model_serializer


def refuse_truth(value: Any) -> Any:
    """ValueError for true and false where a number is meant: Python takes them for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError(f"{str(value).lower()} is not a number")
    return value


RealNumber = Annotated[float, BeforeValidator(refuse_truth)]
WholeNumber = Annotated[int, BeforeValidator(refuse_truth)]
"""Numbers within a table or a list of a spec; fields of their own refuse truth values in any case."""


@lru_cache(maxsize=1024)
def _is_number(section: type[BaseModel], name: str) -> bool:
    """Whether a field takes numbers and no truth values, and no validator of its own sees them first."""
    field = section.model_fields[name]
    kinds = [*_kinds(field.annotation), *field.metadata]
    own = bool in kinds or any(isinstance(kind, BeforeValidator) for kind in kinds)
    return (int in kinds or float in kinds) and not own


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that an annotation names, those within it included."""
    yield annotation
    for part in get_args(annotation):
        yield from _kinds(part)


class Section(BaseModel):
    """Base of all sections: frozen, no unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: ValidationInfo) -> Any:
        """true is not 1."""
        if isinstance(value, bool) and info.field_name and _is_number(cls, info.field_name):
            return refuse_truth(value)
        return value

    @model_serializer(mode="wrap")
    def _leave_out_none(self, handler: Any) -> dict[str, Any]:
        """Leave out what is not set: TOML has no null, and what is left out is what is read back."""
        return {key: value for key, value in handler(self).items() if value is not None}
