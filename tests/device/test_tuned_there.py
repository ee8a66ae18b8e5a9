"""Runs that tune themselves on a GPU: what they say is of their own draws."""

import numpy as np
import pytest
from tuned_cases import told

from gpu_thermo import sample
from gpu_thermo.averages.predictive import predict
from gpu_thermo.engines.devices import count_gpus

pytestmark = [pytest.mark.gpu, pytest.mark.slow]  # a quarter of a minute each through the stand-in
CASES = {
    "proposals": ({}, []),
    "a group at h/2": ({"word": "OBAB"}, []),
    "ladders": ({}, [{"kind": "exchange", "temperatures": [0.05, 0.2]}]),
}


def spec(method, moves):
    return {
        "data": {"name": "spirals", "train": 20, "test": 10},
        "model": {"hidden": 3, "prior_sd": 1.0},
        "method": {"name": "langevin", "posterior_temperature": 1.0, **method},
        "moves": moves,
        "run": {"replicas": 32, "tolerance": 0.5, "max_steps": 4000, "path": "ordinary"},
    }


@pytest.mark.parametrize("device", ["cuda:0", "cuda:0,cuda:1"])
@pytest.mark.parametrize("case", CASES)
def test_averages_and_energies_are_of_the_draws_that_are_kept(case, device, monkeypatch):
    """Made on the device beside the run, and again on the host from the draws: rows of a launch that do not count, or
    stand on another rung, are 1e-2 off.
    """
    import cupy

    if hasattr(cupy, "COUNTS"):
        monkeypatch.setenv("STANDIN_GPUS", "2")
    if count_gpus()[0] < len(device.split(",")):
        pytest.skip("one GPU")
    tree = sample(spec(*CASES[case]), device=device)
    course, _ = told(tree)
    assert tree["posterior"].sizes["draw"] >= 8, course["log"][-1]
    data = tree["constant_data"]
    again = predict(tree, data["x_test"].to_numpy()[0], device="cpu")
    for name in ("mean", "variance"):
        np.testing.assert_allclose(tree["predictive"][name].to_numpy(), again[name].to_numpy(), atol=2e-6)
    w1, b1, w2, b2 = (tree["posterior"][name].to_numpy().astype(float) for name in ("w1", "b1", "w2", "b2"))
    x, y = data["x_train"].to_numpy()[0], data["y_train"].to_numpy()[0]
    f = np.maximum(x @ w1.swapaxes(-1, -2) + b1[..., None, :], 0) @ w2.swapaxes(-1, -2) + b2[..., None, :]
    nll = (np.logaddexp(0, f[..., 0]) - y * f[..., 0]).mean(-1)
    square = sum((w**2).sum(tuple(range(2, w.ndim))) for w in (w1, b1, w2, b2))
    energy = nll + square / (2 * len(y))
    np.testing.assert_allclose(tree["sample_stats"]["energy"].to_numpy(), energy, atol=2e-6)
