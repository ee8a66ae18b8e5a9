"""What pages show of code, and that something is asserted of each piece of it.

In a page of markdown an HTML comment of Python is an assertion, or what an example needs beside it; readers do not see
it, and tests run it where it stands. A block of text right behind Python is what that printed. A tutorial's assertions
are its last cell.
"""

import ast
import builtins
import contextlib
import io
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .staging import DOCS, ROOT
from .tutorials import scripts

FENCE = re.compile(r"^```(\w+)?\n(.*?)^```$|^<!--\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
LAST = "# What the page says, checked"
"""Title of a tutorial's last cell."""
COMMON = {*dir(builtins), "np", "gt", "plt", "fig", "axes"}
"""Names that say nothing of an example."""
NUMBER = re.compile(r"(-?\d+(?:\.\d*)?(?:e[-+]?\d+)?)")
OTHERS = ("start/guide.md", "studies.md", "reference/files.md")
"""Pages with Python beside those in howto/ and explain/; adding.md has tests of its own."""


@dataclass(frozen=True)
class Block:
    """A piece of a page: `python`, `toml`, `sh`, `text`, or `check` (a comment); from which character on, to which."""

    language: str
    text: str
    end: int


def pages() -> list[Path]:
    """Every page of markdown whose Python is run."""
    own = [p for folder in ("howto", "explain") for p in sorted((DOCS / folder).glob("*.md")) if p.stem != "index"]
    return own + [DOCS / name for name in OTHERS]


def blocks(text: str) -> list[Block]:
    """A page's pieces in order."""
    return [
        Block("check" if check else language, shown or check, found.end())
        for found in FENCE.finditer(text)
        for language, shown, check in [found.groups()]
    ]


def run(page: Path) -> Iterator[tuple[Block, str]]:
    """Carry a page's Python out, assertions included, in one namespace and an empty folder; each piece with what it
    printed.
    """
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield from _run(page)


def _run(page: Path) -> Iterator[tuple[Block, str]]:
    namespace: dict[str, Any] = {"__name__": "page"}
    for block in blocks(page.read_text()):
        printed = io.StringIO()
        if block.language in ("python", "check"):
            with contextlib.redirect_stdout(printed):
                exec(compile(block.text, f"{page.name}: {block.language}", "exec"), namespace)
        yield block, printed.getvalue()


def alike(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed: the same words, and numbers to a fifth, as other builds round elsewhere;
    counts below ten exactly. Assertions hold them closer.
    """
    one, two = (NUMBER.split(" ".join(text.split())) for text in (shown, printed))
    return one[::2] == two[::2] and all(map(_near, one[1::2], two[1::2]))


def _near(shown: str, printed: str) -> bool:
    if len(shown) == len(printed) == 1:
        return shown == printed
    return abs(float(shown) - float(printed)) <= 0.02 + 0.2 * abs(float(shown))


def write_printed(page: Path) -> None:
    """Set what a page's Python prints behind it, in place of what stands there."""
    text = page.read_text()
    found = list(run(page))
    for i in reversed(range(len(found))):
        block, printed = found[i]
        if block.language == "python" and printed:
            follows = found[i + 1][0] if i + 1 < len(found) and found[i + 1][0].language == "text" else None
            rest = text[follows.end if follows else block.end :]
            told = "\n".join(line.rstrip() for line in printed.rstrip().splitlines())
            text = f"{text[: block.end]}\n\n```text\n{told}\n```{rest}"
    page.write_text(text)


# -- what nothing is asserted of ---------------------------------------------------------------------------------------


def unasserted() -> list[str]:
    """Examples of pages and tutorials of which nothing is asserted, or whose output is not shown: "page: what"."""
    lost = [f"{_name(page)}: {line}" for page in pages() for line in of_page(page.read_text())]
    return lost + [f"{_name(script)}: {line}" for script in scripts() for line in of_tutorial(script.read_text())]


def of_page(text: str) -> list[str]:
    """Blocks of Python that no later comment says anything of, and those that print what is not shown."""
    found = [block for block in blocks(text) if block.language in ("python", "check", "text")]
    lost = []
    for i, block in enumerate(found):
        if block.language == "python":
            later = "\n".join(b.text for b in found[i:] if b.language == "check")
            if not _speaks_of(later, block.text):
                lost.append(f"nothing is asserted of: {_first(block.text)}")
            if _prints(block.text) != (i + 1 < len(found) and found[i + 1].language == "text"):
                lost.append(f"what it prints does not stand behind it: {_first(block.text)}")
    return lost


def of_tutorial(text: str) -> list[str]:
    """Cells that print or draw, and of which the last cell says nothing."""
    before, _, last = text.rpartition(LAST)
    cells = re.split(r"^# %%$", before, flags=re.MULTILINE)
    return [f"nothing is asserted of: {_first(cell)}" for cell in cells if _shows(cell) and not _speaks_of(last, cell)]


def _speaks_of(check: str, code: str) -> bool:
    """Whether assertions read a name that the code makes or shows."""
    if not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(check))):
        return False
    return bool(_names(ast.parse(check), ast.Load) & _told(ast.parse(code)))


def _told(tree: ast.Module) -> set[str]:
    """Names that code makes, or hands to print; of code that makes none, or draws, those that it uses."""
    made = _names(tree, ast.Store) | {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    told = made | {name for call in _calls(tree, "print") for name in _names(call, ast.Load)}
    used = _names(tree, ast.Load) if not told or _calls(tree, "show") else set()
    return (told | used) - COMMON


def _names(tree: ast.AST, how: type[ast.expr_context]) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, how)}


def _prints(code: str) -> bool:
    return bool(_calls(ast.parse(code), "print"))


def _shows(code: str) -> bool:
    return bool(_calls(ast.parse(code), "print", "show"))


def _calls(tree: ast.AST, *names: str) -> list[ast.Call]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _called(node) in names]


def _called(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")


def _first(code: str) -> str:
    lines = [
        line for line in code.splitlines() if line.strip() and not line.startswith(("#", "import ", "from ", '"""'))
    ]
    return lines[0] if lines else ""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()
