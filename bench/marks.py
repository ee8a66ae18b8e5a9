"""What all tables of results share: rows in Markdown, numbers as they stand there, where they were measured."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from .common import human

Result = dict[str, Any]


def markdown(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; all columns but the first are numbers."""
    lines = [" | ".join(head), " | ".join(["---", *["---:"] * (len(head) - 1)])]
    lines += [" | ".join("" if cell is None else str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def where(result: Result) -> str:
    """The machine and the date, one line."""
    m = result["machine"]
    packages = ", ".join(f"{name} {m[name]}" for name in ("numpy", "jax", "torch", "blackjax") if name in m)
    return (
        f"{m['processor']}, {m['cores']} cores, {m['vector']}; Python {m['python']}, {packages}; {result['date'][:10]}."
    )


def span(s: Result, form: Callable[[float], str] = human) -> str:
    """Median and range."""
    return f"{form(s['median'])} ({form(s['lowest'])} to {form(s['highest'])})"


def percent(number: float) -> str:
    """One digit after the point."""
    return f"{100 * number:.1f} %"
