"""The command line: every command on a tiny run, every bad input refused with nothing left behind, signals, pipes,
import cost.
"""

import csv
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import xarray
from typer.testing import CliRunner

from gpu_thermo.spec.run import RunSpec
from gpu_thermo.store import read_header
from gpu_thermo_cli import output
from gpu_thermo_cli.arguments import parse_duration
from gpu_thermo_cli.main import app
from gpu_thermo_cli.progress import Meter, bar, line

PROGRAM = [sys.executable, "-m", "gpu_thermo_cli.main"]
SPEC = """
[data]
name = "spirals"
train = 40
test = 20
[model]
hidden = 4
[method]
name = "adlala"
[run]
replicas = 8
steps = 40
burn_in = 20
thin = 5
batch = 10
trace = 10
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder but for run.toml."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("FORCE_COLOR", "GPU_THERMO_DEBUG", "PY_COLORS"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "run.toml").write_text(SPEC)
    return tmp_path


def call(*arguments: str) -> Any:
    """Run one command in this process."""
    result = CliRunner().invoke(app, list(arguments), prog_name="gpu-thermo")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def sampled(*more: str) -> dict[str, Any]:
    """Sample run.toml to run.zarr and return the JSON summary."""
    result = call("sample", "run.toml", "--json", "--quiet", *more)
    assert result.exit_code == 0, result.stderr
    return dict(json.loads(result.stdout))


@pytest.fixture(scope="session")
def master(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of run.toml, sampled once."""
    where = tmp_path_factory.mktemp("master")
    (where / "run.toml").write_text(SPEC)
    assert call("sample", str(where / "run.toml"), "--out", str(where / "run.zarr"), "--quiet").exit_code == 0
    return where / "run.zarr"


@pytest.fixture
def done(folder: Path, master: Path) -> Path:
    """A copy of it, as run.zarr in the current folder."""
    return Path(shutil.copytree(master, folder / "run.zarr"))


def sets(*changes: str) -> list[str]:
    return [word for change in changes for word in ("--set", change)]


# -- sample and resume -------------------------------------------------------------------------------------------------


def test_sample_prints_the_bill_the_summary_and_what_to_do_next() -> None:
    result = call("sample", "run.toml")
    assert result.exit_code == 0
    assert "8 replicas of 17 parameters, 40 steps, 4 draws each" in result.stderr
    assert "of memory" in result.stderr
    assert "run.zarr, complete" in result.stdout
    assert "test accuracy" in result.stdout
    assert "gpu-thermo map run.zarr --out map.png" in result.stderr


def test_sample_json_is_json_alone_on_stdout() -> None:
    result = call("sample", "run.toml", "--json")
    summary = json.loads(result.stdout)
    assert summary["complete"]
    assert (summary["draws"], summary["replicas"], summary["parameters"], summary["ensembles"]) == (4, 8, 17, 1)
    assert 0 <= summary["scores"]["averaged"]["accuracy"] <= 1
    assert summary["bytes"] > 0
    assert "replicas" in result.stderr


