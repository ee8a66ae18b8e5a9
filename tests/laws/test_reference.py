"""Whole posteriors against references that share no code with the package, through the public functions.

A 2-5-1 network against NUTS in float64 (reference/nuts_2_5_1.py; its summary is shipped), and a linear-activation SHLP,
all parameters free, against one-dimensional quadrature: with w2 = r e for a unit vector e, f(x) = r (u . x + c) + b2
where (u, c) has the prior of one hidden unit whatever e is; r is chi-distributed with d degrees of freedom, and given r
the rest is Bayesian linear regression.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from gpu_thermo import predict, sample

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "nuts_2_5_1.json").read_text())


def run_on(tmp_path, x, y, task, model, method, run):
    """An in-memory run of the public `sample` on arrays."""
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    spec = {
        "data": {"name": "npz", "path": str(tmp_path / "data.npz"), "task": task, "standardise": False},
        "model": {"init": "prior"} | model,
        "method": {"name": "langevin", "word": "BAOAB"} | method,
        "run": {"minibatch": "full"} | run,
    }
    return sample(spec, threads=2)


def tensors(run):
    """w1 [R, draw, d, m], b1 [R, draw, d], w2 [R, draw, d], b2 [R, draw] float64 of a network with one output."""
    p = run["posterior"]
    w1, b1, w2, b2 = (p[name].to_numpy().astype(np.float64) for name in ("w1", "b1", "w2", "b2"))
    return w1, b1, w2[:, :, 0], b2[:, :, 0]


def outputs(run, inputs, activate):
    """Outputs [R, draw, point] of every draw, by a formula of this file's own."""
    w1, b1, w2, b2 = tensors(run)
    out = np.empty((*b2.shape, len(inputs)))
    for i, x in enumerate(inputs):
        out[..., i] = (activate(w1 @ x + b1) * w2).sum(axis=-1) + b2
    return out


def scores(values, exact, error=0.0):
    """z of the mean of `values` [R, draw, ...] over independent replicas against `exact` with its own standard
    `error`.
    """
    own = values.mean(axis=1)
    return (own.mean(axis=0) - exact) / np.hypot(own.std(axis=0, ddof=1) / np.sqrt(len(own)), error)


# -- NUTS --------------------------------------------------------------------------------------------------------------


