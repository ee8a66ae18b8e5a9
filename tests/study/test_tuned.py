"""Studies whose runs tune and stop themselves: each is `sample` of its spec, whatever stopped it on the way."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomli_w
from cli_cases import call, check_refused
from processes import NEEDS_PROC
from study_cases import same

from gpu_thermo.errors import SpecError, StoreError
from gpu_thermo.run import Interrupted, sample
from gpu_thermo.study import StudySpec, open_study, plan_study, run_study, summaries, together
from gpu_thermo.study.parts import RUNS, write_part
from gpu_thermo.study.progress import StudyProgress
from gpu_thermo.study.reading import notices_of
from gpu_thermo.study.tuned import ready_of, run_path, run_tuned
from gpu_thermo.study.work import make_work
from gpu_thermo_cli.study import line

WELL: dict[str, Any] = {
    "target": {"name": "double_well"}, "method": {"name": "langevin", "temperature": 1.0},
    "run": {"tolerance": 0.2, "replicas": 32}, "grid": {"target.tilt": [0.0, 0.3]}, "seeds": {"count": 2},
}  # fmt: skip
TIMES = ("seconds_to_tolerance", "seconds")


def single(tilt: float, seed: int, **run: Any) -> Any:
    return sample({
        "target": WELL["target"] | {"tilt": tilt}, "method": WELL["method"], "run": WELL["run"] | {"seed": seed} | run,
    })  # fmt: skip


def alike(one: Any, other: Any) -> None:
    """Equal in all but times."""
    same(one.drop_vars(TIMES), other.drop_vars(TIMES))


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return run_study(WELL, tmp_path_factory.mktemp("tuned") / "s.zarr").load()


def test_each_run_is_a_single_run(straight: Any) -> None:
    """Of its seed: errors, averages, what it found, and when it stopped; each by itself."""
    tree = single(0.3, 2)
    verdict = json.loads(tree["tuning"].attrs["verdict"])
    assert straight["error"][3] == verdict["error"]
    assert straight["stepsize"][3] == tree["sample_stats"]["stepsize"][0]
    assert straight["average_x"][3] == tree["predictive"]["mean"].to_numpy().ravel()[0]
    course = json.loads(tree["tuning"].attrs["course"])
    assert course["ended"] == "tolerance"
    assert straight["steps_to_tolerance"][3] == course["stop"]
    assert (straight["trusted"] == 1).all()
    assert len(set(straight["steps_to_tolerance"].to_numpy())) > 1
    gradients = straight["gradients_to_tolerance"] / straight["steps_to_tolerance"]
    assert ((gradients >= 32) & (gradients <= 66)).all()
    assert list(summaries(straight)) == ["tilt 0", "tilt 0.3"]
    assert summaries(straight, "steps_to_tolerance")["tilt 0"].count == 2


def test_an_unfinished_run_goes_on(straight: Any, tmp_path: Path) -> None:
    """What was committed before a stop is gone on with, and a run that ended before its part was written is not run
    again; nothing is left of either.
    """
    spec = StudySpec.from_dict(WELL)
    job = make_work(spec, Path.cwd(), "cpu", "auto")
    store = tmp_path / "s.zarr"
    first = run_study({**WELL, "seeds": {"count": 1}}, store)
    assert int((first["status"] == 0).sum()) == 2
    half, ended = (s for s in job.shards if s.seeds.init[0] == 1)
    (store / RUNS).mkdir(exist_ok=True)
    sample(ready_of(half).spec, run_path(store, half), time_limit=0.0).close()
    before = json.loads((run_path(store, half) / "zarr.json").read_text())
    sample(ready_of(ended).spec, run_path(store, ended)).close()
    found = run_study(WELL, store, extend=True).load()
    alike(found, straight)
    assert before
    assert not list((store / RUNS).iterdir())


def test_runs_that_fail_are_named_and_the_others_go_on(tmp_path: Path) -> None:
    """A stepsize at which positions overflow."""
    grid = {"method.stepsize": [0.3, 1e9]}
    found = run_study({**WELL, "target": {"name": "quartic"}, "grid": grid, "seeds": {"count": 1}}, tmp_path / "s.zarr")
    assert found["status"].to_numpy().tolist() == [0, 3]
    assert np.isfinite(found["steps_to_tolerance"].to_numpy()).tolist() == [True, False]
    assert any("Positions became infinite" in text for text in notices_of(found))


def test_a_tolerance_that_is_not_reached(tmp_path: Path) -> None:
    """Later than the most steps; its error is kept, and so is the run where that is asked for."""
    run = {"tolerance": 0.001, "replicas": 32, "max_steps": 3000}
    study = {**WELL, "run": run, "grid": {}, "seeds": {"count": 1}, "study": {"keep": True}}
    found = run_study(study, tmp_path / "s.zarr")
    assert np.isnan(found["steps_to_tolerance"]).all()
    assert (found["error"] > 0.001).all()
    assert (found["trusted"] == 0).all()
    (row,) = summaries(found, "steps_to_tolerance").values()
    assert (row.count, row.missing, row.end) == (0, 1, 3000)
    assert len(list((tmp_path / "s.zarr" / RUNS).iterdir())) == 1
    assert plan_study(study).at_most


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"run": {"tolerance": 0.1, "steps": 100}}, "both given"),
        ({"run": {"tolerance": 0.1, "replicas": 3}}, "32 of them at least"),
        ({"run": {"tolerance": 0.1, "seed_init": 3}}, r"give init in \[seeds\]"),
        ({"run": {"tolerance": 3.0}}, "tolerance"),
        ({"method": {"name": "langevin", "temperature": 1.0, "block": 3}}, "block"),
        ({"run": {"steps": 100, "replicas": 64}}, r"Of runs with run\.tolerance"),
    ],
)
def test_mistakes(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    with pytest.raises(SpecError, match=says):
        run_study({**WELL, **change}, tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())


def test_what_is_left_is_at_most() -> None:
    """Nobody knows when such runs stop."""
    progress = StudyProgress(1, 4, 1, 4, 100, 400, at_most=True)
    assert " at most " in line(progress)
    assert " at most " not in line(replace(progress, at_most=False))


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("s.toml").write_text(tomli_w.dumps({**WELL, "seeds": {"count": 1}}))
    assert "at most" in call("study", "s.toml", "--dry-run").stdout
    assert call("study", "s.toml", "--quiet").exit_code == 0
    assert json.loads(call("table", "s.zarr", "--json").stdout)["outcome"] == "gradients_to_tolerance"
    Path("s.toml").write_text(tomli_w.dumps({**WELL, "run": {"tolerance": 0.1, "thin": 3}}))
    check_refused(call("study", "s.toml", "--out", "t.zarr"), ["leave out thin"])


HARD = {**WELL, "run": {"tolerance": 0.02, "replicas": 64}, "grid": {}, "seeds": {"count": 2}}


def writes(pid: int) -> bool:
    """Whether a process holds a study's lock: before that, a signal stops a command that has nothing to say."""
    return any(f" {pid} " in held for held in Path("/proc/locks").read_text().splitlines() if "FLOCK" in held)