def test_quiet_prints_nothing() -> None:
    result = call("sample", "run.toml", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_without_a_spec_one_key_changes_the_embedded_default() -> None:
    plan = json.loads(call("sample", "--dry-run", "--json", *sets("run.replicas=3", "method.stepsize=0.2")).stdout)
    assert (plan["replicas"], plan["steps"]) == (3, RunSpec().run.steps)
    short = sets(
        "method.stepsize=0.2",
        "data.train=40",
        "run.steps=10",
        "run.burn_in=5",
        "run.thin=5",
        "run.replicas=2",
        "model.hidden=2",
    )
    assert call("sample", "--quiet", *short).exit_code == 0
    method = json.loads(read_header("run.zarr").spec)["method"]
    assert (method["stepsize"], method["epsilon"]) == (0.2, 0.01)


def test_set_keeps_brackets_and_lists() -> None:
    sampled(*sets("data.seeds=[3, 4]", 'run.keep=["predictions"]', "method.stepsize=[0.1,0.1,0.1,0.1,0.2,0.2,0.2,0.2]"))
    spec = json.loads(read_header("run.zarr").spec)
    assert spec["data"]["seeds"] == [3, 4]
    assert spec["run"]["keep"] == ["predictions"]
    info = json.loads(call("info", "run.zarr", "--json").stdout)
    assert info["ensembles"] == 4
    assert not any("map" in command for command in info["next"])


def test_paths_in_a_spec_start_at_the_spec(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "points.csv").write_text("a,b,y\n" + "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(40)))
    (folder / "sub" / "mine.toml").write_text(
        SPEC.replace('name = "spirals"\ntrain = 40\ntest = 20', 'name = "csv"\npath = "points.csv"\ntarget = "y"')
    )
    assert call("sample", "sub/mine.toml", "--quiet").exit_code == 0
    assert read_header("mine.zarr").draws == 4


def test_overwrite_replaces_a_run_and_nothing_else(folder: Path, done: Path) -> None:
    before = read_header("run.zarr").created_at
    refused = call("sample", "run.toml")
    assert refused.exit_code == 2
    assert "run.zarr' exists already" in refused.stderr
    assert "--overwrite" in refused.stderr
    assert read_header("run.zarr").created_at == before
    assert call("sample", "run.toml", "--overwrite", "--quiet", *sets("run.replicas=4")).exit_code == 0
    assert read_header("run.zarr").replicas == 4
    (folder / "mine").mkdir()
    (folder / "mine" / "thesis.txt").write_text("precious")
    assert call("sample", "run.toml", "--out", "mine", "--overwrite").exit_code == 2
    assert (folder / "mine" / "thesis.txt").read_text() == "precious"


def test_time_limit_stops_in_good_order_and_resume_finishes() -> None:
    long = sets("run.steps=8000020", "run.thin=80000", "run.trace=80000")
    summary = sampled("--time-limit", "0.3s", *long)
    assert 0 < summary["step"] < 8_000_020
    assert not summary["complete"]
    again = call("resume", "run.zarr", "--time-limit", "0.3s")
    assert again.exit_code == 0
    assert "stopped at step" in again.stdout
    assert "gpu-thermo resume run.zarr" in again.stderr
    assert read_header("run.zarr").step > summary["step"]


def test_resume_adds_draws_and_refuses_another_spec(done: Path) -> None:
    more = json.loads(call("resume", "run.zarr", "--draws", "2", "--json").stdout)
    assert (more["draws"], more["total_draws"], more["complete"]) == (6, 6, True)
    Path("other.toml").write_text(SPEC.replace("hidden = 4", "hidden = 5").replace("batch = 10", "batch = 8"))
    refused = call("resume", "run.zarr", "other.toml")
    assert refused.exit_code == 2
    assert "model.hidden" in refused.stderr
    assert "run.batch" in refused.stderr
    assert read_header("run.zarr").draws == 6


def test_dry_run_writes_nothing(folder: Path) -> None:
    before = listing(folder)
    result = call("sample", "run.toml", "--dry-run")
    assert result.exit_code == 0
    for text in ("BACDEDCAB", "BAOAB", "memory", "disk", "theta += h p", "evaluate energy and gradient"):
        assert text in result.stdout
    plan = json.loads(call("sample", "run.toml", "--dry-run", "--json").stdout)
    assert plan["words"] == {"hidden": ["BACDEDCAB", 12], "output": ["BAOAB", 5]}
    assert plan["disk_bytes"] > 0
    assert listing(folder) == before


def test_frozen_replicas_are_warned_of_with_the_remedy() -> None:
    result = call("sample", "run.toml", *sets("method.stepsize=[0.1,0.1,0.1,0.1,0.1,0.1,1e30,1e30]"))
    assert result.exit_code == 0
    assert "Warning: 2 replicas of 8 frozen (6, 7; step" in result.stderr
    assert "smaller stepsize" in result.stderr
    info = json.loads(call("info", "run.zarr", "--json").stdout)
    assert sum(cause["replicas"] for cause in info["frozen"]) == 2
    assert "frozen" in call("info", "run.zarr").stderr


def test_all_replicas_frozen_is_exit_1() -> None:
    result = call("sample", "run.toml", *sets("method.stepsize=1e30"))
    assert result.exit_code == 1
    assert "Every replica is frozen" in result.stderr
    assert "smaller stepsize" in result.stderr


# -- the other commands ------------------------------------------------------------------------------------------------


def test_info_shows_spec_sizes_and_versions(done: Path) -> None:
    result = call("info", "run.zarr")
    assert result.exit_code == 0
    for text in (
        "step 40 of 40",
        "4 of 4 draws",
        "resumable: yes",
        "[method]",
        'name = "adlala"',
        "numpy",
        "parameters, predictions",
    ):
        assert text in result.stdout
    facts = json.loads(call("info", "run.zarr", "--json").stdout)
    assert facts["spec"]["run"]["replicas"] == 8
    assert facts["sizes"]["posterior"]["chain"] == 8
    assert facts["resumable"] == "yes"


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
    assert [name.rpartition("_")[0] for name in names[1:]] == ["mean", "variance", "total_variance"]


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


def test_map_draws_and_saves(folder: Path, done: Path) -> None:
    result = call("map", "run.zarr", "--out", "map.png", "--data", "map.zarr", "--resolution", "20")
    assert result.exit_code == 0, result.stderr
    assert "map in map.png, its numbers in map.zarr" in result.stderr
    assert (folder / "map.png").read_bytes()[:4] == b"\x89PNG"
    with xarray.open_zarr("map.zarr", chunks=None, consolidated=False) as numbers:
        assert numbers["mean"].shape == (20, 20, 1)
    check_refused(call("map", "run.zarr", "--out", "map.png"), ["map.png", "exists", "--overwrite"])
    check_refused(call("map", "run.zarr", "--out", "new.png", "--features", "x1,x3"), ["'x3'", "Features: x1, x2"])
    check_refused(call("map", "run.zarr", "--out", "new.png", "--ensemble", "4"), ["ensemble 4"])


def test_map_says_what_is_held_fixed() -> None:
    sampled(*sets("data.name=wine"))
    chosen = call("map", "run.zarr", "--out", "chosen.svg", "--resolution", "10", "--features", "alcohol, hue")
    assert chosen.exit_code == 0, chosen.stderr
    assert "11 other features held" in chosen.stderr


def test_sample_draws_the_map_in_one_command(folder: Path) -> None:
    result = call("sample", "run.toml", "--map", "spirals.png", "--json")
    assert json.loads(result.stdout)["map"] == "spirals.png"
    assert (folder / "spirals.png").stat().st_size > 10_000


def test_diagnose_prints_tables_and_verdicts(done: Path) -> None:
    result = call("diagnose", "run.zarr")
    assert result.exit_code == 0, result.stderr
    for text in ("R-hat", "ESS bulk", "kinetic", "hidden", "Ensemble 0 (8 chains, 4 draws each)", "!! "):
        assert text in result.stdout
    found = json.loads(call("diagnose", "run.zarr", "--json").stdout)
    assert found["ensembles"][0]["chains"] == 8
    check_refused(call("diagnose", "run.zarr", "--ensemble", "3"), ["ensemble 3"])


def test_methods_lists_and_shows() -> None:
    listed = call("methods")
    assert "adlala" in listed.stdout
    assert "hidden BACDEDCAB" in listed.stdout
    assert json.loads(call("methods", "--json").stdout)["sgld"]["update"] == "sgld"
    one = call("methods", "lol")
    assert "{hidden = 0.01, output = inf}" in one.stdout
    assert json.loads(call("methods", "lol", "--json").stdout)["defaults"]["friction"]["output"] == "Infinity"
    check_refused(call("methods", "adlal"), ["'adlal'", "Did you mean 'adlala'?"])


def test_datasets_lists_and_shows() -> None:
    assert "breast_cancer" in call("datasets").stdout
    one = call("datasets", "csv")
    assert "(required)" in one.stdout
    assert json.loads(call("datasets", "gap", "--json").stdout)["options"]["train"]["default"] == 100
    assert json.loads(call("datasets", "--json").stdout).keys() >= {"spirals", "mnist", "npz"}
    check_refused(call("datasets", "spiral"), ["'spiral'", "Did you mean 'spirals'?"])


def test_doctor_says_what_a_run_would_use() -> None:
    found = json.loads(call("doctor", "--json").stdout)
    assert found["packages"]["numpy"] == np.__version__
    assert "engine" in found["default_run"]
    assert "cores usable" in call("doctor").stdout


@pytest.mark.parametrize(
    "command",
    ["methods", "datasets", "methods adlala", "datasets csv", "doctor", "sample --dry-run", "info run.zarr", "-h"],
)
def test_screens_are_plain_and_fit_80_columns(command: str, done: Path) -> None:
    shown = call(*command.split()).stdout
    assert "\x1b" not in shown
    assert [text for text in shown.splitlines() if len(text) > 80] == []


# -- refusals ----------------------------------------------------------------------------------------------------------


def listing(folder: Path) -> list[tuple[str, int]]:
    """Every path below `folder` and when it was changed."""
    return sorted((str(path.relative_to(folder)), path.stat().st_mtime_ns) for path in folder.rglob("*"))


def check_refused(result: Any, words: Sequence[str]) -> None:
    """Assert exit 2, one clean message on stderr with `words`, nothing on stdout."""
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    for word in words:
        assert word in result.stderr


BAD_SPECS = {
    "unknown key": (["run.replica=4"], ["run.replica", "'replicas'"]),
    "unknown section": (["modle.hidden=4"], ["modle", "'model'"]),
    "unknown data": (["data.name=spiral"], ["spiral", "spirals"]),
    "unknown method": (["method.name=adllala"], ["adllala", "adlala"]),
    "word without A": (["method.name=splitting", "method.word=BOB"], ["'BOB'", "no A"]),
    "word without B": (["method.name=splitting", "method.word=AOA"], ["'AOA'", "no B"]),
    "unknown letter": (["method.name=splitting", "method.word=BAXAB"], ["'BAXAB'", "'X'", "position 3"]),
    "words that do not mix": (
        ["method.name=splitting", 'method.word={hidden="BAOAB", output="ABOBA"}'],
        ["BAOAB", "ABOBA"],
    ),
    "O with a thermostat": (["method.name=splitting", "method.word=BAODEDOAB"], ["O together with D, E", "BAEFEAB"]),
    "parameter of no word": (["method.name=langevin", "method.epsilon=0.1"], ["epsilon", "not used", "BAOAB"]),
    "parameter of another partition": (["method.epsilon={output=0.1}"], ["epsilon.output", "not used", "hidden"]),
    "both temperatures": (
        ["method.temperature=1e-4", "method.posterior_temperature=1"],
        ["posterior_temperature", "give one"],
    ),
    "NaN": (["method.stepsize=nan"], ["stepsize", "nan", "not a finite number"]),
    "negative": (["method.friction=-1"], ["friction", "-1", "negative"]),
    "zero stepsize": (["method.stepsize=0"], ["stepsize", "above 0"]),
    "array of the wrong length": (["method.stepsize=[0.1, 0.2]"], ["stepsize", "2 values for 8 replicas"]),
    "batch above N": (["run.batch=41"], ["run.batch = 41", "40 points"]),
    "no whole draws": (["run.thin=7"], ["not whole", "steps ="]),
    "burn-in above steps": (["run.burn_in=40"], ["burn_in = 40"]),
    "text for a number": (["run.replicas=many"], ["run.replicas", "many"]),
    "no = in --set": (["run.replicas"], ["run.replicas", "section.key=value"]),
    "csv that is not there": (["data.name=csv", "data.path=no.csv", "data.target=y"], ["no.csv"]),
    "csv with a missing value": (
        ["data.name=csv", "data.path=missing.csv", "data.target=y"],
        ["missing.csv, line 3", "column 'b'", "missing"],
    ),
    "csv with text": (
        ["data.name=csv", "data.path=text.csv", "data.target=y"],
        ["text.csv, line 4", "column 'a'", "'red'"],
    ),
    "csv without the target": (["data.name=csv", "data.path=text.csv", "data.target=z"], ["text.csv", "'z'"]),
    "too much memory": (["run.replicas=20000", "model.hidden=1000000"], ["memory", "GiB", "20000 replicas"]),
    "too many draws": (["run.steps=200000000020", "run.thin=5"], ["draws", "run.thin"]),
    "too much disk": (["run.replicas=2000", "run.steps=40000020", "run.thin=5"], ["GiB", "run.thin"]),
}


@pytest.mark.parametrize("case", BAD_SPECS)
def test_bad_specs_are_refused_before_anything_is_written(folder: Path, case: str) -> None:
    changes, words = BAD_SPECS[case]
    (folder / "missing.csv").write_text("a,b,y\n1,2,0\n3,,1\n")
    (folder / "text.csv").write_text("a,b,y\n1,2,0\n3,4,1\nred,5,1\n")
    before = listing(folder)
    check_refused(call("sample", "run.toml", *sets(*changes)), words)
    assert listing(folder) == before


BAD_CALLS = {
    "spec that is not there": ("sample no.toml", ["no.toml"]),
    "spec that is no TOML": ("sample broken.toml", ["broken.toml", "not TOML"]),
    "folder that is not there": ("sample run.toml --out no/run.zarr", ["'", "no' does not exist"]),
    "out below a file": ("sample run.toml --out run.toml/run.zarr", ["run.toml"]),
    "no GPU": ("sample run.toml --device cuda:7", ["cuda:7"]),
    "unknown device": ("sample run.toml --device tpu", ["tpu", "cpu"]),
    "unknown engine": ("sample run.toml --engine warp", ["warp", "batched"]),
    "bad time": ("sample run.toml --time-limit soon", ["soon", "90s"]),
    "no time": ("sample run.toml --time-limit 0", ["'0'", "90s"]),
    "no threads": ("sample run.toml --threads 0", ["--threads"]),
    "map of unknown kind": ("sample run.toml --map map.txt", ["map.txt", ".png"]),
    "map in no folder": ("sample run.toml --map no/map.png", ["'no' does not exist"]),
    "map over a file": ("sample run.toml --map old.png", ["old.png", "--overwrite"]),
    "map without parameters": ("sample run.toml --map map.png --set run.keep=[]", ["--map", "keep"]),
    "unknown option": ("sample run.toml --replicas 4", ["--replicas"]),
    "unknown command": ("smaple", ["smaple"]),
    "resume nothing": ("resume no.zarr", ["no.zarr"]),
    "resume a file": ("resume run.toml", ["run.toml"]),
    "resume another program's store": ("resume foreign.zarr", ["foreign.zarr", "another program"]),
    "resume a later format": ("resume later.zarr", ["later.zarr", "format 99"]),
    "negative draws": ("resume later.zarr --draws -1", ["--draws"]),
    "info of nothing": ("info no.zarr", ["no.zarr"]),
    "map of nothing": ("map no.zarr --out map.png", ["no.zarr"]),
    "diagnose nothing": ("diagnose no.zarr", ["no.zarr"]),
    "predict from nothing": ("predict no.zarr points.csv --out out.csv", ["no.zarr"]),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_calls_are_refused_before_anything_is_written(folder: Path, case: str) -> None:
    command, words = BAD_CALLS[case]
    (folder / "broken.toml").write_text("[data\n")
    (folder / "old.png").write_text("precious")
    for name, attributes in (
        ("foreign", {"made_by": "someone else"}),
        ("later", {"inference_library": "gpu_thermo", "format": 99}),
    ):
        (folder / f"{name}.zarr").mkdir()
        document = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
        (folder / f"{name}.zarr" / "zarr.json").write_text(json.dumps(document))
    before = listing(folder)
    check_refused(call(*shlex.split(command)), words)
    assert listing(folder) == before


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_read_only_folder_is_refused(folder: Path) -> None:
    (folder / "fixed").mkdir(mode=0o500)
    check_refused(call("sample", "run.toml", "--out", "fixed/run.zarr"), ["fixed/run.zarr", "cannot be written"])
    sampled()
    Path("points.csv").write_text("x1,x2\n1,2\n")
    check_refused(
        call("predict", "run.zarr", "points.csv", "--out", "fixed/out.csv"), ["fixed/out.csv", "cannot be written"]
    )


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" in call("--debug", "info", "no.zarr").stderr
    monkeypatch.setenv("GPU_THERMO_DEBUG", "1")
    assert "Traceback" in call("info", "no.zarr").stderr


def test_trouble_of_the_system_is_one_line_and_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "out.csv")

    monkeypatch.setattr("gpu_thermo.store.open_run", full)
    result = call("info", "run.zarr")
    assert (result.exit_code, result.stderr) == (1, "Error: No space left on device: out.csv.\n")


def test_a_failed_map_says_that_the_run_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_thermo.errors import SpecError

    def fail(*_: Any, **__: Any) -> None:
        raise SpecError("no second feature")

    monkeypatch.setattr("gpu_thermo_analysis.maps.save_map", fail)
    result = call("sample", "run.toml", "--map", "map.png", "--quiet")
    assert result.exit_code == 1
    assert "The run is in run.zarr, but its map was not drawn: no second feature" in result.stderr
    assert read_header("run.zarr").draws == 4


# -- processes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_commit_and_leave_a_store_that_resumes(folder: Path, signum: int, code: int) -> None:
    steps = sets("run.steps=10000000", "run.thin=5", "run.burn_in=9999000", "run.trace=9000000")
    with subprocess.Popen(
        [*PROGRAM, "sample", "run.toml", *steps], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(200):
            time.sleep(0.1)
            if (folder / "run.zarr").exists() or process.poll() is not None:
                break
        time.sleep(0.7)
        process.send_signal(signum)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (code, ""), err
    assert "Traceback" not in err
    assert "gpu-thermo resume run.zarr" in err
    step = read_header("run.zarr").step
    assert step > 0
    assert call("resume", "run.zarr", "--time-limit", "0.2s", "--quiet").exit_code == 0
    assert read_header("run.zarr").step > step


def test_a_closed_pipe_is_silent() -> None:
    with subprocess.Popen([*PROGRAM, "methods"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert "Traceback" not in err
    assert "Broken" not in err


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from gpu_thermo_cli.main import app; app(['sample', '--help'], standalone_mode=False);"
        " print(sorted(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    for name in ("numpy", "zarr", "xarray", "matplotlib", "cupy", "sklearn", "scipy"):
        assert f"'{name}'" not in shown


# -- pieces ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("5m", 300),
        ("2h", 7200),
        ("1d", 86400),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1h 30m", 5400),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-5s", "5x", "1h30", "nan", "inf", "0", "5 m s"])
def test_bad_durations(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="90s"):
        parse_duration(text)


def test_numbers_as_people_read_them() -> None:
    numbers = (0, 0.25, 328, 99_999, 1.3e6, 2.14e10, float("nan"))
    assert [output.count(n) for n in numbers] == ["0", "0.25", "328", "99,999", "1.30 M", "21.4 G", "?"]
    assert [output.size(n) for n in (12, 1500, 23e6, 4.1e9)] == ["12 B", "1.5 kB", "23 MB", "4.1 GB"]
    assert [output.clock(s) for s in (0, 6.2, 754, 3723, 97_200, float("inf"))] == [
        "0:00",
        "0:07",
        "12:34",
        "1:02:03",
        "1 d 3 h",
        "?",
    ]
    mixed = {"a": np.float64("nan"), "b": (np.int64(2), float("inf")), "c": Path("x")}
    assert output.plain(mixed) == {"a": None, "b": [2, "Infinity"], "c": "x"}


def test_progress_lines_fit_and_appear_every_ten_seconds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gpu_thermo.run import Progress

    progress = Progress(12_000, 20_000, 256, 1310.0, 6.1, 0.4321, {"hidden": 1.2e-4, "output": 9.8e-5}, 3, 4, 2)
    text = line(progress)
    assert text.startswith(
        "step 12,000 of 20,000 (60 %), 0:07 left, 1,310 steps/s, 335 k replica-steps/s, 4 draws (2 committed), "
    )
    assert text.endswith("energy 0.4321, kinetic T hidden 1.20e-04, output 9.80e-05, 3 frozen")
    output.show(bar(progress))
    drawn = capsys.readouterr().out
    assert "12,000 of 20,000 steps 0:07 left" in drawn
    assert max(map(len, drawn.splitlines())) <= 80
    monkeypatch.setattr("gpu_thermo_cli.progress.INTERVAL", 0.0)
    with Meter() as meter:
        meter(progress)
    with Meter(quiet=True) as meter:
        meter(progress)
    shown = capsys.readouterr()
    assert (shown.out, shown.err.count("step 12,000")) == ("", 1)
