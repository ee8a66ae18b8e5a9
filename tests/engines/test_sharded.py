"""Replicas shared out among engines: how they are cut, and that nothing else changes, bit for bit."""

import numpy as np
import pytest
from move_runs import MOVES, same, spec
from shared_runs import share_out
from tuned_cases import told, well

from gpu_thermo.engines import make_engine
from gpu_thermo.engines.sharded import ShardedEngine, cut_rows
from gpu_thermo.errors import SpecError
from gpu_thermo.run import resume, sample
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment
from gpu_thermo.store import read_header

SHORT = {"steps": 60, "burn_in": 20, "thin": 8, "trace": 20, "replicas": 12}


@pytest.mark.parametrize("together", [1, 3, 7])
@pytest.mark.parametrize("parts", [1, 2, 3, 5])
@pytest.mark.parametrize("units", [5, 8, 100, 999, 6000])
def test_shares_are_equal_and_cut_no_ladder(units, parts, together):
    replicas = units * together
    rows = cut_rows(replicas, parts, together)
    assert [r for one in rows for r in range(one.start, one.stop)] == list(range(replicas))
    sizes = [r.stop - r.start for r in rows]
    assert all(size % together == 0 for size in sizes)
    assert max(sizes) - min(sizes) <= max(together, replicas / parts / 4)
    if units >= 256 * 8 * parts:
        assert all(r.start % 256 == 0 for r in rows)


def test_more_shares_than_replicas_are_refused():
    with pytest.raises(SpecError, match="3 replicas cannot be shared out among 4 devices or workers: use at most 3"):
        cut_rows(3, 4)
    with pytest.raises(SpecError, match=r"2 ladders of 5 replicas cannot .* 3 .* use at most 2"):
        cut_rows(10, 3, 5)


def job(**run):
    data = {"name": "spirals", "train": 40, "test": 10, "seeds": [0, 1, 2]}
    given = {"data": data, "model": {"hidden": 6}, "method": {"name": "adlala"}, "run": {"replicas": 11, **run}}
    return prepare(RunSpec.from_dict(given))


@pytest.mark.parametrize("engine", ["fused", "batched"])
def test_segments_and_states_are_those_of_one_engine(engine):
    """With data sets that differ between replicas; changed in between, and hyperparameters of each replica."""
    ready = job()
    whole = make_engine(ready.job, engine, "cpu", 1)
    parts = ShardedEngine.on(ready.job, ["cpu"] * 3, lambda share, _: make_engine(share, engine, "cpu", 1), engine)
    one, many = whole.load(ready.initial_state()), parts.load(ready.initial_state())
    other = ready.job.hyper.take(np.arange(11))
    other.stepsize[:] *= np.linspace(0.5, 1, 11)
    for segment, hyper in ((Segment(0, 7, (3, 7)), None), (Segment(7, 9, (16,)), other), (Segment(16, 2), other)):
        expected, found = whole.advance(one, segment, hyper), parts.advance(many, segment, hyper)
        for name in ("position", "thermostat", "kinetic_temperature", "energy"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), err_msg=name)
        for state in (one, many):
            state.edit("momentum")[::2] *= 0.5
    assert many.running == 11
    for name, value in one.arrays().items():
        np.testing.assert_array_equal(many.arrays()[name], value, err_msg=name)


def test_a_state_that_was_not_loaded_travels_there_and_back():
    ready = job()
    parts = ShardedEngine.on(ready.job, ["cpu"] * 2, lambda share, _: make_engine(share, "batched", "cpu"), "batched")
    one, other = ready.initial_state(), ready.initial_state()
    parts.advance(one, Segment(0, 5))
    make_engine(ready.job, "batched", "cpu").advance(other, Segment(0, 5))
    for name, value in other.arrays().items():
        np.testing.assert_array_equal(one.arrays()[name], value, err_msg=name)


def test_an_error_in_one_share_is_raised_once_all_have_ended():
    ready, ended = job(), []

    class Failing:
        def __init__(self, share):
            self.first = share.first

        def load(self, state):
            return state

        def advance(self, state, segment, hyper):
            ended.append(self.first)
            if self.first == 0:
                raise MemoryError("full")
            return None

    parts = ShardedEngine.on(ready.job, ["a", "b"], lambda share, _: Failing(share), "batched")
    with pytest.raises(MemoryError, match="full"):
        parts.advance(parts.load(ready.initial_state()), Segment(0, 5))
    assert len(ended) == 2


@pytest.mark.parametrize("move", ["exchange", "contour_interacting", "tempering"])
def test_runs_with_moves_are_those_of_one_process(move, tmp_path, monkeypatch):
    """Ladders are whole in a share; contours that interact merge over all of them, since moves see every replica."""
    given = spec(MOVES[move], **SHORT)
    expected = sample(given, device="cpu", engine="batched")
    share_out(monkeypatch, 3)
    same(expected, sample(given, device="cpu", engine="batched"))
    path = tmp_path / "cut.zarr"
    sample(given, path, device="cpu", engine="batched", time_limit=0).close()
    assert read_header(path).step < SHORT["steps"]
    same(expected, resume(path))


def test_interacting_contours_that_did_not_merge_between_shares_would_show(monkeypatch):
    """The power of the test above: each share by itself is another run."""
    given = spec(MOVES["contour_interacting"], **SHORT)
    expected = sample(given, device="cpu", engine="batched")
    alone = sample(given | {"run": given["run"] | {"replicas": 4}}, device="cpu", engine="batched")
    first = lambda tree: tree["posterior"]["w1"].to_numpy()[:4]  # noqa: E731
    assert not np.array_equal(first(expected), first(alone))


def test_a_run_that_stops_itself_decides_from_all_replicas(monkeypatch):
    """The group at h/2 is in the last share; errors come of the spread over all."""
    given = well(replicas=48, max_steps=3000)
    expected = sample(given, device="cpu")
    share_out(monkeypatch, 3)
    found = sample(given, device="cpu")
    same_courses = told(expected)[0], told(found)[0]
    assert same_courses[0] == same_courses[1]
    for name, value in expected["posterior"].data_vars.items():
        np.testing.assert_array_equal(found["posterior"][name].to_numpy(), value.to_numpy(), err_msg=str(name))


@pytest.mark.parametrize("engine", ["fused", "batched"])
def test_replicas_that_keep_one_time_are_shared_out_as_well(engine, monkeypatch):
    """Stepsizes and data sets by turns, so that every share has replicas of all of them."""
    duration = {"total": 6.0, "burn_in": 2.0, "thin": 1.0}
    given = {
        "data": {"turns": 1, "train": 30, "test": 6, "seeds": [0, 1]}, "model": {"hidden": 3, "prior_sd": 1.0},
        "method": {"name": "langevin", "stepsize": [0.1, 0.17, 0.65], "temperature": 1e-3},
        "run": {"replicas": 8, "duration": duration, "batch": 5, "trace": 10},
    }  # fmt: skip
    expected = sample(given, device="cpu", engine=engine)
    share_out(monkeypatch, 2)
    same(expected, sample(given, device="cpu", engine=engine))


def test_frozen_replicas_are_found_in_every_share(monkeypatch):
    given = spec(None, {"name": "sgld", "stepsize": [0.01, 1e30] * 6, "temperature": 1.0}, **SHORT)
    expected = sample(given, device="cpu", engine="batched")
    assert 0 < int((expected["posterior"]["status"] != 0).sum()) < 12
    share_out(monkeypatch, 5)
    same(expected, sample(given, device="cpu", engine="batched"))
