"""Values of hyperparameters as a spec has them: over replicas, scheduled, and for each partition."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    TypeAdapter,
    WrapSerializer,
    model_serializer,
    model_validator,
)

from ..method.schedules import SCHEDULES, AnySchedule
from .section import Section
from .written import PartitionedSchema, ValueSchema

Numbers = float | list[float]
_SCHEDULE: TypeAdapter[Any] = TypeAdapter(AnySchedule)


class Scheduled(Section):
    """A value and its schedule: {value = 0.25, schedule = "cyclical", cycles = 20} in a spec."""

    value: Numbers
    schedule: AnySchedule | None = None

    @model_validator(mode="before")
    @classmethod
    def _split(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or isinstance(given.get("schedule"), BaseModel):
            return given
        given = _repeated(given)
        rest = {key: value for key, value in given.items() if key != "value"}
        if "value" not in given:
            raise ValueError(f"{dict(given)} needs a value beside its schedule")
        if any(isinstance(v, bool) for v in (given["value"] if isinstance(given["value"], list) else [given["value"]])):
            raise ValueError(f"{given['value']} is not a number")
        if rest.get("schedule") in (None, "constant"):
            rest.pop("schedule", None)
            if rest:
                raise ValueError(f"a constant takes no {', '.join(map(repr, rest))}; schedules: {', '.join(SCHEDULES)}")
            return {"value": given["value"]}
        return {"value": given["value"], "schedule": _SCHEDULE.validate_python(rest)}

    @model_serializer(mode="plain")
    def _flatten(self) -> Any:
        return (
            self.value
            if self.schedule is None
            else {"value": self.value, **self.schedule.model_dump(exclude_none=True)}
        )


def _repeated(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """{values = [a, b], repeat = 2} as the list it stands for, a a b b."""
    if "values" not in given and ("repeat" not in given or "schedule" in given):  # a table's own repeat
        return given
    rest = {key: value for key, value in given.items() if key not in ("values", "repeat")}
    values, repeat = given.get("values"), given.get("repeat", 1)
    if "value" in given or not isinstance(values, list | tuple) or not values:
        raise ValueError(
            f"{dict(given)}: repeat goes with a list of values in place of value, {{values = [0.1, 0.2], repeat = 32}}"
        )
    if isinstance(repeat, bool) or not isinstance(repeat, int) or repeat < 1:
        raise ValueError(f"repeat = {repeat!r} is no number of neighbouring replicas: give a whole number, 1 or more")
    return rest | {"value": [value for value in values for _ in range(repeat)]}


def _parse_value(given: Any) -> Any:
    """A number or list stays short to write: it becomes a Scheduled without schedule."""
    if isinstance(given, Scheduled | Mapping):
        return given
    return {"value": given}


Value = Annotated[Scheduled, BeforeValidator(_parse_value), ValueSchema]


def _parse_partitioned(given: Any) -> Any:
    """One value for all partitions, or {partition: value}; told apart by the key `value`."""
    if isinstance(given, Mapping) and not {"value", "values", "schedule", "repeat"} & given.keys():
        if not given:
            raise ValueError("an empty table names no partition")
        return dict(given)
    return {"all": given}


def _short(values: dict[str, Any]) -> Any:
    """Inverse of `_parse_partitioned`: one value for all is written without a table."""
    return values["all"] if list(values) == ["all"] else values


Partitioned = Annotated[
    dict[str, Value],
    BeforeValidator(_parse_partitioned),
    WrapSerializer(lambda v, handler: _short(handler(v))),
    PartitionedSchema,
]
