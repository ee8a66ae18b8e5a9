"""The tutorials of docs/tutorials: scripts that run as they are, and end with assertions of what their text says."""

import ast
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from shown_code import check_names

FOLDER = Path(__file__).parents[2] / "docs" / "tutorials"
SCRIPTS = sorted(FOLDER.glob("*.py"))
MOST_SECONDS = 540
"""Of a run beside other work; on two cores of its own each takes under two minutes."""
LAST = "# What the page says, checked"
NEEDS = {"plot_table": ("pandas",)}
"""What a script cannot do without, beside what the package itself needs."""

each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)


def test_every_subject_has_its_tutorial():
    subjects = "table spiral prior temperature modes thousand_seeds own_network evidence store resume cluster".split()
    assert {path.stem for path in SCRIPTS} == {f"plot_{subject}" for subject in subjects}


@each
def test_its_text_and_its_names_are_sound(script):
    """A title in its docstring, cells, a picture, assertions in the last one; imports are there, names public."""
    text = script.read_text()
    tree = ast.parse(text)
    _, title, rule, *_ = ("\n" + (ast.get_docstring(tree) or "")).split("\n")
    assert len(title) > 5
    assert rule == "=" * len(title)
    assert text.count("\n# %%\n") >= 4
    assert "plt.show()" in text
    before, _, after = text.rpartition(LAST)
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(after))) >= 3
    assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(before)))
    check_names(tree)


@pytest.mark.slow
@each
def test_it_runs_and_what_it_says_holds(script, tmp_path):
    for name in NEEDS.get(script.stem, ()):
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed")
    environment = os.environ | {"MPLBACKEND": "Agg", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=MOST_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr
