"""Links of the built pages, checked without a network: files, and places inside them."""

from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ATTRIBUTES = {"a": "href", "link": "href", "img": "src", "script": "src", "source": "srcset"}


class Links(HTMLParser):
    """What a page links to, and the places inside it that can be linked to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag's link and its id."""
        found = dict(attrs)
        self.ids |= {value for name in ("id", "name") if (value := found.get(name))}
        if link := found.get(ATTRIBUTES.get(tag, "")):
            self.links.append(link)


@cache
def _page(path: Path) -> Links:
    return Links(path.read_text(encoding="utf-8", errors="replace"))


def dead_links(html: Path) -> list[str]:
    """Links between the pages of a built site that lead nowhere: "page: link"."""
    dead = []
    for path in sorted(p for p in html.rglob("*.html") if "_static" not in p.parts):
        for link in _page(path).links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or link == "#":
                continue
            there = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            there = there / "index.html" if there.is_dir() else there
            lost = not there.exists()
            if not lost and parts.fragment and there.suffix == ".html":
                lost = unquote(parts.fragment) not in _page(there).ids
            if lost:
                dead.append(f"{path.relative_to(html)}: {link}")
    return dead
