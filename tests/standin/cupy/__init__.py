"""A stand-in for CuPy on machines without a GPU: arrays over NumPy, kernels through g++ with a fiber for each thread.

It is no part of the project: tests put this folder's parent on the path, and then `--device cuda` runs the very sources
that a GPU would be given, on the host. tests/README.md says what it finds and what it cannot. Environment:
STANDIN_ORDER 0, 1 or 2 (order of a block's threads), STANDIN_POISON=1 (NaN in fresh memory, stacks, shared memory),
STANDIN_GPUS (devices there are), STANDIN_MEMORY (bytes each has), STANDIN_PCIE (copies take their time, GB/s),
STANDIN_LOG (a file that gets the counts at the end), STANDIN_CACHE (where compiled kernels are kept).
"""

from typing import Any

import numpy as np

from .arrays import (
    NAMES,
    array,
    asarray,
    ascontiguousarray,
    asnumpy,
    call,
    empty,
    empty_like,
    get_array_module,
    ndarray,
)
from .counts import COUNTS
from .devices import cuda, get_default_memory_pool, get_default_pinned_memory_pool
from .modules import RawModule

__version__ = "14.2.0"
__all__ = [
    "COUNTS", "RawModule", "array", "asarray", "ascontiguousarray", "asnumpy", "cuda", "empty", "empty_like",
    "get_array_module", "get_default_memory_pool", "get_default_pinned_memory_pool", "ndarray",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """NumPy's function of that name, where CuPy has one."""
    if name not in NAMES:
        raise AttributeError(f"module 'cupy' has no attribute {name!r}")
    value = getattr(np, name)
    return value if isinstance(value, type) or not callable(value) else lambda *x, **y: call(value, x, y)
