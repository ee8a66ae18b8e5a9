"""Studies: cells and seeds, independence of the grid and of workers bit for bit, interruption, continuation,
statistics, refusals.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gpu_thermo.errors import DeviceError, SpecError, StoreError, StoreExistsError, StoreLockedError
from gpu_thermo.run import iterate
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.study import StudySpec, comparisons, labels, open_study, plan_study, run_study, summaries
from gpu_thermo.study import conduct as study_drive
from gpu_thermo.study.conduct import make_work
from gpu_thermo.study.launch import run_shard
from gpu_thermo.study.parts import is_done, part_path, writing
from gpu_thermo.study.statistics import bootstrap, compare, holm, power, seeds_needed, summarise

ADLALA = {"name": "adlala", "stepsize": 0.2, "temperature": 1e-4, "friction": 0.5}
SMALL = {
    "data": {"name": "spirals", "turns": 1, "train": 40, "test": 40},
    "model": {"hidden": 6},
    "run": {"steps": 200, "batch": 10, "trace": 50},
    "grid": {"method": [{"name": "sgd", "stepsize": 0.1}, ADLALA, {**ADLALA, "friction": 2.0, "label": "thick"}]},
    "seeds": {"count": 5},
}


def changed(**sections: object) -> dict:
    """SMALL with whole sections replaced; None leaves one out."""
    return {key: value for key, value in {**SMALL, **sections}.items() if value is not None}


def same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Equal in all but times."""
    assert set(one.variables) == set(other.variables)
    for name in set(one.variables) - {"seconds"}:
        np.testing.assert_array_equal(one[name].to_numpy(), other[name].to_numpy(), err_msg=str(name))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SMALL, run in this process."""
    path = tmp_path_factory.mktemp("study") / "small.zarr"
    run_study(SMALL, path).close()
    return path


# -- cells and seeds ---------------------------------------------------------------------------------------------------


def test_products_and_zips():
    """Grid fields multiply, zipped ones go in step, whole sections carry their label."""
    spec = StudySpec.from_dict(
        changed(
            grid={"model": {"hidden": [5, 6]}, "method.stepsize": [0.1, 0.2, 0.3]},
            zip=[{"run.batch": [5, 8], "run.steps": [100, 200]}],
        )
    )
    cells = spec.cells()
    assert len(cells) == 2 * 3 * 2
    assert cells[1].label == "hidden 5, stepsize 0.1, batch 8, steps 200"
    assert {(c.spec.run.batch, c.spec.run.steps) for c in cells} == {(5, 100), (8, 200)}
    assert [c.label for c in StudySpec.from_dict(SMALL).cells()] == ["sgd", "adlala", "thick"]


@pytest.mark.parametrize(
    ("seeds", "table"),
    [
        ({"count": 3}, ([0, 1, 2], [0, 1, 2], [0, 1, 2])),
        ({"count": 2, "data": 1}, ([0, 0], [0, 1], [0, 1])),
        ({"data": [7, 9], "init": 1}, ([7, 9], [0, 0], [0, 1])),
        ({"data": 2, "init": [5, 3], "combine": "product"}, ([0, 0, 1, 1], [5, 3, 5, 3], [0, 0, 0, 0])),
    ],
)
def test_seeds(seeds: dict, table: tuple):
    """Counts, lists, one shared seed, products."""
    assert tuple(v.tolist() for v in StudySpec.from_dict(changed(seeds=seeds)).seeds.table()) == table


def test_round_trips():
    """TOML and JSON read back to the same study, infinity included."""
    spec = StudySpec.from_dict(changed(grid={"method": [{"name": "langevin", "friction": float("inf")}]}))
    assert StudySpec.from_toml(spec.to_toml()).cells() == spec.cells()
    again = StudySpec.from_json(spec.to_json())
    assert again.cells() == spec.cells()
    assert again.to_json() == spec.to_json()


@pytest.mark.parametrize(
    ("study", "says"),
    [
        (changed(grdi={}), "Did you mean 'grid'"),
        (changed(grid={"method.temprature": [1e-4]}), r"Did you mean 'temperature'.*in the cell"),
        (changed(grid={"metod.stepsize": [0.1]}), "Did you mean 'method'"),
        (changed(grid={"method.stepsize": []}), "empty list"),
        (changed(grid={"method.stepsize": 0.1}), "not a list"),
        (changed(grid={"run.replicas": [1, 2]}), r"count in \[seeds\]"),
        (changed(data={**SMALL["data"], "seed": 4}), r"give data in \[seeds\]"),
        (
            changed(zip=[{"model.hidden": [1, 2], "run.batch": [1, 2, 3]}]),
            "equal length; there are 2 of model.hidden, 3 of run.batch",
        ),
        (changed(grid={"run.batch": [1]}, zip=[{"run.batch": [2]}]), "varied twice"),
        (changed(seeds={"data": 2, "init": 3}), "2 of data, 3 of init"),
        (changed(seeds={"data": [1, 1]}), "none twice"),
        (changed(seeds={"cuont": 2}), "Did you mean 'count'"),
        (changed(study={"accuracies": [95]}), "at most 1"),
        (changed(grid={"method.stepsize": [[0.1, 0.2]]}), "list over replicas"),
        (changed(grid=None, method={"name": "sgd", "sigma": 1.0}), "sigma is not used"),
    ],
)
def test_bad_studies_are_refused_before_anything_is_written(tmp_path: Path, study: dict, says: str):
    """The message names what is wrong; no store appears."""
    with pytest.raises(SpecError, match=says):
        run_study(study, tmp_path / "s.zarr")
    assert not list(tmp_path.iterdir())


# -- what is computed --------------------------------------------------------------------------------------------------


def test_a_run_is_the_run_of_its_own_spec(small: Path):
    """Replica s of a study is replica s of `iterate`, bit for bit: its data set, its initial state, its noise."""
    study = open_study(small)
    spec = {
        "data": {**SMALL["data"], "seeds": list(range(5))}, "model": SMALL["model"], "method": ADLALA,
        "run": {**SMALL["run"], "replicas": 5, "burn_in": 0, "thin": 200, "keep": []},
    }  # fmt: skip
    last = list(iterate(spec))[-1]
    mine = study.where((study.cell == 1).compute(), drop=True)
    np.testing.assert_array_equal(mine["accuracy"], last.statistics["test_accuracy"])
    np.testing.assert_array_equal(mine["nll"], last.statistics["test_nll"])
    np.testing.assert_array_equal(mine["loss"], last.energy)


def test_a_cell_does_not_depend_on_the_rest(small: Path, tmp_path: Path):
    """Alone, with fewer seeds, in shards of another size: the same numbers bit for bit."""
    whole = open_study(small)
    alone = run_study(changed(grid={"method": [ADLALA]}, seeds={"count": 3}, study={"shard": 2}), tmp_path / "one.zarr")
    rows = np.flatnonzero((whole["cell"].to_numpy() == 1) & (whole["seed_index"].to_numpy() < 3))
    for name in ("accuracy", "loss", "curve_nll", "curve_kinetic_temperature_hidden", "rms_w1"):
        np.testing.assert_array_equal(whole[name].to_numpy()[rows], alone[name].to_numpy(), err_msg=name)


def test_seeds_of_one_kind_change_one_thing(tmp_path: Path):
    """Equal initial seeds give equal initial states, whatever the dynamics, and methods share them."""
    study = changed(
        seeds={"data": 1, "init": 2, "dynamics": 2, "combine": "product"}, grid={"method": [{"name": "sgd"}, ADLALA]}
    )
    found = run_study(study, tmp_path / "s.zarr", keep=True)
    first = found["initial_w1"].to_numpy().reshape(2, 2, 2, -1)  # cell, init, dynamics
    assert (first[:, 0] == first[0, 0, 0]).all()
    assert (first[:, 0] != first[:, 1]).any()
    assert (found["accuracy"].to_numpy()[0] != found["accuracy"].to_numpy()[1]) or (found["nll"][0] != found["nll"][1])
    assert found["w1"].dims == ("chain", "draw", "hidden", "feature")


def test_the_data_set_has_everything(small: Path):
    """Seeds, hyperparameters (NaN where a method has none), outcomes, curves; opened lazily by xarray as it is."""
    study = open_study(small)
    assert study.sizes == {"chain": 15, "step": 4}
    assert labels(study) == ["sgd", "adlala", "thick"]
    assert study["step"].to_numpy().tolist() == [50, 100, 150, 200]
    assert study["friction_output"].to_numpy().tolist()[::5] == pytest.approx([np.nan, 0.5, 2.0], nan_ok=True)
    for name in (
        "accuracy",
        "average_nll",
        "brier",
        "ece",
        "steps_to_90",
        "max_w2",
        "seconds",
        "curve_loss",
        "curve_rms_b1",
    ):
        assert name in study.data_vars
    np.testing.assert_array_equal(study["curve_accuracy"][:, -1], study["accuracy"].astype(np.float32))
    np.testing.assert_allclose(
        study["average_accuracy"], study["accuracy"]
    )  # one draw: the average is the last network
    assert xr.open_zarr(small, chunks=None).sizes["chain"] == 15


def test_frozen_runs_are_named_and_left_out(tmp_path: Path):
    """An absurd stepsize freezes its runs; the others of the launch go on, untouched."""
    method = {"name": "langevin", "temperature": 1e-4}
    grid = {"method": [{**method, "stepsize": 0.1}, {**method, "stepsize": 1e12}]}
    found = run_study(
        changed(grid=grid, model={"hidden": 6, "activation": "identity", "prior_sd": 1.0}), tmp_path / "s.zarr"
    )
    status = found["status"].to_numpy()
    assert (status[:5] == 0).all()
    assert (status[5:] > 0).all()
    assert np.isnan(found["accuracy"].to_numpy()[5:]).all()
    good, bad = summaries(found).values()
    assert (good.count, bad.count, bad.missing) == (5, 0, 5)


def test_all_frozen_at_once(tmp_path: Path):
    """Runs that fail before the first recorded step still have every outcome, as NaN."""
    method = {"name": "langevin", "temperature": 1e-4, "stepsize": 1e15}
    found = run_study(
        changed(grid=None, method=method, model={"hidden": 6, "prior_sd": 1.0, "init_sd": 1.0}), tmp_path / "s.zarr"
    )
    assert (found["status"].to_numpy() > 0).all()
    for name in ("accuracy", "nll", "loss", "rms_w1", "steps_to_90"):
        assert np.isnan(found[name].to_numpy()).all()


def test_schedules_and_sizes_split_launches(tmp_path: Path):
    """Cells of other shape or schedule get launches of their own; tensors are padded with NaN."""
    grid = {"model.hidden": [4, 6], "method.stepsize": [0.1, 0.2, {"value": 0.1, "schedule": "linear", "final": 0.1}]}
    study = changed(grid=grid, method={"name": "sgd"}, seeds={"count": 2})
    plan = plan_study(study)
    assert (plan.cells, plan.ensembles, plan.runs) == (6, 4, 12)
    found = run_study(study, tmp_path / "s.zarr", keep=True)
    assert np.isnan(found["b1"].to_numpy()[0, 0, 4:]).all()
    assert np.isfinite(found["b1"].to_numpy()[-1]).all()


# -- stores, interruption, continuation --------------------------------------------------------------------------------


def test_done_shards_are_not_run_again(small: Path, monkeypatch: pytest.MonkeyPatch):
    """The same study again runs nothing; an extension runs only what is new; a damaged part is made again."""
    ran: list[str] = []
    monkeypatch.setattr(study_drive, "run_shard", lambda shard, *a: ran.append(shard.id) or run_shard(shard, *a))
    before = run_study(SMALL, small).load()
    assert not ran
    more = changed(grid={"method": [*SMALL["grid"]["method"], {"name": "adam"}]})
    with pytest.raises(StoreExistsError, match=r"holds another study \(it differs in grid\)"):
        run_study(more, small)
    found = run_study(more, small, extend=True)
    assert len(ran) == 1
    same(before, found.isel(chain=slice(0, 15)).load())
    part = part_path(small, make_work(StudySpec.from_dict(more), Path.cwd(), "cpu", "auto").shards[0].id)
    part.write_bytes(part.read_bytes()[:-100])
    same(found.load(), run_study(more, small))
    assert len(ran) == 2
    run_study(SMALL, small, extend=True)


def test_a_study_of_the_older_format_is_read_and_not_continued(small: Path):
    """Its shards are others: finding none of them done, it would all run again."""
    root = json.loads((small / "zarr.json").read_text())
    root["attributes"]["study_format"] = 1
    (small / "zarr.json").write_text(json.dumps(root))
    before = open_study(small).load()
    for extend in (False, True):
        with pytest.raises(StoreError, match="format 1.*stays readable.*--overwrite"):
            run_study(SMALL, small, extend=extend)
    same(before, open_study(small).load())
    same(before, run_study(SMALL, small, overwrite=True))


def test_infinity_is_the_same_study(tmp_path: Path):
    """A study with infinite friction is continued, not taken for another one."""
    study = changed(
        grid={"method": [{"name": "lol", "friction": {"hidden": 1.0, "output": float("inf")}}]}, seeds={"count": 1}
    )
    same(run_study(study, tmp_path / "s.zarr"), run_study(study, tmp_path / "s.zarr"))
    with pytest.raises(StoreExistsError, match="differs in run, seeds"):
        run_study(study | {"seeds": {"count": 2}, "run": SMALL["run"] | {"steps": 400}}, tmp_path / "s.zarr")


def test_extensions_in_front_and_in_another_order(small: Path, tmp_path: Path):
    """Cells put before those that are done, or fields named in another order, move runs to other places, each with its
    own numbers.
    """
    copy = shutil.copytree(small, tmp_path / "s.zarr")
    before = open_study(small)
    first = changed(grid={"method": [{"name": "adam"}, *SMALL["grid"]["method"]]})
    found = run_study(first, copy, extend=True)
    assert labels(found) == ["adam", "sgd", "adlala", "thick"]
    np.testing.assert_array_equal(found["accuracy"].to_numpy()[5:], before["accuracy"].to_numpy())
    np.testing.assert_array_equal(found["curve_nll"].to_numpy()[5:], before["curve_nll"].to_numpy())

    fields = {"method.stepsize": [0.1, 0.2], "model.init_sd": [0.01, 0.1, 0.2]}
    study = changed(grid=fields, method={"name": "sgd"}, seeds={"count": 2})
    one = run_study(study, tmp_path / "two.zarr").load()
    turned = run_study(study | {"grid": dict(reversed(fields.items()))}, tmp_path / "two.zarr").load()
    assert labels(one) != labels(turned)
    for found in (one, turned):
        cells = StudySpec.from_json(found.attrs["study"]).cells()
        assert [c.label for c in cells] == labels(found)
        for row, cell in enumerate(found["cell"].to_numpy()):
            assert found["stepsize"][row] == cells[cell].spec.method.stepsize.value
            like = (one["method.stepsize"] == found["method.stepsize"][row]) & (
                one["model.init_sd"] == found["model.init_sd"][row]
            )
            mine = one["loss"].to_numpy()[(like & (one["seed_index"] == found["seed_index"][row])).to_numpy()]
            assert found["loss"].to_numpy()[row] == mine


def test_places_that_are_taken(small: Path, tmp_path: Path):
    """A file, a folder that is no study, a missing parent, a study being written."""
    (tmp_path / "file").write_text("mine")
    for options in ({}, {"overwrite": True}):
        with pytest.raises(Exception, match="no study"):
            run_study(SMALL, tmp_path / "file", **options)
    assert (tmp_path / "file").read_text() == "mine"
    with pytest.raises(Exception, match="does not exist"):
        run_study(SMALL, tmp_path / "no" / "s.zarr")
    spec = StudySpec.from_dict(SMALL)
    with writing(small, spec, spec.cells()), pytest.raises(StoreLockedError, match="another process"):
        run_study(SMALL, small)


SCRIPT = """
import json, sys
from gpu_thermo.study import run_study
if __name__ == "__main__":
    run_study(json.loads(sys.argv[1]), sys.argv[2], workers=int(sys.argv[3]))
