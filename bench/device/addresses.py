"""Random words, minibatches and normals of the kernels' headers on a device against streams.py: integers exactly,
normals to 1e-6.
"""

import ctypes
from typing import Any

import numpy as np

from gpu_thermo import streams
from gpu_thermo.engines.base import permutation_grid
from gpu_thermo.kernels.emit import MODES, inline, prologue
from gpu_thermo.kernels.nvrtc import cupy_module
from gpu_thermo.kernels.toolchain import host_library
from gpu_thermo.streams import Purpose

BLOCKS, BATCH = 4, 12
ADDRESSES = ((Purpose.STEP, 0, 0), (Purpose.STEP, 2**32 + 5, 1), (Purpose.MINIBATCH, 7, 0), (Purpose.POSITION, 0, 0))
SIZES, ORDINALS = (1, 12, 500, 1437), (0, 3, 2**33 + 1)

BODY = """
HD void one(i64 i, const u32* low, const u32* high, const u32* stream, u32 purpose, u64 ordinal, u32 sub, Grid grid,
            u32* words, scalar* normal, u32* index) {
  Keys keys;
  keys.open(splat_word(low[i]), splat_word(high[i]), splat_word(stream[i]));
  const Address at = address(keys, purpose, ordinal, sub);
  for (int b = 0; b < BLOCKS; ++b) {
    const u32 block[1] = {u32(b)};
    word w[1][4];
    real n[1][4];
    philox(at, block, w);
    normals(at, block, n);
    for (int l = 0; l < 4; ++l) words[(i * BLOCKS + b) * 4 + l] = w[0][l];
    for (int l = 0; l < 4; ++l) normal[(i * BLOCKS + b) * 4 + l] = n[0][l];
  }
  if (grid.n >= BATCH || MODE == REPLACEMENT) {
    const Chooser<MODE> chooser(keys, grid, ordinal, BATCH);
    for (int t = 0; t < BATCH; ++t) {
      word chosen[1];
      chooser.points(u32(t), 1, grid, chosen);
      index[i * BATCH + t] = chosen[0];
    }
  }
}
"""
PARAMETERS = (
    "i64 replicas, const u32* low, const u32* high, const u32* stream, u32 purpose, u64 ordinal, u32 sub, u32 n, u32 a,"
    " u32 b, u32 inverse, u32* words, scalar* normal, u32* index"
)
CALL = "one(i, low, high, stream, purpose, ordinal, sub, {n, a, b, inverse}, words, normal, index);"
ENTRY = {
    "cpu": f'extern "C" void probe({PARAMETERS}) {{\n  for (i64 i = 0; i < replicas; ++i) {CALL}\n}}',
    "cuda": f'extern "C" __global__ void probe({PARAMETERS}) {{\n'
            "  const i64 i = i64(blockIdx.x) * blockDim.x + threadIdx.x;\n"
            f"  if (i < replicas) {CALL}\n}}",
}  # fmt: skip


def source(mode: str, bits: int, kind: str) -> str:
    """The probe's text."""
    constants = f"constexpr int BLOCKS = {BLOCKS}, BATCH = {BATCH}, MODE = {MODES.index(mode)};"
    headers = inline("math.h", "philox.h", "normals.h", "minibatch.h")
    return "\n".join((prologue(bits, 1, 1), headers, constants, BODY, ENTRY[kind]))


class Probe:
    """The compiled probe: draws on the device as the headers do."""

    def __init__(self, mode: str, bits: int, device: str) -> None:
        self._dtype, self._device = np.dtype(np.float32 if bits == 32 else np.float64), device
        text = source(mode, bits, "cpu" if device == "cpu" else "cuda")
        self._run: Any = host_library(text).probe if device == "cpu" else cupy_module(text).get_function("probe")

    def __call__(
        self, seed: np.ndarray, stream: np.ndarray, purpose: int, ordinal: int, sub: int, points: int
    ) -> tuple[np.ndarray, ...]:
        """Words [R, 4 blocks], normals [R, 4 blocks], indices [R, B]; all poisoned before."""
        r, shape = len(seed), (len(seed), 4 * BLOCKS)
        keys = [
            (seed & np.uint64(0xFFFFFFFF)).astype(np.uint32),
            (seed >> np.uint64(32)).astype(np.uint32),
            stream.astype(np.uint32),
        ]
        out = [
            np.full(shape, 0xDEADBEEF, np.uint32),
            np.full(shape, np.nan, self._dtype),
            np.full((r, BATCH), 0xDEADBEEF, np.uint32),
        ]
        scalars: tuple[Any, ...] = (
            np.uint32(purpose),
            np.uint64(ordinal),
            np.uint32(sub),
            *(np.uint32(v) for v in permutation_grid(points).values()),
        )
        if self._device == "cpu":
            types = {np.uint32: ctypes.c_uint32, np.uint64: ctypes.c_uint64}
            pointers = [ctypes.c_void_p(a.ctypes.data) for a in (*keys, *out)]
            self._run(ctypes.c_int64(r), *pointers[:3], *(types[type(s)](int(s)) for s in scalars), *pointers[3:])
            return tuple(out)
        import cupy

        there = [cupy.asarray(a) for a in (*keys, *out)]
        self._run((-(-r // 128),), (128,), (np.int64(r), *there[:3], *scalars, *there[3:]))
        return tuple(a.get() for a in there[3:])


def check(device: str, quick: bool = False) -> dict[str, Any]:
    """Compare everywhere; the worst error of a normal, the numbers of integers compared and of those that differ."""
    replicas = 130
    seed = np.arange(replicas, dtype=np.uint64) * np.uint64(2**35 + 7) + np.uint64(2**40)
    stream = np.arange(replicas, dtype=np.uint64)[::-1] * np.uint64(977) % np.uint64(2**32)
    keys = streams.make_keys(seed, stream)
    worst, compared, differ = {32: 0.0, 64: 0.0}, 0, 0
    for mode in ("subset", "epoch", "symmetric", "replacement"):
        for bits in (32,) if quick else (32, 64):
            probe = Probe(mode, bits, device)
            dtype = np.float32 if bits == 32 else np.float64
            for purpose, ordinal, sub in ADDRESSES:
                words, normal, _ = probe(seed, stream, purpose, ordinal, sub, 500)
                blocks = np.arange(BLOCKS, dtype=np.uint64)
                expected = np.stack(streams.words(keys, blocks, purpose, ordinal, sub), axis=-1).reshape(replicas, -1)
                compared, differ = compared + expected.size, differ + int((words != expected).sum())
                error = np.abs(normal - streams.normals(keys, blocks, purpose, ordinal, sub, dtype)).max()
                worst[bits] = float(max(worst[bits], np.nan_to_num(error, nan=np.inf)))
            for points in SIZES:
                if points < BATCH and mode != "replacement":
                    continue
                for ordinal in ORDINALS:
                    index = probe(seed, stream, Purpose.MINIBATCH, ordinal, 0, points)[2]
                    wanted = streams.minibatch(keys, mode, points, BATCH, ordinal)
                    compared, differ = compared + wanted.size, differ + int((index != wanted).sum())
    return {
        "integers": compared,
        "integers_that_differ": differ,
        "worst_normal": worst,
        "ok": differ == 0 and max(worst.values()) <= 1e-6,
    }
