"""What docstrings, comments, kernels, pages and the command line refer to is there, and reaches the user.

A page is named by its path from the top of the sources, those of docs/ by their name alone: equations.md section 7,
bench/README.md. What the command line prints must be among the installed pages (package gpu_thermo_docs), everything
else at least in the source distribution (MANIFEST.in).
"""

import ast
import fnmatch
import importlib.metadata
import io
import json
import re
import tokenize
import tomllib
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from mutants import MUTANTS, stale
from typer.main import get_command
from typer.testing import CliRunner

from gpu_thermo.method.letters import LETTERS
from gpu_thermo.method.named import METHODS
from gpu_thermo.method.schedules import SCHEDULES
from gpu_thermo.method.updates import UPDATES
from gpu_thermo.spec.run import RunSection, RunSpec
from gpu_thermo.streams import Purpose
from gpu_thermo.study.grids import StudySpec
from gpu_thermo.targets.activations import ACTIVATIONS
from gpu_thermo.targets.networks import INITS
from gpu_thermo.targets.options import TARGETS
from gpu_thermo_cli.doctor import documentation
from gpu_thermo_cli.main import app

ROOT = Path(__file__).parents[1]
INSTALLED, OTHERS = ("gpu_thermo", "cli", "analysis"), ("tests", "bench")
PAGES = sorted(
    p for p in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part in ("build", "dist") for part in p.relative_to(ROOT).parts)
)  # fmt: skip
CODE = [f for folder in (*INSTALLED, *OTHERS) for f in sorted((ROOT / folder).rglob("*.py"))]
KERNELS = [f for f in sorted((ROOT / "gpu_thermo" / "kernels").iterdir()) if f.suffix in (".h", ".cu", ".cpp")]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]

NUMBERS = r"sections? (\d+(?:(?:, | and |, and | to )\d+)*)"
REFERENCE = re.compile(rf"(?<![\w./*-])((?:[\w.-]+/)*[\w-]+\.md)\b(?:,? {NUMBERS})?")
LONE_SECTION = re.compile(rf"(?<!\.md )(?<!\.md, )\b{NUMBERS}")
METAVARS = {"FILE.md"}
NAMED = re.compile(r"(?<![\w./<])((?:[\w-]+/)*[\w-]+\.(?:py|h|cu|cpp))\b(?![.(\w])")
ELSEWHERE = {"malloc.h", "kernel.cpp"}
"""Files of the system, and of the compile cache."""


# -- finding references ------------------------------------------------------------------------------------------------


def references(text):
    """(page, sections) of every reference in `text`, however its lines are broken."""
    for page, numbers in REFERENCE.findall(" ".join(text.split())):
        if page not in METAVARS:
            yield page, expand(numbers)


def expand(numbers):
    """Section numbers [int] of "2, 3 and 6" or "2 to 4"."""
    out = []
    for word in re.findall(r"\d+|to", numbers):
        if word == "to":
            out.append(word)
        elif out and out[-1] == "to":
            out[-1:] = range(out[-2] + 1, int(word) + 1)
        else:
            out.append(int(word))
    return out


def lone_sections(text):
    """Mentions of a numbered section that do not say of which page."""
    return LONE_SECTION.findall(" ".join(text.split()))


def strings(path, documents):
    """Texts of a Python file: docstrings, those of constants and fields too, or all others."""
    nodes = [*ast.walk(ast.parse(path.read_text()))]
    alone = {id(n.value) for n in nodes if isinstance(n, ast.Expr)}
    for n in nodes:
        if isinstance(n, ast.Constant) and isinstance(n.value, str) and (id(n) in alone) == documents:
            yield n.value


def prose(path):
    """What people read in a Python file, one text for each: comments, docstrings, and of what is installed all
    strings.
    """
    yield from comments(path.read_text())
    yield from strings(path, documents=True)
    if path.relative_to(ROOT).parts[0] in INSTALLED:
        yield from strings(path, documents=False)


def comments(source):
    """Comments, those of successive lines as one text."""
    run, last = [], -1
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            if token.start[0] != last + 1 and run:
                yield " ".join(run)
                run = []
            run, last = [*run, token.string.lstrip("# ")], token.start[0]
    if run:
        yield " ".join(run)


def kernel_prose(path):
    """Comments of a C++ file as one text."""
    return " ".join(line.partition("//")[2] for line in path.read_text().splitlines())


