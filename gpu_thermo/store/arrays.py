"""One stored array: its Zarr v3 document, its chunks, their bytes, and the writing end of one that grows.

Arrays have no compressor (chains shrink by 7-10 % at best) and the codec crc32c, which makes corruption findable. Every
chunk is written, also one that is all fill value, so that a missing file is a missing file. Chunk keys are flat
(`c.0.3.0`): one folder an array.

Chunks are encoded here and not by zarr's own write path, which costs some 10 ms of interpreter time an array and would
compete with the run loop (25 arrays a commit). Reading goes through zarr and xarray everywhere.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from .files import DOCUMENT, make_folder, put, put_json

STRING = "string"
DTYPES = ("bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float32", "float64", STRING)
"""Names that a document may carry: numbers, truth values and text. Nothing that needs an object, so nothing that could
execute."""

CHUNK_BYTES = 2 << 20
BLOCK = 256
CHUNK_DRAWS = 32
MOST_BLOCKS = 64


@dataclass(frozen=True)
class ArraySpec:
    """Shape and place of one array.

    Attributes
    ----------
    dims : name of each axis. shape : 0 along an axis that grows, when new. dtype : one of DTYPES. chunks : one size an
    axis.
    grows : the axis that draws or steps are appended along, or None.
    run : id of the run that the array belongs to; empty before format 2. crc : crc32c over the checksums of its chunks
    in order, of whole rows of chunks where it grows; None where it is not kept (checkpoints have one together).
    about : units and meaning, for readers; ("", "") of what none reads.
    """

    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    chunks: tuple[int, ...]
    grows: int | None = None
    run: str = ""
    crc: int | None = None
    about: tuple[str, str] = ("", "")

    @classmethod
    def fixed(
        cls, dims: tuple[str, ...], shape: tuple[int, ...], dtype: str, rows: int | None = None, run: str = ""
    ) -> "ArraySpec":
        """An array written whole: one chunk, or blocks of `rows` rows, by default of as many as make 2 MB."""
        chunks = tuple(max(1, n) for n in shape)
        if rows is not None:
            return cls(dims, shape, dtype, (min(rows, chunks[0]), *chunks[1:]), run=run)
        row = math.prod(chunks[1:]) * _itemsize(dtype)
        if dtype != STRING and shape and chunks[0] * row > CHUNK_BYTES:
            chunks = (max(1, min(chunks[0], CHUNK_BYTES // row)), *chunks[1:])
        return cls(dims, shape, dtype, chunks, run=run)

    @classmethod
    def growing(
        cls, dims: tuple[str, ...], lead: int, rest: tuple[int, ...], dtype: str, grid: tuple[int, int]
    ) -> "ArraySpec":
        """An array [chain, draw or step, ...] that grows along its second axis, in chunks of `growing_chunks`."""
        return cls(dims, (lead, 0, *rest), dtype, (*grid, *(max(1, n) for n in rest)), grows=1)

    @classmethod
    def axis(cls, dims: tuple[str, ...], dtype: str, length: int) -> "ArraySpec":
        """A coordinate [draw or step] that grows, in chunks of `length`."""
        return cls(dims, (0,), dtype, (length,), grows=0)

    @property
    def little(self) -> np.dtype:
        """The dtype on disk: little-endian."""
        return np.dtype(self.dtype).newbyteorder("<")

    @property
    def fill(self) -> Any:
        """What pads a chunk: NaN, 0, False."""
        return np.nan if self.dtype.startswith("float") else np.zeros((), self.dtype)[()]

    def at(self, length: int) -> "ArraySpec":
        """The same, grown to `length`."""
        axis = self.grows
        return self if axis is None else replace(self, shape=(*self.shape[:axis], length, *self.shape[axis + 1 :]))

    @property
    def grid(self) -> tuple[int, ...]:
        """Chunks along each axis."""
        return tuple(-(-n // c) for n, c in zip(self.shape, self.chunks, strict=True))

    def keys(self) -> Iterator[tuple[int, ...]]:
        """Indices of all chunks."""
        return product(*(range(n) for n in self.grid))

    @property
    def chunk_bytes(self) -> int:
        """Bytes of one chunk file: whole chunks are stored, also at the edges, and four bytes of checksum."""
        return math.prod(self.chunks) * _itemsize(self.dtype) + 4

    @property
    def nbytes(self) -> int:
        """Bytes of its values in memory."""
        return math.prod(self.shape) * _itemsize(self.dtype)

    @property
    def stored_bytes(self) -> int:
        """Bytes of all chunk files."""
        return math.prod(self.grid) * self.chunk_bytes

    @property
    def belonging(self) -> dict[str, Any]:
        """The array's attributes: whose it is, what its bytes are, and what it means."""
        said = {name: text for name, text in zip(("units", "long_name"), self.about, strict=True) if text}
        return ({"run_id": self.run} if self.run else {}) | ({} if self.crc is None else {"crc32c": self.crc}) | said

    @property
    def whole_rows(self) -> Iterator[tuple[int, ...]]:
        """Indices of the chunks that `crc` is over: those that are never written again, in the order they are."""
        if self.grows is None:
            yield from self.keys()
            return
        blocks = range(self.grid[0]) if self.grows else range(1)
        for row in range(self.shape[self.grows] // self.chunks[self.grows]):
            yield from ((b, row, *(0,) * (len(self.shape) - 2)) if self.grows else (row,) for b in blocks)

    def document(self) -> dict[str, Any]:
        """The array's zarr.json."""
        return {
            "shape": list(self.shape),
            "data_type": self.dtype,
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(self.chunks)}},
            "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
            "fill_value": _fill_json(self.dtype),
            "codecs": codecs(self.dtype),
            "attributes": self.belonging,
            "dimension_names": list(self.dims),
            "zarr_format": 3,
            "node_type": "array",
            "storage_transformers": [],
        }


