"""Docstrings as the house writes them, "name : meaning. other : meaning", in numpydoc's form.

A section's items may follow each other on one line and go on in lines that are not indented; single backticks are code;
what looks like reST's markup (u*, word_, |p|) is none.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

HEADINGS = ("Parameters", "Attributes", "Returns", "Raises", "Yields")
ITEM = re.compile(r"^(\*{0,2}[\w.]+(?:, \*{0,2}[\w.]+)*) : ")
INSIDE = re.compile(r"(?<=\.) (?=[a-z_]\w*(?:, [a-z_]\w*)* : )")


def as_numpydoc(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Rewrite a docstring of ours in place, before numpydoc reads it; keys of a spec have their own pages."""
    home = str(getattr(obj, "__module__", ""))
    if home.startswith("sklearn"):
        lines[:] = [re.sub(r":\w+:`([^<`]+?) *(?:<[^>]*>)?`", r"\1", lines[0]), "", "As scikit-learn has it."]
        return
    if not home.startswith("gpu_thermo"):
        return
    if (first := next((i for i, line in enumerate(lines) if line.startswith("[data] name")), None)) is not None:
        lines[first:] = ["Every key: `gpu-thermo spec`."]
    lines[:] = rewritten(lines)


def rewritten(lines: list[str]) -> list[str]:
    """The lines in numpydoc's form."""
    out: list[str] = []
    for heading, body in _sections(lines):
        if heading in ("Parameters", "Attributes"):
            out += [heading, "-" * len(heading), *_items(body), ""]
        elif heading:
            out += [heading, "-" * len(heading), *_escaped(body, keep=lambda line: bool(line) and line[0] != " "), ""]
        else:
            out += [*_escaped(_preformatted(body)), ""]
    return out


def _sections(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    heading, body = "", list[str]()
    i = 0
    while i < len(lines):
        if lines[i] in HEADINGS and i + 1 < len(lines) and set(lines[i + 1]) == {"-"}:
            yield heading, body
            heading, body, i = lines[i], [], i + 2
        else:
            body, i = [*body, lines[i]], i + 1
    yield heading, body


def _items(body: list[str]) -> Iterator[str]:
    """Each item as its name, and its meaning indented below; what follows after an empty line is prose."""
    texts: list[str] = []
    rest: list[str] = []
    for line in body:
        if rest or not line.strip():
            rest.append(line)
        elif ITEM.match(line) or not texts or (not line.startswith(" ") and re.fullmatch(r"[\w., ]+", line)):
            texts.append(line.strip())
        else:
            texts[-1] += ("\n" if re.fullmatch(r"[\w., ]+", texts[-1]) else " ") + line.strip()
    for text in texts:
        for item in INSIDE.split(text.replace("\n", " : ", 1)):
            name, _, meaning = item.partition(" : ")
            yield name
            yield f"    {escape(meaning)}"
    if any(line.strip() for line in rest):
        yield ""
        yield from (escape(line.strip()) for line in rest)


def _preformatted(body: list[str]) -> Iterator[str]:
    """Prose with blocks of code, indented and after an empty line, as literal blocks."""
    literal = False
    for i, line in enumerate(body):
        indented, after_empty = line.startswith("    "), i > 0 and not body[i - 1].strip()
        if indented and after_empty and not literal:
            yield from ("::", "")
            literal = True
        elif line.strip() and not indented:
            literal = False
        yield line


def _escaped(body: Any, keep: Callable[[str], bool] = lambda line: False) -> Iterator[str]:
    literal = False
    for line in body:
        if line == "::":
            literal = True
        elif line.strip() and not line.startswith("    "):
            literal = False
        yield line if literal or keep(line) else escape(line)


def escape(text: str) -> str:
    """Text without reST's markup; single backticks become code."""
    parts = re.split(r"(`[^`]+`)", text)
    return "".join(f"`{p}`" if p.startswith("`") and len(p) > 2 else _plain(p) for p in parts)


def _plain(text: str) -> str:
    text = re.sub(r"\b(tcp://[\w:]+)", r"``\1``", text)  # no page: reST would link to it
    return re.sub(r"([*|])", r"\\\1", re.sub(r"(?<=\w)_(?=\W|$)", r"\\_", text))