@pytest.mark.slow
@NEEDS_PROC
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_stops_and_kills_go_on(tmp_path: Path, signum: int) -> None:
    """At five moments each; the end is that of a straight run."""
    text, store = tmp_path / "s.toml", tmp_path / "s.zarr"
    text.write_text(tomli_w.dumps(HARD))
    line = [sys.executable, "-m", "gpu_thermo_cli.main", "study", str(text), "--out", str(store), "--quiet"]
    answered = 0
    for moment in range(5):
        child = subprocess.Popen(line, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"})
        end = time.monotonic() + 60
        while not writes(child.pid) and child.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(0.15 * moment)
        child.send_signal(signum)
        _, said = child.communicate(timeout=60)
        if child.returncode == 130:
            assert "Give the same command to continue." in said
            answered += 1
    assert answered >= (signum == signal.SIGINT)  # the others came after its end
    assert subprocess.run(line, check=False).returncode == 0
    alike(open_study(store).load(), run_study(HARD, tmp_path / "straight.zarr").load())


def test_a_signal_at_the_end_of_a_launch_is_answered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All its runs are done and nobody goes on to see it: the next launch is not begun all the same."""
    study = {**WELL, "run": {"tolerance": 0.3, "replicas": 32}}
    keep, kept = together.keep_part, []

    def signalled(*given: Any) -> None:
        keep(*given)
        kept.append(given)
        if len(kept) == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(together, "keep_part", signalled)
    with pytest.raises(Interrupted, match="Stopped by SIGINT: 2 of 4 runs are done") as stopped:
        run_study(study, tmp_path / "s.zarr")
    assert stopped.value.exit_code == 130
    assert len(kept) == 2
    assert not list((tmp_path / "s.zarr" / RUNS).iterdir())


def test_a_damaged_course_names_its_run(tmp_path: Path) -> None:
    """Which alone is begun anew where it is removed, as is said; a part that is done is kept."""
    study, store = {**WELL, "grid": {}, "run": {"tolerance": 0.3, "replicas": 32}}, tmp_path / "s.zarr"
    run_study({**study, "seeds": {"count": 1}}, store).close()
    shard = make_work(StudySpec.from_dict(study), Path.cwd(), "cpu", "auto").shards[1]
    path = run_path(store, shard)
    sample(ready_of(shard).spec, path, time_limit=0.0).close()
    record = path / "zarr.json"
    tree = json.loads(record.read_text())
    tree["consolidated_metadata"]["metadata"]["tuning"]["attributes"]["course"] = "{}"
    record.write_text(json.dumps(tree))
    with pytest.raises(StoreError, match=r"is damaged.*remove that folder") as damaged:
        run_study(study, store, extend=True)
    assert str(path) in str(damaged.value)
    shutil.rmtree(path)
    first = run_study({**study, "seeds": {"count": 1}}, tmp_path / "t.zarr").load()
    again = run_study(study, store, extend=True).load()
    assert (again["status"] == 0).all()
    assert again["steps_to_tolerance"][0] == first["steps_to_tolerance"][0]


def test_parts_know_their_shard(tmp_path: Path) -> None:
    """One run is one shard; its part is what `run_tuned` gives."""
    job = make_work(StudySpec.from_dict({**WELL, "seeds": {"count": 1}}), Path.cwd(), "cpu", "auto")
    assert [s.runs for s in job.shards] == [1, 1]
    (tmp_path / "status" / "parts").mkdir(parents=True)
    arrays = run_tuned(job.shards[0], tmp_path)
    write_part(tmp_path, job.shards[0], arrays)
    assert {len(v) for n, v in arrays.items() if n not in ("build", "notices", "steps")} == {1}


@pytest.mark.slow
def test_side_by_side_on_workers(tmp_path: Path) -> None:
    """Two processes, a run each at a time: the bits of one after another."""
    pytest.importorskip("distributed")
    alike(run_study(WELL, tmp_path / "a.zarr").load(), run_study(WELL, tmp_path / "b.zarr", workers=2).load())
