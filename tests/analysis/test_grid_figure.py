"""A study's own figure: what lies where, its intervals and its numbers, and what is refused."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from cli_cases import call, check_refused

from gpu_thermo.errors import DataError, SpecError
from gpu_thermo.study import summaries
from gpu_thermo_analysis.grid_figure import check_suffix, figure, said, varied, write


def made_up(axes: dict[str, list[Any]], seeds: int = 8, **attrs: Any) -> xr.Dataset:
    """A study of every combination of these, whose accuracy is .5 and a tenth of the cell's number, with noise."""
    grid = np.meshgrid(*[np.arange(len(v)) for v in axes.values()], indexing="ij")
    count = grid[0].size
    rng = np.random.default_rng(0)
    cell = np.repeat(np.arange(count), seeds)
    data = {
        "accuracy": ("chain", 0.5 + 0.1 * cell / count + 0.01 * rng.normal(size=len(cell))),
        "steps_to_90": ("chain", 100.0 + 10 * cell), "status": ("chain", np.zeros(len(cell), int)),
    }  # fmt: skip
    coords: dict[str, Any] = {"cell": ("chain", cell), "seed_index": ("chain", np.tile(np.arange(seeds), count))}
    for (name, values), place in zip(axes.items(), grid, strict=True):
        kind = np.dtypes.StringDType() if isinstance(values[0], str) else np.float64
        coords[name] = ("chain", np.repeat(np.array(values, kind)[place.ravel()], seeds))
    study = json.dumps({"grid": axes, "method": {"name": "sgd"}, "run": {"steps": 400}})
    labels = [f"cell {i}" for i in range(count)]
    return xr.Dataset(data, coords | {"step": np.arange(20, 401, 20)}).assign_attrs(
        cells=json.dumps(labels), study=study, **attrs
    )


def texts(found: Any) -> list[str]:
    """All that is written in a picture."""
    import matplotlib.text

    return [t.get_text() for t in found.figure.findobj(matplotlib.text.Text) if t.get_text()]


def test_one_axis(tmp_path: Path):
    """Means and intervals of the table, at the values; a logarithmic axis where they are spread so."""
    study = made_up({"method.stepsize": [0.01, 0.1, 1.0]}, name="three stepsizes")
    found = figure(study)
    (panel,) = found.figure.axes
    assert panel.get_xscale() == "log"
    assert [t.get_text() for t in panel.get_xticklabels()] == ["0.01", "0.1", "1"]
    assert panel.get_xlabel() == "stepsize"
    assert "three stepsizes: mean of 8 runs, 95 % interval" in texts(found)
    assert any("test accuracy, higher is better" in t for t in texts(found))
    assert min(t.get_fontsize() for t in [panel.xaxis.label, *panel.get_xticklabels()]) >= 8
    expected = [(s.mean, s.mean_low, s.mean_high) for s in summaries(study).values()]
    np.testing.assert_allclose([row[-3:] for row in found.rows], expected)
    drawn = sorted(float(y) for line in panel.lines for y in np.atleast_1d(line.get_ydata()))
    assert all(np.isclose(drawn, v).any() for triple in expected for v in triple)
    paths = write(found, tmp_path / "p.png")
    assert [p.name for p in paths] == ["p.png", "p.csv"]
    before = [p.read_bytes() for p in paths]
    assert [p.read_bytes() for p in write(figure(study), tmp_path / "p.png")] == before
    rows = list(csv.DictReader(paths[1].read_text().splitlines()))
    assert [row["method.stepsize"] for row in rows] == ["0.01", "0.1", "1"]
    assert write(found, tmp_path / "p.svg")[0].read_text().startswith("<?xml")


