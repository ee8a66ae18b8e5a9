"""Counts of machine instructions: what nvdisasm prints is read right, and real kernels where there is one."""

import pytest

from gpu_thermo.kernels.nvrtc import has_nvrtc, nvrtc_compile
from gpu_thermo.kernels.sass import count_instructions, disassembled, find_nvdisasm

PRINTED = """
  .section  .text.first,"ax",@progbits
        /*0000*/                   LDC R1, c[0x0][0x28] ;
        /*0010*/              @!P0 FFMA R2, R3, R4, R5 ;
        /*0020*/               @P1 FFMA.FTZ R2, R3, R4, R5 ;
        /*0030*/              @!PT EXIT ;
  .section  .text.second,"ax",@progbits
        /*0000*/               @UP0 UIADD3 UR4, UR4, 0x1, URZ ;
"""


def test_what_is_printed_is_counted_by_kernel():
    assert count_instructions(PRINTED) == {"first": {"FFMA": 2, "LDC": 1, "EXIT": 1}, "second": {"UIADD3": 1}}


def test_no_module_has_no_counts():
    assert disassembled(b"nonsense") == ""
    assert count_instructions("") == {}


@pytest.mark.skipif(not has_nvrtc() or find_nvdisasm() is None, reason="NVRTC or nvdisasm is not installed")
def test_a_kernel_is_counted():
    source = 'extern "C" __global__ void f(float* x) { x[0] = x[1] * x[2] + x[3]; }'
    counts = count_instructions(disassembled(nvrtc_compile(source, "sm_90")[0]))["f"]
    assert counts["FFMA"] == 1
    assert counts["STG"] == 1