def printed():
    """What the command line prints about itself, the documentation of every key of a spec, and all messages, one text
    for each.
    """
    runner, commands = CliRunner(), get_command(app).commands
    yield runner.invoke(app, ["--help"]).stdout
    for name in commands:
        yield runner.invoke(app, [name, "--help"]).stdout
    for name in ("methods", "datasets", "moves", "targets"):
        listed = json.loads(runner.invoke(app, [name, "--json"]).stdout)
        yield runner.invoke(app, [name]).stdout
        for each in listed:
            yield runner.invoke(app, [name, each]).stdout
    for model in (RunSpec, StudySpec):
        yield json.dumps(model.model_json_schema(), ensure_ascii=False).replace("\\n", " ")
    for path in CODE:
        if path.relative_to(ROOT).parts[0] in INSTALLED:
            yield from strings(path, documents=False)


# -- where they lead ---------------------------------------------------------------------------------------------------


def resolve(page):
    """The file a reference names; None if there is none."""
    path = ROOT / page if "/" in page or page in ("README.md", "CHANGELOG.md") else ROOT / "docs" / page
    return path if path.is_file() else None


def headings(path):
    """Numbers of the sections of a page."""
    return {int(n) for n in re.findall(r"^#{2,3} (\d+)\. ", path.read_text(), re.MULTILINE)}


def wrong(text):
    """References of `text` that lead nowhere."""
    for page, sections in references(text):
        path = resolve(page)
        if path is None:
            yield f"{page} is no page"
        else:
            yield from (f"{page} has no section {n}" for n in sections if n not in headings(path))


def installed_pages():
    """Paths of the pages that the wheel has, as pyproject.toml says."""
    out = set()
    for package, patterns in SETTINGS["package-data"].items():
        folder = SETTINGS["package-dir"].get(package, package.replace(".", "/"))
        for page in PAGES:
            inside = page.relative_to(ROOT / folder).as_posix() if page.is_relative_to(ROOT / folder) else None
            if inside is not None and any(fnmatch.fnmatchcase(inside, p) and "/" not in inside for p in patterns):
                out.add(page)
    return out


def distributed(path):
    """Whether the source distribution has a file, as MANIFEST.in says; a README and package data always are in it."""
    name = path.relative_to(ROOT).as_posix()
    lines = [line.split() for line in (ROOT / "MANIFEST.in").read_text().splitlines()]
    included = {word for line in lines if line[0] == "include" for word in line[1:]}
    grafted = [word for line in lines if line[0] == "graft" for word in line[1:]]
    return name in {"README.md", *included} or any(name.startswith(f"{g}/") for g in grafted)


# -- tests -------------------------------------------------------------------------------------------------------------


@cache
def all_prose():
    """(where, text) of all code and kernels, read once."""
    return (*((path, text) for path in CODE for text in prose(path)), *((p, kernel_prose(p)) for p in KERNELS))


def test_references_in_code_resolve():
    bad = [f"{path.relative_to(ROOT)}: {fault}" for path, text in all_prose() for fault in wrong(text)]
    assert not bad


def test_sections_say_of_which_page():
    bad = [f"{path.relative_to(ROOT)}: section {n}" for path, text in all_prose() for n in lone_sections(text)]
    assert not bad


def test_references_in_code_are_found():
    """So many that a scanner that misses a kind would show: modules, kernels, tests, wrapped lines."""
    found = {}
    for path, text in all_prose():
        for page, sections in references(text):
            found.setdefault(path.relative_to(ROOT).parts[0], []).append((page, sections))
    assert {name for name, pages in found.items() if len(pages) >= 3} >= {"gpu_thermo", "analysis", "tests"}
    assert sum(map(len, found.values())) >= 70
    assert {page for pages in found.values() for page, _ in pages} >= {"equations.md", "bench/README.md"}
    assert ("equations.md", [5]) in list(references(kernel_prose(ROOT / "gpu_thermo/kernels/contour.h")))


def test_what_is_printed_refers_to_installed_pages():
    installed = {page.name for page in installed_pages() if page.parent.name == "docs"}
    seen = []
    for text in printed():
        for page, sections in references(text):
            seen.append(page)
            assert page in installed, text
            assert set(sections) <= headings(ROOT / "docs" / page), text
        assert not lone_sections(text), text
    assert "equations.md" in seen


def test_doctor_names_the_folder_of_the_pages():
    folder = documentation()
    assert folder is not None
    assert {p.name for p in folder.glob("*.md")} >= {p.name for p in (ROOT / "docs").glob("*.md")}
    assert CliRunner().invoke(app, ["doctor", "--json"]).stdout.count("documentation") == 1


def test_pages_ship():
    """docs/ is installed; every page is in the source distribution."""
    assert installed_pages() >= set((ROOT / "docs").glob("*.md"))
    assert [p for p in PAGES if not distributed(p)] == []


