"""BDE's table: the split as published, scores of known mixtures, rows of ours and of theirs, its table."""

import importlib.util
import json

import numpy as np
import pytest

pytest.importorskip("bench.bde", reason="the benchmarks are part of the sources, not of the package")
from bench import bde, tables, tabular


@pytest.fixture
def folder(tmp_path):
    """A small table with a line of names."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(100, 3))
    table = np.column_stack([5 * x + 2, 100 + 10 * x[:, 0] + draw.normal(size=100)])
    np.savetxt(tmp_path / "airfoil.csv", table, delimiter=",", header="a,b,c,y", comments="")
    return tmp_path


def test_the_split_is_theirs(folder):
    """train_test_split(test_size .2, random_state 0), standardised on the training part, answers too."""
    from sklearn.model_selection import train_test_split

    table = np.loadtxt(folder / "airfoil.csv", delimiter=",", skiprows=1)
    train, test = train_test_split(table, test_size=0.2, random_state=0)
    x, y, at, answers = tabular.parts(folder / "airfoil.csv")["test"]
    np.testing.assert_allclose(y, (train[:, -1] - train[:, -1].mean()) / train[:, -1].std())
    np.testing.assert_allclose(at, (test[:, :-1] - train[:, :-1].mean(axis=0)) / train[:, :-1].std(axis=0))
    assert len(answers) == 20
    assert abs(x.mean(axis=0)).max() < 1e-12


def test_scores_of_a_mixture():
    """Two laws at +-3 of sd 1: a half each; moments know a Gaussian of variance 10."""
    y = np.tile([3.0, -3.0], 500)
    means, sds = np.tile([[3.0], [-3.0]], 1000), np.ones((2, 1000))
    found = bde.of_laws(means, sds, y)
    law = lambda z: np.exp(-z * z / 2) / np.sqrt(2 * np.pi)  # noqa: E731
    assert found["nll"] == pytest.approx(-np.log((law(0) + law(6)) / 2))
    assert found["nll_of_moments"] == pytest.approx((9 / 10 + np.log(2 * np.pi * 10)) / 2)
    assert found["rmse"] == pytest.approx(3)


def test_the_noise_counts_in_moments(folder, monkeypatch):
    """Of bench.tabular's scores: one draw of one network is one normal law, whose moments say all of it."""
    monkeypatch.setattr(tabular, "REPLICAS", 1)
    data = tabular.parts(folder / "airfoil.csv")["test"]
    table = tabular.Table(60, 20, 1, 1)
    start = tabular.descent(table, "2 x 32", data)
    found = tabular.judged(tabular.METHODS["mclmc"], 0.1, "2 x 32", data, start, 60, table, seed=3)
    assert found["nll_of_moments"] == pytest.approx(found["nll"], rel=1e-4)


@pytest.mark.slow
def test_rows_of_ours(folder, tmp_path):
    place = tmp_path / "out" / "bde.json"
    given = ["--data", str(folder), "--tables", "airfoil", "--seeds", "1", "--share", "0.002", "--out", str(place)]
    bde.main([*given, "--methods", "ours", "mclmc by hand"])
    rows = json.loads(place.read_text())["rows"]
    assert [r["method"] for r in rows] == ["ours", "mclmc by hand"]
    for r in rows:
        assert r["rmse"] < 1
        assert np.isfinite([r["nll"], r["nll_of_moments"], r["seconds"]]).all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.skipif(importlib.util.find_spec("bde") is None, reason="sklearn-contrib-bde is not installed")
def test_rows_of_theirs(folder):
    data = tabular.parts(folder / "airfoil.csv")["test"]
    short = {"n_members": 2, "epochs": 60, "warmup_steps": 50, "n_samples": 10, "n_thinning": 2}
    found = bde.theirs("airfoil", data, 0, "relu", **short)
    assert found["rmse"] < 1.5
    assert np.isfinite([found["nll"], found["nll_of_moments"]]).all()


def test_the_table():
    one = {"table": "airfoil", "method": "ours", "rmse": 0.11, "nll": -1.0, "nll_of_moments": -0.9, "seconds": 100.0}
    rows = [one | {"seed": s, "wall": 110.0, "nll_of_moments": -0.9 - s / 10} for s in (0, 1)]
    machine = {"processor": "x", "cores": 2, "vector": "y", "python": "3"}
    told = {"machine": machine, "date": "2026-01-01", "published": bde.PUBLISHED, "aims": bde.AIMS, "rows": rows}
    text = tables.bde(json.loads(json.dumps(told)))
    assert "| airfoil | ours | 2 | 0.1100 +- 0.0" in text
    assert "| -0.950 +- 0.050 | -1.000 | 100 | 110 | RMSE, NLL, time |" in text
    assert "| airfoil | XGBoost, published |  | 0.2025 |  |" in text
