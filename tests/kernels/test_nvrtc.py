"""CUDA source compiled without a GPU: registers, errors that show the source, no CuPy unless asked."""

import subprocess
import sys

import pytest

from gpu_thermo.errors import CompileError
from gpu_thermo.kernels import nvrtc


@pytest.mark.skipif(not nvrtc.has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")
def test_nvrtc_reports_registers_and_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(nvrtc, "cache_folder", lambda: tmp_path)  # a refused source is kept there
    image, log = nvrtc.nvrtc_compile(
        'extern "C" __global__ void f(float* x) { x[0] *= 2; }', "sm_75", ("--ptxas-options=-v",)
    )
    assert image[:4] == b"\x7fELF"
    assert 0 < nvrtc.resources(log)["f"].registers < 32
    with pytest.raises(CompileError, match=r">     2 \| nonsense"):
        nvrtc.nvrtc_compile("\nnonsense\n")
    assert [p.read_text() for p in tmp_path.glob("*.failed.cpp")] == ["\nnonsense\n"]


def test_importing_does_not_import_cupy():
    code = "import sys, gpu_thermo.kernels.nvrtc, gpu_thermo.engines.operations.device; sys.exit('cupy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
