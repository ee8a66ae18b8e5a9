"""Arrays between guard bytes, for compiled functions that get raw pointers: what they write outside is found.

Guards stand before and after each array, and in the gaps of a strided view. They hold signalling NaN of the array's
size: a value read from there shows too, and arithmetic on it in place changes its bits. Arrays begin at a multiple of
their element, not of a vector.
"""

import ctypes
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from gpu_thermo.kernels.toolchain import host_library

MARGIN, LANES, CACHE_LINE = 4096, 16, 64
"""Bytes on either side, with as many rows as the widest vector has lanes; and what a workspace is aligned to."""
NAN = {4: np.uint32(0x7FB7A5A5), 8: np.uint64(0x7FF7A5A5A5A5A5A5)}
"""By the bytes of an element."""


class Guarded:
    """A copy of `array` [any shape] between guards; `aligned` puts its first byte at a multiple of 64.

    Attributes
    ----------
    array : the copy. bytes : [n] uint8, guards and array, from a multiple of 64 on. offset : of the array in them.
    """

    def __init__(self, array: np.ndarray, aligned: bool = False) -> None:
        steps = [(n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)]
        extent = sum(steps) + array.itemsize if array.size else 0
        row = array.strides[0] if array.ndim else 0
        margin, size = _lines(MARGIN + LANES * row), _lines(extent + array.itemsize)
        nan = np.frombuffer(NAN.get(array.itemsize, NAN[4]).tobytes(), np.uint8)
        raw = np.resize(nan, size + 2 * margin + CACHE_LINE)
        self.bytes = raw[-raw.ctypes.data % CACHE_LINE :][: size + 2 * margin]
        self.offset = margin + (0 if aligned else array.itemsize)
        self.array = np.ndarray(array.shape, array.dtype, self.bytes.data, self.offset, array.strides)
        self._before, self._own = self.bytes.copy(), np.zeros(len(self.bytes), bool)
        np.ndarray((*array.shape, array.itemsize), bool, self._own.data, self.offset, (*array.strides, 1))[...] = True
        self._end = self.offset + extent
        self.array[...] = array

    def check(self, name: str) -> None:
        """AssertionError if a byte that is not the array's has changed."""
        changed = np.flatnonzero((self.bytes != self._before) & ~self._own)
        if len(changed) == 0:
            return
        first, end = (changed[0], self.offset), (changed[-1], self._end)
        where = [f"{a - b:+d} from its {what}" for (a, b), what in ((first, "start"), (end, "end"))]
        shape = f"{self.array.dtype} {list(self.array.shape)}"
        what = f"{len(changed)} bytes outside were written, at {where[0]} to {where[1]}"
        raise AssertionError(f"'{name}' ({shape}): {what}")


def _lines(size: int) -> int:
    return -(-size // CACHE_LINE) * CACHE_LINE


Arrays = dict[str, np.ndarray]


@contextmanager
def guarded(arrays: Mapping[str, np.ndarray], constant: frozenset[str] = frozenset()) -> Iterator[Arrays]:
    """Guarded copies of `arrays`, checked and copied back at the end; those in `constant` must not have changed."""
    held = {name: Guarded(a) for name, a in arrays.items()}
    yield {name: g.array for name, g in held.items()}
    for name, g in held.items():
        g.check(name)
        if name in constant:
            np.testing.assert_array_equal(g.array, arrays[name], err_msg=f"'{name}' is constant and was written")
        elif arrays[name].flags.writeable:
            arrays[name][...] = g.array


class Here:
    """`source` compiled for this process."""

    def __init__(self, source: str) -> None:
        self._library = host_library(source)

    def call(self, name: str, *arguments: Any) -> int:
        """As `call` of function `name`; returns what it returns, if that is an integer."""
        function = getattr(self._library, name)
        function.restype = ctypes.c_int64
        return call(function, *arguments)


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call compiled `function`: arrays go as pointers to guarded copies, int as int64, float as double."""
    kinds: dict[type, Any] = {int: ctypes.c_int64, float: ctypes.c_double}
    arrays = {f"argument {i}": a for i, a in enumerate(arguments) if isinstance(a, np.ndarray)}
    with guarded(arrays) as there:
        given = [there.get(f"argument {i}", a) for i, a in enumerate(arguments)]
        pointers = [ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else a for a in given]
        return function(*(kinds[type(a)](a) if type(a) in kinds else a for a in pointers))
