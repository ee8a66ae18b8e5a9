"""What is given beside a spec: stored as given, resumed from the store, and refused where it contradicts the spec."""

import json

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.errors import SpecError, StoreError
from gpu_thermo.running.given import as_spec

RNG = np.random.default_rng(1)
X = RNG.normal(size=(40, 2))
Y = (X[:, 0] > 0).astype(int)
SPEC = {
    "model": {"hidden": 4},
    "run": {"replicas": 6, "steps": 60, "burn_in": 20, "thin": 10, "trace": 20, "batch": 8},
}


def same(one, other):
    """Chains and averages of two runs, bit for bit."""
    for group in ("posterior", "sample_stats", "predictive", "probes"):
        for name, values in one[group].to_dataset().data_vars.items():
            np.testing.assert_array_equal(values.to_numpy(), other[group][name].to_numpy(), err_msg=name)


def test_a_run_on_arrays_resumes_from_its_store_alone(tmp_path):
    whole = gt.sample(SPEC, tmp_path / "whole.zarr", data=(X, Y))
    stored = json.loads(whole.attrs["spec"])["data"]
    assert stored["name"] == "arrays"
    assert len(stored["sha256"]) == 64
    part = tmp_path / "part.zarr"
    gt.sample(SPEC, part, data=(X, Y), time_limit=0)
    assert gt.open_run(part).sizes.get("draw", 0) < 4
    same(gt.resume(part), whole)
    longer = gt.resume(part, draws=2)
    assert longer["posterior"].sizes["draw"] == 6
    again = {**SPEC, "run": {**SPEC["run"], "steps": 80}}
    assert gt.resume(part, again)["posterior"].sizes["draw"] == 6, "a spec without [data] means the run's own"
    with pytest.raises(SpecError, match=r"differs from the run's in .*data\.turns"):
        gt.resume(part, {**again, "data": {"name": "spirals"}})


def test_a_dataset_is_complete_under_any_likelihood():
    """A likelihood says the task of arrays; a Dataset has its own, which is left as it is."""
    data = gt.Dataset("mine", "regression", X[None], Y[None, :, None] + 0.0, X[None, :0], Y[None, :0, None] + 0.0,
                      ("a", "b"), targets=("y",))  # fmt: skip
    model = {**SPEC["model"], "likelihood": "poisson"}
    run = gt.sample({**SPEC, "model": model, "method": {"name": "adam"}}, data=data)
    np.testing.assert_array_equal(run["constant_data"]["y_train"].to_numpy(), data.y_train)


def test_changed_data_in_a_store_are_refused(tmp_path):
    import zarr

    path = tmp_path / "run.zarr"
    gt.sample(SPEC, path, data=(X, Y), time_limit=0)
    zarr.open_array(path / "constant_data" / "x_train", mode="r+")[0, 0, 0] += 1
    with pytest.raises(StoreError, match="fingerprint"):
        gt.resume(path)


def test_predictions_are_in_the_units_that_were_given():
    run = gt.sample({**SPEC, "method": {"name": "adam", "stepsize": 0.1}}, data=(X * 5 + 100, Y))
    answer = gt.predict(run, [[110.0, 100.0], [90.0, 100.0]])
    assert answer["mean"][0, 0, 0] > 0.5 > answer["mean"][0, 1, 0]


def test_plan_and_iterate_take_data_too():
    assert gt.plan(SPEC, data=[(X, Y), (-X, Y)]).datasets == 2
    assert [s.step for s in gt.iterate(SPEC, data=(X, Y))] == [20, 30, 40, 50, 60]


def test_a_section_without_a_name_is_about_the_arrays(tmp_path):
    path = tmp_path / "spec.toml"
    path.write_text('[data]\ntarget = "b"\n')
    given = gt.running.given.Given(data=object())
    assert as_spec(path, given)[0].data.target == "b"
    assert as_spec({"data": {"test_fraction": 0.5}}, given)[0].data.name == "arrays"
    assert as_spec({"data": {"turns": 2}})[0].data.name == "spirals"


def test_one_source_of_data_only():
    with pytest.raises(SpecError, match=r"Data are given, and the spec has data.name = 'spirals'"):
        gt.plan({**SPEC, "data": {"name": "spirals"}}, data=(X, Y))
    with pytest.raises(SpecError, match="Data are given, and the spec has target 'plane'"):
        gt.plan({"target": {"name": "plane"}, "method": {"name": "sgld"}}, data=(X, Y))
    with pytest.raises(SpecError, match=r"given from Python.*data=\(X, y\)"):
        gt.plan({**SPEC, "data": {"name": "arrays"}})
    with pytest.raises(SpecError, match=r"data.sha256 in the spec is 0000"):
        gt.plan({**SPEC, "data": {"name": "arrays", "sha256": "0" * 64}}, data=(X, Y))


def test_a_study_says_that_it_makes_its_own_data(tmp_path):
    from gpu_thermo.study import run_study

    study = {
        "data": {"name": "arrays"},
        "grid": {"method": [{"name": "sgd"}]},
        "seeds": {"count": 2},
        "run": {"steps": 20},
    }
    with pytest.raises(SpecError, match="given from Python"):
        run_study(study, tmp_path / "study.zarr")
