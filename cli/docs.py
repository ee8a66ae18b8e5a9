"""`gpu-thermo docs`: the page of a command, a section of a spec, a method or an error.

A built site is used where there is one (GPU_THERMO_DOCS, or beside the sources); otherwise the page is made of what is
installed, without a network; `--online` names the page of the site on the web.
"""

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from . import reference
from .arguments import Json
from .output import echo, print_json, say, show, table

ONLINE = "https://gpu-thermo.github.io/gpu_thermo"
"""Where the site is published; pyproject.toml names it, too."""
SOURCES = "https://github.com/gpu-thermo/gpu_thermo/blob/main"
"""Where files that are not installed can be read."""
EPILOG = """\b
Examples:
  gpu-thermo docs sample
  gpu-thermo docs spec.run
  gpu-thermo docs adlala
  gpu-thermo docs equations.7
  gpu-thermo docs --list
"""
Name = Annotated[
    str | None,
    typer.Argument(
        metavar="[PAGE]", help="A command, spec.SECTION, a method, or a page such as equations or equations.7."
    ),
]
Online = Annotated[bool, typer.Option("--online", help="The page of the site on the web.")]
Print = Annotated[bool, typer.Option("--print", help="Print where the page is, and do not open it.")]
Listed = Annotated[bool, typer.Option("--list", help="List every page.")]
STYLE = (
    "body{max-width:50rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 system-ui,sans-serif;color:#1a1a1a}"
    "table{border-collapse:collapse;display:block;overflow-x:auto}"
    "td,th{border-bottom:1px solid #ccc;padding:.3rem .6rem;text-align:left;vertical-align:top}"
    "pre,code{background:#f3f3f3;font-size:.9em}pre{padding:.7rem;overflow-x:auto}"
)


@dataclass(frozen=True)
class Page:
    """A page: what it is about, its place in the site, and what makes its text of what is installed."""

    about: str
    place: str
    text: Callable[[], str]


