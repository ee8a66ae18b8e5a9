"""What a run is, from its store."""

import json
from pathlib import Path

import pytest
from cli_cases import SPEC, call, listing

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


def test_several_ensembles_have_scores_of_their_own() -> None:
    """An average over different stepsizes is of nothing: a line for each, labelled by what differs."""
    several = 'name = "sgd"\nstepsize = [0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1, 0.2]'
    Path("two.toml").write_text(SPEC.replace('name = "adlala"', several))
    assert call("sample", "two.toml", "--out", "two.zarr", "-q").exit_code == 0
    found = json.loads(call("info", "two.zarr", "--json").stdout)["scores"]
    assert found["averaged"] == {}
    assert [one["label"] for one in found["ensembles"]] == ["stepsize 0.1", "stepsize 0.2"]
    assert all(0 <= one["averaged"]["accuracy"] <= 1 for one in found["ensembles"])
    assert found["ensembles"][0]["networks"] == {"finished": 4, "attempted": 4}
    text = call("info", "two.zarr").stdout
    assert "stepsize 0.1: accuracy" in text
    assert "(stepsize 0.2; 4 chains" in call("diagnose", "two.zarr").stdout
    Path("points.csv").write_text("x1,x2\n0,0\n")
    assert "ensemble 1: stepsize 0.2" in call("predict", "two.zarr", "points.csv", "--out", "p.csv").stderr


def test_a_study_is_known(done: Path) -> None:
    """info shows it; what is about one run says what to use."""
    Path("study.toml").write_text(SPEC.replace("replicas = 8\n", "") + "[seeds]\ncount = 2\n")
    assert call("study", "study.toml", "--out", "s.zarr", "-q").exit_code == 0
    shown = call("info", "s.zarr")
    assert "2 of 2 done (1 cell x 2 seeds)" in shown.stdout
    assert "gpu-thermo table s.zarr" in shown.stderr
    assert json.loads(call("info", "s.zarr", "--json").stdout)["done"] == 2
    Path("points.csv").write_text("x1,x2\n0,0\n")
    for command in (
        ("diagnose", "s.zarr"), ("resume", "s.zarr"), ("map", "s.zarr", "--out", "m.png"),
        ("predict", "s.zarr", "points.csv", "--out", "p.csv"),
    ):  # fmt: skip
        refused = call(*command)
        assert refused.exit_code == 2
        assert "is a study" in refused.stderr
        assert "gpu-thermo table" in refused.stderr
    assert "It is one run" in call("table", "run.zarr").stderr


@pytest.mark.parametrize("url", ["s3://bucket/run.zarr", "gs://b/r.zarr", "file:///tmp/r.zarr", "https://host/r.zarr"])
def test_urls_are_no_folders(url: str, done: Path) -> None:
    before = listing(Path())
    Path("points.csv").write_text("x1,x2\n0,0\n")
    for command in (
        ("info", url), ("diagnose", url), ("resume", url), ("table", url), ("map", url, "--out", "m.png"),
        ("sample", "run.toml", "--out", url), ("predict", url, "points.csv", "--out", "p.csv"),
        ("study", "study.toml", "--out", url), ("map", "run.zarr", "--out", f"{url}.png"),
    ):  # fmt: skip
        if command[0] == "study":
            Path("study.toml").write_text(SPEC.replace("replicas = 8\n", "") + "[seeds]\ncount = 2\n")
        refused = call(*command)
        assert refused.exit_code == 2, command
        assert "is a URL and no folder" in refused.stderr
    assert {name for name, _ in listing(Path())} - {name for name, _ in before} <= {"points.csv", "study.toml"}


def test_what_a_store_says_moves_no_cursor(done: Path) -> None:
    """Names and times from a store are printed without control characters."""
    document = Path("run.zarr/zarr.json")
    root = json.loads(document.read_text())
    for name in ("created_at", "engine", "device", "fingerprint"):
        root["attributes"][name] = f"x\x1b]0;owned\x07\x9b31m{name}"
    document.write_text(json.dumps(root))
    for command in (("info", "run.zarr"), ("diagnose", "run.zarr"), ("info", "run.zarr", "--json")):
        said = call(*command)
        printed = said.stdout + said.stderr
        assert "Traceback" not in printed
        assert not {c for c in printed if ord(c) < 32 or 127 <= ord(c) < 160} - {"\n"}