"""
LONG = changed(seeds={"count": 12}, study={"shard": 2}, run={"steps": 15_000, "batch": 10, "trace": 5_000})


def start(tmp_path: Path, study: dict, workers: int = 0) -> subprocess.Popen:
    """A study in a process of its own."""
    script = tmp_path / "go.py"
    script.write_text(SCRIPT)
    return subprocess.Popen(
        [sys.executable, script, json.dumps(study), tmp_path / "s.zarr", str(workers)],
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_parts(process: subprocess.Popen, store: Path, count: int, seconds: float = 60) -> None:
    """Until so many shards are done."""
    end = time.monotonic() + seconds
    while len(list(store.glob("status/parts/*.npz"))) < count and process.poll() is None and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize("signum", [signal.SIGINT, pytest.param(signal.SIGKILL, marks=pytest.mark.slow)])
def test_stops_lose_one_shard_at_most(tmp_path: Path, signum: int):
    """What was done before the signal is kept and not run again, and the result is that of a straight run."""
    process = start(tmp_path, LONG)
    wait_for_parts(process, tmp_path / "s.zarr", 3)
    process.send_signal(signum)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    if signum == signal.SIGINT:
        assert "Stopped by SIGINT" in said
        assert 6 <= int((open_study(tmp_path / "s.zarr")["status"] >= 0).sum()) < 36
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "s.zarr" / "status" / "parts").glob("*.npz")}
    found = run_study(LONG, tmp_path / "s.zarr")
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "s.zarr" / "status" / "parts").glob("*")}
    assert len(before) >= 3
    assert {name: after[name] for name in before} == before
    assert len(after) == 18
    same(found, run_study({**LONG, "study": {}}, tmp_path / "straight.zarr"))


def test_workers_change_nothing(small: Path, tmp_path: Path):
    """Two local processes give the numbers of this one, bit for bit."""
    pytest.importorskip("distributed")
    same(open_study(small), run_study(changed(study={"shard": 2}), tmp_path / "s.zarr", workers=2))


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 4])
def test_any_number_of_workers(small: Path, tmp_path: Path, workers: int):
    """One and four processes, too, whatever order shards end in."""
    pytest.importorskip("distributed")
    same(open_study(small), run_study(changed(study={"shard": 1}), tmp_path / "s.zarr", workers=workers))


@pytest.mark.slow
def test_a_scheduler_that_is_there(small: Path, tmp_path: Path):
    """A cluster started by others runs the study; one without workers is refused, and the cluster outlives us."""
    distributed = pytest.importorskip("distributed")
    options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(n_workers=2, **options) as cluster:
        same(
            open_study(small),
            run_study(changed(study={"shard": 2}), tmp_path / "s.zarr", scheduler=cluster.scheduler_address),
        )
        with distributed.Client(cluster) as client:
            assert len(client.scheduler_info(n_workers=-1)["workers"]) == 2
    with (
        distributed.LocalCluster(n_workers=0, **options) as cluster,
        pytest.raises(DeviceError, match="has no workers"),
    ):
        run_study(SMALL, tmp_path / "t.zarr", scheduler=cluster.scheduler_address)
    assert not (tmp_path / "t.zarr").exists()


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "coordinator"])
def test_lost_processes(tmp_path: Path, victim: str):
    """A worker killed in the middle is replaced; a killed coordinator is started again; nothing is lost."""
    pytest.importorskip("distributed")
    process = start(tmp_path, LONG, workers=2)
    wait_for_parts(process, tmp_path / "s.zarr", 2)
    if victim == "worker":
        lists = [p.read_text().split() for p in Path(f"/proc/{process.pid}/task").glob("*/children")]
        children = [int(pid) for pids in lists for pid in pids]
        grown = [p for p in children if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]
        os.kill(grown[-1], signal.SIGKILL)
        process.communicate(timeout=120)
        assert process.returncode == 0
    else:
        process.kill()
        process.communicate(timeout=30)
        time.sleep(3)
    found = run_study(LONG, tmp_path / "s.zarr")
    same(found, run_study({**LONG, "study": {}}, tmp_path / "straight.zarr"))


def test_schedulers_that_do_not_answer():
    """Refused within seconds, with the address."""
    pytest.importorskip("distributed")
    for address, error in (("tcp://127.0.0.1:9", DeviceError), ("nonsense", SpecError)):
        began = time.monotonic()
        with pytest.raises(error, match=address):
            run_study(SMALL, "never.zarr", scheduler=address)
        assert time.monotonic() - began < 10


def test_dask_is_not_needed(tmp_path: Path):
    """A study in one process never imports Dask."""
    code = f"""
