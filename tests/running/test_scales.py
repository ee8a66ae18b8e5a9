"""prior_sd = "auto" from spec to store and back, and mass = "prior"."""

import json

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.averages.predictive import model_of, predict
from gpu_thermo.errors import SpecError
from gpu_thermo.run import plan
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

G = np.random.default_rng(0)
X = G.normal(size=(60, 3))
Y = X[:, 0] - X[:, 1] + 0.3 * G.normal(size=60)
RUN = {"replicas": 6, "steps": 60, "burn_in": 20, "thin": 20, "minibatch": "full", "trace": 20}
METHOD = {"name": "langevin", "stepsize": 0.05, "posterior_temperature": 1.0, "mass": "prior"}


def tree(**model):
    model = {"hidden": 4, "activation": "tanh", "prior_sd": "auto", "init": "prior"} | model
    return {"data": {"name": "arrays", "task": "regression"}, "model": model, "method": METHOD, "run": RUN}


def test_a_run_says_what_the_data_chose(tmp_path):
    """In its spec, its assumptions, its network; resumed by the spec as it was written, to the same bits."""
    given = tree()
    whole = gt.sample(given, tmp_path / "whole", data=(X, Y))
    short = {**given, "run": {**RUN, "steps": 40}}
    gt.sample(short, tmp_path / "run", data=(X, Y))
    gone_on = gt.resume(tmp_path / "run", {**given})
    np.testing.assert_array_equal(gone_on["posterior"]["w1"], whole["posterior"]["w1"])
    spec = RunSpec.from_json(gone_on.attrs["spec"])
    assert spec.model.prior_sd == "auto"
    assert set(spec.model.prior_scales) == {"hidden", "output"}
    assert spec.model.prior_scales == RunSpec.from_json(whole.attrs["spec"]).model.prior_scales
    said = json.loads(gone_on.attrs["assumptions"])[-1]
    assert said.startswith(f"prior normal, scale {spec.model.prior_scales['hidden']:.3g} (w1, b1)")
    assert said.endswith("(chosen by the data)")
    assert model_of(gone_on).prior_scales == tuple(np.repeat(list(spec.model.prior_scales.values()), 2))
    assert np.isfinite(predict(gone_on, X[:3])["mean"]).all()


def test_the_same_numbers_by_hand_are_the_same_run():
    """Bit for bit: only the spec differs."""
    auto = gt.sample(tree(), data=(X, Y))
    scales = RunSpec.from_json(auto.attrs["spec"]).model.prior_scales
    hand = gt.sample(tree(prior_sd=scales), data=(X, Y))
    np.testing.assert_array_equal(hand["posterior"]["w2"], auto["posterior"]["w2"])
    other = gt.sample(tree(prior_sd={**scales, "output": 2 * scales["output"]}), data=(X, Y))
    assert (other["posterior"]["w2"] != auto["posterior"]["w2"]).any()


@pytest.mark.parametrize("likelihood", ["gaussian", "heteroscedastic", "student_t", "poisson"])
def test_of_every_kind_of_answer(likelihood):
    answers = G.poisson(np.exp(0.5 * X[:, 0] + 1)) if likelihood == "poisson" else 100 + 7 * Y
    spec = RunSpec.from_dict(tree(likelihood=likelihood))
    found = plan(spec, data=(X, answers)).assumptions[-1]
    assert "chosen by the data" in found
    labels = np.where(Y > 0, "yes", "no")
    classes = {**tree(), "data": {"name": "arrays"}}
    assert "chosen by the data" in plan(classes, data=(X, labels)).assumptions[-1]


def test_a_unit_of_a_target_is_no_matter():
    """Answers in other units have the same scales."""
    one, other = (plan(tree(), data=(X, y)).assumptions[-1] for y in (Y, 1e4 * Y - 3))
    assert one == other


def test_it_cannot_be_chosen():
    moons = {"data": {"name": "moons", "train": 40, "test": 0, "seeds": [0, 1]}, "run": RUN}
    with pytest.raises(SpecError, match=r'prior_sd = "auto" asks one data set .* and this is 2 data sets at once'):
        prepare(RunSpec.from_dict({**moons, "model": {"hidden": 4, "prior_sd": "auto"}, "method": METHOD}))
    with pytest.raises(SpecError, match=r'prior_scales is what prior_sd = "auto" chose'):
        RunSpec.from_dict(tree(prior_sd=1.0, prior_scales={"hidden": 1.0, "output": 1.0}))


def test_masses_of_the_prior():
    """1 over the square of each scale: every parameter moves in units of its prior's."""
    made = plan(tree(prior_sd={"hidden": 0.5, "output": 2.0}), data=(X, Y))
    assert "parameters have masses from 0.25 to 4" in made.substeps
    bare = tree(prior_sd=None)
    del bare["model"]["init"]
    with pytest.raises(SpecError, match=r"method\.mass = 'prior' needs the scales of a prior"):
        plan(bare, data=(X, Y))


def test_tuned_masses_of_the_prior_from_starts_near_0():
    """They know nothing of the prior's scales; whoever runs away from there goes on from where others are."""
    method = {"name": "langevin", "posterior_temperature": 1.0, "mass": "prior"}
    run = {"replicas": 32, "tolerance": 0.3, "path": "ordinary", "max_steps": 1_000}
    found = gt.sample(tree(prior_sd=1.0, init="normal") | {"method": method, "run": run}, data=(X, Y), engine="batched")
    verdict = json.loads(found["tuning"].attrs["verdict"])
    assert verdict["lost"] == 0
    assert verdict["error"] < 0.3, verdict["text"]
