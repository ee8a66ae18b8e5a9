"""How much memory and disk there is, and the refusal of what cannot fit."""

import os
import resource
import shutil
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np

from ..errors import ResourceError
from ..spec.run import RunSpec


def check_least(spec: RunSpec, parameters: int, dtype: str) -> None:
    """Refuse absurd sizes before anything is allocated: what the state and the hyperparameters alone take."""
    moves, replicas = sum(move.bytes_per_replica for move in spec.moves), spec.run.replicas
    check_memory(replicas * (3 * np.dtype(dtype).itemsize * parameters + moves + 200), replicas)


def check_memory(needed: int, replicas: int) -> None:
    """ResourceError if `needed` more bytes are more than this machine has to give."""
    _check(needed, available_memory(), "memory", replicas)


def check_device(needed: int, replicas: int, device: str) -> None:
    """ResourceError if `needed` bytes are more than a GPU has to give."""
    _check(needed, device_memory(device), f"memory on {device}", replicas)


def _check(needed: int, free: int | None, where: str, replicas: int) -> None:
    if free is not None and needed > free:
        raise ResourceError(
            f"The run needs about {_size(needed)} of {where}, {_size(free)} are available: "
            f"use fewer than {replicas} replicas or a smaller network."
        )


def check_disk(needed: int, store: Path) -> None:
    """ResourceError if `needed` bytes do not fit beside `store`."""
    if not store.parent.is_dir():
        return
    free = shutil.disk_usage(store.parent).free
    if needed > free:
        raise ResourceError(
            f"The store needs about {_size(needed)}, {_size(free)} are free in {store.parent}: "
            'raise run.thin, or leave "parameters" out of run.keep.'
        )


def _size(number: int) -> str:
    """Bytes in KiB, MiB or GiB."""
    power, unit = next(((p, u) for p, u in ((30, "GiB"), (20, "MiB")) if number >= 2**p), (10, "KiB"))
    return f"{number / 2**power:.1f} {unit}"


def available_memory() -> int | None:
    """Bytes a new process could use, where the system tells."""
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def resident_memory() -> int:
    """Bytes that this process takes now; its peak so far where the system tells only that."""
    with suppress(OSError, ValueError, IndexError):
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def device_memory(device: str) -> int | None:
    """Free bytes on a GPU; None for the CPU."""
    if device == "cpu":
        return None
    import cupy

    with cupy.cuda.Device(int(device.partition(":")[2] or 0)):
        return int(cupy.cuda.runtime.memGetInfo()[0])
