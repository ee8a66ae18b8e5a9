"""Runs that stop themselves take turns in one launch; each gives what it gives alone, whatever becomes of others."""

import gc
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_thermo.errors import ResourceError, RunError
from gpu_thermo.run import Interrupted, sample
from gpu_thermo.running.places import Place
from gpu_thermo.store import open_run, read_header
from gpu_thermo.study import StudySpec, asks, plan_study, together, tuned, turns
from gpu_thermo.study.parts import RUNS
from gpu_thermo.study.together import make_parts
from gpu_thermo.study.tuned import TURNS, make_part, ready_of, run_path, run_tuned
from gpu_thermo.study.turns import Turn, Turns
from gpu_thermo.study.work import Work, make_work

WELL: dict[str, Any] = {
    "target": {"name": "double_well"}, "method": {"name": "langevin", "temperature": 1.0},
    "run": {"tolerance": 0.2, "replicas": 32}, "grid": {"run.tolerance": [0.2, 0.3]}, "seeds": {"count": 2},
}  # fmt: skip
NETWORK: dict[str, Any] = {
    "data": {"name": "moons", "train": 20, "test": 20}, "model": {"hidden": 3, "prior_sd": 1.0},
    "method": {"name": "langevin"}, "run": {"tolerance": 0.2, "replicas": 32},
    "grid": {"method.temperature": [0.02, 0.05]}, "seeds": {"count": 2}, "study": {"keep": True, "shard": 16},
}  # fmt: skip
MINIBATCH = NETWORK | {
    "method": {"name": "adl", "temperature": 0.02}, "grid": {"run.tolerance": [0.3]},
    "run": {"tolerance": 0.3, "replicas": 32, "minibatch": "subset", "batch": 5, "max_steps": 3000},
}  # fmt: skip
MASSES = NETWORK | {"method": {"name": "langevin", "temperature": 0.02, "mass": "auto"}, "grid": {}}
LADDER = WELL | {
    "target": {"name": "double_well"}, "method": {"name": "langevin", "temperature": 0.1}, "grid": {},
    "moves": [{"kind": "exchange", "rungs": 3, "hottest": 1.0}], "run": {"tolerance": 0.3, "replicas": 32},
}  # fmt: skip
FALLING = NETWORK | {"grid": {}, "run": {"tolerance": 0.3, "replicas": 32, "path": "falling", "max_steps": 4000}}
STUDIES = {
    "well": WELL, "network": NETWORK, "minibatch": MINIBATCH, "masses": MASSES, "ladder": LADDER, "falling": FALLING,
}  # fmt: skip
MOST = TURNS["batched", "cpu"]
TIMES = {"seconds", "seconds_to_tolerance"}


def work_of(study: dict[str, Any], device: str = "cpu", engine: str = "auto") -> Work:
    return make_work(StudySpec.from_dict(study), None, device, engine)


def folder(path: Path) -> Path:
    """An empty study's."""
    (path / "status" / "parts").mkdir(parents=True)
    return path


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """What a study keeps of two runs, times aside."""
    assert one.keys() == other.keys()
    for key in one.keys() - TIMES:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def same_draws(one: Path, other: Path) -> None:
    """All draws and what is said of them, in two stores of one run."""
    with open_run(one) as a, open_run(other) as b:
        for group in ("posterior", "sample_stats", "trace", "predictive"):
            if group in a.children:
                assert a[group].to_dataset().equals(b[group].to_dataset()), group


def check_study(study: dict[str, Any], tmp_path: Path, device: str, engine: str) -> None:
    """All runs of a study in one launch, and each alone."""
    job = work_of(study, device, engine)
    (launch,) = job.launches(job.shards)
    together, alone = folder(tmp_path / "together"), folder(tmp_path / "alone")
    found = {shard.id: arrays for shard, arrays in Turns(launch, together, (device, engine, 2)).run()}
    assert found.keys() == {shard.id for shard in launch}
    for shard in launch:
        equal(found[shard.id], run_tuned(shard, alone, device, engine, 2))
        same_draws(run_path(together, shard), run_path(alone, shard))


