"""Fused predictions: what a forward pass of many replicas at many points is wanted for, without the array in between.

On the CPU (kernels/predict.h) points go to threads in tiles and replicas lie in vector lanes; on a GPU
(kernels/predict.cu) a thread has a few points, and a warp one replica's score. Sums over replicas are float64 in a
fixed order, so that they do not depend on the launch.
"""

import ctypes
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from ...errors import CompileError
from ...kernels.emit import predict_device_source, predict_source
from ...kernels.nvrtc import cupy_module
from ...kernels.toolchain import host_library
from ...targets.networks import MlpModel
from ...targets.records import CONSTANTS, packed
from ..base import Needs, cores
from ..fused import aligned
from ..gpu import open_gpu

Array = Any
_POINTERS = ("position", "x", "y", "weight", "phi", "sum", "square", "entropy", "loss", "right")
_DEVICE_BYTES = 256 * 2**20
"""Most memory of a GPU that one call asks for, beside its arguments."""
CHUNK, BLOCK = 8, 256
"""Replicas that a GPU thread sums, as in kernels/predict.cu; and whose sums are added at once to running averages."""


class PredictArguments(ctypes.Structure):
    """`PredictArguments` of kernels/predict.h, field by field."""

    _fields_ = (
        *[(name, ctypes.c_void_p) for name in _POINTERS],
        *[(name, ctypes.c_int64) for name in ("replicas", "points")],
        ("likelihood", CONSTANTS * ctypes.c_double),
    )


