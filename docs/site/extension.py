"""What the site asks of Sphinx beside its own extensions.

Mathematics becomes MathML, which browsers show without scripts or a network; plain references ("equations.md section
7", "tuning.md") become links; docstrings in the house's manner are put into numpydoc's.
"""

import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

from .docstrings import as_numpydoc
from .staging import ROOT, pages

LOG = logging.getLogger(__name__)
REFERENCE = re.compile(r"\b((?:[\w.-]+/)*[\w-]+\.md)(,? sections? (\d+))?")


LETTERS = {
    "alpha": "α", "beta": "β", "gamma": "γ", "delta": "δ", "epsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ",
    "lambda": "λ", "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ",
    "omega": "ω", "Phi": "Φ", "Psi": "Ψ",
}  # fmt: skip
GREEK = re.compile(rf"(?<![\w.])(?<!\w-)(?:{'|'.join(LETTERS)})(?![\w-])")
RAISED = re.compile(r"(?<=[\w)|'.])(\^)(-?\d+|\w|\([^()]*\))|(?:(?<=\b[A-Za-z])|(?<=sum))(_)(\w{1,3})\b")


class PlainReferences(SphinxPostTransform):
    """Pages that texts name become links, to a numbered section where they name one."""

    default_priority = 400

    def run(self, **kwargs: Any) -> None:
        """Every text of the document that is not code, a title or a link."""
        places = {page.relative_to(ROOT).as_posix().removeprefix("docs/"): place for page, place in pages().items()}
        for text in list(self.document.findall(nodes.Text)):
            if _inside(text, (nodes.literal, nodes.literal_block, nodes.reference, nodes.title, nodes.math)):
                continue
            if (parts := self._linked(str(text), places)) and text.parent is not None:
                text.parent.replace(text, parts)

    def _linked(self, text: str, places: dict[str, str]) -> list[nodes.Node]:
        out: list[nodes.Node] = []
        end = 0
        for found in REFERENCE.finditer(text):
            place = places.get(found[1])
            if place is None or (place.removesuffix(".md") == self.env.docname and not found[3]):
                continue
            name = place.removesuffix(".md")
            uri = self.app.builder.get_relative_uri(self.env.docname, name)
            anchor = f"#{_anchor(self.env, name, found[3])}" if found[3] else ""
            out += [nodes.Text(text[end : found.start()])]
            out += [nodes.reference("", found[0], internal=True, refuri=uri + anchor)]
            end = found.end()
        return [*out, nodes.Text(text[end:])] if out else []


class Symbols(SphinxPostTransform):
    """In pages about methods, Greek names become letters, and what follows ^ or _ is set higher or lower."""

    default_priority = 410

    def run(self, **kwargs: Any) -> None:
        """Every text that is not code or mathematics already."""
        if not self.env.docname.startswith(("equations", "tuning", "reference/methods/")):
            return
        for text in list(self.document.findall(nodes.Text)):
            if not _inside(text, (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.title)):
                parts = list(_typeset(str(text)))
                if [p.astext() for p in parts] != [str(text)] and text.parent is not None:
                    text.parent.replace(text, parts)


def _typeset(text: str) -> Iterator[nodes.Node]:
    """Text as nodes, with letters, powers and indices."""
    end = 0
    for found in RAISED.finditer(text):
        yield nodes.Text(_greek(text[end : found.start()]))
        raised, index = found[2], found[4]
        yield nodes.superscript("", _greek(raised.strip("()"))) if raised else nodes.subscript("", _greek(index))
        end = found.end()
    yield nodes.Text(_greek(text[end:]))


def _greek(text: str) -> str:
    return GREEK.sub(lambda found: LETTERS[found[0]], text).replace("sqrt(", "\N{SQUARE ROOT}(")


def _inside(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


def _anchor(env: Any, name: str, number: str) -> str:
    """The id of a page's numbered section."""
    for section in env.get_doctree(name).findall(nodes.section):
        if section.next_node(nodes.title).astext().startswith(f"{number}. "):
            return str(section["ids"][0])
    LOG.warning("%s has no section %s", name, number)
    return ""


def mathml(text: str, block: bool) -> str:
    """MathML of LaTeX; ValueError where it is not understood."""
    return str(tex2mathml(text.strip(), as_block=block))


def visit_math(translator: Any, node: nodes.Element) -> None:
    """Inline mathematics."""
    _write(translator, node, block=False)


def visit_math_block(translator: Any, node: nodes.Element) -> None:
    """Displayed mathematics."""
    translator.body.append(f'<div class="math-block"{_ids(node)}>')
    _write(translator, node, block=True)


def _ids(node: nodes.Element) -> str:
    return f' id="{node["ids"][0]}"' if node.get("ids") else ""


def _write(translator: Any, node: nodes.Element, block: bool) -> None:
    try:
        translator.body.append(mathml(node.astext(), block))
    except Exception as error:
        LOG.warning("mathematics is not understood: %s: %s", error, node.astext(), location=node)
    if block:
        translator.body.append("</div>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Sphinx's hook."""
    app.add_html_math_renderer("mathml", (visit_math, None), (visit_math_block, None))
    app.add_post_transform(PlainReferences)
    app.add_post_transform(Symbols)
    app.connect("autodoc-process-docstring", as_numpydoc, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
