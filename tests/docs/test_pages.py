"""The pages of docs/howto and docs/explain: what they show in fences is run, read or parsed as it stands.

Python blocks of a page run one after another in one namespace, in an empty folder. An HTML comment holds assertions
about what they left, which run in their place: readers do not see them. TOML is a spec of a run or of a study. Lines of
shell that begin with gpu-thermo are parsed by the commands themselves.
"""

import importlib
import re
import shlex
from importlib.util import find_spec
from pathlib import Path

import matplotlib
import pytest
import typer

from gpu_thermo.spec.run import RunSpec
from gpu_thermo.study.grids import StudySpec
from gpu_thermo_cli.main import app

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(p for folder in ("howto", "explain") for p in (DOCS / folder).glob("*.md") if p.stem != "index")
FENCE = re.compile(r"^```(\w+)?\n(.*?)^```$|^<!--\n(.*?)^-->$", re.MULTILINE | re.DOTALL)
NEEDS = {"trained-network": "torch", "own-data": "pandas"}
OTHER_COMMANDS = {"pip", "dask", "python", "kill", "sbatch", "export"}

each = pytest.mark.parametrize("page", PAGES, ids=lambda page: f"{page.parent.name}/{page.stem}")


def blocks(page, *languages):
    """(language, text) of the page's fences in order; assertions are of the language `check`."""
    found = [("check", c) if c else (language, text) for language, text, c in FENCE.findall(page.read_text())]
    return [(language, text) for language, text in found if language in languages]


SLOW = {
    "bitwise", "calibration", "classes", "compare", "deep-ensemble", "deploy", "frozen", "intervals", "last-layer",
    "libraries", "minibatches", "scikit-learn", "stepsize", "temperatures", "thermostats", "trained-network", "tuning",
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
    assert not re.search(r"^(?!\|).{146,}$", text, re.MULTILINE)


@pytest.mark.parametrize("page", RUNNING)
def test_its_python_runs_and_leaves_what_it_says(page, tmp_path, monkeypatch):
    if page.stem in NEEDS and find_spec(NEEDS[page.stem]) is None:
        pytest.skip(f"{NEEDS[page.stem]} is not installed")
    assert blocks(page, "check"), "nothing is asserted of what the page shows"
    monkeypatch.chdir(tmp_path)
    matplotlib.use("Agg")
    namespace = {"__name__": "page"}
    for language, text in blocks(page, "python", "check"):
        exec(compile(text, f"{page.name}: {language}", "exec"), namespace)


@each
def test_its_specs_are_read(page):
    for _, text in blocks(page, "toml"):
        kind = StudySpec if re.search(r"^\[(seeds|grid)", text, re.MULTILINE) else RunSpec
        kind.from_toml(text)


@each
def test_its_commands_are_parsed(page):
    """Options exist and take what they are given; nothing is carried out."""
    group = typer.main.get_command(app)
    for _, text in blocks(page, "sh"):
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