@pytest.mark.parametrize("study", STUDIES)
def test_bits_are_those_of_each_alone(study: str, tmp_path: Path) -> None:
    """Potentials, networks on data sets of their own, minibatches with a group at h/2, masses, ladders, a falling
    stepsize: whatever stage each is in.
    """
    check_study(STUDIES[study], tmp_path, "cpu", "auto")


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["batched", "fused"])
@pytest.mark.parametrize("study", ["network", "minibatch"])
def test_bits_are_those_of_each_alone_on_a_gpu(study: str, engine: str, tmp_path: Path) -> None:
    """States that live on the device are rows of one and have theirs back there."""
    check_study(STUDIES[study], tmp_path, "cuda:0", engine)


def test_arrays_give_the_same_bits(tmp_path: Path) -> None:
    """The batched engine, where data sets differ."""
    check_study(NETWORK | {"grid": {}}, tmp_path, "cpu", "batched")


def rows_of(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """(step, runs, steps) of each launch of several, from now on."""
    seen: list[tuple[int, int, int]] = []
    advance = asks.Joined.advance

    def watched(self: asks.Joined, some: Any, stop: int) -> None:
        seen.append((some[0].step, len(some), stop - some[0].step))
        advance(self, some, stop)

    monkeypatch.setattr(asks.Joined, "advance", watched)
    return seen


def test_who_has_stopped_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All go on together from the first step, each to where it stops, and the last one alone."""
    job, seen = work_of(WELL), rows_of(monkeypatch)
    (launch,) = job.launches(job.shards)
    store = folder(tmp_path / "s")
    told: list[int] = []
    found = dict(
        (shard.id, int(arrays["steps_to_tolerance"][0]))
        for shard, arrays in Turns(launch, store, ("cpu", "auto", 1)).run(told.append)
    )
    assert seen[0][:2] == (0, 4)
    assert [runs for _, runs, _ in seen] != sorted(runs for _, runs, _ in seen)
    stops = sorted(found.values())
    alone = stops[-1] - stops[-2]  # steps of the last one, and of whoever is in a stage of its own
    assert sum(runs * steps for _, runs, steps in seen) >= 0.7 * (sum(stops) - alone)
    assert told == sorted(told)
    assert told[-1] == sum(shard.replica_steps for shard in launch)


def test_one_that_is_behind_catches_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that was begun before goes on from its commit, when the others have come as far."""
    job = work_of(WELL | {"grid": {}})
    (launch,) = job.launches(job.shards)
    store, straight = folder(tmp_path / "s"), folder(tmp_path / "t")
    (store / RUNS).mkdir(parents=True)
    begun = ready_of(launch[1])
    stops = [int(run_tuned(shard, straight)["steps_to_tolerance"][0]) for shard in launch]
    sample(begun.spec, run_path(store, launch[1]), time_limit=0.0).close()
    first = read_header(run_path(store, launch[1])).step
    seen = rows_of(monkeypatch)
    for shard, arrays in Turns(launch, store, ("cpu", "auto", 1)).run():
        equal(arrays, run_tuned(shard, straight))
    assert seen[0][0] >= first > 0
    assert max(step + steps for step, _, steps in seen) <= min(stops)


def test_engines_are_asked_for_on_the_device_of_the_run() -> None:
    """Which is not the launch's where a run was begun elsewhere; and nothing is made before it is used."""
    shard = work_of(WELL).shards[0]
    turn = Turn(shard, lambda turn: {}, [], 1)
    asking = Place("cuda:3", 1, seat=turn).make(ready_of(shard).job, "fused", 1)
    assert (asking.name, asking.device) == ("fused", "cuda:3")


@pytest.mark.gpu
def test_a_run_that_goes_on_keeps_its_device(tmp_path: Path) -> None:
    """One that was begun on the CPU, beside one that is begun where a GPU has come."""
    job = work_of(WELL | {"grid": {}, "run": {"tolerance": 0.3, "replicas": 32}}, "auto")
    (launch,) = job.launches(job.shards)
    store, straight = folder(tmp_path / "s"), folder(tmp_path / "t")
    (store / RUNS).mkdir(parents=True)
    sample(ready_of(launch[1]).spec, run_path(store, launch[1]), device="cpu", time_limit=0.0).close()
    own = {launch[0].id: "cuda:0", launch[1].id: "cpu"}
    for shard, arrays in Turns(launch, store, ("auto", "auto", 1)).run():
        equal(arrays, run_tuned(shard, straight, own[shard.id]))


def test_trouble_ends_all_and_nothing_committed_is_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full for one of them: its error is raised, no thread is left, the same command goes on."""
    job = work_of(WELL)
    (launch,) = job.launches(job.shards)
    store, run = folder(tmp_path / "s"), turns.run_tuned

    def full(shard: Any, *given: Any, **more: Any) -> Any:
        if shard is launch[2]:
            raise RunError("No space left on device")
        return run(shard, *given, **more)

    monkeypatch.setattr(turns, "run_tuned", full)
    before = threading.active_count()
    with pytest.raises(RunError, match="No space left"):
        make_parts(launch, store, ("cpu", "auto", 1))
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
    monkeypatch.undo()
    make_parts(launch, store, ("cpu", "auto", 1))
    alone = folder(tmp_path / "t")
    for shard in launch:
        make_part(shard, alone)
        one, other = (dict(np.load(s / "status/parts" / f"{shard.id}.npz")) for s in (store, alone))
        equal(one, other)


def test_a_signal_has_all_of_them_commit(tmp_path: Path) -> None:
    """What a signal would put into the list of those caught."""
    job = work_of(WELL)
    (launch,) = job.launches(job.shards)
    store = folder(tmp_path / "s")
    several = Turns(launch, store, ("cpu", "auto", 1))
    with pytest.raises(Interrupted):
        for _ in several.run(lambda steps: several.caught.append(2)):
            pass
    for shard in launch:
        assert (run_path(store, shard) / "zarr.json").exists()
    alone = folder(tmp_path / "t")
    for shard, arrays in Turns(launch, store, ("cpu", "auto", 1)).run():
        equal(arrays, run_tuned(shard, alone))


def test_a_signal_while_a_launch_starts_begins_no_run_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the one that was about to start has ended, and has nothing to say of it."""
    job, started, ended = work_of(WELL), [], []
    (launch,) = job.launches(job.shards)

    def signalled(shard: Any, *given: Any, seat: Turn, **more: Any) -> dict[str, np.ndarray]:
        started.append(shard)
        seat.caught.append(2)
        return {}

    monkeypatch.setattr(turns, "run_tuned", signalled)
    with pytest.raises(Interrupted, match="Stopped by SIGINT before the run began") as stopped:
        ended.extend(shard for shard, _ in Turns(launch, folder(tmp_path / "s"), ("cpu", "auto", 1)).run())
    assert stopped.value.exit_code == 130
    assert started == ended == [launch[0]]


def test_a_launch_that_was_given_up_holds_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the memory of a GPU is full, it is free again before the runs go one by one: no collector is needed."""
    job, held, alive = work_of(WELL | {"grid": {}}), [], []
    (launch,) = job.launches(job.shards)
    advance = asks.Launches.advance

    def full(self: asks.Launches, some: Any, stop: int) -> None:
        if held:
            raise ResourceError("full")
        advance(self, some, stop)
        held.extend(weakref.ref(thing) for ask in some for thing in (ask, ask.state, ask.stage))
        held.extend(weakref.ref(joined) for joined in self._last.values() if joined is not None)

    monkeypatch.setattr(asks.Launches, "advance", full)
    monkeypatch.setattr(together, "make_part", lambda *given: alive.append([ref() for ref in held if ref()]))
    gc.collect()
    gc.disable()
    try:
        make_parts(launch, folder(tmp_path / "s"), ("cpu", "auto", 1))
    finally:
        gc.enable()
    assert len(held) == 7
    assert alive == [[], []]


def test_clocks_of_a_launch_add_up(tmp_path: Path) -> None:
    """Each has its own time and its share of what was done together."""
    job = work_of(WELL)
    (launch,) = job.launches(job.shards)
    began = time.perf_counter()
    found = [arrays for _, arrays in Turns(launch, folder(tmp_path / "s"), ("cpu", "auto", 1)).run()]
    whole = time.perf_counter() - began
    spent = sum(float(arrays["seconds"][0]) for arrays in found)
    assert 0.5 * whole < spent <= whole
    assert all(0 < arrays["seconds_to_tolerance"][0] <= arrays["seconds"][0] for arrays in found)


@pytest.mark.parametrize(
    ("more", "launches"),
    [
        ({}, 1),
        ({"grid": {"method.friction": [0.5, 1.0], "run.tolerance": [0.2, 0.3], "run.max_steps": [9000, 10000]}}, 1),
        ({"grid": {"method.word": ["BAOAB", "OBABO"]}}, 2),
        ({"grid": {"target.tilt": [0.0, 0.3]}}, 2),
        ({"run": WELL["run"] | {"max_time": 60.0}}, 4),
        ({"run": WELL["run"] | {"replicas": MOST}}, 4),
        ({"run": WELL["run"] | {"replicas": MOST // 2}}, 2),
        ({"study": {"shard": 3}}, 2),
        ({"study": {"shard": 1}}, 4),
    ],
    ids=[
        "tolerances",
        "what it would find",
        "words",
        "targets",
        "clocks",
        "many replicas",
        "half as many",
        "as asked for",
        "each alone",
    ],
)
def test_who_goes_together(more: dict[str, Any], launches: int) -> None:
    """Runs of one program and target, as many as it pays for; a clock is each run's own."""
    assert plan_study(WELL | more).launches == launches


@pytest.mark.parametrize(("engine", "launches"), [("batched", 1), ("fused", 4)])
def test_kernels_on_a_cpu_are_full_with_one(engine: str, launches: int) -> None:
    """More than one at a time where it is asked for only."""
    study = {key: value for key, value in NETWORK.items() if key != "study"}
    assert plan_study(study, engine=engine).launches == launches
    assert plan_study(NETWORK, engine=engine).launches == 1


def test_a_launch_fits_the_memory_of_its_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's is counted beside the process's."""
    half = tuned.TURNS_BYTES // 2
    for bill in (({"process": 1, "state": half}, 0), ({"process": 1, "state": 1}, half)):
        monkeypatch.setattr(tuned, "memory_bill", lambda *given, bill=bill: bill)
        assert plan_study(WELL).launches == 2


def test_workers_have_some_each() -> None:
    job = work_of(WELL)
    assert [len(launch) for launch in job.launches(job.shards, workers=2)] == [2, 2]
    assert len(job.launches(job.shards, workers=8)) == 4


def test_priors_of_data_keep_to_their_data() -> None:
    """Scales that are chosen by a data set are of runs on that one."""
    study = NETWORK | {"model": NETWORK["model"] | {"prior_sd": "auto"}}
    assert plan_study(study).launches == 2


def test_networks_that_differ_by_their_data_go_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A learned noise is centred where each data set says: no network is another's."""
    study = NETWORK | {
        "data": {"name": "gap", "train": 20, "test": 20}, "grid": {}, "method": {"name": "langevin"},
        "model": {"hidden": 2, "prior_sd": 1.0, "noise_sd": "learn"},
    }  # fmt: skip
    seen = rows_of(monkeypatch)
    check_study(study, tmp_path, "cpu", "auto")
    assert len(seen) == 0
