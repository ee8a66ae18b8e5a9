"""Fused predictions on the CPU: what a forward pass of many replicas at many points is wanted for, without the array in between.

The kernels are kernels/predict.h. Points go to threads in tiles, replicas lie in vector lanes; sums over replicas are float64 in a fixed
order, so that they do not depend on threads.
"""

import ctypes
import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from ..compile import host_library
from ..errors import CompileError
from ..kernels.emit import predict_source
from ..targets.shlp import ShlpModel
from .batched import cores
from .fused import aligned

Array = Any
_POINTERS = ("position", "x", "y", "weight", "phi", "sum", "square", "entropy", "loss", "right")


class PredictArguments(ctypes.Structure):
    """`PredictArguments` of kernels/predict.h, field by field."""

    _fields_ = (
        *[(name, ctypes.c_void_p) for name in _POINTERS],
        *[(name, ctypes.c_int64) for name in ("replicas", "points")],
        *[(name, ctypes.c_double) for name in ("noise_sd", "log_norm")],
    )


class FusedPredictor:
    """Predictions of one network's replicas on the CPU.

    Parameters
    ----------
    model : the network. dtype : of the positions. threads : all cores by default. One object may serve many threads at once.

    Raises
    ------
    DeviceError
        If there is no C++ compiler.
    """

    has_moments = True

    def __init__(self, model: ShlpModel, dtype: Any = np.float32, threads: int | None = None) -> None:
        self.model, self._dtype = model, np.dtype(dtype)
        self._library = library = host_library(predict_source(model, self._dtype.itemsize * 8))
        for name in ("workspace_bytes", "arguments_bytes", "lanes", "tile"):
            getattr(library, name).restype = ctypes.c_int64
        if library.arguments_bytes() != ctypes.sizeof(PredictArguments):
            raise CompileError("The compiler lays out the kernel's arguments unlike Python.")
        for name in ("predict_phi", "predict_moments", "predict_scores"):
            getattr(library, name).argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self._tile, self._lanes = library.tile(), library.lanes()
        self._pool = ThreadPoolExecutor(threads or cores())
        self._spaces: SimpleQueue[np.ndarray] = SimpleQueue()

    def phi(self, position: Array, x: Array) -> np.ndarray:
        """Phi [r, T, n], as ShlpModel.predict, of replicas [r, P] at inputs [T, m]."""
        out = np.empty((len(position), len(x), self.model.outputs), self._dtype)
        self._by_points(self._library.predict_phi, position, x, phi=out)
        return out

    def moments(self, position: Array, x: Array, weight: Array | None = None) -> dict[str, np.ndarray]:
        """Sums over the r replicas of w Phi [T, n], w Phi^2 [T, n] and w H(Phi) [T] (nats; 0 for regression), all float64.

        The names are those of moments.RunningMoments. Call it with blocks of 256 replicas, in order.
        """
        shape = (len(x), self.model.outputs)
        out = {"sum_w_phi": np.empty(shape), "sum_w_phi2": np.empty(shape), "sum_w_entropy": np.empty(len(x))}
        w = np.ones(len(position)) if weight is None else np.ascontiguousarray(weight, np.float64)
        names = dict(zip(("sum", "square", "entropy"), out.values(), strict=True))
        self._by_points(self._library.predict_moments, position, x, weight=w, **names)
        return out

    def scores(self, position: Array, x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
        """Each replica's sums over the T points [r] float64: negative log likelihood, and right answers (regression: squared errors).

        The mean of the first over the training points is the full-batch energy, the prior aside. `y` [T] labels or [T, n] values.
        """
        loss, right = np.empty(len(position)), np.empty(len(position))
        targets = np.ascontiguousarray(np.reshape(y, (len(x), -1)), self._dtype)
        size = self._lanes * max(1, -(-len(position) // (self._lanes * 4 * self._pool._max_workers)))
        cuts = [(i, min(i + size, len(position))) for i in range(0, len(position), size)]
        self._run(self._library.predict_scores, cuts, position, x, y=targets, loss=loss, right=right)
        return loss, right

    def _by_points(self, kernel: Callable[..., None], position: Array, x: Array, **arrays: np.ndarray) -> None:
        cuts = [(i, min(i + self._tile, len(x))) for i in range(0, len(x), self._tile)]
        self._run(kernel, cuts, position, x, **arrays)

    def _run(self, kernel: Callable[..., None], cuts: list[tuple[int, int]], position: Array, x: Array, **arrays: np.ndarray) -> None:
        held = {"position": np.ascontiguousarray(position, self._dtype), "x": np.ascontiguousarray(x, self._dtype)} | arrays
        if not len(position):
            for array in arrays.values():
                array[...] = 0
            return
        noise_sd = self.model.noise_sd
        arguments = PredictArguments(
            **{name: a.ctypes.data for name, a in held.items()}, replicas=len(position), points=len(x), noise_sd=noise_sd,
            log_norm=math.log(noise_sd) + math.log(2 * math.pi) / 2,
        )  # fmt: skip

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
