"""Seconds and processor seconds from the start of a process, that of judging left out."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def processor() -> float:
    """Seconds of this process and of those it has waited for: compilers, too."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def begun() -> Callable[[], dict[str, float]]:
    """What to call at the end: `seconds` of the processor over 2, what two idle cores would take, and of the clock."""
    work, wall = processor(), time.perf_counter()
    return lambda: {"seconds": (processor() - work) / 2, "wall": time.perf_counter() - wall}


class Clock:
    """Runs from `start`, a reading of `time.monotonic` when the process was asked for, unless it is stopped."""

    def __init__(self, start: float) -> None:
        self._start, self._paused, self._processor = start, 0.0, 0.0

    def now(self) -> tuple[float, float]:
        """Seconds by the clock, and of the processor."""
        return time.monotonic() - self._start - self._paused, processor() - self._processor

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """What is done meanwhile does not count."""
        wall, work = time.monotonic(), processor()
        yield
        self._paused += time.monotonic() - wall
        self._processor += processor() - work
