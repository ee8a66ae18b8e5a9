"""Fixtures for all tests; helpers on exact laws are in laws.py."""

import numpy as np
import pytest

from gpu_thermo.kernels.toolchain import find_compiler


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    """Both precisions."""
    return np.dtype(request.param).type


@pytest.fixture(params=[False, True], ids=["numpy", "native"])
def native(request):
    """The batched engine's two sources of noise on the CPU: array code and compiled kernels."""
    if request.param and find_compiler() is None:
        pytest.skip("no C++ compiler")
    return request.param
