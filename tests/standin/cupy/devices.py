"""Devices, their memory, streams and events, and CUDA's errors.

Kernels run when they are launched. Copies to the host that do not block run as late as they may: when their stream, or
an event after them, is waited for. What reads the buffer earlier finds NaN, and what overwrites the source earlier
spoils the copy.
"""

import os
import threading
import time
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from .counts import COUNTS, HELD

MEMORY = int(float(os.environ.get("STANDIN_MEMORY", 80 * 2**30)))
_local = threading.local()


class CUDARuntimeError(RuntimeError):
    """As cupy.cuda.runtime's: what a call of the runtime came to."""


class CUDADriverError(RuntimeError):
    """As cupy.cuda.driver's: what a launch came to."""


class OutOfMemoryError(MemoryError):
    """As cupy.cuda.memory's."""


class CompileException(Exception):
    """As cupy.cuda.compiler's."""


def count() -> int:
    """Devices there are."""
    return int(os.environ.get("STANDIN_GPUS", "1"))


def current() -> int:
    """The device of this thread."""
    return int(getattr(_local, "devices", [0])[-1])


class Device:
    """A device, made current by `with`."""

    compute_capability = "90"
    cublas_handle = 0

    def __init__(self, device: int | None = None) -> None:
        self.id = current() if device is None else int(device)

    def __enter__(self) -> "Device":
        if not 0 <= self.id < count():
            raise CUDARuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        _local.devices = [*getattr(_local, "devices", [0]), self.id]
        return self

    def __exit__(self, *_: object) -> None:
        _local.devices = _local.devices[:-1]

    def synchronize(self) -> None:
        """Wait for all streams."""
        COUNTS["syncs"] += 1
        for stream in list(Stream.every):
            stream.finish()


def reserve(nbytes: int, device: int) -> None:
    """Take memory of a device."""
    if HELD[device] + nbytes > MEMORY:
        raise OutOfMemoryError(f"Out of memory allocating {nbytes:,} bytes (allocated so far: {HELD[device]:,} bytes).")
    HELD[device] += nbytes


def free(nbytes: int, device: int) -> None:
    """Give it back."""
    HELD[device] -= nbytes


class Stream:
    """A queue of copies; work of other streams has to be waited for before it is read."""

    every: ClassVar[list[Any]] = []
    null: "Stream"

    def __init__(self, null: bool = False, non_blocking: bool = False, ptds: bool = False) -> None:
        self._waiting: list[Callable[[], None]] = []
        self.launches, self._seen, self._done = 0, {}, 0  # type: ignore[var-annotated]
        self._device = current()
        Stream.every.append(self)

    def __enter__(self) -> "Stream":
        _local.streams = [*getattr(_local, "streams", []), self]
        return self

    def __exit__(self, *_: object) -> None:
        _local.streams = _local.streams[:-1]

    def later(self, copy: Callable[[], None]) -> None:
        """Queue a copy, after a check that it waits for every launch."""
        for other in Stream.every:
            if other._device != self._device or other is self:
                continue
            if self._seen.get(id(other), 0) < other.launches:
                raise AssertionError("a copy does not wait for the kernel that another stream was given before")
        self._waiting.append(copy)

    def finish(self, last: int | None = None) -> None:
        """Do what is queued, or its first part up to number `last`."""
        while self._waiting and (last is None or self._done < last):
            self._waiting.pop(0)()
            self._done += 1

    def synchronize(self) -> None:
        """Wait for all of it; the host has then seen every launch of this stream."""
        COUNTS["syncs"] += 1
        self.finish()
        for other in Stream.every:
            other._seen[id(self)] = self.launches

    def record(self, event: "Event | None" = None) -> "Event":
        """An event after what was given so far."""
        event = event or Event()
        event.record(self)
        return event

    def wait_event(self, event: "Event") -> None:
        """What this stream is given from now on comes after `event`."""
        if event.stream is not None:
            event.stream.finish(event.copies)
            self._seen[id(event.stream)] = event.launches


class Event:
    """A place in a stream."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.stream: Stream | None = None
        self.copies = self.launches = 0
        self.at = 0.0

    def record(self, stream: Stream | None = None) -> None:
        """Put it behind what `stream` was given so far."""
        self.stream = stream or current_stream()
        self.copies = self.stream._done + len(self.stream._waiting)
        self.launches = self.stream.launches
        self.at = time.perf_counter()

    def synchronize(self) -> None:
        """Wait for it."""
        COUNTS["syncs"] += 1
        if self.stream is not None:
            self.stream.finish(self.copies)


def current_stream() -> Stream:
    """The stream of this thread, or else its device's own."""
    streams = getattr(_local, "streams", [])
    return streams[-1] if streams else Stream.null if current() == 0 else _own_stream(current())


@cache
def _own_stream(device: int) -> Stream:
    """The null stream of a device other than the first."""
    return Stream(null=True)


Stream.null = Stream()


def alloc_pinned_memory(nbytes: int) -> Any:
    """Memory that copies may go to beside other work."""
    COUNTS["pinned_bytes"] += nbytes
    return memoryview(np.empty(max(1, nbytes), np.uint8))


def _properties(device: int) -> dict[str, Any]:
    return {"name": b"stand-in", "major": 9, "minor": 0, "totalGlobalMem": MEMORY, "multiProcessorCount": 132,
            "clockRate": 1_700_000, "maxThreadsPerMultiProcessor": 2048}  # fmt: skip


_pool = SimpleNamespace(
    total_bytes=lambda: HELD[current()], used_bytes=lambda: HELD[current()], free_all_blocks=lambda stream=None: None
)
runtime = SimpleNamespace(
    getDeviceCount=count, getDeviceProperties=_properties, CUDARuntimeError=CUDARuntimeError, is_hip=False,
    driverGetVersion=lambda: 13000, runtimeGetVersion=lambda: 13000, deviceSynchronize=lambda: Device().synchronize(),
    memGetInfo=lambda: (MEMORY - HELD[current()], MEMORY),
)  # fmt: skip
cuda = SimpleNamespace(
    Device=Device, Stream=Stream, Event=Event, runtime=runtime, alloc_pinned_memory=alloc_pinned_memory,
    driver=SimpleNamespace(
        CUDADriverError=CUDADriverError, occupancyMaxActiveBlocksPerMultiprocessor=lambda kernel, block, shared: 1
    ),
    get_elapsed_time=lambda first, last: 1e3 * (last.at - first.at),
    get_current_stream=lambda device_id=None: current_stream(),
    compiler=SimpleNamespace(CompileException=CompileException), is_available=lambda: count() > 0,
    memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    nvrtc=SimpleNamespace(getVersion=lambda: (13, 0)), cublas=SimpleNamespace(getVersion=lambda handle: 130000),
)  # fmt: skip


def get_default_memory_pool() -> Any:
    """Bytes held."""
    return _pool


get_default_pinned_memory_pool = get_default_memory_pool
