"""A posterior against a reference that shares no code with the package, through the public functions: an SHLP with
linear activation, all parameters free, against one-dimensional quadrature (test_nuts.py has other networks).

With w2 = r e for a unit vector e, f(x) = r (u . x + c) + b2 where (u, c) has the prior of one hidden unit whatever e
is; r is chi-distributed with d degrees of freedom, and given r the rest is Bayesian linear regression.
"""

from functools import cache

import numpy as np
import pytest

from gpu_thermo import sample


def run_on(tmp_path, x, y, model, method, run):
    """An in-memory run of the public `sample` on a file of arrays."""
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    spec = {
        "data": {"name": "npz", "path": str(tmp_path / "data.npz"), "task": "regression", "standardise": False},
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


def outputs(run, inputs):
    """Outputs [R, draw, point] of every draw, by a formula of this file's own."""
    w1, b1, w2, b2 = tensors(run)
    out = np.empty((*b2.shape, len(inputs)))
    for i, x in enumerate(inputs):
        out[..., i] = ((w1 @ x + b1) * w2).sum(axis=-1) + b2
    return out


def scores(values, exact):
    """z of the mean of `values` [R, draw, ...] over independent replicas against `exact`."""
    own = values.mean(axis=1)
    return (own.mean(axis=0) - exact) / (own.std(axis=0, ddof=1) / np.sqrt(len(own)))


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
    return run_on(folder, X, Y[:, None], model, method, run)


def linear_scores(run, law):
    """z of <f>, of its variance, and of <|w2|^2> [17]."""
    f, variance, square = law
    out = outputs(run, INPUTS)
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
