"""Every example of the pages and tutorials has its output, and something is asserted of it; what has not is found."""

import pytest
from site_pages import shown

CODE = "```python\nx = 2\nprint(x)\n```\n"
PRINTED = "\n```text\n2\n```\n"
CHECK = "\n<!--\nassert x == 2\n-->\n"
TUTORIAL = f'"""\nTitle\n=====\n"""\n# %%\nx = 2\nprint(x)\n# %%\n{shown.LAST}\n'


def test_nothing_is_amiss():
    assert shown.unasserted() == []


def test_pages_with_python_are_all_looked_at():
    """But adding.md, whose examples have a test each."""
    have = {p for p in shown.DOCS.rglob("*.md") if "```python" in p.read_text() and "executed" not in p.parts}
    assert have - set(shown.pages()) == {shown.DOCS / "adding.md"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (CODE + PRINTED + CHECK, []),
        (CODE + PRINTED, ["nothing is asserted of: x = 2"]),
        (CHECK + CODE + PRINTED, ["nothing is asserted of: x = 2"]),  # asserted before
        (CODE + PRINTED + CHECK.replace("x", "y"), ["nothing is asserted of: x = 2"]),
        (CODE + PRINTED + CHECK.replace("assert ", ""), ["nothing is asserted of: x = 2"]),
        (CODE + CHECK, ["what it prints does not stand behind it: x = 2"]),
        (CODE.replace("print(x)\n", "") + PRINTED + CHECK, ["what it prints does not stand behind it: x = 2"]),
        (CODE + PRINTED + CODE.replace("x", "y") + PRINTED + CHECK, ["nothing is asserted of: y = 2"]),
    ],
)
def test_of_a_page(text, told):
    assert shown.of_page(text) == told


@pytest.mark.parametrize(("last", "told"), [("assert x == 2\n", []), ("assert 1\n", ["x = 2"]), ("x\n", ["x = 2"])])
def test_of_a_tutorial(last, told):
    assert shown.of_tutorial(TUTORIAL + last) == [f"nothing is asserted of: {line}" for line in told]


@pytest.mark.parametrize(
    ("page", "printed", "same"),
    [
        ("a 1.00 b", "a  1.10\nb", True), ("a 1.00 b", "a 1.40 b", False), ("3 runs", "3 runs", True),
        ("3 runs", "4 runs", False), ("95% of 320", "93% of 318", True), ("320", "220", False),
        ("1e-09", "3e-09", True), ("in 2.0 s", "in 2.0 h", False),
        ("1.0", "1.0 2.0", False),
    ],
)  # fmt: skip
def test_what_was_printed_is_as_shown(page, printed, same):
    assert shown.alike(page, printed) is same


def test_what_is_printed_is_set_behind(tmp_path):
    """In place of what stood there, and with nothing else changed."""
    (page := tmp_path / "page.md").write_text(f"# T\n\n{CODE}\n```text\nold\n```\n{CHECK}\n{CODE}\nEnd.\n")
    shown.write_printed(page)
    assert page.read_text() == f"# T\n\n{CODE}{PRINTED}{CHECK}\n{CODE}{PRINTED}\nEnd.\n"
    assert [printed for block, printed in shown.run(page) if block.language == "python"] == ["2\n", "2\n"]
