"""Sample, plan and resume: what is printed, written and left alone."""

import json
from pathlib import Path
from typing import Any

import pytest
from cli_cases import SPEC, call, listing, sampled, sets

from gpu_thermo.store import read_header

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
    plan = json.loads(call("sample", "--dry-run", "--json", *sets("run.replicas=40", "method.stepsize=0.2")).stdout)
    assert (plan["replicas"], plan["tolerance"], plan["parameters"]) == (40, 0.05, 201)
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
    spec = json.loads(read_header("run.zarr").spec)
    assert (spec["method"]["stepsize"], spec["method"]["friction"], spec["data"]["turns"]) == (0.2, 0.03, 2.0)
    assert "tolerance" not in spec["run"]


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
    assert "Nothing was left to do. Ask for more: --draws" in call("resume", "run.zarr").stderr
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


def test_sample_draws_the_map_in_one_command(folder: Path) -> None:
    result = call("sample", "run.toml", "--map", "spirals.png", "--json")
    assert json.loads(result.stdout)["map"] == "spirals.png"
    assert (folder / "spirals.png").stat().st_size > 10_000


def test_a_failed_map_says_that_the_run_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    from gpu_thermo.errors import SpecError

    def fail(*_: Any, **__: Any) -> None:
        raise SpecError("no second feature")

    monkeypatch.setattr("gpu_thermo_analysis.maps.save_map", fail)
    result = call("sample", "run.toml", "--map", "map.png", "--quiet")
    assert result.exit_code == 1
    assert "The run is in run.zarr, but its map was not drawn: no second feature" in result.stderr
    assert read_header("run.zarr").draws == 4


def test_the_dry_run_says_why_it_is_not_fused() -> None:
    """Wide networks; nothing where the fused engine runs, or only the user said so."""
    wide = call("sample", "run.toml", "--dry-run", *sets("model.hidden=[700, 700]"))
    assert "batched on cpu (the network is too large" in " ".join(wide.stdout.split())
    found = json.loads(call("sample", "run.toml", "--dry-run", "--json", *sets("model.hidden=[16, 16, 16, 16]")).stdout)
    assert (found["engine"], found["engine_reason"]) == ("fused", "")
    asked = json.loads(call("sample", "run.toml", "--dry-run", "--json", "--engine", "batched").stdout)
    assert (asked["engine"], asked["engine_reason"]) == ("batched", "")
