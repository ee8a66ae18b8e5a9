"""Predictions at points of a table: formats, names, refusals."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray
from cli_cases import call, check_refused, listing, sampled, sets

from gpu_thermo import predict
from gpu_thermo.errors import DataError


def test_predict_writes_all_formats(done: Path) -> None:
    Path("points.csv").write_text("note,x2,x1\n7,0.5,1\n8,-1,0.25\n9,0,0\n")
    result = call("predict", "run.zarr", "points.csv", "--out", "out.csv")
    assert result.exit_code == 0, result.stderr
    assert "3 points written to out.csv; columns left out: note" in result.stderr
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["x1", "x2", "mean_1", "variance_1", "entropy", "expected_entropy", "mutual_information"]
    assert [(float(row["x1"]), float(row["x2"])) for row in rows] == [(1, 0.5), (0.25, -1), (0, 0)]
    assert call("predict", "run.zarr", "points.csv", "--out", "out.npz").exit_code == 0
    assert call("predict", "run.zarr", "points.csv", "--out", "out.zarr", "--ensemble", "0").exit_code == 0
    with np.load("out.npz") as arrays, xarray.open_zarr("out.zarr", chunks=None, consolidated=False) as tree:
        np.testing.assert_array_equal(arrays["mean"][0], tree["mean"])
        np.testing.assert_allclose([float(row["mean_1"]) for row in rows], tree["mean"].to_numpy()[:, 0])


def test_predict_on_several_ensembles_names_them_in_each_row() -> None:
    sampled(*sets("method.stepsize=[0.1,0.1,0.1,0.1,0.2,0.2,0.2,0.2]"))
    Path("points.csv").write_text("x1,x2\n0,1\n1,0\n2,2\n")
    assert call("predict", "run.zarr", "points.csv", "--out", "out.csv").exit_code == 0
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["ensemble"], row["x1"]) for row in rows] == [(e, x) for e in "01" for x in ("0.0", "1.0", "2.0")]


def test_predict_names_targets_of_regression() -> None:
    sampled(*sets("data.name=gap", "data.train=40", "method.stepsize=0.01"))
    facts = json.loads(call("info", "run.zarr", "--json").stdout)
    assert facts["scores"]["averaged"].keys() == {"rmse", "nll"}
    feature = xarray.open_datatree("run.zarr", engine="zarr")["constant_data"]["feature"].to_numpy()[0]
    Path("points.csv").write_text(f"{feature}\n0\n1\n")
    assert call("predict", "run.zarr", "points.csv", "--out", "out.csv").exit_code == 0
    with open("out.csv", newline="") as file:
        names = next(csv.reader(file))
    assert [name.rpartition("_")[0] for name in names[1:]] == [
        *("mean", "variance", "aleatoric_variance", "total_variance"),
        *("quantile_0.05", "quantile_0.5", "quantile_0.95"),
        *("mean_quantile_0.05", "mean_quantile_0.5", "mean_quantile_0.95"),
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x1\n1\n", ["no column 'x2'"]),
        ("x1,x2\n1,2\n1,\n", ["line 3", "column 'x2'", "missing"]),
        ("x1,x2\n1,2\nabc,3\n", ["line 3", "column 'x1'", "'abc' is not a number"]),
        ("1,2\n3,4\n", ["all numbers", "header"]),
        ("x1,x2\n", ["no rows"]),
        ("", ["empty"]),
    ],
)
def test_predict_refuses_bad_points(folder: Path, text: str, words: Sequence[str], done: Path) -> None:
    Path("points.csv").write_text(text)
    before = listing(folder)
    check_refused(call("predict", "run.zarr", "points.csv", "--out", "out.csv"), ["points.csv", *words])
    assert listing(folder) == before


def test_outputs_are_never_replaced_silently(folder: Path, done: Path) -> None:
    Path("points.csv").write_text("x1,x2\n1,2\n")
    Path("out.csv").write_text("precious")
    check_refused(call("predict", "run.zarr", "points.csv", "--out", "out.csv"), ["out.csv", "exists", "--overwrite"])
    assert Path("out.csv").read_text() == "precious"
    assert call("predict", "run.zarr", "points.csv", "--out", "out.csv", "--overwrite").exit_code == 0
    check_refused(
        call("predict", "run.zarr", "points.csv", "--out", "run.zarr", "--overwrite"), ["run.zarr", "is a folder"]
    )
    check_refused(call("predict", "run.zarr", "points.csv", "--out", "out.xls"), ["out.xls", ".csv", ".npz", ".zarr"])
    check_refused(call("predict", "run.zarr", "points.csv", "--out", "no/out.csv"), ["'no' does not exist"])
    check_refused(call("predict", "run.zarr", "points.csv", "--out", "new.csv", "--ensemble", "5"), ["ensemble 5"])


RAW = "id,colour,age,when,y\n" + "".join(
    f"{i},{('red', 'blue', 'green')[i % 3]},{'' if i % 10 == 0 else i * 7 % 60},2022-{1 + i % 12:02d}-{1 + i % 28:02d},"
    f"{i * 31 % 17 + 10 * (i % 3)}.5\n"
    for i in range(120)
)  # fmt: skip


def test_a_raw_table_from_sample_to_predict(folder: Path) -> None:
    """What became of columns is said before, during and after; later tables come as the first did."""
    Path("t.csv").write_text(RAW)
    Path("spec.toml").write_text(
        '[data]\nname = "csv"\npath = "t.csv"\ntarget = "y"\n[model]\nhidden = 4\nprior_sd = 1.0\n'
        '[method]\nname = "langevin"\nstepsize = 0.01\nfriction = 1.0\ntemperature = 0.01\n'
        '[run]\nreplicas = 8\nsteps = 40\nburn_in = 20\nthin = 10\nkeep = ["parameters"]\n'
    )
    plan = json.loads(call("sample", "spec.toml", "--dry-run", "--json").stdout)
    assert plan["columns"] == [
        "colour: 3 categories (blue, green, red)", "age: number, missing values filled in with the mean and marked",
        "when: date: year, month, weekday", "id: left out, its 120 values, all different, number the rows",
    ]  # fmt: skip
    result = call("sample", "spec.toml", "--out", "run.zarr")
    assert result.exit_code == 0, result.stderr
    assert "column id: left out" in result.stderr
    assert json.loads(call("info", "run.zarr", "--json").stdout)["columns"] == plan["columns"]
    Path("points.csv").write_text("when,colour,age,note\n2022-05-01,red,,a\n2022-06-01,blue,7.5,b\n")
    result = call("predict", "run.zarr", "points.csv", "--out", "out.csv")
    assert "columns left out: note" in result.stderr
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [[row[name] for name in ("colour", "age", "when")] for row in rows] == [
        ["red", "", "2022-05-01"], ["blue", "7.5", "2022-06-01"],
    ]  # fmt: skip
    frame = {"colour": ["red", "blue"], "age": [np.nan, 7.5], "when": ["2022-05-01", "2022-06-01"]}
    np.testing.assert_allclose(predict("run.zarr", frame)["mean"][0, :, 0], [float(row["mean_y"]) for row in rows])
    with pytest.warns(UserWarning, match="Column 'colour' has texts that the run's data had not"):
        predict("run.zarr", frame | {"colour": ["teal", "blue"]})
    for key, value, said in (
        ("colour", [None, "red"], "Column 'colour', row 1: the value is missing"),
        ("age", ["old", "new"], "Column 'age' holds 'old', and in the data of the run numbers"),
        ("when", [1.0, 2.0], "Column 'when' holds 1.0, and in the data of the run dates"),
    ):
        with pytest.raises(DataError, match=said):
            predict("run.zarr", frame | {key: value})
    with pytest.raises(DataError, match="no column 'age'"):
        predict("run.zarr", {"colour": ["red"], "when": ["2022-05-01"]})
    assert call("resume", "run.zarr", "--draws", "2").exit_code == 0
    assert call("map", "run.zarr", "--out", "m.png").exit_code == 0


def test_many_points_are_written_in_blocks(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same file as of all at once, with lines that say how far it is, and nothing left behind by a failure."""
    from gpu_thermo_cli import predict as command

    g = np.random.default_rng(0)
    np.savetxt("points.csv", g.normal(size=(50, 2)), delimiter=",", header="x1,x2", comments="")
    assert call("predict", "run.zarr", "points.csv", "--out", "whole.csv").exit_code == 0
    monkeypatch.setattr(command, "BLOCK", 16)
    monkeypatch.setattr(command, "INTERVAL", 0.0)
    found = call("predict", "run.zarr", "points.csv", "--out", "blocks.csv")
    assert "16 of 50 points, 0:0" in found.stderr
    assert "50 points written to blocks.csv" in found.stderr
    whole, blocks = (np.loadtxt(name, delimiter=",", skiprows=1) for name in ("whole.csv", "blocks.csv"))
    np.testing.assert_allclose(blocks, whole, rtol=1e-12)
    monkeypatch.setattr(command, "columns", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        command._write_blocks(lambda part: None, Path("lost.csv"), {"x1": np.zeros(3)}, True)
    assert not list(Path().glob("lost*"))