def growing_chunks(lead: int, cell: int, expected: int) -> tuple[int, int]:
    """Chains and draws of one chunk, for `lead` chains of `cell` bytes a draw and about `expected` draws: one grid for
    a whole group, `cell` being that of its largest array.

    About 256 chains (more for small cells, or where that would make more than 64 blocks, each of which is a file of
    every coordinate) by as many draws as make 2 MB, but at most 32: the last, partly filled chunk is written again at
    every commit. Both counts are evened out, since a chunk at the edge is stored whole.
    """
    cell = max(1, cell)
    chains = min(max(BLOCK, CHUNK_BYTES // (cell * CHUNK_DRAWS)), max(1, CHUNK_BYTES // cell))
    chains = _even(lead, max(chains, -(-lead // MOST_BLOCKS)))
    draws = max(1, min(CHUNK_DRAWS, CHUNK_BYTES // (chains * cell)))
    return chains, _even(expected, draws)


def _even(total: int, most: int) -> int:
    """The size of equal parts of `total`, each at most `most`."""
    parts = -(-max(1, total) // most)
    return -(-max(1, total) // parts)


def _itemsize(dtype: str) -> int:
    return 16 if dtype == STRING else np.dtype(dtype).itemsize  # text: a guess, for the disk bill only


def _fill_json(dtype: str) -> Any:
    if dtype.startswith("float"):
        return "NaN"
    return {"bool": False, STRING: ""}.get(dtype, 0)


def codecs(dtype: str) -> list[dict[str, Any]]:
    """The codecs of an array of `dtype`, as in its document."""
    if dtype == STRING:
        first: dict[str, Any] = {"name": "vlen-utf8", "configuration": {}}
    else:
        first = (
            {"name": "bytes"}
            if np.dtype(dtype).itemsize == 1
            else {"name": "bytes", "configuration": {"endian": "little"}}
        )
    return [first, {"name": "crc32c"}]


def dtype_name(dtype: Any) -> str:
    """The name of a numpy dtype in a document; TypeError for one that cannot be stored."""
    resolved = np.dtype(dtype)
    name = STRING if resolved.kind in "UT" else resolved.name
    if name not in DTYPES:
        raise TypeError(f"arrays of dtype {resolved} cannot be stored; dtypes: {', '.join(DTYPES)}")
    return name


def chunk_key(index: tuple[int, ...]) -> str:
    """File name of a chunk."""
    return ".".join(("c", *map(str, index)))


def encode(block: np.ndarray, spec: ArraySpec) -> tuple[np.ndarray, bytes]:
    """The bytes of one chunk and its checksum; a block at the edge is padded with the fill value."""
    if spec.dtype == STRING:
        text = np.frombuffer(_encode_text(block), np.uint8)
        return text, checksum(text)
    if block.shape != spec.chunks:
        whole = np.full(spec.chunks, spec.fill, spec.little)
        whole[tuple(slice(0, n) for n in block.shape)] = block
        block = whole
    data = np.ascontiguousarray(block, spec.little).reshape(-1).view(np.uint8)
    return data, checksum(data)


def checksum(data: np.ndarray) -> bytes:
    """The crc32c of bytes [n] uint8, as the codec stores it."""
    return int(google_crc32c.value(data)).to_bytes(4, "little")


def _encode_text(block: np.ndarray) -> bytes:
    """vlen-utf8: the number of items, then length and bytes of each."""
    items = [str(item).encode() for item in block.ravel()]
    return b"".join([len(items).to_bytes(4, "little"), *(len(item).to_bytes(4, "little") + item for item in items)])


def put_values(root: Path, path: str, spec: ArraySpec, values: np.ndarray) -> bytes:
    """Write all chunks of an array that is written whole; returns their checksums in order."""
    written = []
    for index in spec.keys():
        where = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, spec.chunks, strict=True))
        data, check = encode(values[where], spec)
        put(root, f"{path}/{chunk_key(index)}", data, check)
        written.append(check)
    return b"".join(written)


def put_array(root: Path, path: str, spec: ArraySpec, values: np.ndarray) -> tuple[ArraySpec, bytes]:
    """Write all chunks and the document of an array; returns its spec, with the crc where that is kept, and the
    checksums.
    """
    make_folder(root, path)
    checks = put_values(root, path, spec, values)
    if spec.crc is not None:
        spec = replace(spec, crc=extended(0, checks))
    put_json(root, f"{path}/{DOCUMENT}", spec.document())
    return spec, checks


def extended(crc: int, checks: bytes) -> int:
    """The crc over what it was over before, and further checksums of chunks."""
    return int(google_crc32c.extend(crc, checks))


class Growing:
    """The writing end of one array that grows.

    Draws gather in a buffer of one row of chunks; a full row is written at once, a partial one at a commit, and again
    when more has come.
    The buffer holds what the partial row's files hold, so that nothing is read back.
    """

    def __init__(self, root: Path, path: str, spec: ArraySpec) -> None:
        self._root, self._path, self._spec = root, path, spec
        self._axis, self._length = spec.grows or 0, spec.chunks[spec.grows or 0]
        self._buffer: np.ndarray | None = None
        self._row = self._filled = 0
        self._crc = spec.crc or 0
        self._dirty = False

    @property
    def spec(self) -> ArraySpec:
        """The array as it stands, appended draws included."""
        grown = self._spec.at(self._row * self._length + self._filled)
        return grown if grown.crc is None else replace(grown, crc=self._crc)

    def restore(self, tail: np.ndarray) -> None:
        """Continue an array of the spec's length, whose last, partial row holds `tail`, in the array's own axis
        order.
        """
        self._row, self._filled = divmod(self._spec.shape[self._axis], self._length)
        if self._filled:
            self._within(0, self._filled)[...] = tail

    def append(self, values: np.ndarray) -> None:
        """Add `values` [draw, chain, ...], or [draw] for a coordinate."""
        start = 0
        while start < len(values):
            count = min(self._length - self._filled, len(values) - start)
            taken = values[start : start + count]
            rows = taken.swapaxes(0, 1) if self._axis else taken
            start += count
            if count == self._length:  # a whole row: no need to gather it first
                self._crc = extended(self._crc, self._write(rows))
                self._row += 1
                continue
            self._within(self._filled, self._filled + count)[...] = rows
            self._filled, self._dirty = self._filled + count, True
            if self._filled == self._length and self._buffer is not None:
                self._crc = extended(self._crc, self._write(self._buffer))
                self._row, self._filled, self._buffer, self._dirty = self._row + 1, 0, None, False

    def flush(self) -> None:
        """Write the partial row, if it has changed."""
        if self._dirty and self._buffer is not None:
            self._write(self._buffer)
        self._dirty = False

    def _within(self, start: int, stop: int) -> np.ndarray:
        """View of draws [start, stop) of the buffer."""
        if self._buffer is None:
            shape = list(self._spec.shape)
            shape[self._axis] = self._length
            self._buffer = np.full(shape, self._spec.fill, self._spec.little)
        return self._buffer[:, start:stop] if self._axis else self._buffer[start:stop]

    def _write(self, rows: np.ndarray) -> bytes:
        """Write one row of chunks, `rows` in the array's own axis order; returns their checksums."""
        rest = (0,) * (len(self._spec.shape) - self._axis - 1)
        if not self._axis:
            data, check = encode(rows, self._spec)
            put(self._root, f"{self._path}/{chunk_key((self._row,))}", data, check)
            return check
        block, written = self._spec.chunks[0], []
        for i in range(-(-self._spec.shape[0] // block)):
            data, check = encode(rows[i * block : (i + 1) * block], self._spec)
            put(self._root, f"{self._path}/{chunk_key((i, self._row, *rest))}", data, check)
            written.append(check)
        return b"".join(written)
