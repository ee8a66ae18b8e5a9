"""Annealed runs and CoolMomentum: what is logged, and that the equivalent temperature is one."""

import numpy as np
import pytest

from gpu_thermo.run import sample

WELL = {"name": "harmonic", "size": 2, "gradient_noise_sd": 1.0}


def run(method, **changes):
    section = {"replicas": 400, "steps": 400, "burn_in": 200, "thin": 10, "trace": 40} | changes
    return sample({"target": WELL, "method": method, "run": section})


@pytest.mark.parametrize("cooling", ["published", "exponential", "linear"])
def test_the_equivalent_temperature_is_logged_and_ends_at_1(cooling):
    """(1 + rho_k) / (1 - rho_k) at every recorded step k; rho_S = 0."""
    tree = run({"name": "coolmomentum", "stepsize": 1e-3, "momentum": 0.99, "cooling": cooling}, replicas=3)
    trace = tree["trace"]["equivalent_temperature"].to_numpy()
    k, rho_0, total = tree["trace"]["step"].to_numpy(), 0.99, 400
    growth = (1 + rho_0) / (1 - rho_0)
    law = {
        "published": 1 - (1 - rho_0) / (1 - rho_0) ** (k / total),
        "exponential": (growth - growth ** (k / total)) / (growth + growth ** (k / total)),
        "linear": rho_0 * (1 - k / total) / (1 - rho_0 * k / total),
    }[cooling]
    assert np.allclose(trace, np.broadcast_to((1 + law) / (1 - law), trace.shape), rtol=1e-9)
    assert (trace[:, -1] == 1).all()
    assert (np.diff(trace) < 0).all()


@pytest.mark.parametrize("wrong", [False, True])
def test_gradient_noise_heats_by_the_equivalent_temperature(wrong):
    """v = rho v + lr (1 + rho)/2 G with gradient noise s has <q^2> = lr s^2 / (4 k) (1 + rho)/(1 - rho) to leading
    order in lr.

    `wrong` leaves the (1 + rho)/2 out: the law then fails.
    """
    lr, means, errors = 2e-3, [], []
    for rho in (0.5, 0.9):
        step = lr if wrong else lr * (1 + rho) / 2
        tree = run({"name": "momentum", "stepsize": step, "momentum": rho}, steps=6000, burn_in=3000, thin=100)
        square = (tree["posterior"]["position"].to_numpy() ** 2).mean(axis=(1, 2))
        expected = lr / 4 * (1 + rho) / (1 - rho)
        means.append(square.mean() / expected)
        errors.append(square.std(ddof=1) / np.sqrt(len(square)) / expected)
    z = (np.array(means) - 1) / np.array(errors)
    assert (np.abs(z) > 10).any() if wrong else (np.abs(z) < 5).all(), (means, errors)


def test_an_annealed_temperature_with_restarts_freezes_each_time():
    """SGLD on a well, tau annealed to nothing four times over: <q^2> is small at the end of each round and not in
    between.
    """
    schedule = {"value": 1.0, "schedule": "linear", "final": 0.0, "restarts": 4}
    method = {"name": "sgld", "stepsize": 0.1, "temperature": schedule}
    tree = sample({"target": {"name": "harmonic", "size": 2}, "method": method, "run": {
        "replicas": 500, "steps": 800, "burn_in": 0, "thin": 50, "trace": 800,
    }})  # fmt: skip
    square = (tree["posterior"]["position"].to_numpy() ** 2).mean(axis=(0, 2))
    ends, middles = square[3::4], square[0::4]
    assert (ends < 0.1).all()
    assert (middles > 0.5).all()
