"""`gpu-thermo fit`, `report` and `watch` on the command line."""

import hashlib
import json
import math
import shutil
import signal
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cli_cases import call, listing
from fitted import fitted, write_table
from runs import differences
from shared_runs import PlayedClient, played
from tuned_cases import told as told_by

from gpu_thermo import predict, sample
from gpu_thermo.averages.claims import Makeshift
from gpu_thermo.averages.ensembles import counted_in
from gpu_thermo.estimators import defaults, load
from gpu_thermo.estimators.exported import Stale
from gpu_thermo.estimators.table import Wanted, plan_table
from gpu_thermo.store import open_run, read_header
from gpu_thermo.tuning.course import PHASES
from gpu_thermo_cli import fit as fit_command
from gpu_thermo_cli import progress, watch
from gpu_thermo_cli.fitted import remarks

pandas = pytest.importorskip("pandas")


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Runs of a second."""
    monkeypatch.setattr(defaults, "GRADIENTS", (2_000, 2_000))
    monkeypatch.setattr(defaults, "SIZES", (replace(defaults.SIZES[0], hidden=(4,)), *defaults.SIZES[1:]))


def test_a_table_in_an_answer_out(folder):
    write_table(folder / "t.csv")
    found = call("fit", "t.csv", "--target", "y", "--tolerance", "0.3")
    assert found.exit_code == 0, found.output
    assert "'y' is a number; 96 rows to learn from, 24 held out, 3 inputs" in found.stderr
    assert "column colour: 2 categories" in found.stderr
    for model in ("this run", "ridge regression", "gradient boosting"):
        assert model in found.stdout
    assert ("they may be trusted" in found.stderr) != ("Warning: not yet: " in found.stderr)
    assert "assumed: prior normal, scale" in found.stderr
    assert (folder / "t.html").stat().st_size > 10_000
    anew = call("report", "t.zarr", "--out", "anew.html")
    assert anew.exit_code == 0, anew.output
    pandas = pytest.importorskip("pandas")
    table = pandas.read_csv(folder / "t.csv").drop(columns="y")
    assert load(folder / "t.npz").predict(table).shape == (len(table),)
    again = call("fit", "t.csv", "--target", "y")
    assert again.exit_code == 2
    assert "exists already" in again.stderr


def test_a_table_is_read_once_and_its_warnings_said_once(folder, recwarn):
    """And the run is that of its spec, read from the file."""
    write_table(folder / "t.csv")
    text = (folder / "t.csv").read_text().splitlines()
    text[5] = text[5].rpartition(",")[0] + ","
    (folder / "t.csv").write_text("\n".join(text) + "\n")
    rest = ["--target", "y", "--tolerance", "0.5", "--drop-missing-target", "--no-report", "-q"]
    assert call("fit", "t.csv", *rest).exit_code == 0
    assert len([w for w in recwarn if "has no value of 'y'" in str(w.message)]) == 1
    wanted = Wanted(drop_missing_target=True)
    with pytest.warns(UserWarning, match="is left out"):
        again = plan_table(Path("t.csv"), "y", wanted=wanted, tolerance=0.5)
    with pytest.warns(UserWarning, match="is left out"):
        sample(again.spec, folder / "again.zarr", remarks=remarks(False)).close()
    assert not differences(folder / "t.zarr", folder / "again.zarr")


def test_one_count_and_one_time(folder):
    """Of networks, everywhere the same; of seconds all, and those of a resume."""
    write_table(folder / "t.csv")
    first = call("fit", "t.csv", "--target", "y", "--tolerance", "0.3")
    tree = open_run(folder / "t.zarr")
    count = counted_in(tree)
    chains, draws = tree["posterior"].sizes["chain"], tree["posterior"].sizes["draw"]
    assert count == f"{chains * draws:,} networks: {chains} chains x {draws} draws"
    before = tree["sample_stats"].attrs["sampling_time"]
    judged = call("diagnose", "t.zarr").stdout
    for said in (first.stderr, judged, call("info", "t.zarr").stdout, (folder / "t.html").read_text()):
        assert count in " ".join(said.split())
    assert "replica" not in first.stderr + first.stdout + judged
    (folder / "new.csv").write_text("a,b,colour\n1,2,red\n")
    answered = call("predict", "t.zarr", "new.csv", "--out", "p.csv")
    assert f"answered by the {chains * draws:,} networks of t.zarr" in answered.stderr
    assert call("predict", "t.zarr", "new.csv", "--out", "q.csv", "--quantiles", "0.1").exit_code == 0
    assert "quantile_0.1_y" not in Path("p.csv").read_text()
    assert "quantile_0.1_y" in Path("q.csv").read_text()
    half = str(told_by(tree)[1]["error"] / 2)
    told = json.loads(call("resume", "t.zarr", "--tolerance", half, "--minutes", "10", "--json", "-q").stdout)
    assert told["seconds"] == open_run(folder / "t.zarr")["sample_stats"].attrs["sampling_time"] > before
    assert told["seconds_now"] == pytest.approx(told["seconds"] - before)
    assert told["scores"][0]["seconds"] == told["seconds"]


def test_all_columns_are_listed(folder):
    rows = [f"{i % 7},{i * 3 % 11}.5,{i * 7 % 5},{i % 3}.25,{i * 13 % 17}.5" for i in range(60)]
    (folder / "n.csv").write_text("size,rooms,age,far,price\n" + "\n".join(rows) + "\n")
    found = call("fit", "n.csv", "--target", "price", "--tolerance", "0.5", "--no-report")
    assert "  column size, rooms, age, far: numbers\n" in found.stderr
    assert max(map(len, found.stdout.splitlines())) <= 80


def test_a_fit_goes_on_and_its_file_is_made_anew(folder):
    """The store is the truth: resume makes the estimator's file and the verdict anew; a file left behind is told."""
    write_table(folder / "t.csv")
    rest = ("--target", "y", "--no-report", "--tolerance", "0.2")
    assert call("fit", "t.csv", *rest, "-q").exit_code == 0
    first = load(folder / "t.npz")
    assert first.apart_ < 0.11
    assert first.source_.step == read_header(folder / "t.zarr").step
    shutil.copy(folder / "t.npz", folder / "old.npz")
    found = call("resume", "t", "--tolerance", "0.02", "--minutes", "10", "--json")  # by its name
    assert found.exit_code == 0, found.output
    told = json.loads(found.stdout)
    assert told["model"] == "t.npz"
    assert told["verdict"]["error"] <= 0.02
    assert "collecting networks" in found.stderr or "Judging it" in found.stderr
    again = load(folder / "t.npz")
    assert again.source_.step == read_header(folder / "t.zarr").step > first.source_.step
    table = pandas.read_csv(folder / "t.csv").drop(columns="y")
    whole = predict(folder / "t.zarr", table)
    apart = (again.predict(table) - whole["mean"].to_numpy()[0, :, 0]) / np.sqrt(whole["variance"].to_numpy()[0, :, 0])
    assert np.sqrt((apart**2).mean()) < 2 * again.apart_ + 1e-3
    (folder / "old.npz").replace(folder / "t.npz")
    with pytest.warns(Stale, match=r"was made at step [\d,]+ of t.zarr, which has gone on since"):
        load(folder / "t.npz")
    (folder / "new.csv").write_text("a,b,colour\n1,2,red\n")
    own = call("predict", "t.npz", "new.csv", "--out", "t.npz", "--overwrite")
    assert (own.exit_code, "is what answers" in own.stderr) == (2, True)
    refused = call("predict", "t.npz", "new.csv", "--out", "p.csv")
    assert refused.exit_code == 2
    assert "gpu-thermo resume" in refused.stderr
    assert call("resume", "t.zarr", "-q").exit_code == 0  # nothing left to do but this
    assert load(folder / "t.npz").source_ == again.source_


