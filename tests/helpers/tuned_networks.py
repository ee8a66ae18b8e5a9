"""Runs that tune themselves on the small network of a NUTS reference, and their scores against it."""

import numpy as np

from gpu_thermo.verify.references import load

REFERENCE = load("2_5_1")


def errors(values):
    """Mean [Q] of values [R, draw, Q] with its standard error, and the variance with its own by the jackknife."""
    m, s = values.mean(axis=1), (values**2).mean(axis=1)
    n = len(m)
    left = (s.sum(0) - s) / (n - 1) - ((m.sum(0) - m) / (n - 1)) ** 2
    spread = np.sqrt((n - 1) / n * ((left - left.mean(0)) ** 2).sum(0))
    return m.mean(0), m.std(0, ddof=1) / np.sqrt(n), s.mean(0) - m.mean(0) ** 2, spread


def network(seed, init="prior", **run):
    """The 2-5-1 posterior of the NUTS reference, whose inputs are the test points."""
    inputs = REFERENCE.inputs
    spec = {
        "data": {"name": "arrays", "task": "binary", "standardise": False},
        "model": REFERENCE.model | {"init": init},
        "method": {"name": "langevin", "posterior_temperature": 1.0},
        "run": {"replicas": 128, "tolerance": 0.05, "seed": seed, **run},
    }
    return spec, (REFERENCE.x, REFERENCE.y.ravel().astype(int), inputs, np.zeros(len(inputs), int))


def nuts_scores(tree):
    """z of means and variances [2, probes] against NUTS, both with the reference's error."""
    at = tree["constant_data"]["x_probe"].to_numpy()[0]
    rows = [int(np.argmin(((REFERENCE.inputs - x) ** 2).sum(1))) for x in at]
    mean, e_mean, variance, e_variance = errors(tree["probes"]["predictions"].to_numpy()[..., 0].astype(float))
    law = REFERENCE.laws["p"]
    return np.stack([
        (mean - law.mean[rows]) / np.hypot(e_mean, law.mean_error[rows]),
        (variance - law.variance[rows]) / np.hypot(e_variance, law.variance_error[rows]),
    ])  # fmt: skip
