"""What a spec may say: every key with its allowed values, default, unit and meaning, from the models themselves."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import AliasChoices, BaseModel

from ..data import DATASETS
from ..moves.table import MOVES
from ..targets.options import TARGETS
from .method import MethodSpec
from .model import ModelSpec
from .run import RunSection, RunSpec

Schema = dict[str, Any]
Member = Mapping[str, type[BaseModel]]

SECTIONS: dict[str, type[BaseModel] | Member] = {
    "data": DATASETS, "model": ModelSpec, "target": TARGETS, "method": MethodSpec, "run": RunSection, "moves": MOVES,
}  # fmt: skip
"""Sections of a run: one model, or several by name."""


@dataclass(frozen=True)
class Key:
    """One key of a section.

    Attributes
    ----------
    allowed : the values it takes, in words. default : None where it has none. required : whether it must be given.
    unit : of a number; "" where there is none. meaning : one line.
    """

    name: str
    allowed: str
    default: Any
    required: bool
    unit: str
    meaning: str


def keys_of(model: type[BaseModel], left_out: tuple[str, ...] = ()) -> list[Key]:
    """The keys of a section in the order of its model, those in `left_out` aside."""
    schema = model.model_json_schema()
    definitions, required = schema.get("$defs", {}), schema.get("required", [])
    return [
        Key(
            name=name,
            allowed=allowed_values(each, definitions),
            default=each.get("default"),
            required=name in required,
            unit=each.get("unit", ""),
            meaning=each.get("description", "which of them this is" if "const" in each else ""),
        )
        for name, each in schema.get("properties", {}).items()
        if name not in left_out
    ]


def allowed_values(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    """What a JSON schema lets through, in words."""
    if "allowed" in schema:
        return str(schema["allowed"])
    if "$ref" in schema:
        return allowed_values(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    if "const" in schema:
        return _word(schema["const"])
    if "enum" in schema:
        return ", ".join(map(_word, schema["enum"]))
    for several in ("anyOf", "oneOf"):
        if several in schema:
            parts = [allowed_values(each, definitions) for each in schema[several] if each.get("type") != "null"]
            return " or ".join(dict.fromkeys(parts))
    return _of_type(schema, definitions)


def _of_type(schema: Schema, definitions: Mapping[str, Schema]) -> str:
    kind = schema.get("type")
    if kind in ("integer", "number"):
        return f"{'whole number' if kind == 'integer' else 'number'}{_bounds(schema)}"
    if kind == "array":
        if "prefixItems" in schema:
            return f"[{', '.join(allowed_values(each, definitions) for each in schema['prefixItems'])}]"
        item = allowed_values(schema.get("items", {}), definitions)
        return "list of " + re.sub("^(whole number|number|table|value)", r"\1s", item)
    if kind == "object":
        if isinstance(inner := schema.get("additionalProperties"), dict):
            return f"table of {allowed_values(inner, definitions)}"
        return "table"
    return {"string": "text", "boolean": "true or false"}.get(str(kind), "value")


def _bounds(schema: Schema) -> str:
    """Such as ">= 1", "0 to 100", "> 0 and < 1"."""
    if "minimum" in schema and "maximum" in schema:
        return f" {_bound(schema['minimum'])} to {_bound(schema['maximum'])}"
    signs = {"minimum": ">=", "exclusiveMinimum": ">", "maximum": "<=", "exclusiveMaximum": "<"}
    parts = [f"{sign} {_bound(schema[key])}" for key, sign in signs.items() if key in schema]
    return f" {' and '.join(parts)}" if parts else ""


def _bound(value: float) -> str:
    """Powers of two as such: they are what limits of integers are."""
    exponent = int(value).bit_length()
    for whole, text in ((1 << exponent, f"2^{exponent}"), (1 << max(0, exponent - 1), f"2^{exponent - 1}")):
        if exponent > 15 and value in (whole, whole - 1):
            return text if value == whole else f"{text} - 1"
    return f"{int(value):,}" if value == int(value) and abs(value) < 1e10 else f"{value:g}"


def _word(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else f"{value:g}"


# -- for editors -------------------------------------------------------------------------------------------------------


def json_schema() -> Schema:
    """JSON schema (2020-12) of a run's TOML file, for editors that complete and check as one types.

    It takes every file that `RunSpec.from_toml` takes; what needs more than one key to judge is left to validation.
    """
    schema = RunSpec.model_json_schema()
    schema["description"] = str(schema.get("description", "")).partition("\n\n")[0]
    for model in (m for table in (DATASETS, TARGETS, MOVES) for m in table.values()):
        definition = schema["$defs"].get(model.__name__)
        if definition is not None:
            _add_aliases(definition, model)
    _let_names_decide(schema)
    return _titled(schema, "A run of gpu_thermo")


def file_schema(title: str, model: type[BaseModel], places: Mapping[str, Sequence[str]]) -> Schema:
    """The same of a file that holds sections of runs: `places` maps a definition of the model's schema ("" is the file
    itself) to the names of the sections in it, which may be incomplete there.
    """
    schema, run = model.model_json_schema(), json_schema()
    definitions = schema.setdefault("$defs", {})
    for name, each in run["$defs"].items():
        definitions.setdefault(name, {key: value for key, value in each.items() if key != "required"})
    for place, names in places.items():
        owner = definitions[place] if place else schema
        owner["properties"] |= {name: run["properties"][name] for name in names}
    return _titled(schema, title)


def _titled(schema: Schema, title: str) -> Schema:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": title}


def _add_aliases(definition: Schema, model: type[BaseModel]) -> None:
    """Other names that a key goes by, such as the paper's letters."""
    for name, field in model.model_fields.items():
        if isinstance(field.validation_alias, AliasChoices):
            for other in field.validation_alias.choices:
                definition["properties"].setdefault(str(other), definition["properties"][name])


def _let_names_decide(schema: Schema) -> None:
    """[data] without a name is about the spirals: any member that fits will do, since names are told apart later."""
    for place in ("data", "target"):
        entry = schema["properties"][place]
        for union in (entry, *entry.get("anyOf", [])):
            union.pop("discriminator", None)
            if "oneOf" in union:
                union["anyOf"] = union.pop("oneOf")
