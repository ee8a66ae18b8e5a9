"""The lines behind each door of the first page run as they are pasted, in an empty folder, and say what they should."""

import re
import subprocess
import sys

import pytest
from site_pages import ROOT, shown, staging

DOORS = ROOT / "docs" / "doors"
MOST_LINES = 15


def pasted(name, folder):
    """What the lines print, which is what stands behind them."""
    command = [sys.executable, "-c", (DOORS / f"{name}.py").read_text()]
    told = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=1200).stdout
    assert shown.alike((DOORS / f"{name}.txt").read_text(), told), told
    return told


def test_a_table(tmp_path):
    """Intervals hold what they promise, up to five sd of 92 answers; the verdict trusts."""
    told = pasted("table", tmp_path)
    inside = int(re.match(r"(\d+)%", told)[1])
    assert abs(inside - 90) < 5 * 3.2
    assert float(re.search(r"may be trusted to ([\d.]+) sd", told)[1]) <= 0.1


def test_samplers(tmp_path):
    """<q^2> as known, within five standard errors of 4096 replicas; the error of OBABO is seen."""
    found = {
        word: float(value) for word, value in re.findall(r"^(\S+) +<q\^2> = (\S+)$", pasted("samplers", tmp_path), re.M)
    }
    exact = {"BAOAB": 1.0, "OBABO": 4 / 3, "ABOBA": 1.0, "{OBABO}": 1.0}
    assert found == pytest.approx(exact, abs=0.05)


def test_seeds(tmp_path):
    """The published order of the methods, intervals around each mean, and no worst seed above it."""
    line = r"^(\w+) +mean (\S+) \((\S+) to (\S+)\), worst seed (\S+)$"
    lines = re.findall(line, pasted("seeds", tmp_path), re.M)
    found = {name: [float(x) for x in numbers] for name, *numbers in lines}
    assert found["adlala"][0] > found["adam"][0] > found["sgd"][0]
    assert all(worst < low < mean < high for mean, low, high, worst in found.values())


@pytest.mark.parametrize("door", sorted(DOORS.glob("*.py")), ids=lambda p: p.stem)
def test_doors_are_short_and_on_both_first_pages(door):
    assert door.read_text().count("\n") <= MOST_LINES
    assert f"doors/{door.name}" in (ROOT / "docs" / "site" / "index.md").read_text()
    assert f"```python\n{door.read_text()}```" in (ROOT / "README.md").read_text()


def test_the_readme_shows_no_other_python():
    """So that all of it is run."""
    blocks = [block.text for block in shown.blocks((ROOT / "README.md").read_text()) if block.language == "python"]
    assert sorted(blocks) == sorted(door.read_text() for door in DOORS.glob("*.py"))


def test_both_first_pages_begin_alike():
    """With the README's words, which stand there alone."""
    words = staging.opening()
    assert words.startswith("Samples the parameters of thousands of small neural networks at once")
    assert words.count("\n\n") == 1
    index = (ROOT / "docs" / "site" / "index.md").read_text()
    assert index.startswith("# gpu_thermo\n\n```{include} opening.txt\n```\n")
    assert words.splitlines()[0] not in index
