"""Replicas that run away while a run tunes itself: they go on from where others are; where one is left, nothing offers
its averages.
"""

import json

import numpy as np
import pytest
from runs import differences
from tuned_cases import STIFFNESS, told, well
from tuned_networks import errors
from typer.testing import CliRunner

from gpu_thermo import predict, resume, sample
from gpu_thermo.estimators.words import in_words
from gpu_thermo.run import Interrupted
from gpu_thermo.running.launch import Launch
from gpu_thermo.running.tuned import TunedLoop
from gpu_thermo.tuning.course import ADAPTATION, BURN_IN, SAMPLING
from gpu_thermo.tuning.told import Told
from gpu_thermo_analysis.diagnostics import diagnose
from gpu_thermo_cli.main import app

WHO = 3


@pytest.fixture
def runaway(monkeypatch):
    """A replica is thrown out when the first window of the adaptation ends: finite, 1e9 from where it was."""
    decide = TunedLoop._decide

    def thrown(self):
        before = self.course
        decide(self)
        if (before.phase, before.window) == (ADAPTATION, 0):
            self.state.position[WHO] += 1e9

    monkeypatch.setattr(TunedLoop, "_decide", thrown)


@pytest.fixture
def nobody_is_replaced(monkeypatch):
    monkeypatch.setattr(Launch, "replaced", lambda self, position, lost: position)


def starts(scale, replicas=32):
    """Of a network of 4 units on two features; replica WHO's so many times as far out."""
    rng = np.random.default_rng(5)
    shapes = {"w1": (4, 2), "b1": (4,), "w2": (1, 4), "b2": (1,)}
    found = {name: 0.5 * rng.normal(size=(replicas, *shape)) for name, shape in shapes.items()}
    for values in found.values():
        values[WHO] *= scale
    return found


NETWORK = {
    "data": {"name": "spirals", "turns": 1, "train": 20, "test": 10},
    "model": {"hidden": 4, "activation": "tanh", "prior_sd": 1.0},
    "method": {"name": "langevin", "posterior_temperature": 1.0},
    "run": {"replicas": 32, "tolerance": 0.2, "path": "ordinary", "max_steps": 1_200, "keep": ["parameters"]},
}


def test_it_goes_on_from_where_another_is(runaway):
    tree = sample(well(2))
    course, verdict = told(tree)
    assert verdict["trusted"], verdict["text"]
    assert verdict["lost"] == 0
    replaced = [line for line in course["log"] if line.get("replaced")]
    assert [(line["phase"], line["window"], line["replaced"]) for line in replaced] == [(ADAPTATION, 1, [WHO])]
    mean, e_mean, variance, e_variance = errors(tree["posterior"]["position"].to_numpy())
    z = np.concatenate([mean / e_mean, (variance - 1 / np.array(STIFFNESS)) / e_variance])
    assert abs(z).max() < 4


def test_without_a_runaway_nothing_is_touched():
    course, verdict = told(sample(well(2)))
    assert verdict["lost"] == 0
    assert not any(line.get("replaced") for line in course["log"])


def test_a_run_cut_behind_it_is_the_same(runaway, tmp_path):
    sample(well(2), tmp_path / "whole.zarr")

    def stop(progress):
        if progress.phase != "descent" and progress.step > 250:
            raise KeyboardInterrupt

    with pytest.raises((Interrupted, KeyboardInterrupt)):
        sample(well(2), tmp_path / "cut.zarr", on_progress=stop)
    resume(tmp_path / "cut.zarr")
    assert differences(tmp_path / "whole.zarr", tmp_path / "cut.zarr") == []


def test_one_that_is_left_is_named_by_everybody(runaway, nobody_is_replaced):
    """As it was before: not frozen, not named, and a tolerance was offered."""
    tree = sample(well(2, max_steps=1_500))
    course, verdict = told(tree)
    assert not verdict["trusted"]
    assert verdict["lost"] == 1
    assert "1 of 64 replicas are lost" in verdict["text"]
    assert "be content" not in verdict["text"]
    assert all(line["failed"] == ["lost"] for line in course["log"] if line["phase"] == BURN_IN)
    assert all(line["lost"] == 1 for line in course["log"] if line["phase"] == SAMPLING)
    found = diagnose(tree).ensembles[0]
    assert "lost chains" in found.headline
    assert [v.passed for v in found.verdicts if v.topic == "lost chains"] == [False]
    told_again = Told.of({name: json.loads(value) for name, value in tree["tuning"].attrs.items()})
    assert "ran away" in in_words(told_again)[0]


def test_commands_show_who_was_replaced(runaway, tmp_path):
    path = tmp_path / "run.zarr"
    sample(well(2), path)
    shown = CliRunner().invoke(app, ["info", str(path), "--tuning"])
    assert "1 replica replaced" in shown.output
    assert "replaced 1 replica lay far outside where the others are" in shown.output
    shown = CliRunner().invoke(app, ["info", str(path)])
    assert "1 replica lay far outside" in " ".join(shown.output.split())


@pytest.mark.parametrize("scale", [1e3, 1e12])
def test_a_far_start_of_a_network(scale):
    course, verdict = told(sample(NETWORK, init=starts(scale), engine="batched"))
    assert verdict["lost"] == 0
    assert [line["replaced"] for line in course["log"] if line.get("replaced")] == [[WHO]]


def test_predictions_of_such_a_run_say_so(nobody_is_replaced):
    tree = sample(NETWORK, init=starts(1e12), engine="batched")
    assert told(tree)[1]["lost"] == 1
    with pytest.warns(UserWarning, match="1 of the run's 32 replicas are lost"):
        predict(tree, np.zeros((1, 2)))
