"""The table of eight: splits, scores of known laws, and its table."""

import json

import numpy as np
import pytest

from bench import eight, tables


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
    found = eight._classes(p, np.arange(400) % 2)
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
