"""Docstrings of the house in numpydoc's form."""

from site_pages import docstrings

HOUSE = """\
What it does to `x` and trust_, |p| or a*b.

Parameters
----------
run : an opened run, or
its path. draws : of each, at most; a : b stays. seed, other : of both.
    and more.

Returns
-------
xarray.Dataset
    mean [point].

Raises
------
SpecError
    It is *wrong*.
"""


def test_items_stand_by_themselves():
    lines = docstrings.rewritten(HOUSE.splitlines())
    start = lines.index("Parameters")
    assert lines[start + 2 : start + 8] == [
        "run",
        "    an opened run, or its path.",
        "draws",
        "    of each, at most; a : b stays.",
        "seed, other",
        "    of both. and more.",
    ]


def test_markup_is_none():
    first = docstrings.rewritten(HOUSE.splitlines())[0]
    assert first == r"What it does to ``x`` and trust\_, \|p\| or a\*b."


def test_other_sections_stay():
    lines = docstrings.rewritten(HOUSE.splitlines())
    start = lines.index("Raises")
    assert lines[start : start + 4] == ["Raises", "------", "SpecError", r"    It is \*wrong\*."]


def test_names_above_their_meaning():
    lines = docstrings.rewritten(["Parameters", "----------", "run", "    An opened run.", "x", "    Inputs."])
    assert [line for line in lines if line.strip()][2:] == ["run", "    An opened run.", "x", "    Inputs."]


def test_blocks_of_code_are_literal():
    lines = docstrings.rewritten(["So:", "", "    run = f(*x)", "", "Done*."])
    assert lines[:6] == ["So:", "", "::", "", "    run = f(*x)", ""]
    assert lines[6] == r"Done\*."
