"""Inputs in the type their file had: bytes of images are kept as bytes, and read as the very numbers they stood for.

A run computes with float64 inputs, of which large ones are kept as the narrowest type that gives the same bits back:
whole numbers up to 255 divided by 255 (pixels, as bytes of the unit "1/255"), or float32. `open_run` makes numbers of
bytes as they are used; other programs see the bytes with their unit.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray
import zarr
from xarray.backends import BackendArray
from xarray.core import indexing

NAMES = ("x_train", "x_test")
"""Variables of constant_data that are kept so."""
LARGE = 1 << 20
"""Bytes of float64 from which on a variable is."""
LEVELS = 255
LEVEL = f"1/{LEVELS}"
"""The unit of pixels."""
_ROWS = 1 << 16
"""Values that are looked at, at once."""


def narrowed(values: np.ndarray) -> tuple[np.ndarray, str]:
    """`values` as they are kept, and their unit."""
    if values.dtype != np.float64 or values.nbytes < LARGE:
        return values, "1"
    flat = np.ascontiguousarray(values).reshape(-1)
    for kind, unit, make, back in ((np.uint8, LEVEL, _levels, _TABLE.take), (np.float32, "1", _singles, _doubles)):
        stored = np.empty(len(flat), kind)
        if all(_keep(flat[i : i + _ROWS], stored[i : i + _ROWS], make, back) for i in range(0, len(flat), _ROWS)):
            return stored.reshape(values.shape), unit
    return values, "1"


_TABLE = np.arange(LEVELS + 1) / LEVELS


def _levels(v: np.ndarray) -> np.ndarray | None:
    inside = len(v) and v.min() >= 0 and v.max() <= 1
    return (v * LEVELS + 0.5).astype(np.uint8) if inside else None


def _singles(v: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore", invalid="ignore"):  # what does not fit does not come back
        return v.astype(np.float32)


def _doubles(v: np.ndarray) -> np.ndarray:
    return v.astype(np.float64)


def _keep(v: np.ndarray, out: np.ndarray, make: Any, back: Any) -> bool:
    """Write some values as `make` has them; False where `back` does not give their very bits again."""
    made = make(v)
    if made is None or not np.array_equal(back(made).view(np.int64), v.view(np.int64)):
        return False
    out[...] = made
    return True


def wide(values: np.ndarray, unit: str) -> np.ndarray:
    """Inverse of `narrowed`."""
    out = values.astype(np.float64, copy=False)
    return out / LEVELS if unit == LEVEL else out


def kept(
    constant: Mapping[str, Any], about: Mapping[str, tuple[str, str]]
) -> tuple[dict[str, Any], dict[str, tuple[str, str]]]:
    """Constant data of a header as they are kept, and what is said of them."""
    data, said = dict(constant), dict(about)
    for name in set(NAMES) & set(data):
        dims, values = data[name]
        stored, unit = narrowed(np.asarray(values))
        data[name], said[name] = (dims, stored), (unit, said.get(name, ("", ""))[1])
    return data, said


class _Widened(BackendArray):
    """Bytes of a store, made numbers as they are read."""

    def __init__(self, path: Path, name: str, shape: tuple[int, ...]) -> None:
        self._path, self._name = path, name
        self.shape, self.dtype = shape, np.dtype(np.float64)

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER, self._read)

    def _read(self, key: tuple[Any, ...]) -> np.ndarray:
        array = zarr.open_array(zarr.storage.LocalStore(self._path, read_only=True), path=self._name, mode="r")
        return wide(np.asarray(array.oindex[key]), LEVEL)


def widen(tree: xarray.DataTree, path: Path, chunks: Mapping[str, int] | None) -> None:
    """Replace what is kept as bytes in the tree of a store, in place; nothing is read yet."""
    group = "constant_data"
    if group not in tree.children:
        return
    data, found = tree[group].to_dataset(), {}
    for name in NAMES:
        if name not in data.data_vars or data[name].dtype != np.uint8 or data[name].attrs.get("units") != LEVEL:
            continue
        old = data[name].variable
        source = _Widened(path, f"{group}/{name}", old.shape)
        lazy: Any = indexing.MemoryCachedArray(indexing.LazilyIndexedArray(source))
        new = xarray.Variable(old.dims, indexing.CopyOnWriteArray(lazy), {**old.attrs, "units": "1"}, fastpath=True)
        found[name] = new if chunks is None else new.chunk({d: n for d, n in chunks.items() if d in old.dims})
    if found:
        tree[group].dataset = data.assign(found)
