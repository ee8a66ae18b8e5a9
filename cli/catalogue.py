"""`gpu-thermo methods`, `moves`, `datasets` and `targets`: what a spec's sections may name, or one of them in full."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Json
from .output import facts, fill, first_paragraph, print_json, say, show, table
from .spec import keys_as_json, keys_table

if TYPE_CHECKING:
    from pydantic import BaseModel

    from gpu_thermo.method.named import Method

MethodName = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one method in full.")]
MoveName = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one move's options.")]
DataName = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one data set's options.")]
Inspect = Annotated[
    Path | None, typer.Option("--inspect", metavar="FILE", help="Show what would become of the columns of a table.")
]
TargetName = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one target's options.")]


def methods(name: MethodName = None, as_json: Json = False) -> None:
    """List the methods, or show one with its hyperparameters."""
    from gpu_thermo.method.named import ALIASES, METHODS, get_method

    if name is not None:
        _show_method(get_method(name), as_json)
    elif as_json:
        print_json({key: _describe_method(method) for key, method in METHODS.items()})
    else:
        rows = [(key, _words(method), method.summary) for key, method in METHODS.items()]
        show(table(("method", "word or update", "what it is"), rows, fixed=("method", "word or update")))
        others = ", ".join(f"{other} ({name})" for other, (name, _) in ALIASES.items())
        say(f"\nOther names: {others}. gpu-thermo methods NAME shows one in full.")


def _words(method: "Method") -> str:
    """The word of each layer, one a line."""
    if method.update:
        return "whole step"
    if not method.words:
        return "yours"
    texts = [text if layer == "all" else f"{layer} {text}" for layer, text in method.words.items()]
    return "\n".join(texts) + (", or yours" if method.takes_word else "")


def _describe_method(method: "Method") -> dict[str, Any]:
    return {
        "summary": method.summary, "reference": method.reference, "partition": method.partition,
        "words": method.words, "update": method.update, "takes_word": method.takes_word,
        "letters": method.letters if method.takes_word else None, "defaults": method.defaults,
        "operations": {record.symbol: record.formula for record in method.operations},
    }  # fmt: skip


def _show_method(method: "Method", as_json: bool) -> None:
    from gpu_thermo.method.named import HYPERPARAMETERS

    if as_json:
        print_json({"name": method.name} | _describe_method(method))
        return
    takes = f'word = "..." of the letters {" ".join(method.letters)}' if method.takes_word else None
    lines = {
        "method": f"{method.name}: {method.summary}", "reference": method.reference, "partition": method.partition,
        "word": _words(method).replace("\n", ", "), "takes": takes,
    }  # fmt: skip
    show(facts(lines))
    typer.echo()
    maps = [(record.symbol, record.formula) for record in method.operations]
    show(table(("whole step" if method.update else "letter", "what it does"), maps, fixed=("letter",)))
    typer.echo()
    rows = [(key, hyperparameter(value), HYPERPARAMETERS[key]) for key, value in method.defaults.items()]
    show(table(("key in [method]", "default", "what it is"), rows, fixed=("key in [method]",)))


def hyperparameter(value: Any) -> str:
    """A default as a spec would have it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {hyperparameter(item)}" for key, item in value.items()) + "}"
    return f"{value:g}"


def moves(name: MoveName = None, as_json: Json = False) -> None:
    """List the ensemble moves, or show one with its options."""
    from gpu_thermo.moves.table import MOVES

    Catalogue("move", "[[moves]]", "kind", "moves", MOVES).show(name, as_json)


def datasets(name: DataName = None, inspect: Inspect = None, as_json: Json = False) -> None:
    """List the data sets, or show one with its options; or what would become of a table of yours."""
    from gpu_thermo.data import DATASETS

    if inspect is not None:
        _inspect(name or inspect.suffix.lower().removeprefix("."), inspect, as_json)
        return
    Catalogue("data set", "[data]", "name", "datasets", DATASETS).show(name, as_json)


def _inspect(name: str, path: Path, as_json: bool) -> None:
    """What each column of a table would become."""
    from gpu_thermo.data import DATASETS
    from gpu_thermo.data.sources import TableFile
    from gpu_thermo.errors import SpecError

    kinds = {key: model for key, model in DATASETS.items() if issubclass(model, TableFile)}
    if name not in kinds:
        raise SpecError(f"'{name}' is no kind of table: gpu-thermo datasets {' or '.join(kinds)} --inspect FILE.")
    found = kinds[name].inspect(path)
    becomes = {c.name: (c.line, c.features) for c in found.recipe.columns}
    becomes |= {c.name: (f"left out: {c.why}", []) for c in found.recipe.left_out}
    if as_json:
        print_json({
            "path": str(path), "rows": found.rows, "features": found.recipe.features,
            "columns": {key: {"becomes": becomes[key][0], "features": becomes[key][1], "as_target": task}
                        for key, task in found.as_target.items()},
            "recipe": found.recipe.model_dump(),
        })  # fmt: skip
        return
    rows = [(key, becomes[key][0], len(becomes[key][1]) or "", task) for key, task in found.as_target.items()]
    show(table(("column", "as a feature", "inputs", "as the target"), rows, fixed=("column",), right=("inputs",)))
    say(f'\n{found.rows:,} rows. In a spec: [data] name = "{name}", path = "{path}", target = "COLUMN".')


def targets(name: TargetName = None, as_json: Json = False) -> None:
    """List the targets without data, or show one with its options."""
    from gpu_thermo.targets.options import TARGETS

    Catalogue("target", "[target]", "name", "targets", TARGETS).show(name, as_json)


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
        from gpu_thermo.errors import SpecError, did_you_mean

        if name is not None and name not in self.models:
            listed = f"{self.noun.capitalize()}s: {', '.join(self.models)}."
            remedy = did_you_mean(name, self.models, listed, always=True)
            raise SpecError(f"There is no {self.noun} '{name}'. {remedy}")
        if name is not None:
            self._show_one(name, as_json)
        elif as_json:
            print_json({each: self._describe(model) for each, model in self.models.items()})
        else:
            rows = [(each, first_paragraph(model.__doc__)) for each, model in self.models.items()]
            show(table((self.noun, "what it is"), rows, fixed=(self.noun,)))
            say(f"\ngpu-thermo {self.command} NAME shows the options of one.")

    def _describe(self, model: "type[BaseModel]") -> dict[str, Any]:
        return {"summary": first_paragraph(model.__doc__), "options": keys_as_json(model, left_out=(self.key,))}

    def _show_one(self, name: str, as_json: bool) -> None:
        model = self.models[name]
        if as_json:
            print_json({self.key: name} | self._describe(model))
            return
        typer.echo(fill(f"{name}: {' '.join((model.__doc__ or '').split())}", 80) + "\n")
        show(keys_table(model, f"key in {self.section}", left_out=(self.key,)))
