"""`info --tuning`, and runs that tune themselves on the command line."""

import json

import pytest
from cli_cases import call

SPEC = """
[target]
name = "harmonic"
stiffness = [1.0, 9.0]
[method]
name = "langevin"
temperature = 1.0
[run]
replicas = 64
tolerance = 0.1
"""


@pytest.fixture
def run(folder):
    (folder / "tuned.toml").write_text(SPEC)
    found = call("sample", "tuned.toml", "--out", "tuned.zarr")
    assert found.exit_code == 0, found.output
    return found


def test_the_last_line_is_the_verdict(run):
    assert "until averages are known to 0.1 posterior sd, at most 200,000 steps" in run.stderr
    assert run.stdout.splitlines()[-2].startswith("averages  may be trusted to 0.")


def test_info_shows_every_window(run, folder):
    found = call("info", "tuned.zarr", "--tuning", "--picture", "tuning.png")
    assert found.exit_code == 0, found.output
    for phase in ("descent", "adaptation", "burn-in", "sampling"):
        assert phase in found.stdout
    assert max(map(len, found.stdout.splitlines()[:-1])) <= 100
    assert found.stdout.splitlines()[-1].startswith("averages may be trusted to 0.")
    assert (folder / "tuning.png").stat().st_size > 10_000
    plain = json.loads(call("info", "tuned.zarr", "--tuning", "--json").stdout)
    assert plain["verdict"]["trusted"]
    assert plain["course"]["log"][-1]["error"] <= 0.1


def test_acceptance_is_of_proposals(run, folder):
    """Whose length the run has found by itself."""
    block = json.loads(call("info", "tuned.zarr", "--tuning", "--json").stdout)["course"]["lengths"]["block"]
    work = json.loads(call("info", "tuned.zarr", "--json").stdout)["work"]
    assert work["block"] == block
    assert f"of proposals of {block} step" in call("info", "tuned.zarr").stdout


def test_info_shows_a_ladder(folder):
    text = SPEC.replace("[run]", '[[moves]]\nkind = "exchange"\nhottest = 9.0\n[run]').replace("64", "32")
    (folder / "ladder.toml").write_text(text.replace("0.1", "0.3"))
    found = call("sample", "ladder.toml", "--out", "ladder.zarr")
    assert found.exit_code == 0, found.output
    assert "a ladder of about" in found.stderr
    shown = call("info", "ladder.zarr", "--tuning", "--picture", "ladder.png")
    assert shown.exit_code == 0, shown.output
    assert "rungs accept 0." in shown.stdout
    assert "ladder of" in shown.stdout
    assert "round trips each" in shown.stdout


def test_info_and_diagnose_say_the_same(run):
    assert "sampling, step" in call("info", "tuned.zarr").stdout
    found = json.loads(call("diagnose", "tuned.zarr", "--json").stdout)
    told = json.loads(call("info", "tuned.zarr", "--json").stdout)["verdict"]
    assert found["trusted"] is True
    (verdict,) = (v for v in found["ensembles"][0]["verdicts"] if v["topic"] == "tolerance")
    assert verdict["text"] == f"Averages {told['text']}."


def test_resume_to_a_smaller_tolerance(run):
    assert "Nothing was left to do. Ask for more: --tolerance" in call("resume", "tuned.zarr").stderr

    def reached():
        return json.loads(call("info", "tuned.zarr", "--json").stdout)["verdict"]["error"]

    asked = round(reached() / 1.5, 3)
    found = call("resume", "tuned.zarr", "--tolerance", str(asked))
    assert found.exit_code == 0, found.output
    assert "Nothing was left" not in found.stderr
    assert f"on to a tolerance of {asked:g}" in found.stderr
    assert reached() <= asked


@pytest.mark.parametrize("minutes", ["0", "-1", "inf", "nan"])
def test_a_time_that_is_none(run, minutes):
    found = call("resume", "tuned.zarr", "--minutes", minutes)
    assert found.exit_code == 2
    assert f"--minutes {float(minutes):g} is no time to work for" in found.stderr


def test_a_dry_run_says_what_bounds_it(folder):
    (folder / "tuned.toml").write_text(SPEC)
    found = call("sample", "tuned.toml", "--dry-run").stdout
    assert "at most 200,000; burn-in as it takes" in found
    assert "as many as it takes" in found


def test_a_run_that_did_not_tune_itself(done):
    found = call("info", "run.zarr", "--tuning")
    assert found.exit_code == 2
    assert "takes run.tolerance in its spec" in found.output
