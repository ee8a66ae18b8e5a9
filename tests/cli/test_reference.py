"""Pages that the code writes of itself say what commands, models and records say."""

import json
import re

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gpu_thermo.errors import GpuThermoError, Status
from gpu_thermo.method.letters import LETTERS
from gpu_thermo.method.named import METHODS
from gpu_thermo.method.papers import cited
from gpu_thermo.method.updates import UPDATES
from gpu_thermo_cli import reference
from gpu_thermo_cli.main import app

COMMANDS = get_command(app).commands


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_all_it_takes(name):
    page = reference.command_page(name, COMMANDS[name]).replace("\\|", "|")
    assert page.startswith(f"# gpu-thermo {name}\n")
    for parameter in COMMANDS[name].params:
        flags = [parameter.metavar.strip("[]")] if parameter.param_type_name == "argument" else parameter.opts
        assert all(f"`{flag}" in page or f", {flag}" in page for flag in flags), flags
    assert COMMANDS[name].help.split("\n")[0].split("*")[0][:40] in page


def test_read_on_is_of_commands():
    assert set(reference.READ_ON) <= set(COMMANDS)


def _keys(tree):
    for name, each in tree.items():
        if "allowed" in each:
            yield name
        else:
            yield from _keys(each)


@pytest.mark.parametrize("place", reference.spec_places())
def test_a_section_has_all_its_keys(place):
    page = reference.spec_page(place)
    told = json.loads(CliRunner().invoke(app, ["spec", place, "--json"]).stdout)
    found = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert set(_keys(told)) <= found <= set(_keys(told)) | set(told)
    assert len(found) >= 3


@pytest.mark.parametrize("name", METHODS)
def test_a_method_says_equation_law_defaults_and_paper(name):
    page = reference.method_page(name)
    for title in ("Equation", "Exact law", "Defaults", "Paper"):
        assert f"## {title}\n" in page
    for record in METHODS[name].operations:
        assert record.formula.split("|")[0] in page
    for key in METHODS[name].defaults:
        assert f"| `{key}` |" in page
    assert all(source in page for source in cited(METHODS[name].reference))


def test_letters_are_linked_where_there_is_a_page():
    assert "**[O](letters.md#o)**: " in reference.method_page("langevin", letters="letters.md")
    assert "](" not in reference.method_page("langevin").partition("## Exact law")[0]


def test_letters_and_updates():
    page = reference.letters_page()
    assert re.findall(r"^### (\w+)", page, re.MULTILINE) == [*LETTERS, *UPDATES]


def test_errors_and_exit_codes():
    page = reference.errors_page()
    assert set(reference.errors()) >= {"SpecError", "OtherBitsError", "RunError"}
    for name, each in reference.errors().items():
        assert issubclass(each, GpuThermoError)
        assert re.search(rf"^\| `{name}` \| .* \| {each.exit_code} \| ", page, re.MULTILINE)
    assert all(status.remedy in page for status in Status)
    assert all(f"| {code} | " in page for code in reference.EXIT_CODES)


def test_cells_are_one_line():
    table = reference.rows(("a", "b"), iter([("x|y", "two\nlines")]))
    assert table.splitlines() == ["| a | b |", "| --- | --- |", r"| x\|y | two lines |"]
