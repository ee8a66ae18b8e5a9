"""NumPy operations with noise and minibatches from the compiled kernels: the batched engine's default where there is a
C++ compiler.

Array code spends most of a step on Philox and Box-Muller; the kernels draw the same numbers (integers exactly, normals
to 1e-6) several times faster, and let go of the interpreter's lock while they do.
"""

import ctypes
from functools import cache
from typing import Any

import numpy as np

from ...kernels.emit import MODES, inline, prologue
from ...kernels.toolchain import host_library
from ...method.words import Program
from ...streams import Keys, Purpose
from ..base import Batching, permutation_grid
from .arrays import NumpyOperations

Array = Any


class _Identity(ctypes.Structure):
    """`Identity` of kernels/noise.h."""

    _fields_ = (
        ("low", ctypes.c_void_p),
        ("high", ctypes.c_void_p),
        ("stream", ctypes.c_void_p),
        ("replicas", ctypes.c_int64),
    )


class _Grid(ctypes.Structure):
    """`Grid` of kernels/minibatch.h."""

    _fields_ = tuple((name, ctypes.c_uint32) for name in ("n", "a", "b", "inverse"))


@cache
def noise_source(bits: int) -> str:
    """Complete host text of kernels/noise.h."""
    headers = inline("math.h", "philox.h", "normals.h", "minibatch.h", "noise.h")
    return f"{prologue(bits)}\n{headers}"


def noise_library(bits: int) -> ctypes.CDLL:
    """The compiled noise for float32 or float64."""
    library = host_library(noise_source(bits))
    pointer, u32, u64, i32, i64 = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32, ctypes.c_int64
    library.fill_normals.argtypes = (pointer, u32, u64, u32, pointer, i64, pointer, pointer, i64)
    library.fill_minibatch.argtypes = (pointer, i32, pointer, u64, i64, pointer)
    library.fill_normals.restype = library.fill_minibatch.restype = None
    return library


class NativeOperations(NumpyOperations):
    """As NumpyOperations, but noise and minibatches come from the compiled kernels."""

    def __init__(self, program: Program, lanes: np.ndarray, keys: Keys, dtype: Any) -> None:
        super().__init__(program, lanes, keys, dtype)
        self._library = noise_library(np.dtype(dtype).itemsize * 8)
        shape = np.asarray(keys.stream).shape[:1]
        words = (keys.low, keys.high, keys.stream)
        self._words = [np.ascontiguousarray(np.broadcast_to(np.ravel(w), shape), np.uint32) for w in words]
        self._who = _Identity(*(w.ctypes.data for w in self._words), shape[0])
        self._draws = {sub: self._draw_plan(blocks, columns) for sub, (blocks, columns) in self._plan.items()}

    @staticmethod
    def _draw_plan(
        blocks: np.ndarray, columns: dict[int, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray, dict[int, slice], int]:
        """Blocks, the output column of each of their words (-1: not wanted), each partition's columns, and how many
        there are.
        """
        where, place, start = np.full(4 * len(blocks), -1, np.int32), {}, 0
        for k, lanes in columns.items():
            place[k] = slice(start, start + len(lanes))
            where[lanes] = np.arange(start, start + len(lanes))
            start += len(lanes)
        return blocks.astype(np.uint32), where, place, start

    def _noise(self, k: int, sub: int) -> Array:
        blocks, where, place, width = self._draws[sub]
        if sub not in self._drawn:
            out = self._drawn[sub] = np.empty((self._who.replicas, width), self._dtype)
            self._library.fill_normals(
                ctypes.byref(self._who),
                int(Purpose.STEP),
                self._step,
                sub,
                blocks.ctypes.data,
                len(blocks),
                where.ctypes.data,
                out.ctypes.data,
                width,
            )
        return self._drawn[sub][:, place[k]]

    def minibatch(self, batching: Batching, points: int, ordinal: int) -> Array | None:
        """Training-point indices [R, B] of gradient `ordinal`; None for all points."""
        if batching.mode == "full":
            return None
        out = np.empty((self._who.replicas, batching.size), np.int64)
        grid = _Grid(*permutation_grid(points).values())
        who, mode = ctypes.byref(self._who), MODES.index(batching.mode)
        self._library.fill_minibatch(who, mode, ctypes.byref(grid), ordinal, batching.size, out.ctypes.data)
        return out
