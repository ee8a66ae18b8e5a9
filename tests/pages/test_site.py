"""The whole site from nothing: no warning, no dead link, every name with its page, nothing misspelt."""

import subprocess
import sys
import time

import pytest
from site_pages import ROOT

import gpu_thermo

MOST_SECONDS = 240


def make(*arguments):
    command = [sys.executable, "-m", "docs.site", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_site_is_built(tmp_path):
    """What tutorials said is kept by their content, so that none is run again; processor time is held to the limit."""
    pytest.importorskip("sphinx", reason='the site needs pip install ".[docs]"')
    began = time.perf_counter()
    done = make("build", "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "to be run" not in done.stdout, "python -m docs.site execute keeps what tutorials say"
    assert time.perf_counter() - began < 2 * MOST_SECONDS  # other work may go on beside it
    table = (tmp_path / "html" / "reference" / "pages.html").read_text()
    assert all(f"gpu_thermo.{name}" in table for name in gpu_thermo.__all__ if name != "__version__")
    assert "<math" in (tmp_path / "html" / "equations.html").read_text()


@pytest.mark.slow
def test_nothing_is_misspelt():
    pytest.importorskip("codespell_lib")
    done = make("words")
    assert done.returncode == 0, done.stderr
