"""help(RunSpec): its sections with their keys, meanings and defaults, and a signature that can be read."""

import inspect
import textwrap
from collections.abc import Iterator

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from ..data import DATASETS
from ..moves.table import MOVES
from ..targets.options import TARGETS
from .method import MethodSpec
from .model import ModelSpec
from .run import RunSection, RunSpec

_WIDTH = 110
_FIRST = "A section may be left out. What each key takes: gpu-thermo spec SECTION.KEY (in a shell)."


def tell(model: type[RunSpec]) -> None:
    """Give the whole run a docstring of all its keys, and a signature of names alone."""
    model.__doc__ = "\n".join((inspect.cleandoc(model.__doc__ or ""), "", _FIRST, "", *_sections()))
    names = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in model.model_fields]
    model.__signature__ = inspect.Signature(names)


def _sections() -> Iterator[str]:
    yield _filled(f"[data] name = {' | '.join(DATASETS)}, each with keys of its own\n", "")
    yield _filled(f"[target] name = {' | '.join(TARGETS)}, in place of [data] and [model]\n", "")
    for name, model in (("model", ModelSpec), ("method", MethodSpec), ("run", RunSection)):
        yield f"[{name}]"
        yield from _keys(model)
        yield ""
    yield f"[[moves]] kind = {' | '.join(MOVES)}, each with keys of its own"


def _keys(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        known = field.default is not PydanticUndefined and field.default is not None
        default = f" [{field.default}]" if known else ""
        text = f"{name}: {field.description or ''}{default}"
        yield _filled(text)


def _filled(text: str, indent: str = "    ") -> str:
    return textwrap.fill(text, _WIDTH, initial_indent=indent, subsequent_indent=f"{indent}    ")
