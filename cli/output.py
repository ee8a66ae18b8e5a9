"""What commands print with: tables and facts on stdout, messages on stderr, JSON, and numbers as people read them."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType


_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Characters that move a terminal's cursor, colour it or turn its writing round; lines and tabs may stay."""


def clean(text: str) -> str:
    """Text without control characters: what comes out of a store or a file may hold any."""
    return _CONTROL.sub("", text)


def echo(text: str = "", stderr: bool = False) -> None:
    """A text on stdout; whatever is printed goes through here, or through `show`."""
    typer.echo(clean(text), err=stderr)


def console(stderr: bool = False) -> "Console":
    """A rich console on the current stdout or stderr; plain text where that is not a terminal."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, emoji=False)


def say(text: str = "") -> None:
    """A line on stderr, never wrapped."""
    echo(text, stderr=True)


def show(renderable: "RenderableType", stderr: bool = False) -> None:
    """Print a table or a text, without spaces at the ends of lines."""
    where = console(stderr)
    if where.is_terminal:
        where.print(renderable)
        return
    with where.capture() as captured:
        where.print(renderable)
    echo("\n".join(line.rstrip() for line in captured.get().splitlines()), stderr)


def table(
    columns: Sequence[str], rows: Iterable[Sequence[Any]], right: Sequence[str] = (), fixed: Sequence[str] = ()
) -> "RenderableType":
    """A table that fits 80 columns by folding; columns named in `right` are right-aligned, those in `fixed` never
    fold.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    out = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    for name in columns:
        out.add_column(
            clean(name), justify="right" if name in right else "left", overflow="fold", no_wrap=name in fixed
        )
    for row in rows:
        out.add_row(*("" if cell is None else clean(str(cell)) for cell in row))
    return out


def facts(pairs: Mapping[str, Any]) -> "RenderableType":
    """Names and values in two columns; None leaves a line out."""
    from rich.table import Table

    out = Table.grid(padding=(0, 2))
    out.add_column(no_wrap=True, style="cyan")
    out.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None:
            out.add_row(clean(name), clean(str(value)))
    return out


def print_json(data: Any) -> None:
    """Strict JSON on stdout: NaN becomes null, infinity a text."""
    typer.echo(json.dumps(plain(data), indent=2, allow_nan=False))


def plain(value: Any) -> Any:
    """Python's own types from NumPy's, enums, paths and tuples."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def count(number: float) -> str:
    """12,345 up to 99,999, then 123 k, 4.56 M, 7.89 G."""
    if not math.isfinite(number):
        return "?"
    if abs(number) < 99_999.5:
        return f"{number:,.0f}" if abs(number) >= 10 or number == int(number) else f"{number:.2g}"
    unit, step = next((u, s) for u, s in (("k", 1e3), ("M", 1e6), ("G", math.inf)) if abs(number) < 999.5 * s)
    value = number / min(step, 1e9)
    return f"{value:.{2 if value < 9.995 else 1 if value < 99.95 else 0}f} {unit}"


def size(number: float) -> str:
    """Bytes as 512 B, 1.5 kB, 23 MB, 4.1 GB."""
    if number < 1000:
        return f"{number:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        number /= 1000
        if number < 999.5 or unit == "TB":
            break
    return f"{number:.{1 if number < 9.95 else 0}f} {unit}"


def clock(seconds: float) -> str:
    """0:07, 12:34, 1:02:03, or 2 d 3 h."""
    if not math.isfinite(seconds):
        return "?"
    whole = math.ceil(seconds - 1e-9)
    if whole >= 86_400:
        return f"{whole // 86_400} d {whole % 86_400 // 3600} h"
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def plural(number: int, noun: str, many: str | None = None) -> str:
    """1 draw, 2 draws."""
    return f"{number:,} {noun if number == 1 else many or noun + 's'}"


def first_paragraph(text: str | None) -> str:
    """The first paragraph of a docstring on one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def fill(text: str, width: int, start: str = "") -> str:
    """`text` after `start`, wrapped with a hanging indent."""
    import textwrap

    return textwrap.fill(text, width, initial_indent=start, subsequent_indent=" " * len(start), break_on_hyphens=False)
