"""Predictions at points of a table: formats, names, refusals."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray
from cli_cases import call, check_refused, listing, sampled, sets


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
