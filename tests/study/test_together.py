"""Shards of several lengths in one launch give what they give alone, whatever becomes of the others."""

import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from study_cases import same

from gpu_thermo.errors import ResourceError, RunError
from gpu_thermo.run import sample
from gpu_thermo.study import StudySpec, plan_study, run_study, together
from gpu_thermo.study.launch import run_shard
from gpu_thermo.study.parts import is_done
from gpu_thermo.study.together import Together, make_parts
from gpu_thermo.study.work import Work, make_work

STEPSIZES = [0.1, 0.17, 0.3]
TIMED = {
    "method": {"name": "langevin", "temperature": 0.5, "friction": 1.0},
    "run": {"duration": {"total": 9.0, "burn_in": 3.0, "thin": 1.0}, "trace": 7},
    "grid": {"method.stepsize": STEPSIZES},
    "seeds": {"count": 3},
    "study": {"keep": True},
}
WELL = {**TIMED, "target": {"name": "double_well"}}
NETWORK = {
    **TIMED, "data": {"name": "moons", "train": 30, "test": 30}, "model": {"hidden": 4, "prior_sd": 1.0},
    "run": TIMED["run"] | {"batch": 10},
}  # fmt: skip
BRACES = {
    **NETWORK, "run": TIMED["run"] | {"minibatch": "full"},
    "method": {"name": "splitting", "word": "{BAOAB}", "partition": "all", "temperature": 0.02, "friction": 1.0},
}  # fmt: skip
GPU = pytest.mark.gpu
WHERE = [("cpu", "batched"), ("cpu", "fused"), *(pytest.param("cuda:0", e, marks=GPU) for e in ("batched", "fused"))]


def work_of(study: dict[str, Any], device: str = "cpu", engine: str = "auto") -> Work:
    return make_work(StudySpec.from_dict(study), None, device, engine)


def equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray], name: str = "") -> None:
    """What a study keeps of two shards, times aside."""
    assert one.keys() == other.keys()
    for key in one.keys() - {"seconds", "ess_per_second"}:
        np.testing.assert_array_equal(one[key], other[key], err_msg=f"{name} {key}")


@pytest.mark.parametrize(("device", "engine"), WHERE)
@pytest.mark.parametrize("study", [NETWORK, BRACES], ids=["network", "braces"])
def test_bits_are_those_of_each_alone(study: dict[str, Any], device: str, engine: str):
    """Curves, outcomes, draws: all that is kept, word plain or in braces, whose work is counted between records."""
    job = work_of(study, device, engine)
    (launch,) = job.launches(job.shards)
    assert [shard.steps for shard in launch] == [90, 54, 28]
    found = {shard.id: arrays for shard, arrays in Together(launch, (device, engine, 2)).run()}
    for shard in launch:
        equal(found[shard.id], run_shard(shard, device, engine, 2), shard.id)


def test_a_cell_is_sample_of_it_alone(tmp_path: Path):
    """Each stepsize's draws and last energies are those of the run that a user makes of it."""
    found = run_study(WELL, tmp_path / "s.zarr")
    for i, h in enumerate(STEPSIZES):
        run = WELL["run"] | {"replicas": 3, "keep": ["parameters"]}
        tree = sample({"target": WELL["target"], "method": WELL["method"] | {"stepsize": h}, "run": run})
        mine = found.isel(chain=slice(3 * i, 3 * i + 3))
        draws = tree["posterior"]["position"].transpose("chain", "draw", ...).to_numpy()
        np.testing.assert_array_equal(mine["position"].to_numpy().reshape(draws.shape), draws)
        energy = tree["sample_stats"]["energy"].transpose("chain", "draw").to_numpy()
        np.testing.assert_array_equal(mine["energy"], energy[:, -1])


def test_words_have_launches_and_stepsizes_share_them():
    """A launch for each word, however long its runs are; a plan says so."""
    grid = {"method.word": ["BAOAB", "OBABO"], "method.stepsize": STEPSIZES}
    plan = plan_study({**WELL, "grid": grid})
    assert (plan.cells, plan.shards, plan.launches) == (6, 6, 2)
    steps = {**WELL, "run": {"burn_in": 0}, "grid": {"run.steps": [10, 20, 30], "run.trace": [5, 10]}}
    steps |= {"method": WELL["method"] | {"stepsize": 0.1}}
    assert (plan_study(steps).shards, plan_study(steps).launches) == (6, 1)


