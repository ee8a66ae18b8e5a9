"""Thumbnails of the published figures and the demonstrations, from the pages that have them, and notebooks as pages."""

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .staging import DOCS, ROOT

PAGES = {"figures": ROOT / "analysis" / "GALLERY.md", "multimodal": ROOT / "analysis" / "MULTIMODAL.md"}
"""Pages with pictures, by their name in gallery/."""
COMMAND = re.compile(r"`(gpu-thermo (?:figure|compare) (?!DEMO|all|list)[\w-]+(?: --out \w+)?)`")
PICTURE = re.compile(r"^!\[[^\]]*\]\(gallery/([\w.]+)\)", re.MULTILINE)
CARD = """\
:::{{grid-item-card}} {title}
:img-top: ../pictures/{picture}
:img-alt: {title}
:link: {page}.html#{anchor}
:link-type: url

`{command}`
:::
"""


@dataclass(frozen=True)
class Shown:
    """A picture with the command that makes it, and the page and section that have it."""

    title: str
    picture: str
    command: str
    page: str

    @property
    def anchor(self) -> str:
        """Its section's, as MyST makes it of a heading."""
        return re.sub(r"[^\w\- ]", "", self.title.lower()).strip().replace(" ", "-")


def shown() -> Iterator[Shown]:
    """The first picture of every section of the pages, with its command."""
    for name, path in PAGES.items():
        for section in re.split(r"^## ", path.read_text(), flags=re.MULTILINE)[1:]:
            picture, command = PICTURE.search(section), COMMAND.search(section)
            if picture:
                if command is None:
                    raise ValueError(f"{path.name} shows {picture[1]} and does not say by what command")
                yield Shown(section.partition("\n")[0], picture[1], command[1], name)


def thumbnails() -> str:
    """All of them as a grid of cards."""
    cards = "\n".join(
        CARD.format(title=s.title, picture=s.picture, page=s.page, anchor=s.anchor, command=s.command) for s in shown()
    )
    return f"::::{{grid}} 1 2 3 3\n:gutter: 3\n\n{cards}\n::::\n"


# -- notebooks ---------------------------------------------------------------------------------------------------------


def notebooks() -> dict[str, str | bytes]:
    """Pages of the executed notebooks in docs/papers, and their pictures."""
    out: dict[str, str | bytes] = {}
    for path in sorted((DOCS / "papers").glob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        parts = [part for i, cell in enumerate(cells) for part in _cell(cell, f"{path.stem}_{i}", out)]
        out[f"papers/{path.stem}.md"] = "\n\n".join(parts) + "\n"
    return out


def _cell(cell: Any, name: str, pictures: dict[str, str | bytes]) -> Iterator[str]:
    """A cell as markdown: prose as it is, code with what it printed and drew."""
    source = "".join(cell["source"]).strip()
    if cell["cell_type"] == "markdown":
        yield source
        return
    if source:
        yield f"```python\n{source}\n```"
    for k, output in enumerate(cell.get("outputs", [])):
        if "text" in output:
            yield _printed("".join(output["text"]))
        elif "image/png" in output.get("data", {}):
            place = f"papers/{name}_{k}.png"
            pictures[place] = base64.b64decode("".join(output["data"]["image/png"]))
            yield f"![{name}]({Path(place).name})"
        elif "text/plain" in output.get("data", {}):
            yield _printed("".join(output["data"]["text/plain"]))


def _printed(text: str) -> str:
    return f"```text\n{text.rstrip()}\n```"
