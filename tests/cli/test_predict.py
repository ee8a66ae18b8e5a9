"""Predictions at points of a table: formats, names, refusals."""

import csv
import errno
import json
import re
import signal
import time
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
    assert "3 points written to out.csv, answered by the 32 networks of run.zarr; not used by the run: note" in (
        result.stderr
    )
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == [
        "note", "x2", "x1", "predicted", "probability_0", "probability_1", "epistemic", "outside", "mean_1",
        "variance_1", "entropy", "expected_entropy", "mutual_information",
    ]  # fmt: skip
    assert [(row["note"], row["x1"], row["x2"]) for row in rows] == [
        ("7", "1", "0.5"),
        ("8", "0.25", "-1"),
        ("9", "0", "0"),
    ]
    for row in rows:
        p = [float(row["probability_0"]), float(row["probability_1"])]
        assert (sum(p), row["predicted"]) == (pytest.approx(1), "01"[p[1] > p[0]])
    assert call("predict", "run.zarr", "points.csv", "--out", "out.npz").exit_code == 0
    assert call("predict", "run.zarr", "points.csv", "--out", "out.zarr", "--ensemble", "0").exit_code == 0
    with np.load("out.npz") as arrays, xarray.open_zarr("out.zarr", chunks=None, consolidated=False) as tree:
        np.testing.assert_array_equal(arrays["mean"][0], tree["mean"])
        np.testing.assert_allclose([float(row["mean_1"]) for row in rows], tree["mean"].to_numpy()[:, 0], rtol=1e-6)