class FusedPredictor:
    """Predictions of one network's replicas.

    Parameters
    ----------
    model : the network. dtype : of the positions. threads : of the CPU, all cores by default. device : "cpu" or
    "cuda[:i]". One object may serve many threads at once.

    Raises
    ------
    DeviceError
        If there is no C++ compiler, or no CuPy for a GPU.
    """

    has_moments, at_once = True, 0

    def __init__(
        self, model: MlpModel, dtype: Any = np.float32, threads: int | None = None, device: str = "cpu"
    ) -> None:
        self.model, self._dtype = model, np.dtype(dtype)
        self._on: _Host | DeviceKernels = (
            _Host(model, self._dtype, threads) if device == "cpu" else _Cupy(model, self._dtype, device)
        )

    @staticmethod
    def needs(model: MlpModel, dtype: Any, points: int, device: str, threads: int | None) -> Needs:
        """Next to nothing on a CPU; what one call may ask of a GPU, and its arguments."""
        outputs = 8 * points * (2 * model.outputs + 1)
        return Needs(2 * outputs, 0 if device == "cpu" else _DEVICE_BYTES + outputs)

    def phi(self, position: Array, x: Array) -> np.ndarray:
        """Phi [r, T, n], as MlpModel.predict, of replicas [r, P] at inputs [T, m]."""
        out = np.empty((len(position), len(x), self.model.outputs), self._dtype)
        if out.size:
            theta, inputs = self._typed(position, x)
            self._on.phi(theta, inputs, out)
        return out

    def moments(self, position: Array, x: Array, weight: Array | None = None) -> dict[str, np.ndarray]:
        """Sums over the r replicas of w Phi [T, n], w Phi^2 [T, n] and w H(Phi) [T] (nats; 0 for regression), all
        float64.

        The names are those of moments.RunningMoments. Call it with blocks of 256 replicas, in order.
        """
        shape = (len(x), self.model.outputs)
        out = {"sum_w_phi": np.zeros(shape), "sum_w_phi2": np.zeros(shape), "sum_w_entropy": np.zeros(len(x))}
        w = np.ones(len(position)) if weight is None else np.ascontiguousarray(weight, np.float64)
        if len(position) and len(x):
            self._on.moments(*self._typed(position, x), w, *out.values())
        return out

    def fold(
        self, position: Array, x: Array, weight: Array | None, scale: float, sums: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        """`sums` as of `moments`, with those of whole ensembles [R, P] that stand on a GPU added: block by block of 256
        in order, each times `scale`. Replicas of weight 0 are left out, whatever they hold.
        """
        out = {name: np.array(value, np.float64) for name, value in sums.items()}
        if "sum_w_entropy" not in out:
            out["sum_w_entropy"] = np.zeros(len(x))
        if len(position) and len(x):
            assert isinstance(self._on, DeviceKernels)
            parts = (out[n] for n in ("sum_w_phi", "sum_w_phi2", "sum_w_entropy"))
            with self._on.place:
                w = self._on.xp.ones(len(position)) if weight is None else weight
                self._on.moments(*self._typed(position, x), w, *parts, each=BLOCK // CHUNK, scale=scale)
        return {name: out[name] for name in sums}

    def block_sums(self, position: Array, x: Array, weight: Array | None) -> dict[str, np.ndarray]:
        """The sums that `fold` would add, block by block of 256: [blocks, T, n] and [blocks, T]."""
        shape = (-(-len(position) // BLOCK), len(x), self.model.outputs)
        out = {"sum_w_phi": np.zeros(shape), "sum_w_phi2": np.zeros(shape), "sum_w_entropy": np.zeros(shape[:2])}
        if len(position) and len(x):
            assert isinstance(self._on, DeviceKernels)
            with self._on.place:
                w = self._on.xp.ones(len(position)) if weight is None else weight
                self._on.block_sums(*self._typed(position, x), w, *out.values())
        return out

    def scores(self, position: Array, x: Array, y: Array, weight: Array | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Each replica's sums over the T points [r] float64: negative log likelihood, and right answers (regression:
        squared errors). On a GPU positions and points may stand there.

        The mean of the first over the training points, each times its `weight` [T], is the full-batch energy, the prior
        aside. `y` [T] labels or [T, n] values.
        """
        loss, right = np.zeros(len(position)), np.zeros(len(position))
        if len(position) and len(x):
            xp = np if isinstance(y, np.ndarray) else self._on.xp
            with self._on.place:
                answers = y.reshape(len(x), -1)
                if self.model.weighted:
                    w = xp.ones(len(x)) if weight is None else weight
                    answers = xp.concatenate([answers, w[:, None]], axis=1)
                theta, inputs, targets = self._typed(position, x, answers)
                self._on.scores(theta, inputs, targets, loss, right)
        return loss, right

    def _typed(self, *arrays: Array) -> tuple[Array, ...]:
        """As kernels read them, where they stand."""
        return tuple(
            (np if isinstance(a, np.ndarray) else self._on.xp).ascontiguousarray(a, self._dtype) for a in arrays
        )


class _Host:
    """Launches on CPU threads; ctypes lets go of the interpreter during a call."""

    xp: Any = np
    place: Any = nullcontext()

    def __init__(self, model: MlpModel, dtype: np.dtype, threads: int | None) -> None:
        self.model = model
        self._library = library = host_library(predict_source(model, dtype.itemsize * 8))
        for name in ("workspace_bytes", "arguments_bytes", "lanes", "tile"):
            getattr(library, name).restype = ctypes.c_int64
        if library.arguments_bytes() != ctypes.sizeof(PredictArguments):
            raise CompileError("The compiler lays out the kernel's arguments unlike Python.")
        for name in ("predict_phi", "predict_moments", "predict_scores"):
            getattr(library, name).argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self._tile, self._lanes, self._workers = library.tile(), library.lanes(), threads or cores()
        self._pool = ThreadPoolExecutor(self._workers)
        self._spaces: SimpleQueue[np.ndarray] = SimpleQueue()

    def phi(self, position: np.ndarray, x: np.ndarray, phi: np.ndarray) -> None:
        self._run(self._library.predict_phi, self._tile, len(x), position=position, x=x, phi=phi)

    def moments(self, position: np.ndarray, x: np.ndarray, weight: np.ndarray, *out: np.ndarray) -> None:
        names = dict(zip(("sum", "square", "entropy"), out, strict=True))
        self._run(self._library.predict_moments, self._tile, len(x), position=position, x=x, weight=weight, **names)

    def scores(self, position: np.ndarray, x: np.ndarray, y: np.ndarray, loss: np.ndarray, right: np.ndarray) -> None:
        """Losses and right answers, each worker some vectors of replicas at a time."""
        size = self._lanes * max(1, -(-len(position) // (self._lanes * 4 * self._workers)))
        self._run(
            self._library.predict_scores, size, len(position), position=position, x=x, y=y, loss=loss, right=right
        )

    def _run(self, kernel: Callable[..., None], size: int, count: int, **arrays: np.ndarray) -> None:
        """`kernel` on the ranges of `size` out of `count` points or replicas."""
        cuts = [(i, min(i + size, count)) for i in range(0, count, size)]
        arguments = PredictArguments(
            **{name: a.ctypes.data for name, a in arrays.items()},
            replicas=len(arrays["position"]),
            points=len(arrays["x"]),
            likelihood=packed(self.model.constants),
        )

        def work(cut: tuple[int, int]) -> None:
            with self._space() as space:
                kernel(ctypes.byref(arguments), space.ctypes.data, *cut)

        for _ in self._pool.map(work, cuts) if len(cuts) > 1 else map(work, cuts):
            pass

    @contextmanager
    def _space(self) -> Iterator[np.ndarray]:
        """A workspace nobody else is using."""
        try:
            space = self._spaces.get_nowait()
        except Empty:
            space = aligned(self._library.workspace_bytes())
        try:
            yield space
        finally:
            self._spaces.put(space)


class DeviceKernels:
    """Launches of kernels/predict.cu; a subclass says which array library it is for, and how a kernel is launched.

    Memory beside the arguments is bounded: replicas go in pieces, whole chunks of them where they are summed.
    """

    xp: Any
    place: Any = nullcontext()
    team = 32

    def __init__(self, model: MlpModel, dtype: np.dtype) -> None:
        self.model, self._dtype = model, dtype

    def launch(self, name: str, work: int, *arguments: Any) -> None:
        """Run kernel `name` with about `work` threads; arguments are arrays, ints and floats."""
        raise NotImplementedError

    def phi(self, position: np.ndarray, x: np.ndarray, phi: np.ndarray) -> None:
        """Fill phi [r, T, n]."""
        xp, there = self.xp, self.xp.asarray(x)
        for rows in _pieces(len(position), phi[0].nbytes, 1):
            out = xp.empty(phi[rows].shape, self._dtype)
            self.launch("phi_kernel", len(out) * len(x), len(out), len(x), xp.asarray(position[rows]), there, out)
            phi[rows] = _here(out)

    def moments(
        self, position: Array, x: Array, weight: Array, *out: np.ndarray, each: int = 0, scale: float = 1.0
    ) -> None:
        """Add to sum w Phi, sum w Phi^2 [T, n] and sum w H [T], there: chunk by chunk in order, or in blocks of `each`
        chunks, whose sums are added times `scale`.
        """
        totals = [self.xp.asarray(total) for total in out]
        for _, chunks, parts in self._chunks(position, x, weight, [a.shape for a in out], max(1, each)):
            for part, total in zip(parts, totals, strict=True):
                self.launch("fold_kernel", total.size, chunks, total.size, each or chunks, scale, part, total)
        for mine, total in zip(out, totals, strict=True):
            mine[...] = _here(total)

    def block_sums(self, position: Array, x: Array, weight: Array, *out: np.ndarray) -> None:
        """Write what `moments` would add block by block [blocks, T, n], [blocks, T]."""
        each = BLOCK // CHUNK
        totals = [self.xp.zeros(total.shape) for total in out]
        for rows, chunks, parts in self._chunks(position, x, weight, [a.shape[1:] for a in out], each):
            for first in range(0, chunks, each):
                count, block = min(each, chunks - first), (rows.start + first * CHUNK) // BLOCK
                for part, total in zip(parts, totals, strict=True):
                    size, one, some = total[block].size, total[block], part[first : first + count]
                    self.launch("fold_kernel", size, count, size, each, 1.0, some, one)
        for mine, total in zip(out, totals, strict=True):
            mine[...] = _here(total)

    def _chunks(
        self, position: Array, x: Array, weight: Array, shapes: list[tuple[int, ...]], each: int
    ) -> Iterator[tuple[slice, int, list[Array]]]:
        """Of some replicas after others, whole blocks of `each` chunks: rows, chunks, and the sums of each chunk."""
        xp, there = self.xp, self.xp.asarray(x)
        for rows in _pieces(len(position), sum(8 * math.prod(s) for s in shapes) // CHUNK, CHUNK * each):
            w = xp.asarray(weight[rows])
            chunks = -(-len(w) // CHUNK)
            parts = [xp.empty((chunks, *shape)) for shape in shapes]
            self.launch("moments_kernel", chunks * len(x), len(w), len(x), xp.asarray(position[rows]), there, w, *parts)
            yield rows, chunks, parts

    def scores(self, position: np.ndarray, x: np.ndarray, y: np.ndarray, loss: np.ndarray, right: np.ndarray) -> None:
        """Fill the sums over the points [r]."""
        xp, (sums, rights) = self.xp, (self.xp.empty(len(position)) for _ in range(2))
        arguments = (
            xp.asarray(position),
            xp.asarray(x),
            xp.asarray(y),
            xp.asarray(packed(self.model.constants)),
            sums,
            rights,
        )
        self.launch("scores_kernel", self.team * len(position), len(position), len(x), *arguments)
        loss[:], right[:] = _here(sums), _here(rights)


def _pieces(count: int, bytes_each: int, multiple: int) -> Iterator[slice]:
    """Cuts of `count` replicas that need `bytes_each`, at multiples of `multiple`."""
    size = multiple * max(1, _DEVICE_BYTES // max(1, bytes_each * multiple))
    for i in range(0, count, size):
        yield slice(i, min(i + size, count))


def _here(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.get()


class _Cupy(DeviceKernels):
    """The kernels on a GPU through CuPy; its arrays go back to CuPy's pool at the end of each call."""

    def __init__(self, model: MlpModel, dtype: np.dtype, device: str) -> None:
        super().__init__(model, dtype)
        self.xp, place = open_gpu(device)
        self._index = int(place.id)
        with place:
            self._module = _module(predict_device_source(model, dtype.itemsize * 8, self.team), self._index)

    @property
    def place(self) -> Any:
        """The device, made anew for each call, because the choice is a thread's own."""
        return self.xp.cuda.Device(self._index)

    def launch(self, name: str, work: int, *arguments: Any) -> None:
        """Run kernel `name` in blocks of 128 threads."""
        typed = tuple(
            np.int64(a) if isinstance(a, int) else np.float64(a) if isinstance(a, float) else a for a in arguments
        )
        self._module.get_function(name)((max(1, min(-(-work // 128), 2**20)),), (128,), typed)

    def phi(self, *arrays: np.ndarray) -> None:
        """See DeviceKernels."""
        with self.place:
            super().phi(*arrays)

    def moments(self, *arrays: np.ndarray, each: int = 0, scale: float = 1.0) -> None:
        """See DeviceKernels."""
        with self.place:
            super().moments(*arrays, each=each, scale=scale)

    def block_sums(self, *arrays: np.ndarray) -> None:
        """See DeviceKernels."""
        with self.place:
            super().block_sums(*arrays)

    def scores(self, *arrays: np.ndarray) -> None:
        """See DeviceKernels."""
        with self.place:
            super().scores(*arrays)


@cache
def _module(source: str, device: int) -> Any:
    """The compiled kernels, once for each device."""
    return cupy_module(source)