@pytest.mark.parametrize(("how", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_while_it_is_judged(folder, monkeypatch, how, code):
    """The run is whole, and resume has nothing to do but to judge it."""
    write_table(folder / "t.csv")
    with monkeypatch.context() as patch:
        patch.setattr("gpu_thermo_analysis.baselines.compared", lambda *_: signal.raise_signal(how) or time.sleep(5))
        found = call("fit", "t.csv", "--target", "y", "--no-report", "--tolerance", "0.3")
    assert found.exit_code == code
    said = f"Stopped by {how.name}: the networks are kept, and not judged yet. Judge them: gpu-thermo resume t.zarr"
    assert found.stderr.splitlines()[-1] == said
    again = call("resume", "t.zarr")
    assert again.exit_code == 0, again.output
    assert "boosting" in again.stdout
    assert (folder / "t.npz").exists()


def test_no_time_for_a_network_and_more(folder, monkeypatch):
    """What was done is kept and named, and goes on."""
    write_table(folder / "t.csv")
    monkeypatch.setattr(fit_command, "seconds_of", lambda minutes: 1e-3)
    found = call("fit", "t.csv", "--target", "y", "--minutes", "0.1")
    assert found.exit_code == 0, found.output
    assert "Kept are the 48 networks as they stood at that moment" in found.stderr
    assert found.stderr.count("means nothing") == 1
    assert "gpu-thermo resume t.zarr --minutes 1" in found.stderr
    assert "the goal is" not in found.stderr  # of a burn-in nothing counts
    assert "means nothing" in (folder / "t.html").read_text()
    judged = json.loads(call("diagnose", "t.zarr", "--json").stdout)
    assert not judged["trusted"]
    assert "as they stood" in judged["said"][0]
    (folder / "new.csv").write_text("a,b,colour\n1,2,red\n")
    for source in ("t.zarr", "t.npz"):
        answered = call("predict", source, "new.csv", "--out", "p.csv", "--overwrite")
        assert answered.exit_code == 0, answered.output
        assert (
            "Warning: these answers are not to be trusted yet. Time was over before the first draw" in answered.stderr
        )
    with pytest.warns(Makeshift, match="t.npz: Time was over"):
        assert not load(folder / "t.npz").trust_.trusted
    again = call("resume", "t.zarr", "--minutes", "3", "--tolerance", "0.3")
    assert again.exit_code == 0, again.output
    assert "Written: t.zarr, t.npz (answers as the run to " in again.stderr
    assert "as they stood" not in again.stderr
    assert open_run(folder / "t.zarr")["posterior"].sizes["draw"] > 1
    assert (folder / "t.html").stat().st_size > 10_000


def check_nothing_written(folder, given, said):
    """Assert that a fit with these options is refused in these words, before anything stands in the folder."""
    write_table(folder / "t.csv")
    before = listing(folder)
    found = call("fit", "t.csv", "--target", "y", *given)
    assert found.exit_code == 2, found.output
    assert said in " ".join(found.stderr.split())
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--kind", "colour"], "is not COLUMN=KIND, as in --kind zip=category"),
        (["--kind", "colour=dat"], "Did you mean 'date'"),
        (["--kind", "color=category"], "Did you mean 'colour'"),
        (["--kind", "colour=date"], "is no date (such as 2025-12-31)"),
        (["--drop", "colr"], "Did you mean 'colour'"),
        (["--features", "a,bb"], "has no column 'bb'"),
        (["--drop", "a,b,colour"], "no column besides the target 'y' and those left out"),
        (["--drop", "a", "--features", "a,b"], "leave it out of one of the two"),
        (["--task", "classifikation"], "Did you mean 'classification'"),
        (["--task", "classification"], "different values in 120 rows, too many for classes"),
        (["--keep", "log_lik"], "Did you mean 'log_likelihood'"),
        (["--minutes", "inf"], "--minutes inf is no time to work for"),
        (["--minutes", "0"], "--minutes 0 is no time to work for"),
        (["--tolerance", "nan"], "tolerance"),
    ],
)
def test_options_that_cannot_be(folder, given, said):
    check_nothing_written(folder, given, said)


