"""Arrays of a device over NumPy: they refuse what CuPy refuses, and stand between guard bytes.

`names.txt` lists the functions and `methods.txt` the methods and attributes that CuPy 14.2 has; nothing else is found.
"""

import operator
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .counts import COUNTS, copied
from .devices import Stream, current, current_stream, free, reserve

HERE = Path(__file__).parent
NAMES, METHODS = (frozenset((HERE / f"{kind}.txt").read_text().split()) for kind in ("names", "methods"))
POISON = os.environ.get("STANDIN_POISON") == "1"
MARGIN, GUARD = 4096, 0xF7
"""Bytes on either side of an array, and what they hold: NaN of either size."""
_held: "weakref.WeakValueDictionary[int, ndarray]" = weakref.WeakValueDictionary()


class ndarray:
    """An array of a device. `a` is its memory here."""

    __slots__ = ("__weakref__", "a", "device_id", "guards")

    def __init__(self, a: np.ndarray, device_id: int, guards: np.ndarray | None = None) -> None:
        self.a, self.device_id, self.guards = a, device_id, guards

    # -- to and from the host ------------------------------------------------------------------------------------------

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Use .get().")

    def get(
        self, stream: Stream | None = None, order: str = "C", out: np.ndarray | None = None, blocking: bool = True
    ) -> np.ndarray:
        """A copy on the host; as late as may be where it does not block."""
        check_guards()
        copied("to_host", self.a.nbytes)
        if out is None:
            out = np.empty(self.a.shape, self.a.dtype)
        if out.shape != self.a.shape or out.dtype != self.a.dtype:
            raise ValueError(f"out is {out.dtype} {out.shape}, the array {self.a.dtype} {self.a.shape}")
        if blocking:
            (stream or current_stream()).finish()
            out[...] = self.a
            return out
        out.reshape(-1).view(np.uint8)[...] = GUARD
        (stream or current_stream()).later(lambda to=out: np.copyto(to, self.a))
        return out

    def set(self, a: np.ndarray, stream: Stream | None = None) -> None:
        """Copy from the host."""
        if a.shape != self.a.shape or a.dtype != self.a.dtype:
            raise ValueError(f"{a.dtype} {a.shape} into {self.a.dtype} {self.a.shape}")
        copied("to_device", a.nbytes)
        self.a[...] = a

    @property
    def data(self) -> Any:
        """The pointer."""
        return SimpleNamespace(ptr=self.a.ctypes.data, device_id=self.device_id)

    # -- functions, methods, operators ---------------------------------------------------------------------------------

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        known = method == "__call__" and ufunc.__name__ in NAMES
        return call(ufunc, inputs, options) if known else NotImplemented

    def __array_function__(self, function: Any, types: Any, inputs: Any, options: Any) -> Any:
        return call(function, inputs, options) if function.__name__ in NAMES else NotImplemented

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in METHODS:
            raise AttributeError(f"CuPy's arrays have no {name}")
        value = getattr(self.a, name)
        if name in ("dtype", "flags", "shape", "strides") or not (callable(value) or isinstance(value, np.ndarray)):
            return value
        return (lambda *x, **y: call(value, x, y)) if callable(value) else wrap(value)

    def __getitem__(self, key: Any) -> Any:
        return wrap(self.a[_key(key)], self)

    def __setitem__(self, key: Any, value: Any) -> None:
        if isinstance(value, np.ndarray) and value.ndim:
            copied("to_device", value.nbytes)
            self.a[_key(key)] = value
        else:
            self.a[_key(key)] = plain(value)

    def __len__(self) -> int:
        return len(self.a)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"device {self.device_id}: {self.a!r}"

    __hash__ = None  # type: ignore[assignment]


def _seen(convert: Callable[[Any], Any]) -> Callable[[ndarray], Any]:
    """A value of an array that the host waits for."""

    def method(self: ndarray) -> Any:
        COUNTS["syncs"] += 1
        return convert(self.a)

    return method


def _operation(name: str) -> Callable[..., Any]:
    def method(self: ndarray, *others: Any) -> Any:
        given = [plain(other) for other in others]
        with np.errstate(all="ignore"):
            result = getattr(self.a, name)(*given)
        return result if result is NotImplemented else self if result is self.a else wrap(result)

    return method


for _name, _convert in (("bool", bool), ("int", int), ("float", float), ("index", operator.index)):
    setattr(ndarray, f"__{_name}__", _seen(_convert))
