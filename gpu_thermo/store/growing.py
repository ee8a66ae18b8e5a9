"""Arrays that draws or learning curves are appended to, one row of chunks at a time."""

from pathlib import Path

import numpy as np

from .arrays import ArraySpec, chunk_key, encode
from .files import put


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
        self._dirty = False

    @property
    def spec(self) -> ArraySpec:
        """The array as it stands, appended draws included."""
        return self._spec.at(self._row * self._length + self._filled)

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
                self._write(rows)
                self._row += 1
                continue
            self._within(self._filled, self._filled + count)[...] = rows
            self._filled, self._dirty = self._filled + count, True
            if self._filled == self._length:
                self.flush()
                self._row, self._filled, self._buffer = self._row + 1, 0, None

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

    def _write(self, rows: np.ndarray) -> None:
        """Write one row of chunks, `rows` in the array's own axis order."""
        rest = (0,) * (len(self._spec.shape) - self._axis - 1)
        if not self._axis:
            put(self._root, f"{self._path}/{chunk_key((self._row,))}", *encode(rows, self._spec))
            return
        block = self._spec.chunks[0]
        for i in range(-(-self._spec.shape[0] // block)):
            key = chunk_key((i, self._row, *rest))
            put(self._root, f"{self._path}/{key}", *encode(rows[i * block : (i + 1) * block], self._spec))
