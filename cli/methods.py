"""`gpu-thermo methods`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Json

if TYPE_CHECKING:
    from gpu_thermo.method.named import Method

Name = Annotated[str | None, typer.Argument(metavar="NAME", help="Show one method in full.")]


def methods(name: Name = None, as_json: Json = False) -> None:
    """List the methods, or show one with its hyperparameters."""
    from gpu_thermo.method.named import METHODS, get_method

    from .output import print_json, say, show, table

    if name is not None:
        _show_one(get_method(name), as_json)
    elif as_json:
        print_json({key: _describe(method) for key, method in METHODS.items()})
    else:
        rows = [(key, _words(method), method.summary) for key, method in METHODS.items()]
        show(table(("method", "word or update", "what it is"), rows, fixed=("method", "word or update")))
        say("\ngpu-thermo methods NAME shows one in full.")


def _words(method: "Method") -> str:
    """The word of each layer, one a line."""
    if method.update:
        return "whole step"
    if not method.words:
        return "yours"
    texts = [text if layer == "all" else f"{layer} {text}" for layer, text in method.words.items()]
    return "\n".join(texts) + (", or yours" if method.takes_word else "")


def _describe(method: "Method") -> dict[str, Any]:
    return {
        "summary": method.summary, "reference": method.reference, "partition": method.partition, "words": method.words,
        "update": method.update, "takes_word": method.takes_word, "letters": method.letters if method.takes_word else None,
        "defaults": method.defaults,
    }  # fmt: skip


def _show_one(method: "Method", as_json: bool) -> None:
    from gpu_thermo.method.named import HYPERPARAMETERS

    from .output import facts, print_json, show, table

    if as_json:
        print_json({"name": method.name} | _describe(method))
        return
    takes = f'word = "..." of the letters {" ".join(method.letters)}' if method.takes_word else None
    lines = {
        "method": f"{method.name}: {method.summary}", "reference": method.reference, "partition": method.partition,
        "word": _words(method).replace("\n", ", "), "takes": takes,
    }  # fmt: skip
    show(facts(lines))
    typer.echo()
    rows = [(key, _value(value), HYPERPARAMETERS[key]) for key, value in method.defaults.items()]
    show(table(("key in [method]", "default", "what it is"), rows, fixed=("key in [method]",)))


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_value(item)}" for key, item in value.items()) + "}"
    return f"{value:g}"
