"""The notebooks of docs/papers: what they say is in their outputs, and comes out again when they are executed."""

import ast
import json
import os
from pathlib import Path

import pytest
from shown_code import check_names

FOLDER = Path(__file__).parents[1] / "docs/papers"
PAPERS = ("stepsize_bias", "seed_variance", "evidence", "a_table")
MOST_SECONDS = 540
"""Of an execution beside other work; on two cores of its own each takes under three minutes."""


def read(name):
    return json.loads((FOLDER / f"{name}.ipynb").read_text())


def code(book):
    """Python text of all code cells, magics left out."""
    cells = ["".join(c["source"]) for c in book["cells"] if c["cell_type"] == "code"]
    return "\n".join("\n".join(line for line in cell.splitlines() if not line.startswith("%")) for cell in cells)


def said(book):
    """What the last cell printed as JSON."""
    texts = ["".join(o["text"]) for c in book["cells"] for o in c.get("outputs", []) if o.get("name") == "stdout"]
    return json.loads(texts[-1])


def check_stepsize_bias(found):
    """BAOAB without a second-order term, the others with theirs, by many errors."""
    order = {word: c / error for word, (c, error, _) in found["second_order"].items()}
    assert abs(order["BAOAB"]) < 3.5
    assert order["OBABO"] > 10
    assert max(order["OABAO"], order["UBU"]) < -10
    assert abs(found["second_order"]["BAOAB"][0]) < 6 < abs(found["second_order"]["UBU"][0])
    bias, error = found["largest"]["BAOAB"]
    assert abs(bias) < 4 * error
    assert found["exact"] == pytest.approx(0.69026, abs=1e-5)


def check_seed_variance(found):
    """48 seeds each; cycles lose clearly, the ladder does not."""
    assert {row["runs"] for row in found["rows"].values()} == {48}
    assert all(0.02 < row["sd"] < 0.07 for row in found["rows"].values())
    tests = found["tests"]
    assert tests["no moves, cyclical"]["difference"] > 0.02
    assert tests["no moves, cyclical"]["p"] < 1e-3
    assert abs(tests["no moves, exchange"]["difference"]) < 0.02


def check_evidence(found):
    """Four to eight units are the best, one far off; errors are small; leave-one-out orders the first three alike."""
    z, error, elpd = found["evidence"], found["error"], found["elpd"]
    assert max(z, key=z.get) in ("4", "8")
    assert z["4"] - z["1"] > 40
    assert 5 < z["4"] - z["2"] < 16
    assert 0 < z["4"] - z["32"] < 5
    assert max(error.values()) < 0.5
    assert elpd["1"] < elpd["2"] < elpd["4"]
    assert elpd["4"] - elpd["32"] < 4


def check_a_table(found):
    """No worse than ridge, intervals that hold what they say, more doubt about strange people, a small file."""
    assert found["ours"] > found["ridge"] - 0.03
    assert 0.8 < found["inside"] < 0.97
    assert found["unseen"] > 1.5 * found["seen"]
    assert found["kilobytes"] < 500
    assert found["moved"] < 0.05


CHECKS = {name: globals()[f"check_{name}"] for name in PAPERS}


def test_every_notebook_is_here():
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == set(PAPERS)


@pytest.mark.parametrize("name", PAPERS)
def test_it_parses_and_its_names_exist(name):
    """Imports are there, and what it takes of gpu_thermo is public."""
    check_names(ast.parse(code(read(name))))


@pytest.mark.parametrize("name", PAPERS)
def test_it_was_executed_and_holds(name):
    """All cells in order, without an error, with a figure; its numbers are what its words say. Small enough to keep."""
    book = read(name)
    cells = [c for c in book["cells"] if c["cell_type"] == "code"]
    assert [c["execution_count"] for c in cells] == list(range(1, len(cells) + 1))
    outputs = [o for c in cells for o in c["outputs"]]
    assert not any(o["output_type"] == "error" or o.get("name") == "stderr" for o in outputs)
    assert any("image/png" in o.get("data", {}) for o in outputs)
    assert (FOLDER / f"{name}.ipynb").stat().st_size < 200_000
    CHECKS[name](said(book))


@pytest.mark.slow
@pytest.mark.parametrize("name", PAPERS)
def test_it_comes_out_again(name, monkeypatch, tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.delenv("MPLBACKEND", raising=False)
    book = nbformat.read(FOLDER / f"{name}.ipynb", 4)
    resources = {"metadata": {"path": os.fspath(tmp_path)}}
    client = nbclient.NotebookClient(book, timeout=MOST_SECONDS, kernel_name="python3", resources=resources)
    client.execute()
    CHECKS[name](said(book))