def network(tmp_path, temperature=1.0, steps=12_000, prior=REFERENCE["prior_sd"], word="BAOAB", seed=3):
    """The 2-5-1 posterior by BAOAB, started at the prior."""
    x, y = np.array(REFERENCE["x"]), np.array(REFERENCE["y"])
    model = {"hidden": REFERENCE["hidden"], "activation": "tanh", "prior_sd": prior}
    method = {"word": word, "stepsize": 0.5, "friction": 0.15, "posterior_temperature": temperature}
    run = {"replicas": 256, "steps": steps, "burn_in": steps // 8, "thin": 50, "trace": steps, "seed": seed}
    return run_on(tmp_path, x, y, "binary", model, method, run)


def nuts_scores(run):
    """z of the predictive means and variances [2, 50], with the errors of both."""
    p = expit(outputs(run, np.array(REFERENCE["inputs"]), np.tanh))
    mean = np.array(REFERENCE["mean"])
    return np.stack([
        scores(p, mean, np.array(REFERENCE["mean_error"])),
        scores((p - mean) ** 2, np.array(REFERENCE["variance"]), np.array(REFERENCE["variance_error"])),
    ])  # fmt: skip


def test_nuts_converged():
    """The reference has mixed, and its errors are small."""
    assert REFERENCE["split_rhat"] < 1.01
    assert REFERENCE["divergent"] < 1e-3 * REFERENCE["chains"] * REFERENCE["draws"]
    assert max(REFERENCE["mean_error"]) < 3e-3


def test_predictive_against_nuts(tmp_path):
    """Predictive mean and variance at 50 inputs, and `predict` on the run gives the same averages."""
    run = network(tmp_path)
    assert abs(nuts_scores(run)).max() < 5
    averages = predict(run, np.array(REFERENCE["inputs"]), ensemble=0)
    p = expit(outputs(run, np.array(REFERENCE["inputs"]), np.tanh)).reshape(-1, len(REFERENCE["inputs"]))
    np.testing.assert_allclose(averages["mean"].to_numpy()[:, 0], p.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(averages["variance"].to_numpy()[:, 0], p.var(axis=0), atol=1e-6)


MISTAKES = {"tau x 1.5": {"temperature": 1.5}, "tau / 1.5": {"temperature": 1 / 1.5}, "another prior": {"prior": 1.2}}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_power_against_nuts(mistake, tmp_path):
    assert abs(nuts_scores(network(tmp_path, **MISTAKES[mistake], steps=4_000))).max() > 8


# -- the linear SHLP ---------------------------------------------------------------------------------------------------

N, UNITS, NOISE, PRIOR = 20, 4, 0.5, 0.8
X = np.random.default_rng(0).uniform(-1.5, 1.5, (N, 2))
Y = X @ [0.9, -0.4] + 0.3 + NOISE * np.random.default_rng(1).normal(size=N)
INPUTS = np.random.default_rng(2).uniform(-3, 3, (8, 2))


@cache
def quadrature(temperature=1.0, prior=PRIOR, noise=NOISE):
    """(<f> [8], <(f - <f>)^2> [8], <|w2|^2>) of the linear SHLP; temperature tempers likelihood and prior."""
    s2, v = prior**2 * temperature, noise**2 * temperature
    radius = np.linspace(0, 8 * prior, 4001)[1:]
    log_weight, mean, variance = np.empty(len(radius)), np.empty((len(radius), 8)), np.empty((len(radius), 8))
    for i, r in enumerate(radius):
        design, grid = (np.column_stack([r * x, np.full(len(x), r), np.ones(len(x))]) for x in (X, INPUTS))
        precision = design.T @ design / v + np.eye(4) / s2
        best = np.linalg.solve(precision, design.T @ Y / v)
        evidence = (best @ design.T @ Y - Y @ Y) / (2 * v) - np.linalg.slogdet(precision)[1] / 2
        log_weight[i] = evidence + (UNITS - 1) * np.log(r) - r * r / (2 * s2)
        mean[i], variance[i] = grid @ best, (grid @ np.linalg.inv(precision) * grid).sum(axis=1)
    w = np.exp(log_weight - log_weight.max())
    w /= w.sum()
    f = w @ mean
    return f, w @ (variance + (mean - f) ** 2), w @ radius**2


@cache
def linear(folder, temperature=1.0, seed=4):
    """A linear SHLP with all parameters free."""
    model = {"hidden": UNITS, "activation": "identity", "prior_sd": PRIOR, "noise_sd": NOISE, "dtype": "float64"}
    method = {"stepsize": 0.07, "friction": 0.5, "posterior_temperature": temperature}
    run = {"replicas": 256, "steps": 9_000, "burn_in": 1_500, "thin": 50, "trace": 9_000, "seed": seed}
    return run_on(folder, X, Y[:, None], "regression", model, method, run)


def linear_scores(run, law):
    """z of <f>, of its variance, and of <|w2|^2> [17]."""
    f, variance, square = law
    out = outputs(run, INPUTS, lambda z: z)
    return np.concatenate(
        [scores(out, f), scores((out - f) ** 2, variance), [scores((tensors(run)[2] ** 2).sum(axis=-1), square)]]
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("linear")


@pytest.mark.parametrize("temperature", [1.0, 0.2])
def test_linear_network_against_quadrature(temperature, folder):
    run = linear(folder, temperature)
    assert abs(linear_scores(run, quadrature(temperature))).max() < 5
    for wrong in (
        quadrature(1.2 * temperature), quadrature(temperature, prior=PRIOR * 1.1),
        quadrature(temperature, noise=1.1 * NOISE),
        quadrature(temperature, noise=NOISE**0.5), quadrature(temperature, prior=PRIOR / N**0.5),
    ):  # fmt: skip
        assert abs(linear_scores(run, wrong)).max() > 8
