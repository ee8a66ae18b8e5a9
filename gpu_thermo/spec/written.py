"""JSON schemas of what a spec may write in short: a number for a table, one value for all partitions.

Validation turns the short forms into the long ones; an editor that checks a file needs the forms as they are written.
"""

from typing import Any, get_args

from ..method.schedules import AnySchedule

Schema = dict[str, Any]
NUMBER: Schema = {"type": "number"}
NUMBERS: Schema = {"anyOf": [NUMBER, {"type": "array", "items": NUMBER, "minItems": 1}]}


def _scheduled() -> list[Schema]:
    """{value = ..., schedule = ...} for each schedule, with that schedule's own keys."""
    plain = {"type": "object", "properties": {"value": NUMBERS, "schedule": {"const": "constant"}}}
    many = {"values": NUMBERS["anyOf"][1], "repeat": {"type": "integer", "minimum": 1}}
    out: list[Schema] = [
        plain | {"required": ["value"], "additionalProperties": False},
        {"type": "object", "properties": many, "required": ["values"], "additionalProperties": False},
    ]
    for model in get_args(get_args(AnySchedule)[0]):
        schema = model.model_json_schema()
        own, required = schema["properties"], schema.get("required", [])
        out.append(schema | {"properties": {"value": NUMBERS} | own, "required": ["value", *required]})
        out.append(schema | {"properties": many | own, "required": ["values", *required]})
    return out


class ValueSchema:
    """A number, a list over replicas, or {value, schedule}."""

    says = (
        "a number, a list over replicas (a shorter one cycles), {values = [...], repeat = n}, or {value = ...,"
        " schedule = ...}"
    )

    @classmethod
    def written(cls) -> Schema:
        """As an editor checks it."""
        return {"anyOf": [*NUMBERS["anyOf"], *_scheduled()], "allowed": cls.says}

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: Any) -> Schema:
        """In place of the long form's."""
        return cls.written()


class PartitionedSchema(ValueSchema):
    """The same, or one of them for each partition by name."""

    says = f"{ValueSchema.says}; or such a value for each partition: {{hidden = ..., output = ...}}"

    @classmethod
    def written(cls) -> Schema:
        """As an editor checks it; the keys that mean a single value are told apart by validation, too."""
        value = ValueSchema.written()
        by_name = {
            "type": "object", "additionalProperties": {"anyOf": value["anyOf"]}, "minProperties": 1,
            "not": {"anyOf": [{"required": ["value"]}, {"required": ["schedule"]}, {"required": ["values"]}]},
        }  # fmt: skip
        return {"anyOf": [*value["anyOf"], by_name], "allowed": cls.says}
