"""The batched engine's elementwise kernels: as C++ against NumPy, and compiled for GPUs."""

import re

import numpy as np
import pytest
from host_kernels import HostOperations, small_job

from gpu_thermo.engines.batched import BatchedEngine
from gpu_thermo.engines.operations.arrays import NumpyOperations
from gpu_thermo.kernels.elementwise import elementwise_source, groups, kernel_texts
from gpu_thermo.kernels.nvrtc import has_nvrtc, nvrtc_compile, resources
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.state import Segment, State

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
needs_nvrtc = pytest.mark.skipif(not has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")


@needs_compiler
@pytest.mark.parametrize(
    ("method", "word", "mode", "dtype"),
    [("adlala", None, "subset", np.float32), ("splitting", "BAEFEAB", "epoch", np.float64),
     ("splitting", "ABDFCEBA", "replacement", np.float32), ("sgld", None, "subset", np.float32),
     ("adam", None, "subset", np.float32), ("momentum", None, "full", np.float32)],
)  # fmt: skip
def test_elementwise_kernels_agree_with_numpy(method, word, mode, dtype):
    """The whole batched engine through the kernels for CuPy, as C++, and through the records' array functions."""
    job = small_job(method, word, mode, dtype)
    states = []
    for operations in (NumpyOperations, HostOperations):
        engine = BatchedEngine(job)
        engine._operations = operations
        g = np.random.default_rng(1)
        state = State.at(
            *(g.normal(size=(2, job.replicas, job.target.layout.size)).astype(dtype)), job.hyper.thermostat.copy()
        )
        state.extra = {name: np.zeros_like(state.position) for name in job.program.keeps}
        state.momentum[3, 2] = np.inf
        engine.advance(state, Segment(0, 5))
        states.append(state)
    for name, value in states[0].arrays().items():
        np.testing.assert_allclose(
            states[1].arrays()[name], value, rtol=1e-5, atol=1e-6 if dtype == np.float32 else 1e-13, err_msg=name
        )
    assert states[1].frozen_step[3] == (
        1 if job.program.update != "adam" and job.program.update != "sgld" else states[0].frozen_step[3]
    )


@needs_nvrtc
@pytest.mark.parametrize("arch", ["sm_75", "sm_90", "sm_120"])
@pytest.mark.parametrize("bits", [32, 64])
def test_elementwise_kernels_compile_for_every_architecture(arch, bits):
    _, log = nvrtc_compile(elementwise_source(bits), arch, ("--ptxas-options=-v",))
    found = resources(log)
    operations = {re.match(r"KERNEL (\w+)", text)[1] for group in groups() for text in kernel_texts(group)}
    assert {"B_kernel", "C_D_kernel", "E_sums_kernel", "sgld_kernel"} < operations
    assert set(found) == operations | {"square_sum_kernel", "freeze_kernel", "minibatch_kernel"}
    assert all(r.spill_stores == 0 for r in found.values())
