"""The batched engine's path to a GPU."""

import numpy as np
import pytest

from gpu_thermo.engines import FUSED_INPUTS, BatchedEngine, make_predictor
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment

SPEC = {
    "data": {"train": 40, "test": 10, "seeds": [0, 1]}, "model": {"hidden": 6, "prior_sd": 2.0},
    "run": {"replicas": 9, "batch": 10, "steps": 20, "burn_in": 0, "thin": 10},
}  # fmt: skip


def advanced(device: str, **options: object) -> tuple[np.ndarray, np.ndarray]:
    """Positions after 10 steps, and what was recorded on the way."""
    ready = prepare(RunSpec.from_dict(SPEC))
    state = ready.initial_state()
    recorded = BatchedEngine(ready.job, device, **options).advance(state, Segment(0, 10, (4, 10)))
    return state.position, recorded.position


@pytest.mark.gpu
def test_device_agrees_with_the_cpu() -> None:
    for ours, reference in zip(advanced("cuda:0"), advanced("cpu"), strict=True):
        np.testing.assert_allclose(ours, reference, atol=1e-5)


@pytest.mark.gpu
def test_array_code_predicts_where_kernels_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    ready = prepare(RunSpec.from_dict(SPEC))
    monkeypatch.setitem(FUSED_INPUTS, "cuda", 0)
    predictor = make_predictor(ready.subject.model, np.float32, "cuda:0")
    state, x = ready.initial_state(), ready.subject.target.x_test[0]
    expected = ready.subject.model.predict(state.position, x)
    np.testing.assert_allclose(predictor.phi(state.position, x), expected, rtol=1e-5, atol=1e-6)
