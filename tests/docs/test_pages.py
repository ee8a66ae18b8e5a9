"""The pages of docs/: what they show in fences is run, read or parsed as it stands, and prints what they say it does.

Python blocks of a page run one after another in one namespace, in an empty folder. An HTML comment holds assertions
about what they left, which run in their place: readers do not see them (docs.site.shown). TOML is a spec of a run or
of a study. Lines of shell that begin with gpu-thermo are parsed by the commands themselves.
"""

import importlib
import re
import shlex
from functools import partial
from importlib.util import find_spec

import matplotlib
import pytest
import typer
from site_pages import shown

from gpu_thermo.spec.run import RunSpec
from gpu_thermo.study.grids import StudySpec
from gpu_thermo_cli.main import app

DOCS = shown.DOCS
PAGES = shown.pages()
COMMANDS = [*PAGES, DOCS / "gallery" / "playground.md", DOCS / "site" / "index.md", DOCS.parent / "README.md"]
NEEDS = {"trained-network": "torch", "own-data": "pandas"}
OTHER_COMMANDS = {"pip", "dask", "python", "kill", "sbatch", "export", "marimo", "python3", ".venv/bin/pip"}

named = partial(pytest.mark.parametrize, "page", ids=lambda page: f"{page.parent.name}/{page.stem}")
each = named(PAGES)


def blocks(page, *languages):
    """Texts of the page's pieces in these languages, in order."""
    return [block.text for block in shown.blocks(page.read_text()) if block.language in languages]


SLOW = {
    "bitwise", "calibration", "classes", "compare", "deep-ensemble", "deploy", "frozen", "intervals", "last-layer",
    "guide", "libraries", "minibatches", "scikit-learn", "stepsize", "temperatures", "thermostats", "trained-network",
    "tuning",
}  # fmt: skip
"""Pages whose Python takes more than some seconds."""
RUNNING = [
    pytest.param(p, marks=[pytest.mark.slow] * (p.stem in SLOW), id=f"{p.parent.name}/{p.stem}")
    for p in PAGES if blocks(p, "python")
]  # fmt: skip


@each
def test_it_has_a_title_and_its_links_lead_somewhere(page):
    text = page.read_text()
    assert re.match(r"# \S.+\n\n\S", text)
    fences = set(re.findall(r"^```(.+)$", text, re.MULTILINE))
    assert fences <= {"python", "toml", "sh", "text"}
    for link in re.findall(r"\]\(([^)#\s]+)", text):
        assert re.match("https?:", link) or (page.parent / link).exists(), link
    if page.parent != DOCS / "start" and page.parent != DOCS:  # pages of the contract have long lines
        prose = re.sub(r"^```text\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
        assert not re.search(r"^(?!\|).{166,}$", prose, re.MULTILINE)


@pytest.mark.parametrize("page", RUNNING)
def test_its_python_runs_and_prints_what_it_shows(page):
    if page.stem in NEEDS and find_spec(NEEDS[page.stem]) is None:
        pytest.skip(f"{NEEDS[page.stem]} is not installed")
    matplotlib.use("Agg")
    printed = ""
    for block, says in shown.run(page):
        if block.language == "text" and printed:
            assert shown.alike(block.text, printed), printed
        printed = says


@each
def test_its_specs_are_read(page):
    for text in blocks(page, "toml"):
        kind = StudySpec if re.search(r"^\[(seeds|grid)", text, re.MULTILINE) else RunSpec
        kind.from_toml(text)


@named(COMMANDS)
def test_its_commands_are_parsed(page):
    """Options exist and take what they are given; nothing is carried out."""
    group = typer.main.get_command(app)
    for text in blocks(page, "sh"):
        for line in re.sub(r"\\\n", " ", text).splitlines():
            words = shlex.split(line, comments=True)
            while words and "=" in words[0]:
                del words[0]
            if not words or words[0] in OTHER_COMMANDS:
                continue
            assert words[0] == "gpu-thermo", line
            with group.make_context("gpu-thermo", [words[1], "--help"], resilient_parsing=True) as context:
                _, command, rest = group.resolve_command(context, words[1:])
                command.make_context(words[1], rest, parent=context).close()


@each
def test_names_in_its_prose_exist(page):
    """`gt.name` is public, and `gpu_thermo.module.name` is there."""
    import gpu_thermo as gt

    text = page.read_text()
    for name in re.findall(r"\bgt\.(\w+)", text):
        assert name in gt.__all__, name
    for module, name in re.findall(r"`(gpu_thermo(?:\.\w+)+)\.(\w+)`", text):
        assert hasattr(importlib.import_module(module), name), (module, name)
