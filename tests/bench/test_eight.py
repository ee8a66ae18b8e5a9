"""The table of eight: splits, scores of known laws, and its table."""

import json

import numpy as np
import pytest

from bench import eight, eight_table, tables
from bench.peers import classes, laws


def test_splits_are_what_they_were(tmp_path):
    """A fifth to be judged by, the same for everyone, classes in their shares."""
    for name in set(eight.SETS) - {"bikesharing"}:
        x, at, y, answers = eight.parts(name, 0, tmp_path)
        again = eight.parts(name, 0, tmp_path)
        np.testing.assert_array_equal(at, again[1])
        assert len(at) == len(answers) == pytest.approx(0.2 * (len(x) + len(at)), abs=1)
        assert (eight.parts(name, 1, tmp_path)[1] != at).any()
        if y.dtype.kind in "iu":
            assert abs((y == 1).mean() - (answers == 1).mean()) < 0.02


def test_scores_of_a_normal_law():
    g = np.random.default_rng(0)
    y = 3 * g.normal(size=20_000)
    found = eight._normal(np.zeros_like(y), np.full_like(y, 3.0), y)
    assert found["error"] == pytest.approx(1, abs=0.01)
    assert found["nll"] == pytest.approx(0.5 * np.log(2 * np.pi) + 0.5, abs=0.01)
    assert found["coverage"] == pytest.approx(0.9, abs=0.01)
    assert found["width"] == pytest.approx(2 * 1.645, rel=0.02)


def test_scores_of_classes():
    """Half right at .75: a gap of .25."""
    p = np.tile([0.75, 0.25], (400, 1))
    found = eight.scores_of_classes(p, np.arange(400) % 2)
    assert found["error"] == 0.5
    assert found["ece"] == pytest.approx(0.25)
    assert found["nll"] == pytest.approx(-np.log([0.75, 0.25]).mean())


def test_the_table():
    row = {"set": "a", "model": "ridge", "split": 0, "error": 0.5, "nll": 1.0, "seconds": 2.0}
    rows = [row | {"coverage": 0.9, "width": 3.0}, row | {"coverage": 0.8, "width": 3.0, "nll": 1.2},
            row | {"set": "b", "model": eight.OURS, "ece": 0.1, "trusted": True}]  # fmt: skip
    machine = {"processor": "x", "cores": 2, "vector": "y", "python": "3"}
    text = tables.eight(json.loads(json.dumps({"machine": machine, "date": "2026-01-01", "rows": rows})))
    assert "| a | ridge | 2 | 0.500 | 1.100 +- 0.100 | 0.850 | 3.000 | 2.0 |  |" in text
    assert "| b | BayesianMLP | 1 | 0.500 | 1.000 | 0.100 | 2.0 | 1 of 1 |" in text


def rows_of(**models):
    """Rows of one set, a split for each NLL."""
    return [{"set": "a", "split": k, "model": name, "nll": nll, "seconds": 1.0, "coverage": 0.9 + nll / 10}
            for name, values in models.items() for k, nll in enumerate(values)]  # fmt: skip


def test_ranks_and_the_linear_model():
    """By split, ties sharing; against the linear model on the same splits; coverage set by set."""
    rows = eight_table.as_one(rows_of(best=[0.0, 0.1, 0.2], ridge=[1.0, 0.3, 0.3], worse=[2.0, 0.3, 0.6]))
    assert eight_table.ranks(rows, "best") == [("a", 1.0)]
    assert eight_table.ranks(rows, "linear") == [("a", pytest.approx((2 + 2.5 + 2) / 3))]
    gap, error = eight_table.beside_linear(rows, "worse")["a"]
    assert gap == pytest.approx((1.0 + 0.0 + 0.3) / 3)
    assert error == pytest.approx(np.std([1.0, 0.0, 0.3], ddof=1) / np.sqrt(3))
    assert eight_table.off(rows, "best")["a"] == pytest.approx(0.91)
    line = eight_table._model("worse", rows)
    assert line[1:5] == ("1", "2.8 +- 0.0", "a by 0.433 +- 0.296", "a 0.997")


def test_every_run_is_a_process_and_a_row(tmp_path, capsys):
    """Done once; one that takes too long says so, and is not tried again."""
    out = tmp_path / "eight.json"
    asked = ["--splits", "1", "--only", "wine", "--out", str(out), "--models"]
    eight.main([*asked, "logistic"])
    eight.main([*asked, f"logistic,{eight.FOREST}", "--limit-seconds", "0.05"])
    first, second = json.loads(out.read_text())["rows"]
    assert first["nll"] == pytest.approx(eight.measure("wine", 0, "logistic", tmp_path)["nll"], rel=1e-9)
    assert second["failed"] == "took more than 0.05 s"
    text = capsys.readouterr().out
    assert "wine, split 0, random forest: no result, took more than 0.05 s." in text
    assert "| linear | 1 | 1.0 +- 0.0 |" in text


def test_what_is_run(tmp_path):
    """All models of all sets whose files are there; a Gaussian process on small ones alone; unknown names are told."""
    asked = eight.argparse.Namespace(splits=2, only=["wine", "digits", "bikesharing"], models=[], data=tmp_path)
    found = list(eight.keys(asked))
    assert [k["split"] for k in found] == sorted(k["split"] for k in found)
    assert {k["set"] for k in found} == {"wine", "digits"}
    assert {k["set"] for k in found if k["model"] == eight.GP} == {"wine"}
    assert {k["model"] for k in found} == set(eight.CLASSES)
    with pytest.raises(SystemExit):
        eight.main(["--only", "wein"])


def test_networks_of_scikit_learn():
    """Five of them: on a line with noise .3 they know the noise, and classes are told apart."""
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (400, 2))
    y = 5 + x[:, 0] + 0.3 * rng.normal(size=400)
    mean, sd = laws.networks(x, y, x[:50], 1)
    assert np.abs(mean - 5 - x[:50, 0]).mean() < 0.15
    assert 0.25 < np.median(sd) < 0.45
    p = classes.networks(x, (x[:, 0] > 0).astype(int), x[:50], 1)
    assert ((p[:, 1] > 0.5) == (x[:50, 0] > 0)).mean() > 0.9
