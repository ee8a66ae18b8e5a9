"""Mistakes planted in the device's kernels and launches, and whether the stand-in for CuPy shows them.

A script: `python device_faults.py NAME...` with standin/ on the path prints one line of JSON for each.
"""

import ctypes
import json
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2])]

from bench.device import jobs
from bench.device.kernels import TOLERANCE, _poisoned, difference
from gpu_thermo.engines import FusedEngine, fused
from gpu_thermo.kernels import emit
from gpu_thermo.state import Segment

Fault = tuple[int, str, str, str]
FETCH, SYNC, GRADIENTS = "    fetch(chooser, start, count);\n", "    team.sync();\n", "    gradients<FIRST>(count);"
SHUFFLE = "x += __shfl_xor_sync(lanes(), x, d"
THEN = "  if constexpr (INDEX + 1 < LAYERS) "
SYNC_THEN = f"  team.sync();\n{THEN}"
VALUE, BARRIER = "shared->wide_value[member / GROUP] = x;", "\n    __syncthreads();"
ENERGY, ROW = (
    "a.ring_energy[slot(l, i) * a.replicas + first + l] = get_wide(s.energy, l);",
    "scalar* row = to + (first + l",
)
TEXTS: dict[str, Fault] = {
    "none, a warp": (32, "step.h", "", ""),
    "none, two warps": (64, "step.h", "", ""),
    "none, a part of a warp": (8, "step.h", "", ""),
    "no barrier before gradients in a part of a warp": (8, "step.h", SYNC + GRADIENTS, GRADIENTS),
    "sums with the next team of a warp": (
        8,
        "portable.h",
        "for (int d = GROUP / 2; d > 0",
        "for (int d = GROUP; d > 0",
    ),
    "no barrier after points are fetched": (32, "step.h", FETCH + SYNC, FETCH),
    "no barrier before points are fetched": (32, "step.h", "    team.sync();  // the last tile has been read\n", ""),
    "no barrier before gradients": (32, "step.h", SYNC + GRADIENTS, GRADIENTS),
    "no barrier between warps in a sum": (64, "portable.h", VALUE + BARRIER, VALUE),
    "a barrier that only some threads meet": (
        32,
        "step.h",
        FETCH + SYNC,
        f"{FETCH}    if (team.member) team.sync();\n",
    ),
    "sums over half a warp": (32, "portable.h", f"{SHUFFLE})", f"{SHUFFLE}, 16)"),
    "shuffles of other widths in a warp": (32, "portable.h", f"{SHUFFLE})", f"{SHUFFLE} * (member & 1) + 1)"),
    "none, at depth": (64, "team.h", "", ""),
    "no barrier between layers": (64, "team.h", SYNC_THEN + "forward", THEN + "forward"),
    "no barrier between deltas": (
        64,
        "team.h",
        "  team.sync();\n  if constexpr (INDEX > 0)",
        "  if constexpr (INDEX > 0)",
    ),
    "no barrier after outputs": (64, "team.h", "  team.sync();\n}", "}"),
    "a ring that is not written": (32, "step.h", ENERGY, ";"),
    "a row beyond the last": (32, "step.h", f"{ROW})", f"{ROW} + (first + l + 1 == a.replicas))"),
}
"""Name: team, header, and what of its text becomes what."""


def small(team: int, deep: bool = False) -> jobs.Job:
    """Few replicas of a network whose members have units each, minibatches in several tiles; with three layers."""
    case = {"word": "BACDEDCAB", "task": "binary", "activation": "tanh", "mode": "full", "partition": "layer"}
    layers = {"hidden": (9, 12, 7), "task": "regression"} if deep else {}  # two outputs
    return jobs.make_job(case | {"bits": 32, "team": team} | layers, replicas=3)


def run(job: jobs.Job, **where: object) -> list:
    """State and ring after two steps."""
    state = jobs.make_state(job)
    engine = FusedEngine(job, **where)
    ring = engine.advance(state, Segment(0, 2, (2,)))
    return [*state.arrays().values(), ring.position, ring.thermostat, ring.kinetic_temperature, ring.energy]


def changed(name: str, old: str, new: str) -> Callable[[str], str]:
    """Texts of headers with a fault in one."""

    def text(asked: str) -> str:
        whole = _header(asked)
        if asked != name or not old:
            return whole
        assert old in whole, f"{name} has no {old!r}"
        return whole.replace(old, new)

    return text


_header = emit.header


class Swapped(fused.Arguments):
    """Momentum and gradient have changed places."""

    def __init__(self, **values: object) -> None:
        values["momentum"], values["gradient"] = values["gradient"], values["momentum"]
        super().__init__(**values)


class Short(ctypes.Structure):
    """The last number is missing."""

    _fields_ = fused.Arguments._fields_[:-1]


STRUCTURES = {"a swapped pointer": Swapped, "a short argument struct": Short}
WAITS = {
    "a copy that does not wait for its kernel": "Stream.wait_event",
    "a ring read before it is there": "Event.synchronize",
}
"""What is not waited for."""
FAULTS = (*TEXTS, *STRUCTURES, *WAITS)


def find(name: str) -> str:
    """What shows the fault in either order of threads; empty if nothing does."""
    import cupy

    team, file, old, new = TEXTS.get(name, (32, "", "", ""))
    job = small(team, deep=file == "team.h")
    with patch.object(fused, "empty_record", _poisoned):
        right = run(job)
        for order in (0, 1):
            with ExitStack() as stack:
                stack.enter_context(patch.object(cupy.modules, "ORDER", order))
                stack.enter_context(patch.object(emit, "header", changed(file, old, new)))
                if name in WAITS:
                    kind, method = WAITS[name].split(".")
                    stack.enter_context(patch.object(getattr(cupy.cuda, kind), method, lambda *_: None))
                if name in STRUCTURES:
                    stack.enter_context(patch.object(fused, "Arguments", STRUCTURES[name]))
                try:
                    worst = max(
                        difference(a, b) for a, b in zip(right, run(job, device="cuda:0", team=team), strict=True)
                    )
                except Exception as trouble:
                    return f"{type(trouble).__name__}: {trouble}"
            if not worst <= TOLERANCE[32]:
                return f"difference {worst:g}"
    return ""


if __name__ == "__main__":
    for fault in sys.argv[1:] or FAULTS:
        print(json.dumps([fault, find(fault)]), flush=True)
