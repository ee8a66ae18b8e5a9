"""Formulas of records as LaTeX."""

import pytest
from site_pages import formulas

from gpu_thermo.method.letters import LETTERS
from gpu_thermo.method.updates import UPDATES


@pytest.mark.parametrize(
    ("formula", "latex"),
    [
        ("theta += h p", r"\theta \leftarrow \theta + h p"),
        ("p *= exp(-h xi)", r"p \leftarrow \exp (- h \xi) p"),
        ("p += sigma sqrt(h) R", r"p \leftarrow p + \sigma \sqrt { h } R"),
        ("nu = sqrt((exp(2 gamma h) - 1)/n)", r"\nu = \sqrt { (\exp (2 \gamma h) - 1) / n }"),
        ("xi += h epsilon (p.p - n tau)", r"\xi \leftarrow \xi + h \epsilon (p \cdot p - n \tau)"),
        ("x = u^T + q^(k + 1)", r"x = u ^{\mathsf{T}} + q ^{k + 1}"),
        ("v = 1e-08, solved for h", r"v = 10^{-8} , \text{ solved } \text{ for } h"),
        ("v = mu v + h G", r"v \leftarrow \mu v + h G"),
    ],
)
def test_of_statements(formula, latex):
    assert formulas.latex(formula) == latex


@pytest.mark.parametrize("record", [*LETTERS.values(), *UPDATES.values()], ids=lambda r: r.symbol)
def test_every_record_is_typeset(record):
    """Blocks with as many braces opened as closed, and nothing of Python left."""
    shown = formulas.display(record.formula)
    assert shown.count("$$") % 2 == 0
    for block in shown.split("$$")[1::2]:
        assert block.count("{") == block.count("}")
        assert not any(mark in block for mark in ("sqrt(", "+=", "*=", "e-0"))


def test_a_bracket_that_stays_open():
    with pytest.raises(ValueError, match="does not close"):
        formulas.latex("sqrt(h")
