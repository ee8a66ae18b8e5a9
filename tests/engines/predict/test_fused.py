"""Prediction kernels for a GPU: as plain loops on the host, compiled, and on a GPU."""

import numpy as np
import pytest
from guarded import call

from gpu_thermo.averages.moments import entropy
from gpu_thermo.engines import make_predictor
from gpu_thermo.engines.predict import fused as fused_predict
from gpu_thermo.engines.predict.fused import CHUNK, DeviceKernels, FusedPredictor
from gpu_thermo.kernels.emit import header, predict_device_source
from gpu_thermo.kernels.nvrtc import has_nvrtc, nvrtc_compile, resources
from gpu_thermo.kernels.toolchain import find_compiler, host_library
from gpu_thermo.targets.networks import MlpModel

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
needs_nvrtc = pytest.mark.skipif(not has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")

CASES = [
    (("binary", "relu", 1), np.float32),
    (("binary", "tanh", 1), np.float64),
    (("multiclass", "identity", 3), np.float32),
    (("multiclass", "tanh", 12), np.float64),
    (("regression", "softplus", 2), np.float64),
    (("binary", "silu", 1, 7, 5), np.float32),
    (("multiclass", "tanh", 6, 4, 10, 3), np.float64),
]
REPLICAS, POINTS = 21, 150


class HostKernels(DeviceKernels):
    """The CUDA kernels compiled as C++ and run as plain loops over NumPy arrays."""

    xp = np

    def launch(self, name, work, *arguments):
        call(getattr(host_library(predict_device_source(self.model, self._dtype.itemsize * 8, 1)), name), *arguments)


def example(choices, dtype):
    """A network (of 9 hidden units, unless layers are given), replicas, points, labels and weights."""
    task, activation, outputs, *hidden = choices
    g = np.random.default_rng(0)
    model = MlpModel(3, tuple(hidden) or 9, outputs, task, activation, None, 0.7)
    position, x = g.normal(size=(REPLICAS, model.layout.size)).astype(dtype), g.normal(size=(POINTS, 3)).astype(dtype)
    y = g.normal(size=(POINTS, 2)).astype(dtype) if task == "regression" else g.integers(0, max(2, outputs), POINTS)
    return model, position, x, y, g.random(REPLICAS)


def on_host(model, dtype):
    predictor = FusedPredictor(model, dtype, threads=1)
    predictor._on = HostKernels(model, np.dtype(dtype))
    return predictor


def assert_right(predictor, reference, choices, dtype):
    """`predictor` agrees with MlpModel.predict and with the CPU's kernels."""
    model, position, x, y, w = example(choices, dtype)
    tolerance = {"rtol": 2e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    phi = model.predict(position, x).astype(np.float64)
    np.testing.assert_allclose(predictor.phi(position, x), phi, **tolerance)
    sums = predictor.moments(position, x, w)
    np.testing.assert_allclose(sums["sum_w_phi"], np.einsum("r,rto->to", w, phi), **tolerance)
    if model.task != "regression":
        np.testing.assert_allclose(
            sums["sum_w_entropy"], np.einsum("r,rt->t", w, entropy(phi, model.task)), **tolerance
        )
    for name, value in reference.moments(position, x, w).items():
        np.testing.assert_allclose(sums[name], value, **tolerance, err_msg=name)
    for ours, theirs in zip(predictor.scores(position, x, y), reference.scores(position, x, y), strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)


@needs_compiler
@pytest.mark.parametrize(("choices", "dtype"), CASES)
def test_prediction_kernels_as_plain_loops(choices, dtype):
    model = example(choices, dtype)[0]
    assert_right(on_host(model, dtype), FusedPredictor(model, dtype, threads=1), choices, dtype)


@needs_compiler
def test_pieces_points_and_frozen_replicas(monkeypatch):
    """Bounded memory changes nothing but the order of sums; other points change no bit; a frozen replica is NaN
    alone.
    """
    model, position, x, y, w = example(*CASES[0])
    predictor = on_host(model, np.float32)
    phi, sums, (loss, _) = (
        predictor.phi(position, x),
        predictor.moments(position, x, w),
        predictor.scores(position, x, y),
    )
    np.testing.assert_array_equal(predictor.moments(position, x[:7], w)["sum_w_phi"], sums["sum_w_phi"][:7])
    monkeypatch.setattr(fused_predict, "_DEVICE_BYTES", 1)
    np.testing.assert_array_equal(predictor.phi(position, x), phi)
    for name, value in predictor.moments(position, x, w).items():
        np.testing.assert_allclose(value, sums[name], rtol=1e-14)
    position[4] = np.nan
    frozen = predictor.scores(position, x, y)[0]
    assert np.isnan(frozen[4])
    np.testing.assert_array_equal(np.delete(frozen, 4), np.delete(loss, 4))
    assert not predictor.moments(position[:0], x)["sum_w_phi"].any()
    assert predictor.phi(position[:0], x).shape == (0, POINTS, 1)


def test_chunks_are_as_long_here_as_in_the_kernel():
    assert f"CHUNK = {CHUNK};" in header("predict.cu")


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
@pytest.mark.parametrize("bits", [32, 64])
def test_prediction_kernels_do_not_spill(arch, bits):
    sizes = [(2, 200, 1, "binary", "relu"), (2, 200, 1, "regression", "tanh")]
    for model in (MlpModel(*s) for s in (*sizes, (13, 50, 3, "multiclass", "softplus"))):
        _, log = nvrtc_compile(predict_device_source(model, bits), arch, ("--ptxas-options=-v",))
        found = resources(log)
        assert set(found) == {"phi_kernel", "moments_kernel", "fold_kernel", "scores_kernel"}
        assert all(r.spill_stores == r.spill_loads == r.stack == 0 for r in found.values())


@pytest.mark.gpu
@pytest.mark.parametrize(("choices", "dtype"), CASES)
def test_predictions_on_a_gpu(choices, dtype):
    """The real thing, against the CPU; twice, and bits equal."""
    model, position, x, _, w = example(choices, dtype)
    predictor = make_predictor(model, dtype, "cuda:0")
    assert isinstance(predictor, FusedPredictor)
    assert_right(predictor, FusedPredictor(model, dtype), choices, dtype)
    first, second = (predictor.moments(position, x, w) for _ in range(2))
    for name, value in first.items():
        np.testing.assert_array_equal(second[name], value)
