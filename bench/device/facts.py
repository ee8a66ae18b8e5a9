"""What the device is, in numbers: the machine, the versions; registers, local memory, occupancy of each kernel."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..cases import spirals
from ..common import machine
from ..contenders import Ours
from ..deep import CASES as DEEP

Report = dict[str, Any]
_QUERY = "name,driver_version,clocks.sm,clocks.mem,clocks.max.sm,clocks.max.mem,power.limit,temperature.gpu"
PROMISED = {"d20_B25": spirals(20, 25), "d100_B20": spirals(100, 20), "4x16_B128": DEEP["4x16_B128"]}
"""Cases whose speed is promised."""


def commit() -> str:
    """Of the sources that run: from the environment where they have left their repository, else from Git."""
    named = os.environ.get("GPU_THERMO_COMMIT")
    if named:
        return named
    command = ["git", "describe", "--always", "--dirty"]
    try:
        done = subprocess.run(
            command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return done.stdout.strip() or "unknown"


def settings() -> Report:
    """What nvidia-smi says of the first GPU: clocks in MHz, watts, degrees."""
    command = ["nvidia-smi", "-i", "0", f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=15, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return {"why": f"nvidia-smi: {error}"}
    return dict(zip(_QUERY.split(","), (v.strip() for v in done.stdout.splitlines()[0].split(",")), strict=False))


def properties() -> Report:
    """CUDA's own words for the device, and the versions of what compiles and launches."""
    import cupy

    runtime = cupy.cuda.runtime
    p = runtime.getDeviceProperties(0)
    names = ("multiProcessorCount", "clockRate", "memoryClockRate", "l2CacheSize", "regsPerMultiprocessor",
             "sharedMemPerMultiprocessor", "maxThreadsPerMultiProcessor", "totalGlobalMem")  # fmt: skip
    return {
        "name": p["name"].decode(), "capability": [p["major"], p["minor"]],
        **{name: int(p[name]) for name in names if name in p},
        "driver": runtime.driverGetVersion(), "runtime": runtime.runtimeGetVersion(),
        "nvrtc": list(cupy.cuda.nvrtc.getVersion()), "cupy": cupy.__version__,
    }  # fmt: skip


def kernel_facts(engine: Any) -> Report:
    """Registers, local and shared memory of a fused engine's kernel, and how many of its warps a multiprocessor
    holds.
    """
    import cupy

    there = engine._there
    sharing, kernel = there._sharing, there._kernel
    threads = sharing.team * sharing.teams
    blocks = cupy.cuda.driver.occupancyMaxActiveBlocksPerMultiprocessor(kernel.kernel.ptr, threads, 0)
    most = cupy.cuda.runtime.getDeviceProperties(0)["maxThreadsPerMultiProcessor"] // 32
    return {
        "team": sharing.team, "teams": sharing.teams, "asked_blocks": sharing.blocks,
        "registers": kernel.num_regs, "local_bytes": kernel.local_size_bytes, "shared_bytes": kernel.shared_size_bytes,
        "blocks": blocks, "warps": blocks * threads // 32, "occupancy": blocks * threads / 32 / most,
    }  # fmt: skip


def facts(device: str, size: str, until: float) -> Iterator[Report]:
    """The machine, the device, and each promised kernel; local memory in one of them is a failure."""
    yield {"case": "machine", "commit": commit(), **machine()}
    if device == "cpu":
        return
    yield {"case": "device", **properties(), "nvidia-smi": settings()}
    for name, case in PROMISED.items():
        begin = time.perf_counter()
        try:
            ours = Ours(case, 256, "fused", device)
            report = kernel_facts(ours.engine)
        except Exception as trouble:  # the others are of interest all the same
            yield {"case": f"kernel {name}", "ok": False, "why": f"{type(trouble).__name__}: {trouble}"[:1500]}
            continue
        seconds = time.perf_counter() - begin
        yield {"case": f"kernel {name}", "ok": report["local_bytes"] == 0, "first_seconds": seconds, **report}
