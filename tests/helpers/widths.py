"""The vector widths that this processor and compiler have; kernels compiled while one is forced take that branch of
portable.h.
"""

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pytest

from gpu_thermo.kernels.emit import prologue
from gpu_thermo.kernels.toolchain import WIDTHS, find_compiler, host_library


def lanes(bits: int) -> int:
    """Lanes of a vector of float32 or float64 at the width in force."""
    library = host_library(prologue(bits) + '\nextern "C" i64 lanes() { return LANES; }\n')
    library.lanes.restype = ctypes.c_int64
    return int(library.lanes())


@cache
def widths() -> tuple[int, ...]:
    """Bits of vectors, narrowest first: one on ARM, up to three on x86; none without a compiler."""
    return () if find_compiler() is None else tuple(w for w in WIDTHS if w <= max(128, 32 * lanes(32)))


@contextmanager
def at_width(bits: int) -> Iterator[int]:
    """Force a width."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GPU_THERMO_VECTOR_BITS", str(bits))
        yield bits
