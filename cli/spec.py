"""`gpu-thermo spec`: every key of a spec, a study file and a comparison file."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Json
from .output import facts, fill, first_paragraph, print_json, say, show, table

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import RenderableType

    from gpu_thermo.spec.keys import Key

EPILOG = (
    "For example: gpu-thermo spec run; spec run.thin; spec data.csv; spec moves.exchange.rungs; spec study.seeds."
    " gpu-thermo spec --json-schema > run.schema.json lets an editor complete and check a spec as you type."
)
Place = Annotated[
    str | None, typer.Argument(metavar="[SECTION[.NAME][.KEY]]", help="What to show; all sections unless given.")
]
JsonSchema = Annotated[
    bool,
    typer.Option(
        "--json-schema", help="Print the JSON schema of a file: a run's, or that of SECTION study or compare."
    ),
]


def spec(place: Place = None, as_json: Json = False, json_schema: JsonSchema = False) -> None:
    """Show what a spec may say: every key, its allowed values, default, unit and meaning."""
    if json_schema:
        print_json(_schema(place))
        return
    found = _find(place.split(".") if place else [])
    if isinstance(found, Mapping):
        _show_sections(place or "", found, as_json)
    elif isinstance(found, tuple):
        _show_key(place or "", *found, as_json)
    else:
        _show_keys(place or "", found, as_json)


def _schema(place: str | None) -> dict[str, Any]:
    from gpu_thermo.errors import SpecError
    from gpu_thermo.spec.keys import file_schema, json_schema
    from gpu_thermo.study.cells import SECTIONS
    from gpu_thermo.study.entries import ComparisonSpec
    from gpu_thermo.study.grids import StudySpec

    if place is None:
        return json_schema()
    if place == "study":
        schema = file_schema("A study of gpu_thermo", StudySpec, {"": SECTIONS})
        del schema["properties"]["base"]
        grid: dict[str, Any] = {"type": "object"}  # dotted or nested fields, to lists of values or of whole sections
        schema["properties"] |= {"grid": grid, "zip": {"type": "array", "items": grid}}
        return schema
    if place == "compare":
        places = {"": ("target", "data", "model", "run"), "Entry": ("method", "moves", "run")}
        return file_schema("A comparison of gpu_thermo", ComparisonSpec, places)
    raise SpecError(f"There is no schema of '{place}' alone: --json-schema is of a run, of study, or of compare.")


def sections() -> dict[str, Any]:
    """The tree of what can be shown: models, and tables of models by name."""
    from gpu_thermo.spec.keys import SECTIONS
    from gpu_thermo.study.entries import ComparisonSpec, Entry, GridOptions
    from gpu_thermo.study.grids import StudyOptions, StudySpec
    from gpu_thermo.study.seeds import SeedsSpec

    return {
        **SECTIONS,
        "study": Several(StudySpec, {"seeds": SeedsSpec, "study": StudyOptions}),
        "compare": Several(ComparisonSpec, {"entry": Entry, "grid": GridOptions}),
    }


class Several(dict[str, "type[BaseModel]"]):
    """Sections of a file of its own; `whole` is the model of the file."""

    def __init__(self, whole: "type[BaseModel]", parts: "dict[str, type[BaseModel]]") -> None:
        super().__init__(parts)
        self.whole = whole


def _find(path: list[str]) -> "Mapping[str, Any] | type[BaseModel] | tuple[type[BaseModel], Key]":
    """A table of sections, one section, or a section with its key; SpecError says the nearest known name."""
    node: Any = sections()
    for i, part in enumerate(path):
        where = ".".join(path[:i])
        if isinstance(node, Mapping):
            node = _member(node, part, f"{where}." if where else "")
        elif i == len(path) - 1:
            return node, _key(node, part, where)
        else:
            raise _unknown(".".join(path), [where])
    return node


def _member(node: Mapping[str, Any], part: str, where: str) -> Any:
    if part not in node:
        raise _unknown(where + part, [f"{where}{name}" for name in node])
    return node[part]


def _key(model: "type[BaseModel]", name: str, where: str) -> "Key":
    from gpu_thermo.spec.keys import keys_of

    keys = {key.name: key for key in keys_of(model)}
    if name not in keys:
        raise _unknown(f"{where}.{name}", [f"{where}.{key}" for key in keys])
    return keys[name]


def _unknown(given: str, known: list[str]) -> Exception:
    from gpu_thermo.errors import SpecError, did_you_mean

    return SpecError(f"A spec has no '{given}'. {did_you_mean(given, known)}")


# -- printing ----------------------------------------------------------------------------------------------------------


def _show_sections(place: str, found: Mapping[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(_tree(found))
        return
    prefix = f"{place}." if place else ""
    rows = [(prefix + name, _about(each)) for name, each in found.items()]
    if isinstance(found, Several):
        _show_keys(place, found.whole, False)
        typer.echo()
    show(table(("section", "what it is"), rows, fixed=("section",)))
    say(f"\ngpu-thermo spec {rows[0][0]} shows one, --json all of it, --json-schema what editors read.")


def _about(found: Any) -> str:
    if isinstance(found, Several):
        return first_paragraph(found.whole.__doc__)
    if isinstance(found, Mapping):
        return f"one of {', '.join(found)}"
    return first_paragraph(found.__doc__)


def _tree(found: Any) -> Any:
    """Every key of every section below."""
    if isinstance(found, Mapping):
        whole = keys_as_json(found.whole, _OWN) if isinstance(found, Several) else {}
        return whole | {name: _tree(each) for name, each in found.items()}
    return keys_as_json(found)


def _show_keys(place: str, model: "type[BaseModel]", as_json: bool) -> None:
    if as_json:
        print_json(keys_as_json(model, _OWN))
        return
    typer.echo(fill(f"{place}: {first_paragraph(model.__doc__)}", 80) + "\n")
    show(keys_table(model, "key", _OWN))


def keys_table(model: "type[BaseModel]", head: str, left_out: tuple[str, ...] = ()) -> "RenderableType":
    """The keys of a section as a table, the first column named `head`."""
    from gpu_thermo.spec.keys import keys_of

    rows = [(key.name, key.allowed, default_of(key), meaning_of(key)) for key in keys_of(model, left_out)]
    return table((head, "allowed", "default", "meaning"), rows, fixed=(head,))


def keys_as_json(model: "type[BaseModel]", left_out: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
    """The same by name, for programs."""
    from dataclasses import asdict

    from gpu_thermo.spec.keys import keys_of

    return {key.name: {k: v for k, v in asdict(key).items() if k != "name"} for key in keys_of(model, left_out)}


_OWN = ("base",)
"""What a model has for itself: a study's file has the sections of the base run in its place."""


def default_of(key: "Key") -> str:
    """A default as TOML would have it, "-" where there is none."""
    return "(required)" if key.required else as_toml(key.default)


def meaning_of(key: "Key") -> str:
    """The meaning, after the unit."""
    return f"{key.unit}: {key.meaning}" if key.unit else key.meaning


def _show_key(place: str, model: "type[BaseModel]", key: "Key", as_json: bool) -> None:
    from dataclasses import asdict

    if as_json:
        print_json(asdict(key))
        return
    lines = {
        "key": place, "allowed": key.allowed, "default": default_of(key), "unit": key.unit or None,
        "meaning": key.meaning,
    }  # fmt: skip
    show(facts(lines))


def as_toml(value: Any) -> str:
    """A value as TOML would have it, "-" for none."""
    if value is None:
        return "-"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{name} = {as_toml(each)}" for name, each in value.items()) + "}"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value:_}"