def test_what_is_said_of_columns(folder):
    """Kinds, columns, rows without an answer and what is kept reach the run."""
    rows = [f"{i},{1010 + i % 3},{1 + i % 28}/{1 + i % 12}/2022,x{i},{i * 31 % 17}.5" for i in range(60)]
    rows[7] = rows[7].rpartition(",")[0] + ","
    (folder / "h.csv").write_text("size,zip,sold,note,price\n" + "\n".join(rows) + "\n")
    options = ["--kind", "zip=category", "--kind", "sold=day-first", "--drop", "note", "--keep", "log_likelihood"]
    refused = call("fit", "h.csv", "--target", "price", *options)
    assert refused.exit_code == 2
    assert "1 of 60 rows has no value of 'price' (line 9)" in refused.stderr
    assert "--drop-missing-target" in refused.stderr
    with pytest.warns(UserWarning, match="is left out"):
        found = call("fit", "h.csv", "--target", "price", *options, "--drop-missing-target", "--no-report")
    assert found.exit_code == 0, found.output
    tree = open_run(folder / "h.zarr")
    assert "log_likelihood" in tree.children
    recipe = json.loads(tree.attrs["data"])["recipe"]
    assert [(c["name"], c["kind"]) for c in recipe["columns"]] == [
        ("size", "number"), ("zip", "category"), ("sold", "date"),
    ]  # fmt: skip
    assert recipe["columns"][2]["order"] == "day-first"


