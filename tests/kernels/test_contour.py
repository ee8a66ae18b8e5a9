"""Functions of contour.h, and its kernels compiled for a GPU."""

import numpy as np
import pytest
from guarded import call

from gpu_thermo.kernels import check as kernel_check
from gpu_thermo.kernels.emit import inline, prologue
from gpu_thermo.kernels.nvrtc import has_nvrtc
from gpu_thermo.kernels.toolchain import find_compiler, host_library

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")


@pytest.mark.parametrize(("bits", "lanes"), [(32, None), (32, 8), (32, 4), (32, 1), (64, None), (64, 1)])
def test_functions_of_the_kernel(bits, lanes):
    """log and exp of contour.h on their ranges, within 1e-15 of the exact ones."""
    names = ("log_double", "exp_double", "log1p_double")
    loop = """extern "C" void do_{0}(const double* x, i64 n, double* y) {{
      for (i64 i = 0; i < n; i += DOUBLES) {{
        doubles v = {{}};
        for (int l = 0; l < DOUBLES && i + l < n; ++l) set(v, l, x[i + l]);
        v = {0}(v);
        for (int l = 0; l < DOUBLES && i + l < n; ++l) y[i + l] = get(v, l);
      }}
    }}
"""
    loops = "".join(loop.format(name) for name in names)
    library = host_library("\n".join((prologue(bits, lanes=lanes), inline("math.h", "contour.h"), loops)))
    g = np.random.default_rng(0)
    exponents = np.concatenate([np.linspace(-708, 0, 20000), -(10.0 ** g.uniform(-17, 2, 20000))])
    small = np.concatenate(
        [-(10.0 ** g.uniform(-300, -0.01, 20000)), 10.0 ** g.uniform(-300, 0, 20000), np.linspace(0, 1, 64)]
    )
    for name, x, exact in (
        ("log_double", np.concatenate([10.0 ** g.uniform(-300, 300, 20000), 1 + g.uniform(-0.5, 0.5, 20000)]), np.log),
        ("exp_double", exponents, np.exp), ("log1p_double", small, np.log1p),
    ):  # fmt: skip
        x = x[1:]  # an odd count, which no vector divides
        y = np.empty_like(x)
        call(getattr(library, f"do_{name}"), x, len(x), y)
        np.testing.assert_allclose(y, exact(x), rtol=1e-15, atol=0, err_msg=name)


@pytest.mark.skipif(not has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")
@pytest.mark.parametrize(
    "which", [8, *(pytest.param(i, marks=pytest.mark.slow) for i in (0, 1, 2, 3, 4, 5, 6, 7, 9, 10))]
)
def test_gpu_kernels_compile_without_spills(which):
    """Of three words on d = 20, 100 and 200, and two larger kernels, which may spill; .ci/run compiles all of them by
    kernels/check.py.
    """
    (result,) = kernel_check.check(kernel_check.contour_variants()[which], "sm_90")
    assert not result.wrong, result
    assert "contour" in result.name
