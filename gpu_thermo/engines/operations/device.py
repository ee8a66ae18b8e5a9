"""What the batched engine asks of CuPy: operations as CUDA kernels (kernels/elementwise.py and .cu).

Importing this imports no CuPy; using CupyOperations does.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np

from ...kernels.elementwise import elementwise_source, joined, kernel_name, operands
from ...kernels.emit import MODES
from ...kernels.nvrtc import cupy_module
from ...method.operations import operation
from ...method.record import Operation
from ...method.words import Program, Substep
from ...state import State
from ...streams import Keys
from ..base import Batching, permutation_grid
from .arrays import Action, ranges, views

Array = Any


class KernelOperations:
    """Operations, noise and minibatches of one block of replicas through the kernels of elementwise.py and .cu.

    A subclass says which array library it is for, and how a kernel is launched. Arrays are views [R, n] with contiguous
    rows of one [R, P] array; coefficients are [R, 1].
    """

    xp: Any

    def __init__(self, program: Program, lanes: np.ndarray, keys: Keys, dtype: Any) -> None:
        xp, self._dtype, self._program = self.xp, np.dtype(dtype), program
        self._rows = keys.stream.shape[0]
        low, high, stream = (xp.broadcast_to(k, keys.stream.shape).astype(np.uint32).ravel() for k in keys)
        self._keys = low, high, stream
        self._tables = [self._table(lanes[columns]) for columns in program.partition.slices]
        self._step = 0

    def _launch(self, name: str, work: int, *arguments: Any) -> None:
        """Run kernel `name` with about `work` threads; arguments are arrays, ints and floats."""
        raise NotImplementedError

    def _table(self, lanes: np.ndarray) -> tuple[int, Array, Array]:
        """Number of Philox blocks of one partition, the blocks, and the column that draws each of their lanes (-1:
        none).
        """
        blocks = np.unique(lanes // 4)
        column = np.full((len(blocks), 4), -1, np.int32)
        column[np.searchsorted(blocks, lanes // 4), lanes % 4] = np.arange(len(lanes))
        return len(blocks), self.xp.asarray(blocks.astype(np.uint32)), self.xp.asarray(column)

    @staticmethod
    def share(first: Operation, second: Operation) -> bool:
        """Whether two neighbouring operations are bound together, for one pass over the parameters."""
        return joined(first, second)

    def bind(self, substeps: Sequence[Substep], state: State) -> Action:
        """Neighbouring substeps of `state` that share a pass, or one, as a function of their coefficients."""
        group = [operation(s.operation) for s in substeps]
        where = ranges(self._program, substeps[-1].partitions)
        launches = [launch for columns in where for launch in self._launches(group, substeps[-1], columns, state)]

        def act(*values: Array) -> None:
            ticks = [float(number) for number in group[-1].of_step(self._step)]
            for name, work, first, arrays in launches:
                self._launch(name, work, *first(), *arrays, *values, *ticks)

        return act

    def _launches(
        self, group: Sequence[Operation], last: Substep, columns: slice, state: State
    ) -> Iterator[tuple[str, int, Callable[[], tuple[Any, ...]], list[Any]]]:
        """Kernel, threads, first arguments in a step, and arrays of each launch that `group` takes."""
        names, k = operands(group), last.partitions[0]
        arrays: list[Any] = []
        for name, view in zip(names, views(state, names, columns, k), strict=True):
            arrays += [view, _stride(view)] if name == "xi" else [view]
        size, stride, (count, blocks, column) = columns.stop - columns.start, _stride(state.position), self._tables[k]
        plain = self._rows, size, stride
        if any(record.normals for record in group):
            who = self._rows, count, stride, *self._keys, blocks, column
            yield kernel_name(group), self._rows * count, lambda: (*who, self._step, last.sub), arrays
        elif any(record.call for record in group):
            yield kernel_name(group), self._rows * size, lambda: plain, arrays
        if group[-1].sums:
            yield kernel_name(group, "sums"), 32 * self._rows, lambda: plain, arrays

    def coefficient(self, value: Array, dtype: Any) -> Array:
        """A coefficient [1, R], or one number for all replicas, as kernels take it: [R]."""
        whole = np.broadcast_to(np.asarray(value, dtype), (1, self._rows))
        return self.xp.asarray(np.ascontiguousarray(whole[0]))

    def begin_step(self, step: int) -> None:
        """Noise asked for from now on belongs to `step`."""
        self._step = step

    def minibatch(self, batching: Batching, points: int, ordinal: int) -> Array | None:
        """Training-point indices [R, B] of gradient `ordinal`; None for all points."""
        if batching.mode == "full":
            return None
        out = self.xp.empty((self._rows, batching.size), np.int64)
        mode, grid = MODES.index(batching.mode), permutation_grid(points).values()
        self._launch("minibatch_kernel", out.size, self._rows, batching.size, *self._keys, mode, ordinal, *grid, out)
        return out

    def square_sum(self, p: Array) -> Array:
        """p.p [R] in float64, in a fixed order."""
        out = self.xp.empty(p.shape[0])
        self._launch("square_sum_kernel", 32 * len(out), *p.shape, _stride(p), p, out)
        return out

    def freeze(self, state: State, step: int) -> None:
        """As NumpyOperations.freeze, in one kernel: the host waits for nothing."""
        s, (rows, columns) = state, state.position.shape
        s.energy = self.xp.ascontiguousarray(s.energy, dtype=np.float64)  # a target's own array, which it may not be
        arrays = s.position, s.momentum, s.gradient, s.thermostat, s.energy, s.status, s.frozen_step
        self._launch("freeze_kernel", 32 * rows, rows, columns, s.thermostat.shape[1], step + 1, *arrays)

    def finish(self, state: State) -> None:
        """NaN in what operations keep of replicas that froze; nothing reads it before."""
        for name in self._program.keeps:
            state.extra[name][state.status != 0] = np.nan


def _stride(view: Array) -> int:
    return int(view.strides[0] // view.itemsize)


class _LazyCupy:
    """`cupy`, imported when first asked for, on the class as on its objects."""

    def __get__(self, instance: object, owner: type) -> Any:
        import cupy

        return cupy


class CupyOperations(KernelOperations):
    """The operations on a GPU."""

    xp: Any = _LazyCupy()

    @cached_property
    def _source(self) -> str:
        return elementwise_source(self._dtype.itemsize * 8, records=self._program.records)

    def _launch(self, name: str, work: int, *arguments: Any) -> None:
        kernel = _module(self._source, self.xp.cuda.Device().id).get_function(name)
        typed = tuple(
            np.int64(a) if isinstance(a, int) else np.float64(a) if isinstance(a, float) else a for a in arguments
        )
        kernel((max(1, min(-(-work // 256), 2**20)),), (256,), typed)


@cache
def _module(source: str, device: int) -> Any:
    """The compiled kernels, once for each device."""
    return cupy_module(source)