def test_what_may_not_be_trusted_is_told_and_no_error(folder):
    write_table(folder / "t.csv", classes=True)
    found = call("fit", "t.csv", "--target", "y", "--tolerance", "0.001", "--out", "c", "--no-report", "--json", "-q")
    assert found.exit_code == 0, found.output
    assert "Warning: not yet: " in found.stderr
    told = json.loads(found.stdout)
    assert told["verdict"]["trusted"] is False
    assert [s["name"] for s in told["scores"]] == ["this run", "logistic regression", "gradient boosting"]
    assert told["scores"][0]["coverage"] is None
    assert not (folder / "c.html").exists()
    shown = call("info", "c.zarr").stdout
    assert "not yet: averages are known to" in " ".join(shown.split())
    assert "run.max_steps" not in shown
    said = json.loads(call("info", "c.zarr", "--json").stdout)["said"]
    assert said == told["verdict"]["said"][: len(said)] != []


@pytest.mark.parametrize(
    ("table", "target", "said"),
    [
        ("a,y\n1,2\n", "z", "has no column 'z'"),
        ("a,y\n1,2\n2,3\n3,4\n", "y", "has 3 rows"),
        ("a,y\n" + "1,5\n2,5\n" * 10, "y", "holds one value in all rows, 5"),
        ("a,y\n" + "1,no\n2,no\n" * 10, "y", "holds one value in all rows, no"),
        ("y\n" + "1\n2\n3.5\n" * 10, "y", "Add at least one feature"),
        ("a,y\n" + ",1\n,2.5\n" * 10, "y", "it is empty"),
    ],
)
def test_tables_that_cannot_work(folder, table, target, said):
    (folder / "bad.csv").write_text(table)
    found = call("fit", "bad.csv", "--target", target)
    assert found.exit_code == 2, found.output
    assert said in found.stderr
    assert not (folder / "bad.zarr").exists()


def test_workers_change_no_bit_and_may_be_lost(folder, monkeypatch):
    """By workers that are played, one of which dies on the way; and what a stopped fit's resume asks for."""
    write_table(folder / "t.csv")
    rest = ("--target", "y", "--tolerance", "0.3", "--no-report", "--device", "cpu")
    assert call("fit", "t.csv", *rest, "-q").exit_code == 0
    client = played(monkeypatch, PlayedClient(3)).client
    client.before = lambda address, what, count: count == 40 and client.kill("tcp://worker:1")
    found = call("fit", "t.csv", *rest, "--scheduler", "tcp://x:1", "--out", "w")
    assert found.exit_code == 0, found.output
    assert "shared out: cpu of 3 workers, at most 16 replicas each" in found.stderr
    assert len(client.registries) == 2
    assert not differences(folder / "t.zarr", folder / "w.zarr")
    with np.load(folder / "t.npz") as one, np.load(folder / "w.npz") as other:
        np.testing.assert_array_equal(one["networks"], other["networks"])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--workers", "2", "--scheduler", "tcp://x:1"], "workers and scheduler are both given"),
        (["--workers", "9999"], "is far more than the"),
        (["--workers", "-1"], "Invalid value for '--workers'"),
        (["--scheduler", "here"], "scheduler = 'here' is no address: write tcp://host:port"),
        (["--scheduler", "tcp://127.0.0.1:1"], "does not answer"),
        (["--device", "cpu,cuda:0"], "several devices are GPUs by number, and 'cpu' is none"),
        (["--device", "cuda:0,cuda:0"], "names cuda:0 twice"),
    ],
)
def test_places_that_cannot_be(folder, given, said):
    if given[0] == "--scheduler":
        pytest.importorskip("distributed")
    check_nothing_written(folder, given, said)