import sys
sys.modules["dask"] = sys.modules["distributed"] = None
from gpu_thermo.study import run_study
from gpu_thermo.errors import DeviceError
study = {changed(seeds={"count": 1})!r}
run_study(study, {str(tmp_path / "s.zarr")!r})
try:
    run_study(study, {str(tmp_path / "t.zarr")!r}, workers=2)
except DeviceError as error:
    assert "gpu-thermo[cluster]" in str(error)
else:
    raise SystemExit("workers without Dask")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_plan(small: Path):
    """The bill, and what is done already."""
    plan = plan_study(SMALL, small, base=Path.cwd())
    assert (plan.cells, plan.seeds, plan.runs, plan.ensembles, plan.shards, plan.done) == (3, 5, 15, 2, 2, 2)
    assert plan.replica_steps == 15 * 200
    assert plan.seconds == 0
    assert all(is_done(small, s) for s in make_work(StudySpec.from_dict(SMALL), Path.cwd(), "cpu", "auto").shards)


def test_planned_time_follows_the_arithmetic(monkeypatch: pytest.MonkeyPatch):
    """Known operations over a known peak; twice the steps take twice as long, and denser learning curves longer."""
    monkeypatch.setattr(study_drive.speed, "measured_peak", lambda device: (1e9, "given"))
    plain = changed(grid=None, method={"name": "sgd"}, run={"steps": 200, "batch": 10, "trace": 200})
    seconds = plan_study(plain, engine="fused").seconds
    step = (
        10 * (6 * (2 * 3 + 1 + 2 * 4 + 2) + 17 + 8) + 92 * 10 + 2 * 25
    )  # equations of speed.count at m 2, d 6, n 1, B 10
    passes = 80 * 6 * (2 * 3 + 1) / 200
    assert seconds == pytest.approx(5 * 200 * (step + passes) / 0.45e9)
    assert plan_study(
        plain | {"run": {"steps": 400, "batch": 10, "trace": 200}}, engine="fused"
    ).seconds == pytest.approx(2 * seconds)
    assert plan_study(plain | {"run": {"steps": 200, "batch": 10, "trace": 10}}, engine="fused").seconds > seconds


