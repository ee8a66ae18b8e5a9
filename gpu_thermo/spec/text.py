"""A spec as text: TOML files and `--set` overrides into nested dictionaries, whatever the text, and at once."""

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.files import require_file
from ..data.labels import shorten
from ..errors import SpecError
from ..method.named import DEFAULT_METHOD

MOST_BYTES = 2**26
"""Of a spec file; its lists over replicas are its longest part."""
MOST_DOTS = 32
"""Of one key: reading nested keys takes the square of their depth."""
_DEEP = re.compile(rf"(?<![\w-])(?:[\w-]++\s*+\.\s*+){{{MOST_DOTS}}}")


def read_toml(source: str | Path) -> dict[str, Any]:
    """Nested dictionaries from a TOML file (Path) or text (str).

    Raises
    ------
    SpecError
        The file cannot be read, is no file, or is too large; the text is not TOML, or nested beyond any spec.
    """
    where = ""
    if isinstance(source, Path):
        require_file(source, MOST_BYTES, SpecError)
        where = f" {source}"
    try:
        text = source.read_text(encoding="utf-8") if isinstance(source, Path) else source
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"Cannot read the spec {source}: {error}.") from None
    try:
        return _parse(text)
    except ValueError as error:
        raise SpecError(f"The spec{where} is not TOML: {error}.") from None


def _parse(text: str) -> dict[str, Any]:
    """TOML to dictionaries; ValueError for what is not TOML, and for what only looks so."""
    if found := _DEEP.search(text):
        raise ValueError(f"a key that starts with {found.group()[:20]!r} has more than {MOST_DOTS} parts")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("its brackets are nested too deeply") from None
    except tomllib.TOMLDecodeError:
        raise
    except ValueError:  # Python's limit on the digits of a number
        raise ValueError("it has a number of more than 4300 digits") from None


def apply_overrides(tree: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Apply "a.b=value" texts; values are TOML, and bare words are strings; `moves.0.rungs` is a key of the first move.

    `X.name=...` first resets section X to that name's defaults.
    """
    out = json.loads(json.dumps(dict(tree), default=str)) if tree else {}
    for text in overrides:
        key, equals, raw = text.partition("=")
        path = [part.strip() for part in key.split(".")]
        if not equals or not all(path):
            raise SpecError(f"--set {text!r} is not of the form section.key=value, as in run.replicas=64.")
        if path[0] == "method" and len(path) > 1:
            out.setdefault("method", dict(DEFAULT_METHOD))  # one key changes, and not the others' defaults
        node: Any = out
        for i, part in enumerate(path[:-1]):
            node = node[_entry(node, part, text)] if isinstance(node, list) else node.setdefault(part, {})
            if not isinstance(node, dict) and not (isinstance(node, list) and i < len(path) - 2):
                raise SpecError(f"--set {text!r}: {part} is a value, not a section.")
        if path[-1] == "name" and len(path) == 2:
            node.clear()
        node[path[-1]] = _toml_value(raw.strip())
    return out


def _entry(items: Sequence[Any], part: str, text: str) -> int:
    """The entry of a list that `part` numbers, from 0."""
    if not part.isdecimal() or len(part) > 9 or int(part) >= len(items):
        raise SpecError(
            f"--set {text!r}: there is no entry {part}; use 0 to {len(items) - 1}."
            if items
            else f"--set {text!r}: the list is empty."
        )
    return int(part)


def _toml_value(raw: str) -> Any:
    try:
        return _parse(f"v = {raw}")["v"]
    except tomllib.TOMLDecodeError:
        return raw
    except ValueError as error:
        raise SpecError(f"--set: the value {shorten(raw)} cannot be read: {error}.") from None
