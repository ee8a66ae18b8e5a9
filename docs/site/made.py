"""Pages that the code writes: reference of commands, keys, methods, errors the library, and the table of them all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gpu_thermo_cli import docs, reference

from . import library
from .formulas import display
from .gallery import notebooks, thumbnails
from .store import store_page

TOCTREE = "```{{toctree}}\n:maxdepth: 1\n{hidden}\n{names}\n```\n"


def made_pages() -> dict[str, str | bytes]:
    """Place in the site and text of every page that the code writes."""
    out: dict[str, str | bytes] = notebooks()
    out["gallery/thumbnails.txt"] = thumbnails()
    for folder, title, about, pages in _folders():
        out |= {f"reference/{folder}/{name}.md": text for name, text in pages.items()}
        abouts = library.abouts() if folder == "api" else {name: _first(text) for name, text in pages.items()}
        out[f"reference/{folder}/index.md"] = _index(title, about, pages, abouts)
    out["reference/errors.md"] = reference.errors_page(_link) + library.classes("In Python", _errors())
    out["reference/store.md"] = store_page()
    out["reference/pages.md"] = table_of_pages()
    return out


def _folders() -> Iterator[tuple[str, str, str, dict[str, str]]]:
    from gpu_thermo.method.named import METHODS

    yield (
        "commands", "Commands", "As `gpu-thermo COMMAND --help` says it; every page is made from the command itself.",
        {name: reference.command_page(name, each) for name, each in commands().items()},
    )  # fmt: skip
    yield (
        "spec", "Keys of a spec", "Made from the models that read specs, as `gpu-thermo spec` is.",
        {name: reference.spec_page(name) for name in reference.spec_places()},
    )  # fmt: skip
    methods = {name: reference.method_page(name, display, "letters.md") for name in METHODS}
    yield (
        "methods", "Methods", "Each with its equation, its exact law, where its defaults come from, and the paper.",
        methods | {"letters": reference.letters_page(display)},
    )  # fmt: skip
    yield "api", "The library", "Every public name; `import gpu_thermo as gt`.", library.pages()


def _errors() -> list[str]:
    return [f"gpu_thermo.errors.{name}" for name in reference.errors() if name != "GpuThermoError"]


def _link(name: str) -> str:
    """A link from a page of the reference to one by the name that `gpu-thermo docs` takes."""
    page, anchor = docs.find(name, docs.pages(commands()))
    return f"[{name}](../{page.place}.md{f'#{anchor}' if anchor else ''})" if page else name


def commands() -> dict[str, Any]:
    """Every command of the application, in the order of its help."""
    from typer.main import get_command

    from gpu_thermo_cli.main import app

    return dict(get_command(app).commands)


def _index(title: str, about: str, pages: dict[str, str], abouts: dict[str, str]) -> str:
    lines = [(f"[{_title(text)}]({name}.md)", abouts[name]) for name, text in pages.items()]
    toctree = TOCTREE.format(hidden=":hidden:\n", names="\n".join(pages))
    return f"# {title}\n\n{about}\n\n{reference.rows(('page', 'what it is'), iter(lines))}\n\n{toctree}"


def _title(text: str) -> str:
    return text.partition("\n")[0].lstrip("# ")


def _first(text: str) -> str:
    """The first paragraph of a page, in one line."""
    blocks = [block for block in text.split("\n\n")[1:] if not block.startswith(("#", "`", "|", "<"))]
    return " ".join(blocks[0].split()) if blocks else ""


def table_of_pages() -> str:
    """Every public name, command, section of a spec and method, with its page."""
    parts = ["# Every name and its page", "Made when the site is built; a name without a page fails the build."]
    for title, lines in directory().items():
        parts += [f"## {title}", reference.rows(("name", "page"), ((f"`{n}`", f"[{p}]({p}.md)") for n, p in lines))]
    return "\n\n".join(parts) + "\n"


def directory() -> dict[str, list[tuple[str, str]]]:
    """Names of each kind with the page that has them, below reference/."""
    import gpu_thermo
    from gpu_thermo.method.named import ALIASES, METHODS

    return {
        "The library": [(f"gpu_thermo.{name}", f"api/{name}") for name in gpu_thermo.__all__ if name != "__version__"]
        + [(full, f"api/{page}") for full, page in library.MORE.items()],
        "Commands": [(f"gpu-thermo {name}", f"commands/{name}") for name in commands()],
        "Sections of files": [(name, f"spec/{name}") for name in reference.spec_places()],
        "Methods": [(name, f"methods/{name}") for name in METHODS]
        + [(name, f"methods/{of}") for name, (of, _) in ALIASES.items()],
        "Errors": [(name, "errors") for name in reference.errors()],
    }


def missing(source: Path) -> list[str]:
    """Names whose page is not among the staged ones."""
    return [
        name
        for lines in directory().values()
        for name, page in lines
        if not (source / "reference" / f"{page}.md").exists()
    ]
