"""The falling way, whole: a small stiff network ends within its budget with good predictions and a verdict that does
not trust it; the same bit for bit however it was cut; one that is not stiff comes to be trusted.
"""

import os
import signal
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from runs import NEEDS_COMPILER, differences
from tuned_cases import told, well
from tuned_networks import network

from gpu_thermo import resume, sample
from gpu_thermo.engines import BatchedEngine
from gpu_thermo.errors import SpecError
from gpu_thermo.run import Given, Interrupted, as_spec, make_ready
from gpu_thermo.running.falling import Way, why_not
from gpu_thermo.running.in_force import reopened
from gpu_thermo.running.pace import Pace
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.store import read_header
from gpu_thermo.tuning.course import DESCENT, FALL, SAMPLING, Course

SD = 0.02
"""Noise of the answers: small against them, so that the posterior is stiff."""


def data(seed=0):
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, (100, 1))
    y = (np.sin(2 * x) + SD * rng.normal(size=x.shape)).ravel()
    return x[:60], y[:60], x[60:], y[60:]


def stiff(model=None, method=None, **run):
    return {
        "data": {"name": "arrays", "task": "regression"},
        "model": {
            "hidden": [8, 8], "activation": "silu", "likelihood": "heteroscedastic", "prior_sd": 1.0, **(model or {})
        },
        "method": {"name": "langevin", "posterior_temperature": 1.0, **(method or {})},
        "run": {"replicas": 32, "tolerance": 0.05, "max_steps": 2_500, **run},
    }  # fmt: skip


@pytest.fixture(scope="module")
def tree():
    return sample(stiff(), data=data())


@NEEDS_COMPILER
class TestAStiffNetwork:
    def test_it_turns_by_itself_and_ends_within_its_budget(self, tree):
        course, verdict = told(tree)
        assert any("turned" in line for line in course["log"])
        assert course["path"] == "falling"
        assert course["ended"] == "max_steps"
        assert course["stop"] <= 2_500
        assert not verdict["trusted"]
        assert "the network is stiff, with slow modes" in verdict["text"]
        assert "RMSE" in verdict["text"]

    def test_its_predictions_are_good(self, tree):
        """Of held-out points, in the answers' units: their sd is .7."""
        score = told(tree)[0]["log"][-1]["scores"]
        assert score["rmse"] < 4 * SD
        assert score["nll"] < -1

    def test_draws_are_of_the_last_stepsize_only(self, tree):
        course, _ = told(tree)
        fall = [line for line in course["log"] if line["phase"] == FALL and line["window"]]
        steps = tree["posterior"]["step"].to_numpy()
        assert steps[0] > course["origin"] > fall[-1]["begun"]
        assert course["stepsize"] == pytest.approx(fall[-1]["stepsize"])
        assert fall[0]["stepsize"] / fall[-1]["stepsize"] == pytest.approx(4)
        np.testing.assert_array_equal(tree["posterior"]["stepsize"].to_numpy(), course["stepsize"])
        assert course["mass"]["b3"] > 2 * course["mass"]["w2"], "biases of the output are stiff, inner weights are not"

    def test_of_words_by_layer(self):
        """The store keeps the run's own partitions, which have no temperature under the other word."""
        method = {"name": "langevin", "partition": "layer"}
        found = sample(stiff(method=method, path="falling", max_steps=1_500), data=data())
        assert found["sample_stats"]["kinetic_temperature"].shape[-1] == 3
        assert np.isnan(found["sample_stats"]["kinetic_temperature"]).all()
        np.testing.assert_array_equal(found["posterior"]["friction_hidden2"], 0.1)

    def test_a_budget_of_time(self, monkeypatch):
        """On a machine that takes 2 ms a step, and nothing for anything else."""
        at, advance = [0.0], BatchedEngine.advance

        def taking(self, state, segment, *more):
            at[0] += segment.steps * 2e-3
            return advance(self, state, segment, *more)

        monkeypatch.setattr(BatchedEngine, "advance", taking)
        for clock in ("monotonic", "perf_counter"):
            monkeypatch.setattr(time, clock, lambda: at[0])
        spec = stiff({"hidden": [4, 4]}, path="falling", max_steps=10**6, max_time=5.0, tolerance=0.001)
        found = sample(spec, data=data(), engine="batched")
        course, verdict = told(found)
        assert course["ended"] == "max_time"
        assert 4 < found["posterior"].attrs["sampling_time"] <= 5.3
        assert course["log"][-1]["phase"] == SAMPLING
        assert not verdict["trusted"]


@NEEDS_COMPILER
@pytest.mark.parametrize("most", [1_500, 3_000])
def test_a_small_budget_is_no_stiffness(most):
    """The 2-5-1 of the NUTS reference forgets in 20 steps: it goes the ordinary way, however little it may take."""
    spec, known = network(0, max_steps=most)
    found, verdict = told(sample(spec, data=known))
    assert not found["path"]
    assert "stiff" not in verdict["text"]
    assert most < 3_000 or verdict["trusted"], verdict["text"]


@NEEDS_COMPILER
def test_a_network_that_is_not_stiff_comes_to_be_trusted():
    """A wide noise: the draws pass the tests of a burn-in, and the group at half the stepsize agrees."""
    spec = stiff(
        {"hidden": 3, "likelihood": "gaussian", "noise_sd": 1.0, "activation": "tanh"}, path="falling", tolerance=0.1,
        max_steps=20_000,
    )  # fmt: skip
    course, verdict = told(sample(spec, data=data()))
    assert course["ended"] == "tolerance", verdict["text"]
    assert verdict["trusted"], verdict["text"]


