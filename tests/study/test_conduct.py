"""Studies conducted: independence of the grid bit for bit, frozen runs, continuation, places that are taken."""

import inspect
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from cli_cases import call
from study_cases import ADLALA, SMALL, changed, same

import gpu_thermo
from gpu_thermo.errors import SpecError, Status, StoreError, StoreExistsError, StoreLockedError
from gpu_thermo.run import iterate
from gpu_thermo.study import StudySpec, labels, open_study, plan_study, run_study, summaries, tuned
from gpu_thermo.study.birth import writing
from gpu_thermo.study.launch import run_shard
from gpu_thermo.study.parts import part_path
from gpu_thermo.study.reading import notices_of
from gpu_thermo.study.tables import failures
from gpu_thermo.study.work import make_work

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


def test_study_is_a_function_beside_sample(small: Path, tmp_path: Path):
    """From dictionaries, a file or a spec, into a store or into memory; whatever of the package was imported before."""
    study: Any = gpu_thermo.study
    assert list(inspect.signature(study).parameters)[:2] == ["spec", "out"]
    same(study(SMALL), open_study(small))
    (tmp_path / "s.toml").write_text(StudySpec.from_dict(SMALL).to_toml())
    same(study(tmp_path / "s.toml", tmp_path / "s.zarr"), gpu_thermo.open_study(small))
    assert study(StudySpec.from_dict(SMALL), out=tmp_path / "s.zarr").sizes["chain"] == 15
    with pytest.raises(SpecError, match="about a store"):
        study(SMALL, overwrite=True)
    code = "import gpu_thermo as gt; gt.study; print(callable(gt.study), 'zarr' in __import__('sys').modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split()[0] == "True"


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


def test_a_loss_that_is_not_finite_is_a_status(tmp_path: Path):
    """Weights of 1e24 are finite and their loss is not: the run has failed, since a step, and is counted and named."""
    method = [
        {"name": "langevin", "stepsize": 0.2, "label": "tame"},
        {"name": "sgd", "stepsize": 400.0, "label": "wild"},
    ]
    overflow = {
        "data": {"name": "moons", "train": 100, "test": 100}, "model": {"hidden": 20, "init": "he"},
        "run": {"steps": 200, "trace": 50}, "grid": {"method": method}, "seeds": {"count": 16},
    }  # fmt: skip
    found = run_study(overflow, tmp_path / "s.zarr")
    lost = ~np.isfinite(found["loss"].to_numpy())
    assert lost.sum() > 0
    assert (found["status"].to_numpy() == np.where(lost, Status.NONFINITE_LOSS, 0)).all()
    since = found["frozen_step"].to_numpy()
    assert (since[~lost] == -1).all()
    assert ((since[lost] > 0) & (since[lost] % 50 == 0)).all()
    curve = found["curve_loss"].to_numpy()[lost]
    assert (np.isfinite(curve) <= (found["step"].to_numpy() < since[lost][:, None])).all()
    (named,) = failures(found)
    assert (named["group"], named["runs"], named["cause"]) == ("wild", lost.sum(), "nonfinite_loss")


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
    monkeypatch.setattr(tuned, "run_shard", lambda shard, *a: ran.append(shard.id) or run_shard(shard, *a))
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
        with pytest.raises(StoreError, match=r"format 1.*stays readable.*--overwrite"):
            run_study(SMALL, small, extend=extend)
    same(before, open_study(small).load())
    same(before, run_study(SMALL, small, overwrite=True))


def test_names_are_names(small: Path, tmp_path: Path):
    """Methods and labels are texts, for xarray as it is; a study that has numbers in their place is read as one."""
    plain = xr.open_zarr(small, chunks=None)
    assert plain["method"].to_numpy().tolist() == ["sgd"] * 5 + ["adlala"] * 5 + ["thick"] * 5
    assert plain["label"].to_numpy().tolist() == plain["method"].to_numpy().tolist()
    root = zarr.open_group(shutil.copytree(small, tmp_path / "s.zarr"), mode="r+", use_consolidated=False)
    del root["method"]
    texts = json.dumps(["sgd", "adlala", "thick"])
    codes = root.create_array(
        "method", shape=(15,), dtype="int64", dimension_names=("chain",), attributes={"labels": texts}
    )
    codes[...] = np.repeat([0, 1, 2], 5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(root.store)
    before = open_study(tmp_path / "s.zarr")
    assert before["method"].to_numpy().tolist() == plain["method"].to_numpy().tolist()
    assert list(summaries(before, by=["method"])) == ["sgd", "adlala", "thick"]


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


def test_classes_that_a_split_leaves_out_are_said(tmp_path: Path):
    """By class and split seed, from every shard; `table` and `info` say the first few."""
    rows = [f"{i / 30},{(7 * i) % 11},{'ab'[i % 2]}" for i in range(30)] + ["0.5,3,rare"]
    (tmp_path / "table.csv").write_text("\n".join(["x,z,kind", *rows]))
    study = {
        "data": {"name": "csv", "path": "table.csv", "target": "kind", "test_fraction": 0.5},
        "model": {"hidden": 3}, "run": {"steps": 20}, "seeds": {"count": 12}, "study": {"shard": 4},
    }  # fmt: skip
    run_study(study, tmp_path / "study.zarr", base=tmp_path)
    said = notices_of(open_study(tmp_path / "study.zarr"))
    assert said
    assert all("class 'rare' of split_seed " in text for text in said)
    result = call("table", str(tmp_path / "study.zarr"))
    assert "Warning: class 'rare' of split_seed" in result.stderr
    assert json.loads(call("info", str(tmp_path / "study.zarr"), "--json").stdout)["notices"] == said
