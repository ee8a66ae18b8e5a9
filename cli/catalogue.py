"""Lists of what a spec's sections may name (data sets, targets, moves), or one of them with its options."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel


@dataclass(frozen=True)
class Catalogue:
    """Models of options by name; `noun` and `section` for people, `key` the field that names one, `command` shows this
    list.
    """

    noun: str
    section: str
    key: str
    command: str
    models: Mapping[str, "type[BaseModel]"]

    def show(self, name: str | None, as_json: bool) -> None:
        """All of them, or one.

        Raises
        ------
        SpecError
            There is none of that name.
        """
        from gpu_thermo.errors import SpecError

        from .output import first_paragraph, print_json, say, show, table

        if name is not None and name not in self.models:
            near = difflib.get_close_matches(name, self.models, 1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise SpecError(
                f"There is no {self.noun} '{name}'. {hint}{self.noun.capitalize()}s: {', '.join(self.models)}."
            )
        if name is not None:
            self._show_one(name, as_json)
        elif as_json:
            print_json({each: self._describe(model) for each, model in self.models.items()})
        else:
            rows = [(each, first_paragraph(model.__doc__)) for each, model in self.models.items()]
            show(table((self.noun, "what it is"), rows, fixed=(self.noun,)))
            say(f"\ngpu-thermo {self.command} NAME shows the options of one.")

    def _describe(self, model: "type[BaseModel]") -> dict[str, Any]:
        from .output import first_paragraph

        return {"summary": first_paragraph(model.__doc__), "options": self._options(model)}

    def _options(self, model: "type[BaseModel]") -> dict[str, dict[str, Any]]:
        """Default and meaning of each key of the section."""
        fields = {each: field for each, field in model.model_fields.items() if each != self.key}
        return {
            each: {
                "required": f.is_required(),
                "default": None if f.is_required() else f.default,
                "description": f.description,
            }
            for each, f in fields.items()
        }

    def _show_one(self, name: str, as_json: bool) -> None:
        from .output import fill, print_json, show, table

        model = self.models[name]
        if as_json:
            print_json({self.key: name} | self._describe(model))
            return
        typer.echo(fill(f"{name}: {' '.join((model.__doc__ or '').split())}", 80) + "\n")
        rows = [
            (each, "(required)" if option["required"] else _value(option["default"]), option["description"])
            for each, option in self._options(model).items()
        ]
        head = f"key in {self.section}"
        show(table((head, "default", "what it is"), rows, fixed=(head,)))


def _value(value: Any) -> str:
    """A default as TOML would have it."""
    if value is None:
        return "-"
    if isinstance(value, tuple | list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else f'"{value}"' if isinstance(value, str) else f"{value:g}"
