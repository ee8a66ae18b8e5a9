"""What a run is, from its store."""

import json
from pathlib import Path

import pytest
import tomli_w
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


LIKELIHOODS = [
    ("gaussian", {}, "noise sd learned: a priori within a factor e of 50 (y)"),
    ("gaussian", {"noise_sd": 0.2}, "noise sd known: 20 (y)"),
    ("student_t", {"dof": 5}, "noise scale learned: a priori within a factor e of 50 (y); 5 degrees of freedom"),
    ("student_t", {"noise_sd": 0.3}, "noise scale known: 30 (y); 4 degrees of freedom"),
    ("heteroscedastic", {}, "noise sd an output of the network, between 0.0912 (y) and 2.01e+03 (y)"),
    ("poisson", {}, "poisson, counts whose mean and variance are exp of the output"),
    ("bernoulli", {}, "bernoulli"),
    ("categorical", {"class_weight": "balanced"}, "categorical; points weighted"),
]  # fmt: skip
"""Of answers whose training sd is 100."""


@pytest.mark.parametrize(("likelihood", "model", "words"), LIKELIHOODS)
def test_what_is_assumed_is_said_each_time(folder: Path, likelihood: str, model: dict, words: str) -> None:
    """In the target's own units: by the dry run, by sample before it starts, by info, and in all their JSON."""
    y = {"bernoulli": [0, 1], "categorical": [0, 1, 2], "poisson": [0, 200]}.get(likelihood, [-100, 100])
    rows = [f"{i / 7},{y[i % len(y)]}" for i in range(30)]
    Path("t.csv").write_text("x,y\n" + "\n".join(rows) + "\n")
    given = {"hidden": "[3, 2]", "likelihood": f'"{likelihood}"', "prior": '"laplace"',
             "prior_sd": '{hidden = 0.5, output = "fan_in"}'}  # fmt: skip
    given |= {key: json.dumps(value) for key, value in model.items()}
    text = SPEC.replace('name = "spirals"\ntrain = 40\ntest = 20', 'name = "csv"\npath = "t.csv"\ntarget = "y"')
    text = text.replace("hidden = 4", "\n".join(f"{k} = {v}" for k, v in given.items()))
    Path("t.toml").write_text(text)
    prior = "prior laplace, scale 0.5 (w1, b1, w2, b2), 0.707 (w3), 1 (b3)"
    dry = call("sample", "t.toml", "--dry-run")
    ran = call("sample", "t.toml", "--out", "t.zarr")
    info = call("info", "t.zarr")
    for result, where in ((dry, dry.stdout), (ran, ran.stderr), (info, info.stdout)):
        assert result.exit_code == 0, result.stderr
        assert words in " ".join(where.split())
        assert prior in " ".join(where.split())
    for command in (("sample", "t.toml", "--dry-run", "--json"), ("info", "t.zarr", "--json")):
        found = json.loads(call(*command).stdout)["assumptions"]
        assert words in found[0]
        assert found[1] == prior


def test_stores_that_do_not_say_it_are_asked(done: Path) -> None:
    """Written before runs said what they assume: from the spec and the data."""
    document = Path("run.zarr/zarr.json")
    root = json.loads(document.read_text())
    said = json.loads(root["attributes"].pop("assumptions"))
    document.write_text(json.dumps(root))
    assert json.loads(call("info", "run.zarr", "--json").stdout)["assumptions"] == said
    assert "bernoulli; no prior" in call("info", "run.zarr").stdout


