"""What the batched engine asks of CuPy: the operations of operations.py as CUDA kernels (kernels/elementwise.cu).

Importing this imports no CuPy; using CupyOperations does.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ...kernels.emit import MODES, elementwise_source
from ...kernels.toolchain import cupy_module
from ...method.words import Program
from ...streams import Keys
from ..base import Batching, permutation_grid

Array = Any


class KernelOperations:
    """Letters, updates, noise and minibatches of one block of replicas through the kernels of elementwise.cu.

    A subclass says which array library it is for, and how a kernel is launched. Arrays are views [R, n] with contiguous
    rows of one [R, P] array; coefficients are [R, 1].
    """

    xp: Any

    def __init__(self, program: Program, lanes: np.ndarray, keys: Keys, dtype: Any) -> None:
        xp, self._dtype = self.xp, np.dtype(dtype)
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

    def _elements(self, name: str, first: Array, *rest: Any) -> None:
        """A kernel over the elements of views shaped like `first`."""
        rows, columns = first.shape
        self._launch(name, rows * columns, rows, columns, _stride(first), first, *rest)

    def _noisy(self, name: str, k: int, sub: int, p: Array, *rest: Any) -> None:
        """A kernel over the Philox blocks of partition k."""
        count, blocks, column = self._tables[k]
        self._launch(
            name,
            self._rows * count,
            self._rows,
            count,
            _stride(p),
            *self._keys,
            blocks,
            column,
            self._step,
            sub,
            p,
            *rest,
        )

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

    def drift(self, theta: Array, p: Array, h: Array) -> None:
        """A."""
        self._elements("drift_kernel", theta, p, h)

    def kick(self, p: Array, gradient: Array, h: Array) -> None:
        """B."""
        self._elements("kick_kernel", p, gradient, h)

    def damp(self, p: Array, xi: Array, h: Array) -> None:
        """C."""
        self._elements("damp_kernel", p, xi, _stride(xi), h)

    def diffuse(self, p: Array, k: int, sub: int, scale: Array) -> None:
        """D."""
        self._noisy("diffuse_kernel", k, sub, p, scale)

    def damp_diffuse(self, p: Array, xi: Array, k: int, sub: int, h: Array, scale: Array) -> None:
        """C, then D, in one pass."""
        self._noisy("damp_diffuse_kernel", k, sub, p, xi, _stride(xi), h, scale)

    def regulate(self, xi: Array, p: Array, rate: Array, target: Array) -> None:
        """E."""
        rows, columns = p.shape
        self._launch("regulate_kernel", 32 * rows, rows, columns, _stride(p), p, xi, _stride(xi), rate, target)

    def thermostat_exact(self, p: Array, xi: Array, k: int, sub: int, h: Array, scale: Array) -> None:
        """F."""
        self._noisy("thermostat_exact_kernel", k, sub, p, xi, _stride(xi), h, scale)

    def ornstein_uhlenbeck(self, p: Array, k: int, sub: int, a: Array, root_v: Array) -> None:
        """O."""
        self._noisy("ornstein_uhlenbeck_kernel", k, sub, p, a, root_v)

    def descend(self, theta: Array, gradient: Array, h: Array) -> None:
        """SGD."""
        self._elements("descend_kernel", theta, gradient, h)

    def perturb(self, theta: Array, k: int, sub: int, scale: Array) -> None:
        """The noise of SGLD."""
        self._noisy("diffuse_kernel", k, sub, theta, scale)

    def heavy_ball(self, theta: Array, v: Array, gradient: Array, keep: Array, gain: Array, rate: Array) -> None:
        """Every momentum update."""
        self._elements("heavy_ball_kernel", theta, v, gradient, keep, gain, rate)

    def adam(self, theta: Array, m: Array, v: Array, gradient: Array, rate: Array, step: int) -> None:
        """Bias-corrected Adam, update number step + 1."""
        self._elements("adam_kernel", theta, m, v, gradient, rate, 1 - 0.9 ** (step + 1), 1 - 0.999 ** (step + 1))

    def square_sum(self, p: Array) -> Array:
        """p.p [R] in float64, in a fixed order."""
        out = self.xp.empty(p.shape[0])
        self._launch("square_sum_kernel", 32 * len(out), *p.shape, _stride(p), p, out)
        return out

    def suspects(self, arrays: Sequence[Array]) -> Array:
        """Rows [R] of (position, momentum, thermostat) that are not finite."""
        position, momentum, thermostat = arrays
        out = self.xp.empty(len(position), bool)
        self._launch(
            "suspects_kernel", 32 * len(out), *position.shape, thermostat.shape[1], position, momentum, thermostat, out
        )
        return out


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

    def _launch(self, name: str, work: int, *arguments: Any) -> None:
        kernel = _module(self._dtype.itemsize * 8, self.xp.cuda.Device().id).get_function(name)
        typed = tuple(
            np.int64(a) if isinstance(a, int) else np.float64(a) if isinstance(a, float) else a for a in arguments
        )
        kernel((max(1, min(-(-work // 256), 2**20)),), (256,), typed)


@cache
def _module(bits: int, device: int) -> Any:
    """The compiled kernels, once for each device."""
    return cupy_module(elementwise_source(bits))
