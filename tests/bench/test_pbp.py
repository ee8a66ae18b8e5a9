"""The PBP table: splits as published, scores of known laws, peers whole, a second start does nothing, its table."""

import importlib.util
import json

import numpy as np
import pytest

pytest.importorskip("bench.pbp", reason="the benchmarks are part of the sources, not of the package")
from bench import pbp, tables
from bench.common import DATA
from bench.peers import laws

HELD = DATA / "pbp"


@pytest.fixture
def folder(tmp_path):
    """Small files as published: a line of names, splits of a tenth."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(60, 3))
    table = np.column_stack([x, 100 + 10 * (x[:, 0] + 0.3 * draw.normal(size=60))])
    np.savetxt(tmp_path / "yacht.csv", table, delimiter=",", header="a,b,c,y", comments="")
    test = np.zeros((2, 60), bool)
    test[0, :6] = test[1, 6:12] = True
    np.savez(tmp_path / "yacht_splits.npz", test=test)
    return tmp_path


def test_splits(folder):
    x, y, at, answers = pbp.split_of("yacht", 1, folder)
    assert x.shape == (54, 3)
    table = np.loadtxt(folder / "yacht.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(answers, table[6:12, -1])
    np.testing.assert_array_equal(at, table[6:12, :-1])
    assert len(y) == 54


@pytest.mark.skipif(not HELD.exists(), reason=f"{HELD} is not there")
def test_the_published_splits_are_whole():
    for name in pbp.SETS:
        x, y, at, answers = pbp.split_of(name, 19, HELD)
        assert len(at) == pytest.approx((len(x) + len(at)) / 10, abs=1)
        assert all(np.isfinite(part).all() for part in (x, y, at, answers))


def test_scores_of_a_normal_law():
    """Of y = 3 g + 5: log likelihood -log 3 - (1 + log 2 pi)/2; a mean off by one sd costs 1/2."""
    y = 5 + 3 * np.random.default_rng(1).normal(size=40_000)
    law = lambda off: lambda x, y, at, seed: (np.full(len(at), 5.0 + off), np.full(len(at), 3.0))  # noqa: E731
    exact = -np.log(3) - 0.5 - 0.5 * np.log(2 * np.pi)
    for off, loss in ((0.0, 0.0), (3.0, 0.5)):
        found = pbp.normal(law(off), None, None, y, y, 0)
        assert found["log_likelihood"] == pytest.approx(exact - loss, abs=0.02)
        assert found["rmse"] == pytest.approx(np.hypot(3, off), rel=0.02)
    assert pbp.normal(law(0.0), None, None, y, y, 0)["coverage"] == pytest.approx(0.9, abs=0.01)


@pytest.mark.filterwarnings("ignore:The optimal value")
@pytest.mark.parametrize("name", ["ridge", "process", "process_of_some", "boosted"])
def test_peers_know_a_line(name, folder):
    """Mean within the noise, sd near it; in units of the target."""
    if name == "boosted" and importlib.util.find_spec("ngboost") is None:
        pytest.skip("ngboost is not installed")
    x, y, at, answers = pbp.split_of("yacht", 0, folder)
    mean, sd = getattr(laws, name)(x, y, at, 0)
    assert mean.shape == sd.shape == answers.shape
    assert np.sqrt(((mean - answers) ** 2).mean()) < 8
    assert sd.min() > 0.05
    assert sd.max() < 15


@pytest.mark.slow
def test_deep_ensembles_know_a_line(folder):
    x, y, at, answers = pbp.split_of("yacht", 0, folder)
    mean, sd = laws.deep_ensemble(x, y, at, 0, epochs=400, rate=0.01)
    assert np.sqrt(((mean - answers) ** 2).mean()) < 8
    assert sd.min() > 0.5
    assert sd.max() < 20
    again = laws.deep_ensemble(x, y, at, 0, epochs=400, rate=0.01)
    np.testing.assert_array_equal(mean, again[0])


@pytest.mark.slow
def test_ours_gives_rows(folder, tmp_path):
    place = tmp_path / "out" / "pbp.json"
    place.parent.mkdir()
    given = ["--data", str(folder), "--sets", "yacht", "--splits", "1", "--out", str(place), "--methods", pbp.OURS]
    pbp.main(given)
    (row,) = json.loads(place.read_text())["rows"]
    assert row["rmse"] < 8
    assert row["log_likelihood"] > -5
    pbp.main([*given, "BayesianRidge"])
    assert [r["method"] for r in json.loads(place.read_text())["rows"]] == [pbp.OURS, "BayesianRidge"]


def test_the_table():
    one = {"set": "yacht", "rmse": 0.5, "log_likelihood": -1.0, "coverage": 0.9, "seconds": 3.0}
    rows = [one | {"method": pbp.OURS, "split": s, "trusted": True, "log_likelihood": -1.0 - s / 10} for s in (0, 1)]
    rows += [one | {"method": "deep ensemble", "split": 0}]
    machine = {"processor": "x", "cores": 2, "vector": "y", "python": "3"}
    published = {"dropout": pbp.DROPOUT, "deep ensembles": pbp.DEEP_ENSEMBLES}
    text = tables.pbp({"machine": machine, "date": "2026-01-01", "published": published, "rows": rows})
    assert "| yacht | ours | 2 | 0.500 +- 0.000 | -1.050 +- 0.050 | 0.900 | 3.0 | 2 of 2 |" in text
    assert "| yacht | dropout, published |  | 0.67 | -1.25 |" in text
    assert "| ours: better than dropout, published | 1 of 1 (yacht) |" in text
    assert "| ours: better than deep ensembles here | 0 of 1 () |" in text
