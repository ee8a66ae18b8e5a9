"""Whole runs on a GPU: against the CPU, stopped and resumed, with every kind of move, predictions, exact laws."""

import numpy as np
import pytest
from move_runs import ADL, EXCHANGE, MOVES, same, spec

from gpu_thermo.averages.predictive import predict
from gpu_thermo.run import resume, sample
from gpu_thermo.store import read_header
from gpu_thermo.verify import verify

pytestmark = pytest.mark.gpu
SHORT = {"steps": 24, "burn_in": 8, "thin": 8, "trace": 8}
RUNS = {
    "exchange": (EXCHANGE | {"interval": 4}, "fused"),
    "tempering, batched": (MOVES["tempering"] | {"interval": 4}, "batched"),
    "contour": (MOVES["contour"], "fused"),
    "cyclical": (MOVES["cyclical"] | {"period": 12}, "fused"),
}
SLOW = {
    f"{kind}, {engine}": (move, engine)
    for kind, move in MOVES.items() if kind != "cyclical" for engine in ("fused", "batched")
}  # fmt: skip
PARAMETERS = [
    *[pytest.param(*run, id=name) for name, run in RUNS.items()],
    *[pytest.param(*run, id=f"slow {name}", marks=pytest.mark.slow) for name, run in SLOW.items()],
]


def close(tree, expected):
    """Two short runs agree to rounding."""
    for group, names in (("posterior", ("w1", "b2")), ("sample_stats", ("energy", "test_nll", "kinetic_temperature"))):
        for name in names:
            found, right = (t[group][name].to_numpy() for t in (tree, expected))
            np.testing.assert_allclose(found, right, atol=2e-4, rtol=2e-4, err_msg=name)
    for name, value in expected["predictive"].data_vars.items():
        np.testing.assert_allclose(tree["predictive"][name].to_numpy(), value.to_numpy(), atol=2e-4, rtol=2e-4)


@pytest.mark.parametrize("engine", ["fused", "batched"])
def test_a_run_is_that_of_the_cpu_and_predicts_alike(engine, tmp_path):
    given = spec(method=ADL, **SHORT)
    path = tmp_path / "device.zarr"
    tree, expected = sample(given, path, device="cuda:0", engine=engine), sample(given, device="cpu")
    close(tree, expected)
    x = np.linspace(-1, 1, 14).reshape(7, 2)
    there, here = (predict(path, x, device=device) for device in ("cuda:0", "cpu"))
    for name, value in here.data_vars.items():
        np.testing.assert_allclose(there[name].to_numpy(), value.to_numpy(), atol=1e-5, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize(("move", "engine"), PARAMETERS)
def test_moves_go_as_on_the_cpu_and_are_resumed_bit_for_bit(move, engine, tmp_path):
    """Stopped after its first segment; some 20 steps, which rounding does not yet show in."""
    given = spec(move, **SHORT)
    whole = sample(given, tmp_path / "whole.zarr", device="cuda:0", engine=engine)
    close(whole, sample(given, device="cpu"))
    path = tmp_path / "cut.zarr"
    sample(given, path, device="cuda:0", engine=engine, time_limit=0).close()
    assert read_header(path).step < SHORT["steps"]
    same(whole, resume(path, device="cuda:0"))


@pytest.mark.slow
def test_exact_laws_hold():
    report = verify("cuda:0", "all", full=False)
    assert report.passed, report.failures
    assert len(report.checks) > 60
