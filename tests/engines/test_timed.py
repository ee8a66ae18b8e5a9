"""Several stepsizes at equal times in one run: each replica does what it does alone, bit for bit."""

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.errors import RunError, SpecError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo_analysis import diagnose

ENGINES = ("batched", pytest.param("fused", marks=pytest.mark.skipif(find_compiler() is None, reason="no compiler")))
SIZES = [0.1, 0.17, 0.65]
SPEC = {  # the network of test_streams.py
    "data": {"turns": 1, "train": 30, "test": 6, "seeds": [0, 1]},
    "model": {"hidden": 3, "prior_sd": 1.0, "init": "prior"},
    "method": {
        "name": "langevin", "stepsize": SIZES, "temperature": {"value": 1e-3, "schedule": "linear", "final": 0.5},
    },
    "run": {
        "replicas": 8, "duration": {"total": 6.0, "burn_in": 2.0, "thin": 1.0}, "batch": 5, "momenta": "thermal",
        "trace": 10,
    },
}  # fmt: skip


def alone(j, run):
    """The replicas of one stepsize in a run of their own, at their own steps."""
    before, thin = round(run.burn_in * SIZES[0] / SIZES[j]), round(run.thin * SIZES[0] / SIZES[j])
    own = {"streams": list(range(j, 8, 3)), "burn_in": before, "thin": thin, "steps": before + 4 * thin}
    method = SPEC["method"] | {"stepsize": SIZES[j]}
    return {**SPEC, "method": method, "run": {"batch": 5, "momenta": "thermal", "trace": thin, **own}}


@pytest.mark.parametrize("engine", ENGINES)
def test_bits_of_a_run_alone(engine):
    """Parameters, what is seen of them, temperatures and thermostats, with a schedule that spans each one's own run and
    data sets by turns.
    """
    whole, run = gt.sample(SPEC, engine=engine), RunSpec.from_dict(SPEC).run
    for j in range(3):
        own = gt.sample(alone(j, run), engine=engine)
        for group in ("posterior", "sample_stats", "probes"):
            for name in own[group].data_vars:
                np.testing.assert_array_equal(whole[group][name].values[j::3], own[group][name].values, err_msg=name)
        np.testing.assert_array_equal(own["sample_stats"]["dataset"], whole["sample_stats"]["dataset"][j::3])
        assert set(whole["sample_stats"]["thin"].values[j::3].tolist()) == {alone(j, run)["run"]["thin"]}


@pytest.mark.parametrize("engine", ENGINES)
def test_cuts_and_resumes_change_nothing(engine, tmp_path, monkeypatch):
    whole = gt.sample(SPEC, engine=engine)
    monkeypatch.setattr("gpu_thermo.running.pace.Pace.next", lambda self: 7)
    short = {**SPEC, "method": {**SPEC["method"], "temperature": 1e-3}}
    gt.sample(short, tmp_path / "run.zarr", engine=engine).close()
    longer = gt.resume(tmp_path / "run.zarr", draws=2)
    cut = gt.sample(SPEC, engine=engine)
    longest = SPEC["run"] | {"duration": {"total": 8.0, "burn_in": 2.0, "thin": 1.0}}
    at_once = gt.sample({**short, "run": longest}, engine=engine)
    for one, other in ((whole, cut), (at_once, longer)):
        for group in ("posterior", "sample_stats", "trace"):
            for name in one[group].data_vars:
                np.testing.assert_array_equal(one[group][name].values, other[group][name].values, err_msg=name)


def test_steps_that_end_in_nothing_freeze_at_the_runs_steps():
    """A replica of a stepsize far too large: recorded as frozen from its own step on, and no other is touched."""
    run = {"replicas": 6, "burn_in": 0, "thin": 600, "steps": 18_000, "trace": 600, "equal_times": True, "batch": 5}
    method = {"name": "langevin", "stepsize": [0.1, 0.2, 60.0], "temperature": 1e-3}
    spec = {"data": SPEC["data"], "model": SPEC["model"], "method": method, "run": run}
    tree = gt.sample(spec)
    stats, w = tree["sample_stats"], tree["posterior"]["w1"].to_numpy()
    assert set(stats["status"].values[2::3].tolist()) != {0}
    for r in (2, 5):
        step = int(stats["frozen_step"].values[r])
        assert step > 0
        assert step % 600 == 0  # its steps are those of 600 others
        gone = stats["step"].values >= step
        assert np.isnan(w[r, gone]).all()
        assert np.isfinite(w[r, ~gone]).all()
    assert np.isfinite(w[[0, 1, 3, 4]]).all()
    with pytest.raises(RunError, match="frozen"):
        gt.sample({**spec, "method": {**method, "stepsize": [60.0, 61.0]}, "run": {**run, "thin": 60}})


def test_costs_are_each_ones_own():
    """A million gradients are those that the ensemble took."""
    tree = gt.sample({
        "target": {"name": "harmonic", "size": 2},
        "method": {"name": "langevin", "stepsize": [0.1, 0.4], "temperature": 1.0, "friction": 1.0},
        "run": {"replicas": 8, "duration": {"total": 400.0, "burn_in": 80.0, "thin": 4.0}},
    })  # fmt: skip
    fine, coarse = diagnose(tree).ensembles
    assert fine.cost["gradients"] == 4 * 3200
    assert coarse.cost["gradients"] == 4 * 800


def test_stepsizes_stay():
    steps = gt.iterate(SPEC, engine="batched")
    next(steps)
    with pytest.raises(SpecError, match="equal_times"):
        steps.change(stepsize=0.2)
    assert prepare(RunSpec.from_dict(SPEC)).job.clock.before.tolist()[:3] == [20, 12, 3]