def test_shards_are_cut_by_the_data_not_by_their_name(tmp_path: Path):
    """The digits under another name cost what they cost as digits; narrow data of the same kind are cheaper."""
    digits = RunSpec.from_dict({"data": {"name": "digits"}, "model": {"hidden": 50}}).data.build()
    np.savez(tmp_path / "same.npz", x=digits.x_train[0], y=digits.y_train[0])
    np.savez(tmp_path / "narrow.npz", x=digits.x_train[0, :, 20:22], y=digits.y_train[0])
    plain = {"model": {"hidden": 50}, "run": {"steps": 5_000, "batch": 10, "trace": 5_000}, "seeds": {"count": 400}}
    sizes, costs = [], []
    for data in ({"name": "digits"}, *({"name": "npz", "path": f"{name}.npz"} for name in ("same", "narrow"))):
        job = make_work(StudySpec.from_dict(plain | {"data": data}), tmp_path, "cpu", "batched")
        sizes.append(len(job.shards[0].rows))
        costs.append(job.groups[0].operations)
    assert costs[1] == pytest.approx(costs[0], rel=0.01)  # fewer points: a smaller pass over all for a learning curve
    assert costs[2] < costs[0] / 3
    assert sizes == [128, 128, 400]


def test_disk_bill_of_kept_parameters(tmp_path: Path):
    """The bill counts the network's real parameters."""
    study = {"data": {"name": "digits"}, "model": {"hidden": 30}, "seeds": {"count": 8}}
    study |= {"run": {"steps": 20, "batch": 10, "burn_in": 0, "thin": 1}, "study": {"keep": True}}
    run_study(study, tmp_path / "s.zarr", engine="batched")
    stored = sum(path.stat().st_size for path in (tmp_path / "s.zarr").rglob("*") if path.is_file())
    assert plan_study(study, engine="batched").bytes == pytest.approx(stored, rel=0.1)


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_tables(small: Path):
    """Groups by cell or by any field; paired comparisons; unknown names with the nearest."""
    study = open_study(small)
    rows = summaries(study)
    assert list(rows) == ["sgd", "adlala", "thick"]
    assert rows["adlala"].mean == pytest.approx(float(study["accuracy"][5:10].mean()))
    assert list(summaries(study, "nll", ["method"])) == ["sgd", "adlala", "thick"]
    assert [c.pairs for c in comparisons(study)] == [5, 5, 5]
    with pytest.raises(SpecError, match="Did you mean 'accuracy'"):
        summaries(study, "acuracy")
    with pytest.raises(SpecError, match="Did you mean 'stepsize'"):
        summaries(study, by=["stepsiz"])