for _name in "add sub mul truediv floordiv mod pow and or xor lshift rshift matmul".split():
    for _kind in ("", "r", "i"):
        setattr(ndarray, f"__{_kind}{_name}__", _operation(f"__{_kind}{_name}__"))
for _name in "eq ne lt le gt ge neg pos abs invert".split():
    setattr(ndarray, f"__{_name}__", _operation(f"__{_name}__"))


def plain(x: Any) -> Any:
    """What NumPy works on; TypeError for NumPy's own arrays, which CuPy does not mix with its own."""
    if isinstance(x, ndarray):
        return x.a
    if isinstance(x, np.ndarray) and x.ndim:
        raise TypeError(f"Unsupported type {type(x)}: an array of the host meets one of a device")
    return type(x)(plain(v) for v in x) if isinstance(x, list | tuple) else x


def _key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(map(_key, key))
    return key.a if isinstance(key, ndarray) else key


def call(function: Any, inputs: Any, options: Any) -> Any:
    """`function` of NumPy on arrays of the device."""
    with np.errstate(all="ignore"):
        result = function(*map(plain, inputs), **{name: plain(value) for name, value in options.items()})
    out = options.get("out")
    return wrap(result) if out is None else out[0] if isinstance(out, tuple) else out


def wrap(x: Any, of: ndarray | None = None) -> Any:
    """`x` as arrays of the device: views of `of` stay such, all else is put between guards."""
    if isinstance(x, tuple | list):
        return type(x)(wrap(v) for v in x)
    if isinstance(x, np.generic):
        x = np.array(x)
    if not isinstance(x, np.ndarray):
        return x
    if x.base is None or x.base is x:
        own = guarded(x.shape, x.dtype)
        own.a[...] = x
        return own
    return ndarray(x, current() if of is None else of.device_id, None if of is None else of.guards)


# -- memory ------------------------------------------------------------------------------------------------------------


def guarded(shape: Any, dtype: Any = float) -> ndarray:
    """Memory of the current device between guards; NaN where memory is poisoned, else whatever was there."""
    dtype, device = np.dtype(dtype), current()
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    reserve(size, device)
    raw = np.empty(size + 2 * MARGIN + 64, np.uint8)
    start = -raw.ctypes.data % 64
    memory = raw[start : start + size + 2 * MARGIN]
    memory[:MARGIN] = memory[MARGIN + size :] = GUARD
    if POISON:
        memory[MARGIN : MARGIN + size] = 0xFF
    array = ndarray(np.ndarray(shape, dtype, memory.data, MARGIN), device, memory)
    weakref.finalize(array, free, size, device)
    _held[id(array)] = array
    return array


def check_guards() -> None:
    """AssertionError where something was written beside arrays that are held; it is said once."""
    found = []
    for array in list(_held.values()):
        memory = array.guards
        if memory is not None and not ((memory[:MARGIN] == GUARD).all() and (memory[-MARGIN:] == GUARD).all()):
            memory[:MARGIN] = memory[-MARGIN:] = GUARD
            found.append(f"{array.a.dtype} {list(array.a.shape)}")
    if found:
        raise AssertionError(f"bytes beside an array {', '.join(found)} of the device were written")


def asarray(a: Any, dtype: Any = None, order: str | None = None, blocking: bool = False) -> ndarray:
    """`a` on the current device; a copy unless it is there already."""
    if isinstance(a, ndarray):
        return a if dtype in (None, a.a.dtype) else wrap(a.a.astype(dtype))
    host = np.asarray(a, dtype)
    there = guarded(host.shape, host.dtype)
    there.set(host)
    return there


def array(a: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> ndarray:
    """A copy of `a` on the current device."""
    return wrap(np.array(a.a, dtype)) if isinstance(a, ndarray) else asarray(a, dtype)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """`a` with rows after one another."""
    there = asarray(a, dtype)
    return there if there.a.flags.c_contiguous else wrap(np.array(there.a, order="C"))


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Memory as it is found."""
    return guarded(shape, dtype)


def empty_like(a: ndarray, dtype: Any = None) -> ndarray:
    """The same for the shape of another array."""
    return guarded(a.a.shape, dtype or a.a.dtype)


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None) -> np.ndarray:
    """A copy on the host."""
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def get_array_module(*arrays: Any) -> Any:
    """The library that the arrays are of."""
    import cupy

    return cupy if any(isinstance(a, ndarray) for a in arrays) else np