def test_calibration_of_numbers_and_of_classes(folder: Path, done: Path) -> None:
    classes = json.loads(call("info", "run.zarr", "--json").stdout)["scores"]["calibration"]
    assert classes.keys() == {"ece_by_chance", "points"}
    assert "by chance" in " ".join(call("info", "run.zarr").stdout.split())
    text = SPEC.replace('"spirals"', '"gap"').replace("hidden = 4", 'hidden = 4\nlikelihood = "gaussian"')
    Path("gap.toml").write_text(text)
    ran = call("sample", "gap.toml", "--out", "gap.zarr")
    assert ran.exit_code == 0, ran.stderr
    assert "the 90% interval" in " ".join(ran.stdout.split())
    found = json.loads(call("info", "gap.zarr", "--json").stdout)["scores"]
    assert {"coverage", "expected", "coverage_error", "pit_mean", "pit_sd", "pit_deciles", "crps", "noise"} <= set(
        found["calibration"]
    )
    shown = call("info", "gap.zarr").stdout
    assert "noise learned" in shown
    assert "CRPS" in shown
    judged = json.loads(call("diagnose", "gap.zarr", "--json").stdout)["ensembles"][0]
    assert judged["calibration"]["coverage"] == found["calibration"]["coverage"]
    assert judged["calibration"]["nll"] == found["averaged"]["nll"]
    assert {"topic": "calibration", "passed": None} == {k: judged["verdicts"][-1][k] for k in ("topic", "passed")}
    assert "-- Central intervals hold" in call("diagnose", "gap.zarr").stdout
    for command in ("info", "diagnose"):  # every key is explained
        said = call(command, "--help").stdout + call("diagnose", "--help").stdout
        assert all(key in said for key in found["calibration"])


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


@pytest.mark.parametrize(("word", "said"), [("{BAOAB}", "of proposals of 2 steps"), ("BAOAB", "of steps, were they")])
def test_acceptance_is_shown(folder: Path, word: str, said: str) -> None:
    """By info, in its JSON, and where steps are accepted or rejected also by diagnose."""
    block, work = ("block = 2\n", "") if "{" in word else ("", "work = true\n")
    method = f'[method]\nname = "langevin"\nword = "{word}"\nposterior_temperature = 1.0\n{block}stepsize = 0.3'
    Path("b.toml").write_text(
        f'[data]\nname = "moons"\ntrain = 20\ntest = 10\n[model]\nhidden = 3\nprior_sd = 1.0\n{method}\n[run]\n'
        f'replicas = 4\nsteps = 40\nburn_in = 20\nthin = 10\ntrace = 10\nminibatch = "full"\n{work}'
    )
    assert call("sample", "b.toml", "--out", "b.zarr").exit_code == 0
    work = json.loads(call("info", "b.zarr", "--json").stdout)["work"]
    assert 0 < work["acceptance"] <= 1
    assert work.get("block") == (2 if block else None)
    assert f"{work['acceptance']:.3g} {said}" in " ".join(call("info", "b.zarr").stdout.split())
    judged = " ".join(call("diagnose", "b.zarr").stdout.split())
    assert ("Proposals of 2 steps are accepted at" in judged) == bool(block)


@pytest.mark.parametrize(
    ("move", "weighs"),
    [
        ({"kind": "contour", "bins": 10, "lowest": -1.0, "width": 1.0}, True),
        ({"kind": "tempering", "temperatures": [0.5, 1.0], "interval": 5}, True),
        ({"kind": "exchange", "temperatures": [0.5, 1.0], "interval": 5}, False),
    ],
)
def test_the_first_line_says_where_draws_have_weights(move: dict, weighs: bool, tmp_path: Path, monkeypatch) -> None:
    """Of the end of `sample` and of `info`: where a plain mean would be another density's."""
    monkeypatch.chdir(tmp_path)
    method = {"name": "langevin", "stepsize": 0.1, "temperature": 0.5, "friction": 1.0}
    run = {"replicas": 4, "steps": 40, "burn_in": 20, "thin": 5}
    spec = {"target": {"name": "double_well"}, "method": method, "run": run, "moves": [move]}
    Path("s.toml").write_text(tomli_w.dumps(spec))
    for found in (call("sample", "s.toml", "--out", "r.zarr"), call("info", "r.zarr")):
        assert found.exit_code == 0, found.stderr
        first = " ".join(found.stdout.split("\n\n")[0].split())
        assert ("draws count by their `weight`: gpu_thermo.resample(run, chains=True)" in first) == weighs
    assert json.loads(call("info", "r.zarr", "--json").stdout)["weighted"] == weighs
