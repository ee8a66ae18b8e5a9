"""`gpu-thermo datasets`."""

import difflib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Json

if TYPE_CHECKING:
    from gpu_thermo.data import DataSource

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one data set's options.")]


def datasets(name: Name = None, as_json: Json = False) -> None:
    """List the data sets, or show one with its options."""
    from gpu_thermo.data import DATASETS
    from gpu_thermo.errors import SpecError

    from .output import first_paragraph, print_json, say, show, table

    if name is not None and name not in DATASETS:
        near = difflib.get_close_matches(name, DATASETS, 1)
        raise SpecError(f"There is no data set '{name}'. {f'Did you mean {near[0]!r}? ' if near else ''}Data sets: {', '.join(DATASETS)}.")
    if name is not None:
        _show_one(name, DATASETS[name], as_json)
    elif as_json:
        print_json({key: _describe(model) for key, model in DATASETS.items()})
    else:
        show(table(("data set", "what it is"), [(key, first_paragraph(m.__doc__)) for key, m in DATASETS.items()], fixed=("data set",)))
        say("\ngpu-thermo datasets NAME shows the options of one.")


def _describe(model: "type[DataSource]") -> dict[str, Any]:
    from .output import first_paragraph

    return {"summary": first_paragraph(model.__doc__), "options": _options(model)}


def _options(model: "type[DataSource]") -> dict[str, dict[str, Any]]:
    """Default and meaning of each key in [data]."""
    fields = {key: field for key, field in model.model_fields.items() if key != "name"}
    return {
        key: {"required": field.is_required(), "default": None if field.is_required() else field.default, "description": field.description}
        for key, field in fields.items()
    }


def _show_one(name: str, model: "type[DataSource]", as_json: bool) -> None:
    from .output import fill, print_json, show, table

    if as_json:
        print_json({"name": name} | _describe(model))
        return
    typer.echo(fill(f"{name}: {' '.join((model.__doc__ or '').split())}", 80) + "\n")
    rows = [
        (key, "(required)" if option["required"] else _value(option["default"]), option["description"])
        for key, option in _options(model).items()
    ]
    show(table(("key in [data]", "default", "what it is"), rows, fixed=("key in [data]",)))


def _value(value: Any) -> str:
    """A default as TOML would have it."""
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value:g}"