def test_two_and_three_axes():
    """Numbers lie along x, fewer values are lines, the fewest panels; every combination is drawn once."""
    two = figure(made_up({"model.activation": ["relu", "tanh"], "method.stepsize": [0.1, 0.2, 0.3]}))
    (panel,) = two.figure.axes
    assert panel.get_xscale() == "linear"
    assert {"relu", "tanh", "activation"} <= set(texts(two))
    three = figure(
        made_up({"run.batch": [5, 10], "model.activation": ["relu", "tanh", "silu"], "method.stepsize": [1, 2, 3, 4]})
    )
    assert [p.get_title() for p in three.figure.axes] == ["batch (points) 5", "batch (points) 10"]
    assert len({row[:3] for row in three.rows}) == 24


def test_names_lie_apart():
    """Of texts each has a place; of more lines they stand beside each other."""
    found = figure(made_up({"method.name": ["sgd", "adam", "sgld"], "model.activation": ["relu", "tanh"]}))
    (panel,) = found.figure.axes
    assert [t.get_text() for t in panel.get_xticklabels()] == ["sgd", "adam", "sgld"]
    x = [float(v) for line in panel.lines for v in np.atleast_1d(line.get_xdata())]
    assert {round(v, 3) for v in x} >= {-0.05, 0.05, 0.95, 1.05}


def test_who_never_gets_there_is_on_top():
    """A median of all runs, open where some are missing, at the edge where half are."""
    study = made_up({"method.stepsize": [0.1, 0.2, 0.3]})
    times = study["steps_to_90"].to_numpy().copy()
    times[:6], times[8:10] = np.nan, np.nan
    found = figure(study.assign(steps_to_90=("chain", times)), "steps_to_90")
    assert [row[-3] for row in found.rows] == ["", 110.0, 120.0]
    (title,) = (t.replace("\n", " ") for t in texts(found) if "median" in t)
    assert "open: runs are missing" in title
    assert "on top: half never get there" in title
    assert [row[1:3] for row in found.rows] == [(8, 2), (8, 6), (8, 8)]


def test_more_axes_than_a_picture_has():
    """Named, with what to do; the rest counts together."""
    fields = ("method.stepsize", "run.batch", "model.hidden", "model.init_sd")
    study = made_up({field: [1, 2] for field in fields}, seeds=2)
    with pytest.raises(SpecError, match=r"4 axes \(method\.stepsize, .*--by A,B"):
        figure(study)
    assert [row[2] for row in figure(study, by=["run.batch", "model.hidden"]).rows] == [8] * 4
    with pytest.raises(SpecError, match="Did you mean"):
        figure(study, by=["run.bach"])
    many = made_up({"method.stepsize": list(range(1, 15)), "run.batch": list(range(1, 15))}, seeds=2)
    with pytest.raises(SpecError, match="14 values, more than"):
        figure(many)


def test_words():
    assert said("average_nll") == "test loss (nats) of the average"
    assert said("steps_to_90") == "steps to 90 % test accuracy"
    assert said("ess_per_gradient") == "effective draws per gradient"


def test_the_command(study: xr.Dataset, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The table as ever, and the picture; suffixes and folders that are not there are refused."""
    monkeypatch.chdir(tmp_path)
    assert varied(study) == ("method.sigma", "method.temperature.hidden")
    said = json.loads(call("table", str(store), "--json", "--plot", "p.png").stdout)
    assert said["drawn"] == ["p.png", "p.csv"]
    assert Path("p.png").stat().st_size > 10_000
    assert "Drawn: q.pdf, q.csv" in call("table", str(store), "--plot", "q.pdf", "--by", "method.sigma").stdout
    check_refused(call("table", str(store), "--plot", "p.jpeg"), ["'p.jpeg' has no known suffix"])
    assert call("table", str(store), "--plot", "no/p.png").exit_code == 1
    with pytest.raises(DataError):
        check_suffix(Path("x"))


def test_a_long_title_stays_within_the_picture() -> None:
    """It goes over to the next line."""
    named = made_up({"method.stepsize": [0.1, 0.2]}, name="five words, sixteen stepsizes, at equal physical time")
    drawn = figure(named, "accuracy").figure
    drawn.draw_without_rendering()
    (title,) = (t for t in drawn.texts if "95 %" in t.get_text())
    assert title.get_window_extent().x1 < drawn.bbox.x1
    assert "five words" in title.get_text()