def test_predict_on_several_ensembles_names_them_in_each_row() -> None:
    sampled(*sets("method.stepsize=[0.1,0.1,0.1,0.1,0.2,0.2,0.2,0.2]"))
    Path("points.csv").write_text("x1,x2\n0,1\n1,0\n2,2\n")
    assert call("predict", "run.zarr", "points.csv", "--out", "out.csv").exit_code == 0
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["ensemble"], row["x1"]) for row in rows] == [(e, x) for e in "01" for x in "012"]


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
        *("mean", "sd", "low", "high", "epistemic_sd", ""),
        *("variance", "aleatoric_variance", "total_variance"),
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
    assert "not used by the run: note" in result.stderr
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [[row[name] for name in ("colour", "age", "when")] for row in rows] == [
        ["red", "", "2022-05-01"], ["blue", "7.5", "2022-06-01"],
    ]  # fmt: skip
    frame = {"colour": ["red", "blue"], "age": [np.nan, 7.5], "when": ["2022-05-01", "2022-06-01"]}
    mean = predict("run.zarr", frame)["mean"][0, :, 0]
    np.testing.assert_allclose(mean, [float(row["mean_y"]) for row in rows], rtol=1e-6)
    with pytest.warns(UserWarning, match="Column 'colour': 1 of 2 rows hold texts that the run's data had not"):
        predict("run.zarr", frame | {"colour": ["teal", "blue"]})
    for key, value, said in (
        ("colour", [None, "red"], "Column 'colour', row 1: the value is missing"),
        ("age", ["old", "new"], "Column 'age' holds 'old', and in the data of the run numbers"),
        ("when", ["1.2.2022", "x"], "Column 'when', row 2: 'x' is no date"),
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
    from gpu_thermo_cli import answer_files as command

    g = np.random.default_rng(0)
    np.savetxt("points.csv", g.normal(size=(50, 2)), delimiter=",", header="x1,x2", comments="")
    assert call("predict", "run.zarr", "points.csv", "--out", "whole.csv").exit_code == 0
    monkeypatch.setattr(command, "BLOCK", 16)
    monkeypatch.setattr(command, "INTERVAL", 0.0)
    found = call("predict", "run.zarr", "points.csv", "--out", "blocks.csv")
    assert re.search(r"16 of 50 points, \d+:\d\d", found.stderr)
    assert "50 points written to blocks.csv" in found.stderr
    whole, blocks = (np.loadtxt(name, delimiter=",", skiprows=1) for name in ("whole.csv", "blocks.csv"))
    np.testing.assert_allclose(blocks, whole, rtol=1e-12)
    monkeypatch.setattr(command, "columns", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        call("predict", "run.zarr", "points.csv", "--out", "lost.csv")
    assert not list(Path().glob("lost*"))


ODD = '"x2";x1;"a ""note"""\r\n0.50;1e0;"semi;colon"\r\n\r\n-1; .25 ;"two\nlines"\r\n'


def test_cells_stay_as_they_are(done: Path) -> None:
    """Byte for byte: quotes, blanks, line ends, semicolons and a byte order mark."""
    Path("points.csv").write_bytes(b"\xef\xbb\xbf" + ODD.encode())
    assert call("predict", "run.zarr", "points.csv", "--out", "out.csv", "--brief").exit_code == 0
    written = Path("out.csv").read_bytes()
    assert written.startswith(b"\xef\xbb\xbf")
    records = written.decode("utf-8-sig").split("\r\n")
    given = ['"x2";x1;"a ""note"""', '0.50;1e0;"semi;colon"', '-1; .25 ;"two\nlines"']
    for record, text in zip(records, given, strict=False):
        assert record.startswith(f"{text};")
    assert records[0].endswith(";predicted;probability_0;probability_1;epistemic;outside")
    assert call("predict", "run.zarr", "points.csv", "--out", "two.csv", "--columns", "x1,x2").exit_code == 0
    assert Path("two.csv").read_text(encoding="utf-8-sig").startswith("x1;x2;predicted;")
    assert call("predict", "run.zarr", "points.csv", "--out", "none.csv", "--columns", "none").exit_code == 0
    assert Path("none.csv").read_text(encoding="utf-8-sig").startswith("predicted;")
    check_refused(
        call("predict", "run.zarr", "points.csv", "--out", "x.csv", "--columns", "x3"), ["'x3'", "Known: x2, x1"]
    )
    check_refused(call("predict", "run.zarr", "out.csv", "--out", "x.csv"), ["'predicted' already", "--columns none"])
    check_refused(call("predict", "run.zarr", "points.csv", "--out", "x.csv", "--interval", "2"), ["--interval 2"])


def test_a_column_alone_has_cells_without_values(done: Path) -> None:
    """Every row has as many cells as the head, where the one column that is kept is empty, too."""
    pandas = pytest.importorskip("pandas")
    Path("points.csv").write_text("id,x1,x2\n7,1,0\n,0,1\n")
    pandas.DataFrame({"id": ["7", None], "x1": [1.0, 0.0], "x2": [0.0, 1.0]}).to_parquet("points.parquet")
    for points in ("points.csv", "points.parquet"):
        assert call("predict", "run.zarr", points, "--out", f"{points}.csv", "--columns", "id").exit_code == 0
        with open(f"{points}.csv", newline="") as file:
            rows = list(csv.reader(file))
        assert {len(row) for row in rows} == {len(rows[0])}
        assert [row[0] for row in rows] == ["id", "7", ""]


def test_columns_of_one_name(done: Path) -> None:
    """They stay beside each other in CSV; which is meant, and what Parquet makes of them, nobody knows."""
    pytest.importorskip("pyarrow")
    Path("points.csv").write_text("id, id,x1, x2\n7,8,1,0\n")
    assert call("predict", "run.zarr", "points.csv", "--out", "out.csv").exit_code == 0
    assert Path("out.csv").read_text().splitlines()[0].startswith("id, id,x1, x2,predicted,")
    one = call("predict", "run.zarr", "points.csv", "--out", "x.csv", "--columns", "id")
    check_refused(one, ["'id'", "2 such columns"])
    Path("points.csv").write_text("id,id,x1, x2\n7,8,1,0\n")
    check_refused(call("predict", "run.zarr", "points.csv", "--out", "x.parquet"), ["2 columns 'id'", "--columns"])
    assert call("predict", "run.zarr", "points.csv", "--out", "x.parquet", "--columns", "x2").exit_code == 0
    Path("points.csv").write_text("\n  \nx1,x2\n1,0\n")
    check_refused(call("predict", "run.zarr", "points.csv", "--out", "y.parquet"), ["points.csv", "as .csv"])
    assert not Path("y.parquet").exists()
    named = call("predict", "run.zarr", "points.csv", "--out", "y.npz", "--columns", "x1")
    check_refused(named, ["--columns goes with .csv and .parquet"])


def test_parquet_in_and_out(done: Path) -> None:
    """The same answers as of a CSV file, beside columns of the same types."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    frame = pandas.DataFrame({"x1": [1.0, 0.25], "when": pandas.to_datetime(["2020-01-01", None]), "x2": [0.5, -1.0]})
    frame.to_parquet("points.parquet")
    frame.to_csv("points.csv", index=False)
    for source, out in (("csv", "a.csv"), ("parquet", "b.parquet"), ("csv", "c.parquet"), ("parquet", "d.csv")):
        assert call("predict", "run.zarr", f"points.{source}", "--out", out).exit_code == 0
    found = [pandas.read_csv("a.csv"), pandas.read_parquet("b.parquet"), pandas.read_parquet("c.parquet"),
             pandas.read_csv("d.csv")]  # fmt: skip
    assert found[1]["when"].dtype.kind == "M"
    for one in found[1:]:
        assert list(one) == list(found[0])
        np.testing.assert_allclose(one["probability_1"], found[0]["probability_1"], rtol=1e-6)
    pandas.testing.assert_frame_equal(found[1][list(frame)], frame)
    frame.drop(columns="x2").rename(columns={"when": "x22"}).to_parquet("few.parquet")
    check_refused(
        call("predict", "run.zarr", "few.parquet", "--out", "x.csv"), ["no column 'x2'", "Did you mean 'x22'"]
    )


def test_digits_of_answers(done: Path) -> None:
    """Those that networks compute in, or all that the average has."""
    Path("points.csv").write_text("id,x1,x2\n007,0.5,1\n7,1,0.25\n")
    for out, more in (("few.csv", ()), ("all.csv", ("--digits", "17")), ("two.csv", ("--digits", "2"))):
        assert call("predict", "run.zarr", "points.csv", "--out", out, "--full", *more).exit_code == 0
    exact = predict("run.zarr", np.array([[0.5, 1], [1, 0.25]]))["mean"].to_numpy()[0, :, 0]
    texts = {}
    for name in ("few", "all", "two"):
        with open(f"{name}.csv", newline="") as file:
            texts[name] = [row["mean_1"] for row in csv.DictReader(file)]
    assert [float(text) for text in texts["all"]] == exact.tolist()
    assert texts["few"] == [f"{v:.7g}" for v in exact]
    assert texts["two"] == [f"{v:.2g}" for v in exact]
    none = call("predict", "run.zarr", "points.csv", "--out", "x.csv", "--digits", "0")
    check_refused(none, ["--digits"])
    pandas = pytest.importorskip("pandas")
    assert call("predict", "run.zarr", "points.csv", "--out", "out.parquet").exit_code == 0
    assert pandas.read_parquet("out.parquet")["id"].tolist() == ["007", "7"]


def test_quantiles_ask_for_all_that_is_known(done: Path) -> None:
    Path("points.csv").write_text("x1,x2\n0.5,1\n")
    assert call("predict", "run.zarr", "points.csv", "--out", "brief.csv", "--brief").exit_code == 0
    assert "entropy" not in Path("brief.csv").read_text()
    refused = call("predict", "run.zarr", "points.csv", "--out", "x.csv", "--brief", "--quantiles", "0.1")
    check_refused(refused, ["--quantiles 0.1", "--brief", "leave out one"])


def test_rows_far_outside_are_told(done: Path) -> None:
    Path("points.csv").write_text("x1,x2\n0,0\n40,0\n0,-90\n50,50\n")
    found = call("predict", "run.zarr", "points.csv", "--out", "out.csv")
    assert "Warning: 3 of 4 rows lie outside the data that were learned from ('x1' in 2, 'x2' in 2;" in found.stderr
    far = np.genfromtxt("out.csv", delimiter=",", names=True)["outside"]
    assert far[0] == 0
    assert (far[1:] > 5).all()


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_predict_that_is_stopped_leaves_nothing(done: Path, how: signal.Signals, code: int) -> None:
    """By Ctrl-C or SIGTERM; what kill -9 left of another is written over, with a word."""
    from gpu_thermo_cli import answer_files as command

    Path("points.csv").write_text("x1,x2\n1,2\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(command, "columns", lambda *_: signal.raise_signal(how) or time.sleep(5))
        found = call("predict", "run.zarr", "points.csv", "--out", "out.csv")
    assert found.exit_code == code
    assert not list(Path().glob("out.csv*"))
    Path("out.csv.partial").write_text("x1,x2\n1,")
    found = call("predict", "run.zarr", "points.csv", "--out", "out.csv")
    assert "out.csv.partial, left by a command that was killed, is written over" in found.stderr
    assert [path.name for path in Path().glob("out.csv*")] == ["out.csv"]


def test_a_full_disk(done: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_thermo_cli import answer_files as command

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    Path("points.csv").write_text("x1,x2\n1,2\n")
    monkeypatch.setattr(command, "columns", full)
    found = call("predict", "run.zarr", "points.csv", "--out", "out.csv")
    assert found.exit_code == 1
    assert "The disk of 'out.csv' is full, and nothing of it is kept" in found.stderr
