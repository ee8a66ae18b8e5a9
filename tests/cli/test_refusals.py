"""Every bad input is refused with nothing left behind."""

import json
import os
import shlex
from pathlib import Path
from types import SimpleNamespace

import pytest
from cli_cases import call, check_refused, listing, sampled, sets

from gpu_thermo.running import resources

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
    "array of the wrong length": ([f"method.stepsize={[0.1] * 9}"], ["stepsize", "9 values", "8 replicas"]),
    "batch above N": (["run.batch=41"], ["run.batch = 41", "40 points"]),
    "no whole draws": (["run.thin=7"], ["not whole", "steps ="]),
    "burn-in above steps": (["run.burn_in=40"], ["burn_in = 40"]),
    "text for a number": (["run.replicas=many"], ["run.replicas", "many"]),
    "no = in --set": (["run.replicas"], ["run.replicas", "section.key=value"]),
    "csv that is not there": (["data.name=csv", "data.path=no.csv", "data.target=y"], ["no.csv"]),
    "csv with a missing value": (
        ["data.name=csv", "data.path=missing.csv", "data.target=y", "data.encode=numbers"],
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
def test_bad_specs_are_refused_before_anything_is_written(
    folder: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes, words = BAD_SPECS[case]
    (folder / "missing.csv").write_text("a,b,y\n1,2,0\n3,,1\n")
    (folder / "text.csv").write_text("a,b,y\n1,2,0\n3,4,1\nred,5,1\n")
    if case == "too much disk":
        monkeypatch.setattr(resources.shutil, "disk_usage", lambda path: SimpleNamespace(free=10**9))
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