LADDER = {"kind": "exchange", "rungs": 2, "hottest": 1.0, "interval": 5}
FALLING = {"value": 0.1, "schedule": "linear", "final": 0.1}


@pytest.mark.parametrize(
    ("more", "launches"),
    [
        ({"run": {}, "moves": [LADDER]}, 3),
        ({"run": {}, "method": {**TIMED["method"], "temperature": FALLING}}, 3),
        ({"run": {}, "method": {"name": "adam"}, **{k: NETWORK[k] for k in ("data", "model")}, "target": None}, 3),
        ({"run": {}, "study": {"shard": 2}}, 5),
        ({"run": {}, "study": {"shard": 4}}, 3),
        ({"run": {}, "study": {"shard": 6}}, 2),
    ],
    ids=["moves", "schedule", "ticks", "shards of two", "of one length", "two lengths"],
)
def test_who_goes_alone(more: dict[str, Any], launches: int):
    """Moves look at all replicas at one step, schedules know a run's length; a shard's size is a launch's, where it is
    given. Workers have some each.
    """
    study = {**WELL, **more, "grid": {"run.steps": [10, 20, 30]}}
    study["method"] = {"stepsize": 0.1} | study["method"]
    job = work_of({key: value for key, value in study.items() if value is not None})
    assert len(job.launches(job.shards)) == launches
    assert len(job.launches(job.shards, workers=2)) == len(job.shards)


def test_one_that_stops_on_the_way_stops_no_other(tmp_path: Path):
    """Runs of one stepsize blow up, in one launch with the others: cause, step and numbers as alone."""
    study = {**WELL, "grid": {"method.stepsize": [0.1, 3.0, 0.3]}, "study": {}}
    study["run"] = {"steps": 60, "burn_in": 0, "thin": 6}
    study["zip"] = [{"method.stepsize": study.pop("grid")["method.stepsize"], "run.steps": [60, 54, 30]}]
    job = work_of(study)
    (launch,) = job.launches(job.shards)
    found = {shard.id: arrays for shard, arrays in Together(launch, ("cpu", "batched", 1)).run()}
    for shard in launch:
        alone = run_shard(shard, "cpu", "batched", 1)
        assert (found[shard.id]["status"] > 0).all() == (shard is launch[1])
        for name in ("status", "frozen_step", "energy", "average_x", "steps"):
            np.testing.assert_array_equal(found[shard.id][name], alone[name], err_msg=name)


def test_what_is_done_is_kept_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A launch that is broken off: the runs that had ended are there, and the same command does the others."""
    run_study(WELL, tmp_path / "whole.zarr").close()

    def breaks(shard: Any, store: Path, arrays: Any) -> None:
        if shard.steps == 54:
            raise RunError("no room")
        keep(shard, store, arrays)

    keep, path = together.keep_part, tmp_path / "s.zarr"
    monkeypatch.setattr(together, "keep_part", breaks)
    with pytest.raises(RunError, match="no room"):
        run_study(WELL, path)
    shards = work_of(WELL).shards
    assert [is_done(path, shard) for shard in shards] == [False, False, True]
    monkeypatch.undo()
    same(run_study(WELL, path), run_study(WELL, tmp_path / "whole.zarr"))


def test_what_does_not_fit_together_goes_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Replica-steps are told alike, and every shard counts once."""
    job, told, parts = work_of(WELL), [], []
    (launch,) = job.launches(job.shards)
    run_study(WELL, tmp_path / "s.zarr").close()

    class Full:
        def __init__(self, *given: Any) -> None:
            held.append(weakref.ref(self))

        def run(self, on_steps: Any) -> Iterator[Any]:
            raise ResourceError("full")
            yield

    held: list[weakref.ref[Full]] = []
    make_part, alive = together.make_part, []

    def alone(*given: Any) -> None:
        alive.extend(ref() for ref in held)
        make_part(*given)

    monkeypatch.setattr(together, "Together", Full)
    monkeypatch.setattr(together, "make_part", alone)
    (tmp_path / "t.zarr" / "status" / "parts").mkdir(parents=True)
    make_parts(launch, tmp_path / "t.zarr", ("cpu", "batched", 1), told.append, False, parts.append)
    assert alive == [None] * 3  # its memory is free before the first goes alone
    assert parts == list(launch)
    assert told == sorted(told)
    assert told[-1] == sum(shard.replica_steps for shard in launch)
    for shard in launch:
        one, other = (dict(np.load(tmp_path / s / "status/parts" / f"{shard.id}.npz")) for s in ("s.zarr", "t.zarr"))
        equal(one, other)
