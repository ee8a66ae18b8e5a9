"""Puts the pages of the site together in one folder: those of docs/, and those that stand elsewhere in the sources.

A page's links lead to files of the sources, so that they can be followed there too. In the staged copy they lead to the
page that a file became, or to the file in the repository.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
REPOSITORY = "https://github.com/gpu-thermo/gpu_thermo"
FOLDERS = ("start", "gallery", "howto", "explain", "reference", "project")
"""Folders of pages in docs/; tutorials/ is sphinx-gallery's."""
ELSEWHERE = {
    "docs/site/index.md": "index.md",
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "bench/README.md": "project/bench.md",
    "tests/README.md": "project/tests.md",
    "analysis/GALLERY.md": "gallery/figures.md",
    "analysis/MULTIMODAL.md": "gallery/multimodal.md",
}
"""Pages that stand elsewhere in the sources, and what they become."""

LINK = re.compile(r"(!?\[[^\]]*\]\(|^:img-top: )([^)\s]+)(\)|$)", re.MULTILINE)
FENCE = re.compile(r"^(```.*?^```|~~~.*?^~~~)", re.MULTILINE | re.DOTALL)


def pages() -> dict[Path, str]:
    """Every page of the sources that the site has, with its place in the site."""
    own = {page: page.name for page in sorted(DOCS.glob("*.md"))}
    inside = {p: p.relative_to(DOCS).as_posix() for folder in FOLDERS for p in sorted((DOCS / folder).rglob("*.md"))}
    return own | inside | {ROOT / name: place for name, place in ELSEWHERE.items() if (ROOT / name).exists()}


def stage(target: Path, made: Mapping[str, str | bytes]) -> None:
    """Write every page into `target`, with the pictures they show, and those that the code made; what has not changed
    keeps its time.
    """
    places = pages()
    kept = set()
    for page, place in places.items():
        text, pictures = relinked(page.read_text(), page, place, places)
        kept.add(write(target / place, text))
        for picture in pictures:
            kept.add(write(target / "pictures" / picture.name, picture.read_bytes()))
    for place, text in made.items():
        kept.add(write(target / place, text))
    kept.add(write(target / "opening.txt", opening()))
    for door in sorted((DOCS / "doors").iterdir()):
        kept.add(write(target / "doors" / door.name, door.read_bytes()))
    _forget(target, kept)


def opening() -> str:
    """What the README begins with, from its title to its picture: the first page begins so, too."""
    return (ROOT / "README.md").read_text().partition("\n")[2].partition("\n![")[0].strip() + "\n"


def relinked(text: str, page: Path, place: str, places: dict[Path, str]) -> tuple[str, list[Path]]:
    """A page's text with links as the site has them, and the pictures it shows.

    Raises
    ------
    ValueError
        A link leads to no file.
    """
    pictures: list[Path] = []

    def follow(found: re.Match[str]) -> str:
        before, link, after = found.groups()
        name, mark, anchor = link.partition("#")
        if not name or re.match(r"[a-z]+:", link):
            return found[0]
        file = (page.parent / name).resolve()
        if not file.exists():
            raise ValueError(f"{page.relative_to(ROOT)} links to {link}, which is not there")
        if file in places:
            return f"{before}{_relative(places[file], place)}{mark}{anchor}{after}"
        if file.parent == DOCS / "tutorials":  # sphinx-gallery makes its page
            return f"{before}{_relative(f'tutorials/{file.stem}.rst', place)}{after}"
        if before.startswith(("!", ":")):
            pictures.append(file)
            return f"{before}{_relative(f'pictures/{file.name}', place)}{after}"
        return f"{before}{REPOSITORY}/blob/main/{file.relative_to(ROOT).as_posix()}{mark}{anchor}{after}"

    return "".join(part if part.startswith(("```", "~~~")) else LINK.sub(follow, part)
                   for part in FENCE.split(text)), pictures  # fmt: skip


def write(path: Path, content: str | bytes) -> Path:
    """Write a file unless it says so already."""
    data = content.encode() if isinstance(content, str) else content
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path


def _relative(there: str, here: str) -> str:
    return Path(os.path.relpath(there, Path(here).parent)).as_posix()


def _forget(target: Path, kept: set[Path]) -> None:
    """Remove pages that are no more; folders that others write are left alone."""
    for path in _files(target):
        if path not in kept and path.relative_to(target).parts[0] != "tutorials":
            path.unlink()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())
