"""Bayesian linear regression: frozen features and Gaussian noise have a closed-form posterior, which the sampler must
meet.
"""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from linear_maps import advance, z_score

from gpu_thermo.data import Dataset
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

N, HIDDEN, NOISE, PRIOR = 30, 4, 0.4, 0.8
X = np.random.default_rng(0).uniform(-2, 2, (1, N, 2))
Y = np.sin(X.sum(axis=2, keepdims=True)) + 0.5 + np.random.default_rng(1).normal(size=(1, N, 1)) * NOISE
DATA = Dataset("gap", "regression", X, Y, X[:, :5], Y[:, :5], ("a", "b"), targets=("y",))
GRID = np.random.default_rng(2).uniform(-3, 3, (8, 2))


def make(temperature=1.0, replicas=300, seed=0):
    """A run with the hidden layer frozen at one network for all replicas."""
    spec = RunSpec.from_dict(
        {
            "data": {"name": "gap"},
            "model": {
                "hidden": HIDDEN,
                "activation": "tanh",
                "prior_sd": PRIOR,
                "noise_sd": NOISE,
                "init_sd": 1.0,
                "dtype": "float64",
            },
            "method": {
                "name": "langevin",
                "freeze": ["hidden"],
                "stepsize": 0.45,
                "friction": 0.8,
                "posterior_temperature": temperature,
            },
            "run": {
                "replicas": replicas,
                "minibatch": "full",
                "steps": 10,
                "burn_in": 0,
                "thin": 10,
                "seed_dynamics": round(10 * temperature) + 100 * seed,
            },
        }
    )
    ready = prepare(spec, data=DATA)
    state = ready.initial_state()
    hidden = ready.program.partition.slices[0]
    state.position[:, hidden] = state.position[0, hidden]
    return ready, state


def features(ready, state, x):
    """[points, HIDDEN + 1] hidden activations and a one for the bias."""
    w = ready.subject.model.layout.split(state.position[0])
    return np.column_stack([np.tanh(x @ w["w1"].T + w["b1"]), np.ones(len(x))])


def closed_form(design, temperature=1.0, prior=PRIOR, noise=NOISE):
    """Posterior mean and covariance of (W2, b2): likelihood and prior both to the power 1/T."""
    precision = design.T @ design / noise**2 + np.eye(design.shape[1]) / prior**2
    return np.linalg.solve(precision, design.T @ Y[0, :, 0] / noise**2), temperature * np.linalg.inv(precision)


@cache
def sample(temperature=1.0, factor=1.0, replicas=300, seed=0):
    """Draws [draws, R, HIDDEN + 1] of the output layer, and draws [draws, R, points] of the function on GRID; `factor`
    spoils tau.
    """
    ready, state = make(temperature, replicas, seed)
    before = state.position[:, : -(HIDDEN + 1)].copy()
    design = features(ready, state, DATA.x_train[0])
    job = replace(ready.job, hyper=replace(ready.job.hyper, temperature=factor * ready.job.hyper.temperature))
    advance(job, state, 200)
    ring = advance(job, state, 700, range(210, 901, 10))
    assert (state.status == 0).all()
    np.testing.assert_array_equal(state.position[:, : -(HIDDEN + 1)], before)
    f = np.stack([ready.subject.model.predict(p, GRID)[..., 0] for p in ring.position])
    return ring.position[..., -(HIDDEN + 1) :], f, design, features(ready, state, GRID)


def scores(draws, mean, cov):
    """z of every mean, variance and covariance against the closed form, with the replica as unit."""
    centred = draws - mean
    each = [z_score((centred * centred[..., i : i + 1]).mean(axis=0), cov[i]) for i in range(len(mean))]
    return np.concatenate([z_score(centred.mean(axis=0), 0), *each])


def deviations(draws, mean, cov):
    """The largest |z|."""
    return abs(scores(draws, mean, cov)).max()


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_posterior_and_predictive(temperature):
    """Means and covariances of (W2, b2) and of the function, T = 1 and a cold posterior (the prior tempered too)."""
    draws, f, design, grid = sample(temperature)
    mean, cov = closed_form(design, temperature)
    assert deviations(draws, mean, cov) < 6
    assert deviations(f, grid @ mean, grid @ cov @ grid.T) < 6
    # and the error bars are small enough to mean something
    assert (draws.var(axis=(0, 1)) / np.diag(cov)).tolist() == pytest.approx([1] * (HIDDEN + 1), rel=0.05)
    total = f.var(axis=(0, 1)) + NOISE**2
    np.testing.assert_allclose(total, np.diag(grid @ cov @ grid.T) + NOISE**2, rtol=0.03)


@pytest.mark.parametrize(
    ("mistake", "factor"), [("tau = 1 and not 1 / N", N), ("sqrt 2 in the noise", 2.0), ("10 per cent", 1.1)]
)
def test_power_against_a_wrong_temperature(mistake, factor):
    draws, _, design, _ = sample(factor=factor, replicas=300 if factor < 2 else 50)
    assert deviations(draws, *closed_form(design)) > 8


def test_power_against_wrong_closed_forms():
    """A prior that is N times too strong, absent, or not tempered, and sd for variance of the noise, are all seen."""
    draws, _, design, _ = sample(0.2)
    assert deviations(draws, *closed_form(design, 0.2)) < 6
    cold_likelihood = closed_form(design, 0.2, prior=PRIOR / np.sqrt(0.2))  # the prior left as it was
    for wrong in (
        closed_form(design, 0.2, prior=PRIOR / np.sqrt(N)), closed_form(design, 0.2, prior=1e6), cold_likelihood,
        closed_form(design, 0.2, noise=np.sqrt(NOISE)), closed_form(design, 1.0),
    ):  # fmt: skip
        assert deviations(draws, *wrong) > 8