def test_predict_asks_for_the_same_columns(folder):
    fitted(folder)
    (folder / "renamed.csv").write_text("alpha,b,colour\n1,2,red\n")
    found = call("predict", "run.zarr", "renamed.csv", "--out", "p.csv")
    assert found.exit_code == 2
    assert "'a'" in found.stderr
    (folder / "new.csv").write_text("a,b,colour\n1,2,green\n")
    with pytest.warns(UserWarning, match=r"texts that the run's data had not \('green' in 1\)"):
        found = call("predict", "run.zarr", "new.csv", "--out", "p.csv")
    assert found.exit_code == 0, found.output


def test_progress_needs_no_physics():
    from gpu_thermo.running.loop import Progress

    p = Progress(500, 2_000, 48, 1e4, 7.0, 1.0, {"all": 1.0}, 0, 3, 2, "sampling", 0.12, 0.05)
    text = progress.in_words(p)
    assert text == "collecting networks; averages are known to 0.12 of their spread, the goal is 0.05; 0:07 left"
    assert set(progress.PHASES) == set(PHASES)
    early = replace(p, phase="burn-in", error=math.nan, seconds_left=math.inf)
    assert progress.in_words(early) == f"{progress.PHASES['burn-in']}; time left not known yet"
    assert progress.in_words(replace(early, most_seconds_left=90.0)).endswith("; at most 1:30 left")


def test_reports_of_runs_and_studies(done, folder):
    found = call("report", "run.zarr", "--out", "r.html")
    assert found.exit_code == 0, found.output
    assert "r.html written" in found.stderr
    assert call("report", "run.zarr", "--out", "r.html").exit_code == 2
    assert call("report", "run.zarr", "--out", "r.pdf").exit_code == 2
    assert call("report", "none.zarr", "--out", "n.html").exit_code == 2


def digest(store):
    """Of every byte of a store."""
    files = sorted(path for path in store.rglob("*") if path.is_file())
    return hashlib.sha256(b"".join(str(f).encode() + f.read_bytes() for f in files)).hexdigest()


class TestWatch:
    """A store is read and nothing of it written."""

    def test_a_run_that_ended(self, done):
        before = digest(done)
        found = call("watch", "run.zarr")
        assert found.exit_code == 0, found.output
        (line,) = found.stdout.splitlines()
        assert line.startswith("step ")
        assert line.endswith("ended")
        assert "energy" in line
        assert "temperature of hidden" in line
        assert digest(done) == before

    def test_a_run_that_tunes_itself(self, folder):
        found = call("watch", str(fitted(folder)), "--once")
        assert "sampling, step" in found.stdout
        assert "error of the averages" in found.stdout

    def test_for_a_terminal(self, done, monkeypatch):
        """Eighty columns: a bar on a line of its own, as long as the share, and each thing whole on the next."""
        glance = watch.glance(done)
        from rich.console import Console

        def lines(found):
            with (console := Console(width=80)).capture() as captured:
                console.print(watch.shown(found))
            return captured.get().splitlines()

        ended = lines(glance)
        assert ended[0] == "━" * 60
        assert ended[1] == f"step {glance.step} of {glance.total}, {glance.draws} draws, ended"
        assert ended[2].startswith("energy ")
        assert watch.curve(glance.energy) in ended[2]
        going = lines(replace(glance, ended=False, phase="sampling", step=30, total=100, error=0.2, tolerance=0.1))
        assert going[1] == f"sampling, step 30 of 100, {glance.draws} draws (30%)"
        assert going[2] == "error of the averages 0.2 of 0.1"

    def test_curves(self):
        assert watch.curve((0.0, 1.0, 2.0)) == "▁▅█"
        assert watch.curve((1.0, 1.0)) == "▁▁"
        assert len(watch.curve(tuple(np.arange(100.0)))) == 40
