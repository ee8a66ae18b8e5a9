"""What is said of the points held out: against data whose law is known, and that wrong predictions are seen."""

import json

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.averages.calibration import calibration
from gpu_thermo.averages.held_out import MOST_DRAWS, held_out, learned_noise, sentence, too_far
from gpu_thermo.averages.predictive import scores_on_test

G = np.random.default_rng(11)
X = G.uniform(-2, 2, (1600, 1))


def spec_of(likelihood="gaussian", **model):
    return {
        "data": {"test_fraction": 0.5},
        "model": {"hidden": 6, "activation": "tanh", "likelihood": likelihood, "prior_sd": 1.0, **model},
        "method": {"name": "langevin", "stepsize": 0.1, "posterior_temperature": 1.0},
        "run": {"replicas": 8, "steps": 2000, "burn_in": 1500, "thin": 50, "trace": 1000, "minibatch": "full"},
    }


@pytest.fixture(scope="module")
def numbers():
    """A mean that six units learn, and noise of sd 0.7."""
    return X, 3 * X + 0.7 * np.random.default_rng(12).normal(size=X.shape)


@pytest.fixture(scope="module")
def right(numbers):
    return gt.sample(spec_of(), data=numbers)


def test_right_predictions_hold_what_they_should(right):
    found = held_out(right)[0]
    assert abs(too_far(found)) < 4
    assert "right within these errors" in sentence(found)
    assert (found["pit_mean"], found["pit_sd"]) == pytest.approx((0.5, 0.289), abs=0.05)
    assert sum(found["pit_deciles"]) == pytest.approx(1)
    assert max(found["pit_deciles"]) < 0.17
    assert (found["points"], found["draws"]) == (800, 80)
    assert found["crps"] == pytest.approx(0.7 / np.sqrt(np.pi), rel=0.1)  # of a normal law with its own answers
    assert found["noise"]["y"] == pytest.approx(0.7, rel=0.05)
    assert found["coverage_error"]["0.9"] == pytest.approx(np.sqrt(0.09 / 800))
    json.dumps(found, allow_nan=False)


@pytest.mark.parametrize(("factor", "word"), [(0.5, "narrow"), (2.0, "wide")])
def test_a_wrong_noise_is_seen(numbers, factor, word):
    """The power: a noise sd half or twice as large is found at once."""
    unit = numbers[1].std()
    run = gt.sample(spec_of(noise_sd=factor * 0.7 / unit), data=numbers)
    found = held_out(run)[0]
    assert f"too {word}" in sentence(found)
    assert abs(too_far(found)) > 8
    assert found["pit_sd"] > 0.34 if factor < 1 else found["pit_sd"] < 0.22


def test_it_is_what_calibration_finds(right):
    found, whole = held_out(right, points=10**6, draws=10**6)[0], calibration(right, 0)
    np.testing.assert_allclose(list(found["coverage"].values()), whole["covered"])
    assert found["crps"] == pytest.approx(float(whole["crps"].mean()))
    assert found["pit_mean"] == pytest.approx(float(whole["pit"].mean()))
    assert MOST_DRAWS < 256  # the closed form of the CRPS, which is fast


def test_it_says_how_many_points_there_are(right):
    found = held_out(right, points=50)[0]
    assert found["held_out"] > found["points"] == 50
    assert f"at 50 of {found['held_out']:,} held-out points" in sentence(found)
    every = held_out(right)[0]
    assert f"at {every['held_out']:,} held-out points" in sentence(every)


def test_counts_are_judged_by_what_their_intervals_hold():
    """Intervals of small counts end at whole numbers: they hold more than their level, and that is right."""
    y = G.poisson(np.exp(0.4 + 0.5 * X))
    found = held_out(gt.sample(spec_of("poisson"), data=(X, y.astype(float))))[0]
    assert found["expected"]["0.5"] > 0.55
    assert abs(too_far(found)) < 4
    assert found["pit_mean"] == pytest.approx(0.5, abs=0.05)


def test_several_targets(numbers):
    x, y = numbers
    both = np.concatenate([y, 100 * y], axis=1)
    run = gt.sample(spec_of("heteroscedastic"), data=(x, both))
    found = held_out(run)[0]
    first, second = found["crps_by_target"].values()
    assert second == pytest.approx(100 * first, rel=0.2)
    assert found["crps"] == pytest.approx((first + second) / 2)
    assert "noise" not in found
    assert learned_noise(run, 0) == []


def test_classes_are_held_against_chance():
    y = (G.uniform(size=len(X)) < 1 / (1 + np.exp(-2 * X[:, 0]))).astype(int)
    run = gt.sample({**spec_of(), "model": {"hidden": 4, "prior_sd": 1.0}}, data=(X, y))
    found, scores = held_out(run)[0], scores_on_test(run)[0]
    assert found["points"] == 800
    assert 0.2 * found["ece_by_chance"] < scores["ece"] < 4 * found["ece_by_chance"]
    assert "by chance" in sentence(found, scores["ece"])


def test_chance_is_the_mean_over_labels():
    """Labels drawn from the probabilities themselves: the mean calibration error over many draws of them."""
    from gpu_thermo.averages.scores import calibration_error, chance_error

    p = G.uniform(0.5, 1, 900)
    errors = [calibration_error(p, G.uniform(size=900) < p) for _ in range(400)]
    assert chance_error(p) == pytest.approx(np.mean(errors), rel=0.03)


@pytest.mark.parametrize(("change", "reason"), [
    ({"run": {"keep": []}}, "not kept"), ({"data": {"test_fraction": 0.0}}, "no test points"),
])  # fmt: skip
def test_what_keeps_nothing_says_so(numbers, change, reason):
    tree = spec_of()
    small = {"steps": 20, "burn_in": 10, "thin": 5, "trace": 10, "replicas": 2}
    tree = {**tree, **{k: {**tree[k], **v} for k, v in change.items()}}
    tree["run"] = {**tree["run"], **small}
    found = held_out(gt.sample(tree, data=numbers))[0]
    assert reason in found["reason"]
    assert reason in sentence(found)


def test_a_network_from_python_is_asked_for(numbers):
    weights = {"a": np.ones((1, 1)), "c": np.zeros(1)}

    def forward(params, x):
        return x @ params["a"] + params["c"][:, None]

    def vjp(params, x, d_out):
        return {"a": np.swapaxes(x, 1, 2) @ d_out, "c": d_out.sum(axis=1)}

    tree = {**spec_of(), "model": {"prior_sd": 1.0}}
    tree["run"] = {**tree["run"], "steps": 60, "burn_in": 40, "thin": 5, "trace": 20}
    network = gt.NumpyNetwork(weights, forward, vjp)
    run = gt.sample(tree, data=numbers, network=network)
    assert "network=" in held_out(run)[0]["reason"]
    assert "coverage" in held_out(run, network=network)[0]


def test_a_potential_has_none():
    tree = {"target": {"name": "harmonic"}, "method": {"name": "sgld", "stepsize": 0.1, "temperature": 1.0},
            "run": {"replicas": 2, "steps": 4, "burn_in": 2, "thin": 1}}  # fmt: skip
    assert held_out(gt.sample(tree)) == {}
