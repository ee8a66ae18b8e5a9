"""What must be equal: known answers of the random numbers, engines among each other, runs cut into pieces, resumed
runs.
"""

import ctypes
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from .. import streams
from ..engines.batched import BatchedEngine
from ..kernels.emit import inline, prologue
from ..kernels.nvrtc import cupy_module
from ..kernels.toolchain import host_library
from ..run import resume, sample
from ..running.setup import prepare
from ..spec.run import RunSpec
from ..state import Segment, State
from ..store import open_run, read_checkpoint
from .report import Check, from_difference
from .sampling import Place

_FULL = 0xFFFFFFFF
KNOWN_ANSWERS = (
    ((0,) * 6, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((_FULL,) * 6, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)
"""Philox4x32-10 in Random123's kat_vectors: (c0, c1, c2, c3, k0, k1) -> four words."""

_PROBE = """
KERNEL known_answers(const u32* in, u32* out, i64 count) {
  if (!first_thread()) return;
  for (i64 i = 0; i < count; ++i) {
    const u32* a = in + 6 * i;
    Keys keys;
    keys.open(splat_word(a[4]), splat_word(a[5]), splat_word(a[1]));
    const Address at = address(keys, 0, u64(a[3]) << 32 | a[2], 0);
    const u32 block[1] = {a[0]};
    word w[1][4];
    philox(at, block, w);
    for (int l = 0; l < 4; ++l) out[4 * i + l] = get(w[0][l], LANES - 1);
  }
}
"""


def known_answers(device: str, compiled: bool) -> list[Check]:
    """Published Philox vectors through NumPy, the compiled kernels and, on a GPU, the device."""
    count = np.array([c for c, _ in KNOWN_ANSWERS], np.uint64)
    right = np.array([words for _, words in KNOWN_ANSWERS], np.uint64)
    found = {"NumPy": np.stack(streams.philox4x32(*count.T), axis=1)}
    if compiled:
        found["compiled"] = _host_words(count)
    if device != "cpu":
        found[device] = _device_words(count, device)
    return [
        from_difference("Philox", "known answers", who, (w != right).sum(), 0, right.size) for who, w in found.items()
    ]


def _source(first: str, team: int) -> str:
    return (
        f"{prologue(32, team)}\n{inline('math.h', 'philox.h')}\nHD bool first_thread() {{ return {first}; }}\n{_PROBE}"
    )


def _host_words(count: np.ndarray) -> np.ndarray:
    library = host_library(_source("true", 1))
    given, out = np.ascontiguousarray(count, np.uint32), np.empty((len(count), 4), np.uint32)
    library.known_answers(
        ctypes.c_void_p(given.ctypes.data), ctypes.c_void_p(out.ctypes.data), ctypes.c_int64(len(count))
    )
    return out


def _device_words(count: np.ndarray, device: str) -> np.ndarray:
    import cupy

    with cupy.cuda.Device(int(device.partition(":")[2] or 0)):
        kernel = cupy_module(_source("blockIdx.x == 0 && threadIdx.x == 0", 32)).get_function("known_answers")
        out = cupy.empty((len(count), 4), np.uint32)
        kernel((1,), (32,), (cupy.asarray(count.astype(np.uint32)), out, np.int64(len(count))))
        return np.asarray(out.get())


# -- engines -----------------------------------------------------------------------------------------------------------

DEEP = "adlala, three hidden layers"
JOBS: dict[str, dict[str, Any]] = {
    "adlala, spirals": {"data": {"name": "spirals", "turns": 2, "train": 60, "test": 20}, "run": {"batch": 10}},
    "BAEFEAB by tensor, wine": {
        "data": {"name": "wine"}, "model": {"hidden": 5, "activation": "tanh", "prior_sd": 1.0},
        "method": {"name": "splitting", "word": "BAEFEAB", "partition": "tensor", "temperature": 0.01},
        "run": {"minibatch": "replacement", "batch": 12},
    },
    "sgld, diabetes": {
        "data": {"name": "diabetes"},
        "model": {"hidden": 4, "activation": "softplus"}, "method": {"name": "sgld", "stepsize": 0.01},
        "run": {"minibatch": "epoch", "batch": 30},
    },
    DEEP: {
        "data": {"name": "wine"}, "model": {"hidden": [6, 5, 4], "activation": "silu", "prior_sd": 1.0},
        "run": {"batch": 20},
    },
}  # fmt: skip
ROUNDING = 2e-5
"""Largest difference after three steps in float32, relative to the largest value."""


def _spec(name: str, **run: int) -> RunSpec:
    tree = JOBS[name]
    common = {"replicas": 9, "steps": 40, "burn_in": 0, "thin": 5, "trace": 10, "seed": 7}
    model = {"hidden": 8, "init": "normal", "init_sd": 0.3} | tree.get("model", {})
    return RunSpec.from_dict({**tree, "model": model, "run": common | tree["run"] | run})


def _advanced(engine: Any, state: State, *lengths: int) -> State:
    for length in lengths:
        engine.advance(state, Segment(state.step, length))
    return state


def agreement(place: Place, name: str) -> list[Check]:
    """The first steps of a real run against plain NumPy: same noise, same minibatches, same arithmetic up to
    rounding.
    """
    ready = prepare(_spec(name))
    if name == DEEP and place.engine == "fused" and place.device != "cpu":
        return []  # the fused engine refuses it there
    expected = _advanced(BatchedEngine(ready.job, native=False), ready.initial_state(), 3).arrays()
    found = _advanced(place.make(ready.job), ready.initial_state(), 3).arrays()
    worst = {
        array: float(np.abs(found[array] - value).max() / max(1e-3, np.abs(value).max()))
        for array, value in expected.items() if value.dtype.kind == "f"
    }  # fmt: skip
    what = max(worst, key=lambda key: worst[key] if np.isfinite(worst[key]) else np.inf)
    return [from_difference("rounding", name, place.engine, worst[what], ROUNDING, len(worst), what)]


def pieces(place: Place, name: str) -> list[Check]:
    """A run cut into segments equals the uncut one bit for bit."""
    ready = prepare(_spec(name))
    engine = place.make(ready.job)
    whole, cut = (_advanced(engine, ready.initial_state(), *lengths).arrays() for lengths in ((20,), (1, 2, 7, 10)))
    unequal = sum(
        int((whole[key] != cut[key]).sum()) for key in whole if not np.array_equal(whole[key], cut[key], equal_nan=True)
    )
    return [
        from_difference("bitwise", "cut into segments", place.engine, unequal, 0, sum(a.size for a in whole.values()))
    ]


def resumed(place: Place, name: str) -> list[Check]:
    """A run stopped at its first commit and resumed equals the straight one bit for bit, in all it stored and in its
    checkpoint.
    """
    spec = _spec(name, steps=400)
    with tempfile.TemporaryDirectory(prefix="gpu_thermo_verify_") as folder:
        straight, stopped = Path(folder) / "straight.zarr", Path(folder) / "stopped.zarr"
        sample(spec, straight, device=place.device, engine=place.engine, threads=place.threads).close()
        sample(spec, stopped, device=place.device, engine=place.engine, threads=place.threads, time_limit=0.0).close()
        resume(stopped, device=place.device, threads=place.threads).close()
        ours, theirs = _contents(straight), _contents(stopped)
        differing = sorted(key for key in ours if not _equal(ours[key], theirs.get(key)))
    count = sum(a.size for a in ours.values())
    return [
        from_difference(
            "bitwise", "stopped and resumed", place.engine, len(differing), 0, count, ", ".join(differing[:3])
        )
    ]


def _contents(path: Path) -> dict[str, np.ndarray]:
    """Every stored array, and the state in the checkpoint."""
    with open_run(path) as tree:
        out = {f"{group}/{name}": v.to_numpy() for group in tree.children for name, v in tree[group].variables.items()}
    state = read_checkpoint(path).state
    assert state is not None
    return out | {f"state/{name}": value for name, value in state.arrays().items()}


def _equal(a: np.ndarray, b: np.ndarray | None) -> bool:
    return b is not None and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
