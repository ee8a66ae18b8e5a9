"""What the site asks of Sphinx: symbols, and mathematics as MathML (with the extra docs)."""

import re

import pytest
from site_pages import ROOT

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def extension():
    return pytest.importorskip("docs.site.extension", reason='the site needs pip install ".[docs]"')


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("theta += h p, tau = 1/N", ["θ += h p, τ = 1/N"]),
        ("k q^2/2 and exp(-gamma)^k", ["k q", "2", "/2 and exp(-γ)", "k", ""]),
        ("log sum_c exp(f_c), prior_sd", ["log sum", "c", " exp(f", "c", "), prior_sd"]),
        ("beta-blockers and sqrt(h)", ["beta-blockers and √(h)"]),
    ],
)
def test_symbols(extension, text, shown):
    assert [node.astext() for node in extension._typeset(text)] == shown


def test_every_formula_of_the_equations_is_understood(extension):
    text = (ROOT / "docs" / "equations.md").read_text()
    blocks = re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)
    assert len(blocks) > 20
    for block in blocks:
        assert extension.mathml(block, block=True).startswith("<math")
