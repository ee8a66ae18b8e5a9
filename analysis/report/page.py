"""The page around the charts: one file, its style inside, no script, nothing fetched. Light and dark as the reader's
system is, one column on a phone.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c1c1c;--soft:#5b5b5b;--line:#d8d8d8;--a:#2f6299;--b:#c2433f;--c:#1d7a33;
--d:#8a6d00;--good:#e6f3e8;--bad:#fdf0d8;--card:#f7f7f8}
@media (prefers-color-scheme:dark){:root{--bg:#16181c;--fg:#e8e8e8;--soft:#a6a6a6;--line:#3a3d44;--a:#7fb2e8;--b:#f08a85
;--c:#6fcf87;--d:#e2c044;--good:#16331d;--bad:#3d3012;--card:#1e2126}}
*{box-sizing:border-box}body{margin:0 auto;max-width:1040px;padding:1rem;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",sans-serif}
h1{font-size:1.5rem;line-height:1.25;margin:.5rem 0}h2{font-size:1.2rem;margin:2.2rem 0 .6rem;border-bottom:1px solid
var(--line);padding-bottom:.2rem}h3{font-size:1rem;margin:0 0 .3rem}
p{max-width:72ch}a{color:var(--a)}nav ul{display:flex;flex-wrap:wrap;gap:.2rem 1rem;list-style:none;padding:0}
.skip{position:absolute;left:-999px}.skip:focus{left:1rem}
.verdict{border-left:5px solid var(--c);background:var(--good);padding:.6rem 1rem;border-radius:4px}
.verdict.bad{border-color:var(--d);background:var(--bad)}
.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr));gap:1rem}
figure{margin:0;padding:.8rem;background:var(--card);border-radius:6px;min-width:0}
figure:focus-visible,a:focus-visible,summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--a)}
svg,figure img{width:100%;height:auto;display:block}figcaption{font-size:.85rem;color:var(--soft)}
.key{display:inline-flex;align-items:center;margin-right:1rem}.key i{width:.8em;height:.8em;border-radius:2px;
margin-right:.35em;background:currentColor}.key i.key-band{opacity:.35}.key i.key-line{height:2px;width:1.2em}
.key i.key-dashed{height:0;width:1.7em;background:none;border-top:2px dashed}.key i.key-dot{border-radius:50%;
width:.6em;height:.6em}.scroll{margin-bottom:.8rem}figcaption p{margin:.5rem 0 0}details{margin:.8rem 0}
section>h3{margin-top:1.2rem}
.key .a{color:var(--a)}.key .b{color:var(--b)}.key .c{color:var(--c)}.key .d{color:var(--d)}
svg .a{color:var(--a)}svg .b{color:var(--b)}svg .c{color:var(--c)}svg .d{color:var(--d)}
.line{fill:none;stroke:currentColor;stroke-width:2}.band{fill:currentColor;opacity:.22}
.dot{fill:currentColor}.bar{fill:currentColor;opacity:.75}.hair{stroke:currentColor;stroke-width:1;
opacity:.6}.axis{fill:none;stroke:var(--soft)}.grid{stroke:var(--line);stroke-width:.6}
.tick{fill:var(--soft);font-size:12px}.label{fill:var(--fg);font-size:13px}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-size:.93rem}th,td{padding:.3rem .8rem;text-align:right;
border-bottom:1px solid var(--line);white-space:nowrap}th:first-child,td:first-child{text-align:left}
pre{background:var(--card);padding:.8rem;overflow-x:auto;font-size:.85rem;border-radius:6px}
@media (max-width:34rem){.tick{font-size:14px}.label{font-size:15px}th,td{padding:.3rem .35rem;white-space:normal}
table{font-size:.85rem}}
@media print{figure{break-inside:avoid}}
"""
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Part:
    """A part of the page: its heading, and its body as HTML; one without a body is left out."""

    heading: str
    body: str


def page(title: str, lead: str, parts: Sequence[Part]) -> str:
    """The whole document."""
    shown = [part for part in parts if part.body]
    links = "".join(f'<li><a href="#{_anchor(p.heading)}">{escape(p.heading)}</a></li>' for p in shown)
    body = "".join(
        f'<section id="{_anchor(p.heading)}" aria-labelledby="h-{_anchor(p.heading)}"><h2 id="h-{_anchor(p.heading)}">'
        f"{escape(p.heading)}</h2>{p.body}</section>"
        for p in shown
    )
    return _CONTROL.sub(
        "",
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline';"
        ' img-src data:">'
        f'<link rel="icon" href="data:,"><style>{STYLE}</style></head><body><a class="skip" href="#main">Skip to the'
        f" report</a><header><h1>{escape(title)}</h1>{lead}</header>"
        f'<nav aria-label="Parts of the report"><ul>{links}</ul></nav><main id="main">{body}</main></body></html>\n',
    )


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph of plain text."""
    return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{escape(text)}</p>"


def verdict(name: str, text: str, good: bool) -> str:
    """What it is worth, first thing on the page."""
    kind = "verdict" if good else "verdict bad"
    return f'<p class="{kind}" role="note"><strong>{escape(name)}</strong> {escape(text)}</p>'


def details(summary: str, body: str, shown: bool = False) -> str:
    """A body, HTML, that opens under its summary."""
    return f"<details{' open' if shown else ''}><summary>{escape(summary)}</summary>{body}</details>"


def figures(items: Iterable[str]) -> str:
    """Figures side by side where there is room."""
    held = "".join(items)
    return f'<div class="figures">{held}</div>' if held else ""


def table(name: str, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table that scrolls by itself on a narrow page; `name` is read out."""
    head = "".join(f'<th scope="col">{escape(h)}</th>' for h in heads)
    body = "".join("<tr>" + "".join(f"<td>{_together(str(c))}</td>" for c in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}"><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def _together(cell: str) -> str:
    """A cell whose error is not parted from its sign, nor a number from its unit."""
    return re.sub("(?<=[+]-) (?=[0-9])|(?<=[0-9]) (?=s$)", "\u00a0", escape(cell))


def code(text: str) -> str:
    """Text as it is."""
    return f'<pre tabindex="0">{escape(text)}</pre>'


def _anchor(heading: str) -> str:
    return re.sub("[^a-z0-9]+", "-", heading.lower()).strip("-")