def test_summaries():
    """Known numbers; NaNs counted apart; one value has no spread."""
    s = summarise([1.0, 2.0, 3.0, 4.0, np.nan])
    assert (s.count, s.missing, s.mean, s.worst) == (4, 1, 2.5, 1.0)
    assert s.sd == pytest.approx(1.2909944)
    assert s.mean_low < 2.5 < s.mean_high
    assert np.isnan(summarise([1.0]).sd)
    assert summarise([]).count == 0


def test_intervals_cover_as_often_as_they_say():
    """95 % intervals of mean and sd of 60 normals hold the truth in 88 to 98 % of 300 trials."""
    random = np.random.default_rng(1)
    held = np.array(
        [[a <= 1 <= b, c <= 2 <= d] for x in random.normal(1, 2, (300, 60)) for (a, b), (c, d) in [bootstrap(x)]]
    )
    assert (held.mean(axis=0) > 0.88).all()
    assert (held.mean(axis=0) < 0.985).all()
    wide = random.normal(1, 2, 6000)
    (a, b), (c, d) = bootstrap(wide)
    assert b - a == pytest.approx(2 * 1.96 * 2 / 6000**0.5, rel=0.05)
    assert d - c == pytest.approx(2 * 1.96 * 2 / (2 * 6000) ** 0.5, rel=0.08)


