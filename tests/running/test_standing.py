"""Runs whose time is over too early: what is kept, that it is marked, and how they go on."""

import numpy as np
import pytest
from runs import differences
from tuned_cases import told, well
from tuned_networks import network

from gpu_thermo import predict, resume, sample
from gpu_thermo.averages.claims import Makeshift
from gpu_thermo.running.budget import Budget
from gpu_thermo.store import RunWriter, open_run, read_header, verify_store
from gpu_thermo.tuning.course import BURN_IN, DROPPED, SAMPLING

LADDER = {
    "target": {"name": "harmonic", "stiffness": [1.0, 4.0], "start_sd": 2.0},
    "method": {"name": "langevin", "temperature": 1.0},
    "moves": [{"kind": "exchange", "temperatures": [1.0, 3.0]}],
    "run": {"replicas": 32, "tolerance": 0.6, "seed": 1},
}


@pytest.mark.parametrize("spec", [well(tolerance=0.2), pytest.param(LADDER, marks=pytest.mark.slow)])
def test_replicas_as_they_stand_and_no_bit_of_them_later(spec, tmp_path):
    """Stopped after the first segment: one draw each, marked; gone on with, the run is that which never stopped."""
    sample(spec, tmp_path / "whole.zarr")
    early = sample(spec, tmp_path / "cut.zarr", time_limit=0.0)
    course, verdict = told(early)
    assert early["posterior"].sizes["draw"] == 1
    assert np.isfinite(early["posterior"]["position"]).all()
    assert (
        early["posterior"]["step"].to_numpy().tolist()
        == [course["makeshift"]]
        == [read_header(tmp_path / "cut.zarr").step]
    )
    assert verdict["makeshift"]
    assert not verdict["trusted"]
    assert "no draw of the posterior" in verdict["text"]
    resume(tmp_path / "cut.zarr")
    assert differences(tmp_path / "whole.zarr", tmp_path / "cut.zarr") == []
    assert told(open_run(tmp_path / "cut.zarr")) == told(open_run(tmp_path / "whole.zarr"))


def test_a_network_as_it_stands_is_what_the_engine_holds(tmp_path):
    """Predictions are the average over replicas at that step, with a warning; a second stop keeps others."""
    spec, data = network(1, tolerance=0.025, max_time=1e-4)
    tree = sample(spec, tmp_path / "run.zarr", data=data)
    with pytest.warns(Makeshift, match="means nothing"):
        found = predict(tree, data[2])
    np.testing.assert_allclose(found["mean"].to_numpy()[0], tree["predictive"]["mean"].to_numpy()[0], atol=1e-5)
    first = tree["posterior"]["w1"].to_numpy().copy()
    again = resume(tmp_path / "run.zarr", seconds=1e-3)
    assert again["posterior"].sizes["draw"] == 1
    assert (again["posterior"]["w1"].to_numpy() != first).any()
    assert verify_store(tmp_path / "run.zarr") == []


def test_burn_in_that_did_not_end_goes_on(tmp_path):
    """With more steps it does so where it stopped, without the draws of before; a plain resume leaves all as it is."""
    store = tmp_path / "run.zarr"
    spec = well(tolerance=0.1, max_steps=1_000)
    course, verdict = told(sample(spec, store))
    assert not course["burned"]
    assert "burn-in did not end" in verdict["text"]
    step = read_header(store).step
    resume(store)
    assert read_header(store).step == step
    more = resume(store, well(tolerance=0.1, max_steps=20_000))
    course, verdict = told(more)
    assert course["burned"]
    assert verdict["trusted"], verdict["text"]
    assert (more["posterior"]["step"].to_numpy() > step).all()
    phases = [line["phase"] for line in course["log"]]
    assert phases.index(DROPPED) < phases.index(SAMPLING)
    assert next(line["begun"] for line in course["log"][phases.index(DROPPED) + 1 :]) == step
    assert verify_store(store) == []


def test_draws_are_dropped_with_a_commit_only(tmp_path):
    """A kill between the two leaves what was there."""
    store = tmp_path / "run.zarr"
    before = sample(well(tolerance=0.1, max_steps=1_000), store)["posterior"]["position"].to_numpy().copy()
    writer, _ = RunWriter.resume(store)
    with writer:
        writer.drop_draws()
    assert verify_store(store) == []
    np.testing.assert_array_equal(open_run(store)["posterior"]["position"].to_numpy(), before)


def test_half_of_the_time_is_left_for_draws(tmp_path, monkeypatch):
    """Burn-in is cut short then, and is told so; with more time it goes on."""
    spec = well(tolerance=0.1, max_time=1e6)
    with monkeypatch.context() as patched:
        patched.setattr(Budget, "half_gone", property(lambda self: True))
        course, verdict = told(sample(spec, tmp_path / "run.zarr"))
    assert (course["ended"], course["burned"], course["makeshift"]) == ("tolerance", False, 0)
    assert [line["failed"] for line in course["log"] if line["phase"] == BURN_IN] == [["time"]]
    assert "half of run.max_time was gone" in verdict["text"]
    course, verdict = told(resume(tmp_path / "run.zarr", seconds=1e6))
    assert course["burned"]
    assert verdict["trusted"], verdict["text"]


def test_no_time_for_a_draw_behind_a_burn_in_cut_short(tmp_path, monkeypatch):
    """The clock is named, not the steps; with more time burn-in goes on."""
    spec = well(tolerance=0.1, max_time=1e6)
    with monkeypatch.context() as patched:
        patched.setattr(Budget, "half_gone", property(lambda self: True))
        patched.setattr(Budget, "left", lambda self, step, share=1.0: 1)
        course, verdict = told(sample(spec, tmp_path / "run.zarr"))
    assert course["ended"] == "max_time"
    assert course["makeshift"]
    assert "max_time came before the first draw" in verdict["text"]
    course, verdict = told(resume(tmp_path / "run.zarr", seconds=1e6))
    assert course["burned"]
    assert verdict["trusted"], verdict["text"]
    assert verify_store(tmp_path / "run.zarr") == []