def test_an_installation_has_what_pyproject_promises():
    """An installed wheel has a list of its files; an editable installation and a build's leavings beside the sources
    have none.
    """
    for installed in importlib.metadata.distributions(name="gpu-thermo"):
        files = {str(f) for f in installed.files or ()} if installed.read_text("RECORD") else set()
        if "gpu_thermo/errors.py" in files:
            assert {f"gpu_thermo_docs/{p.name}" for p in (ROOT / "docs").glob("*.md")} <= files


def test_every_package_is_listed():
    """A folder of modules that pyproject.toml does not list is missing from the wheel."""
    source = {folder: name for name, folder in SETTINGS["package-dir"].items()}
    found = {
        ".".join((source[top], *f.parent.relative_to(ROOT / top).parts))
        for top in INSTALLED for f in (ROOT / top).rglob("__init__.py")
    }  # fmt: skip
    assert found == set(SETTINGS["packages"]) - {"gpu_thermo_docs"}


# -- pages -------------------------------------------------------------------------------------------------------------

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([\w./-]*\.(?:py|h|cu|cpp|md)|[\w.-]+/(?:[\w.-]+/)*)`")


def anchors(path):
    """GitHub's anchors of a page's headings."""
    titles = re.findall(r"^#+ (.*)$", FENCED.sub("", path.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_of_pages_resolve(page):
    for target in LINK.findall(FENCED.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_sections_and_pages_that_pages_name_are_there(page):
    text = FENCED.sub("", page.read_text())
    assert not list(wrong(re.sub(r"\]\([^)]*\)", "]", text)))
    own = headings(page)
    assert {n for numbers in lone_sections(text) for n in expand(numbers)} <= own


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_that_pages_name_are_there(page):
    """`moves/contour.py` from the top of the sources or of the library; a bare name anywhere below the page."""
    missing = []
    for name in QUOTED.findall(FENCED.sub("", page.read_text())):
        places = (ROOT, ROOT / "gpu_thermo", page.parent)
        if not any((place / name).exists() for place in places) and not (
            "/" not in name and [*page.parent.rglob(name)]
        ):
            missing.append(name)
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_tests_that_pages_name_are_there(page):
    """`test_streams.py::test_golden_values`, wherever below tests/ the file is."""
    missing = []
    for file, test in re.findall(r"`(?:\w+/)*(\w+\.py)::(\w+)", page.read_text()):
        texts = (f.read_text() for f in (ROOT / "tests").rglob(file))
        if not any(re.search(rf"^def {test}\b", text, re.MULTILINE) for text in texts):
            missing.append(f"{file}::{test}")
    assert not missing


def test_files_that_code_names_are_there():
    """`letters.py`, `kernels/step.h`: the name, or the end of the path, of a file of the sources."""
    folders = (ROOT / name for name in (*INSTALLED, *OTHERS))
    there = [f"/{f.relative_to(ROOT).as_posix()}" for folder in folders for f in folder.rglob("*.*")]
    bad = [
        f"{path.relative_to(ROOT)}: {name}"
        for path, text in all_prose() for name in NAMED.findall(text)
        if name not in ELSEWHERE and not any(f.endswith(f"/{name}") for f in there)
    ]  # fmt: skip
    assert not bad


def test_mutants_follow_the_sources():
    """Each text that a mutant replaces is in its file, and the files of its tests are there."""
    assert not stale(MUTANTS)


def section(number):
    """Text of a section of equations.md."""
    text = (ROOT / "docs" / "equations.md").read_text()
    return re.search(rf"^## {number}\. .*?(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)[0]


def first_cells(text):
    """Names in the first cells of a text's tables."""
    cells = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell) or [cell.split(" ")[0]]}


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (1, {*TARGETS} - {"custom"}), (2, LETTERS), (3, {*UPDATES} - {"momentum2"}), (4, METHODS), (4, SCHEDULES),
        (6, get_args(RunSection.model_fields["minibatch"].annotation)), (7, [str(int(p)) for p in Purpose]), (8, INITS),
        (12, ACTIVATIONS),
    ],
)  # fmt: skip
def test_equations_list_what_there_is(number, names):
    """Every row of the tables of the code is in the tables of the page."""
    assert set(names) <= first_cells(section(number))


def test_faults_are_found():
    """A page that is not there, a section that is not there, a section of no page."""
    assert list(wrong("see nowhere.md")) == ["nowhere.md is no page"]
    assert list(wrong("(equations.md\n    section 99)")) == ["equations.md has no section 99"]
    assert list(wrong("equations.md sections 6, 7 and 98")) == ["equations.md has no section 98"]
    assert list(wrong("equations.md sections 95 to 97")) == [f"equations.md has no section {n}" for n in (95, 96, 97)]
    assert lone_sections("the table of section 10") == ["10"]
    assert lone_sections("equations.md section 10") == []