def docs(
    ctx: typer.Context, page: Name = None, online: Online = False, only_print: Print = False, listed: Listed = False,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Open the page of a command, a section of a spec, a method or an error.

    From a built site, the installed pages, or (--online) the web.
    """
    known = pages(ctx.find_root().command.commands)  # type: ignore[attr-defined]
    if listed or as_json:
        _list(known, as_json)
        return
    where = address(page, known, online)
    if only_print or not sys.stdout.isatty() or not _opened(where):
        echo(where)


def _list(known: dict[str, Page], as_json: bool) -> None:
    if as_json:
        print_json({name: {"about": page.about, "place": page.place} for name, page in known.items()})
        return
    show(table(("page", "about"), [(name, page.about) for name, page in known.items()], fixed=("page",)))
    say("\ngpu-thermo docs PAGE opens one; PAGE.N goes to a numbered section of it.")


def pages(commands: Mapping[str, Any]) -> dict[str, Page]:
    """Every page by the name that `gpu-thermo docs` takes; `commands` are those of the application."""
    from functools import partial

    from gpu_thermo.method.named import METHODS

    from .doctor import documentation

    out = {
        name: Page(f"the command {name}", f"reference/commands/{name}", partial(reference.command_page, name, each))
        for name, each in commands.items()
    }
    for name in reference.spec_places():
        out[f"spec.{name}"] = Page(
            f"keys of {name} in a file", f"reference/spec/{name}", partial(reference.spec_page, name)
        )
    for name in METHODS:
        out[name] = Page(f"the method {name}", f"reference/methods/{name}", partial(reference.method_page, name))
    out["letters"] = Page("letters and updates", "reference/methods/letters", reference.letters_page)
    out["errors"] = Page("errors and exit codes", "reference/errors", reference.errors_page)
    folder = documentation()
    for path in sorted(folder.rglob("*.md")) if folder else []:
        place = path.relative_to(folder).with_suffix("").as_posix() if folder else ""
        if path.stem not in ("index", "README"):
            out.setdefault(path.stem, Page(_title(path), place, path.read_text))
    return out


def _title(path: Path) -> str:
    return next((line.lstrip("# ") for line in path.read_text().splitlines() if line.startswith("# ")), path.stem)


def address(name: str | None, known: dict[str, Page], online: bool = False) -> str:
    """Where a page is: of a built site or on the web an address, otherwise a file made of what is installed.

    Raises
    ------
    SpecError
        There is no such page; the nearest one is named.
    """
    page, anchor = find(name, known)
    site = None if online else built_site()
    if online or site:
        base = ONLINE if online or site is None else site
        return f"{base}/{page.place if page else 'index'}.html{f'#{anchor}' if anchor else ''}"
    if page is None:
        page = Page("gpu_thermo", "index", lambda: _contents(known))
    file = rendered(page, known)
    return f"{file.as_uri()}#{anchor}" if anchor else file.as_uri()


def find(name: str | None, known: dict[str, Page]) -> tuple[Page | None, str]:
    """The page of a name, None for the first one, and the anchor of its section.

    Raises
    ------
    SpecError
        There is no such page or section; the nearest one is named.
    """
    from gpu_thermo.errors import SpecError, did_you_mean

    if name is None:
        return None, ""
    name = name.removeprefix("gpu-thermo ").removesuffix(".md")
    if name in known:
        return known[name], ""
    stem, _, number = name.rpartition(".")
    if stem in known and number.isdigit():
        for line in known[stem].text().splitlines():
            if line.startswith(f"## {number}. "):
                return known[stem], slug(line.lstrip("# "))
        raise SpecError(f"Page '{stem}' has no section {number}: gpu-thermo docs {stem} opens it.")
    error = SpecError(f"There is no page '{name}'. {did_you_mean(name, known, 'gpu-thermo docs --list shows all.')}")
    error.page = ""
    raise error


def built_site() -> str | None:
    """A site that is there: what GPU_THERMO_DOCS names (a folder, or an address), or one built beside the sources."""
    import gpu_thermo

    if named := os.environ.get("GPU_THERMO_DOCS"):
        return named.rstrip("/") if re.match(r"\w+://", named) else Path(named).resolve().as_uri()
    built = Path(gpu_thermo.__file__).resolve().parents[1] / "build" / "docs" / "html"
    return built.as_uri() if (built / "index.html").is_file() else None


def rendered(page: Page, known: Mapping[str, Page]) -> Path:
    """A page of what is installed as one HTML file, and all that it leads to, kept beside the compiled kernels."""
    from gpu_thermo.kernels.toolchain import cache_folder

    folder = cache_folder() / "docs"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    places = {each.place: each for each in known.values()}
    todo, done = [page], set[str]()
    while todo:
        each = todo.pop()
        if each.place not in done:
            done.add(each.place)
            text, led_to = linked(each, places)
            (folder / _file(each)).write_text(_html(each.about, text), encoding="utf-8")
            todo += led_to
    return folder / _file(page)


def _file(page: Page) -> str:
    return f"{page.place.replace('/', '-')}.html"


def _html(title: str, text: str) -> str:
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    body = re.sub(r"<h([1-4])>(.*?)</h\1>", _heading, body)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}{body}</html>'


def linked(page: Page, places: Mapping[str, Page]) -> tuple[str, list[Page]]:
    """A page's text for a reader of what is installed, and the pages that it leads to.

    Links to pages that are installed lead to their files, others to the web; what only the site can show is left out.
    """
    led_to: list[Page] = []

    def follow(found: re.Match[str]) -> str:
        picture, text, link = found.groups()
        name, _, anchor = link.partition("#")
        if picture:
            return f"*{text}*"
        if not name or re.match(r"\w+:", link):
            return found[0]
        place = os.path.normpath(os.path.join(os.path.dirname(page.place), name)).replace(os.sep, "/")
        stem, suffix = os.path.splitext(place)
        if (there := places.get(stem)) and suffix == ".md":
            led_to.append(there)
            return f"[{text}]({_file(there)}{f'#{anchor}' if anchor else ''})"
        if suffix in (".md", ".py", ".ipynb") and not place.startswith(".."):
            return f"[{text}]({ONLINE}/{stem}.html)"
        return f"[{text}]({SOURCES}/{place.removeprefix('../')})"

    shown = re.sub(r"^<!--.*?-->\n|^</?(?:div|p|script)\b[^\n]*\n", "", page.text(), flags=re.MULTILINE | re.DOTALL)
    shown = re.sub(r"\{(?:doc|ref)\}`([^`<]*?)\s*<[^`>]*>`", r"\1", shown)
    return re.sub(r"(!?)\[((?:`[^`]*`|[^\]`])*)\]\(([^)\s]+)\)", follow, shown), led_to


def _heading(found: re.Match[str]) -> str:
    return f'<h{found[1]} id="{slug(re.sub("<[^>]*>", "", found[2]))}">{found[2]}</h{found[1]}>'


def slug(title: str) -> str:
    """The anchor of a heading, as the site has it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-")


def _contents(known: dict[str, Page]) -> str:
    lines = [f"- [`gpu-thermo docs {name}`]({page.place}.md): {page.about}" for name, page in known.items()]
    return "# gpu_thermo\n\nPages that are installed:\n\n" + "\n".join(lines)


def _opened(where: str) -> bool:
    """Whether a browser took it."""
    import webbrowser

    try:
        return webbrowser.open(where)
    except (webbrowser.Error, OSError):
        return False