def test_holm():
    """The textbook example, and NaNs left aside."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, np.nan, 0.01])[1] != holm([0.02, np.nan, 0.01])[1]


def test_pairing_finds_what_noise_hides():
    """A shift of a tenth of the spread between seeds is clear in pairs, and no shift is not."""
    seed = np.random.default_rng(3).normal(size=200)
    noise = np.random.default_rng(4).normal(scale=0.05, size=(3, 200))
    found = compare({"a": seed + noise[0] + 0.1, "b": seed + noise[1], "c": seed + noise[2]})
    assert [c.clear for c in found] == [True, True, False]


def test_power_is_what_trials_give():
    """`seeds_needed` pairs find the difference in 90 % of trials, one of a thousand false alarms aside."""
    n = seeds_needed(0.5, 1.0)
    assert n == 44
    assert power(0.5, 1.0, n - 1) < 0.9 <= power(0.5, 1.0, n)
    from scipy.stats import ttest_1samp

    trials = np.random.default_rng(5).normal(0.5, 1.0, (2000, n))
    assert (ttest_1samp(trials, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.9, abs=0.03)
    assert seeds_needed(0.0, 1.0) == 0
    assert seeds_needed(1e-4, 1.0) > 10**8


@pytest.mark.parametrize("change", [
    {"moves": [{"kind": "cyclical", "cycles": 2}]}, {"target": {"name": "harmonic", "size": 2}},
    {"grid": {"moves.rungs": [2, 3]}}, {"grid": {"target.size": [2, 3]}},
])  # fmt: skip
def test_moves_and_targets_are_for_single_runs(change):
    with pytest.raises(SpecError, match="not for studies"):
        StudySpec.from_dict({"grid": {"method.stepsize": [0.1, 0.2]}} | change)
