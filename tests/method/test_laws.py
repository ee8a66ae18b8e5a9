"""Every named method says what it samples and where its defaults come from."""

import re
from pathlib import Path

import pytest

from gpu_thermo.method.laws import LAWS
from gpu_thermo.method.named import METHODS

PAGE = (Path(__file__).parents[2] / "docs" / "equations.md").read_text()
SECTIONS = {int(n) for n in re.findall(r"^## (\d+)\. ", PAGE, re.MULTILINE)}


def test_every_method_has_one():
    assert set(LAWS) == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_what_it_says(name):
    told = LAWS[name]
    assert told.law.endswith(".")
    assert told.origin.endswith(".")
    assert told.sections
    assert set(told.sections) <= SECTIONS


@pytest.mark.parametrize(
    ("name", "figures"),
    [("sgld", {"stepsize": 0.1, "temperature": 0.01**2 / 2}), ("langevin", {"stepsize": 0.25, "temperature": 1e-4})],
)
def test_published_settings_are_the_defaults(name, figures):
    """What is said to be LMV's is in the row."""
    assert {key: METHODS[name].defaults[key] for key in figures} == pytest.approx(figures)