@pytest.mark.parametrize("engine", ["batched", pytest.param("fused", marks=NEEDS_COMPILER)])
def test_a_run_cut_everywhere_is_the_same(engine, tmp_path, monkeypatch):
    """Stopped in the descent, while gradients warm up, in the fall and among the draws; and extended."""
    spec = stiff({"hidden": [4, 4]} if engine == "batched" else None, path="falling", max_steps=1_300)
    whole, cut = tmp_path / "whole.zarr", tmp_path / "cut.zarr"
    sample(spec, whole, data=data(), engine=engine)
    monkeypatch.setattr(Pace, "next", lambda self: 30)
    seen = []
    for stop in (75, 330, 500, 1_000):

        def when(progress, stop=stop):
            if progress.step >= stop:
                os.kill(os.getpid(), signal.SIGINT)

        with suppress(Interrupted):
            resume(cut, on_progress=when) if cut.exists() else sample(
                spec, cut, data=data(), engine=engine, on_progress=when
            )
        seen.append(course(cut)["phase"])
    assert seen == [DESCENT, FALL, FALL, SAMPLING]
    resume(cut)
    assert differences(whole, cut) == []
    assert course(whole) == course(cut)
    more = resume(cut, stiff({"hidden": [4, 4]} if engine == "batched" else None, path="falling", max_steps=2_000))
    assert told(more)[0]["stop"] > course(whole)["stop"]
    assert told(more)[0]["origin"] == course(whole)["origin"]


def test_a_run_stopped_by_its_time_before_its_first_draws_were_judged_goes_on():
    stopped = Course(path="falling", phase=SAMPLING, begun=800, stop=1_200, ended="max_time")
    assert reopened(stopped, None) == replace(stopped, ended="")


def course(path):
    return read_header(path).attributes["tuning"]["course"]


BY_MINIBATCHES = stiff({"hidden": [4, 4]}, path="falling", minibatch="epoch", batch=10, max_steps=1_200)


@pytest.fixture(scope="module")
def by_minibatches():
    return sample(BY_MINIBATCHES, data=data(), engine="batched")


class TestMinibatches:
    """Where the way is asked for: their noise is measured at the last stepsize, and speaks against the run."""

    def test_they_are_taken_and_said(self, by_minibatches):
        found, verdict = told(by_minibatches)
        (rho,) = [line["rho"] for line in found["log"] if "rho" in line]
        assert rho > 0.02
        assert f"gradient noise of the minibatches is {rho:.2g} of the temperature" in verdict["text"]
        assert not verdict["trusted"]
        assert by_minibatches["posterior"].sizes["draw"] > 100

    def test_their_noise_is_that_of_momenta_of_a_fixed_length(self, by_minibatches):
        """h s^2 / (2 gamma tau^2) at the last stepsize, from gradients taken here, where the draws begin: replicas move
        on, so that a factor tau (here 1/60) is seen, and a fourth is not.
        """
        found, _ = told(by_minibatches)
        given = Given(data(), None, None, None)
        spec, _ = as_spec(BY_MINIBATCHES, given)
        launch = Way(make_ready(spec, None, given)).fall.with_masses(found["mass"])
        names = launch.job.target.layout.sizes
        draws = by_minibatches["posterior"].to_dataset().isel(draw=0)
        position = np.hstack([draws[name].to_numpy().reshape(32, -1) for name in names])
        tau = launch.job.hyper.temperature[0, 0]
        square = launch.noise(position, 10**6) * tau
        (rho,) = [line["rho"] for line in found["log"] if "rho" in line]
        assert 0.2 < rho / (found["stepsize"] * square / (2 * 0.1 * tau**2)) < 5

    def test_nobody_turns_to_them(self):
        given = Given(data(), None, None, None)
        spec, _ = as_spec(stiff(minibatch="epoch", batch=10), given)
        assert 'unless it is asked for, and this run has minibatch = "epoch"' in why_not(make_ready(spec, None, given))


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"method": {"freeze": ["output"]}}, "some are frozen"), ({"method": {"name": "adl"}}, "has thermostats"),
            ({"method": {"stepsize": 0.1}}, "leave them out"), ({"method": {"mass": 2.0}}, "masses itself"),
            ({"model": {"prior_sd": None}}, "needs a prior"),
        ],
    )  # fmt: skip
    def test_who_cannot_go(self, changes, message):
        given = {"path": "falling", **changes}
        with pytest.raises(SpecError, match=f'run.path = "falling" cannot be gone: .*{message}'):
            sample(stiff(**given), data=data())

    def test_of_potentials_and_without_a_tolerance(self):
        assert "this run is of a potential" in why_not(prepare(RunSpec.from_dict(well())))
        with pytest.raises(SpecError, match="path = 'falling' is how a run that tunes itself"):
            RunSpec.from_dict({"run": {"path": "falling"}})

    def test_the_ordinary_way_alone_does_not_turn(self):
        spec = stiff(path="ordinary", max_steps=1_500)
        found, verdict = told(sample(spec, data=data(), engine="batched"))
        assert not found["path"]
        assert not verdict["trusted"]


@NEEDS_COMPILER
def test_starts_near_0_are_replaced_by_he():
    """Others are the user's."""
    for init, alike in (("normal", False), ("prior", True)):
        given = Given(data(), None, None, None)
        spec, _ = as_spec(stiff({"init": init}), given)
        ready = make_ready(spec, None, given)
        position = Way(ready).start(0).position
        assert np.array_equal(position, ready.initial_state().position) == alike
        assert position.std() > 0.1
