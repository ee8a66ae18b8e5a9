"""Kernels made before they are asked for, by cores that have nothing to do while the first one is compiled."""

import atexit
import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue

from ..kernels.toolchain import host_library, stop_compilers
from .base import cores

NAME = "gpu_thermo: compiling ahead"
"""Of the threads."""
_OVER = threading.Event()
"""Whether the program ends."""


def in_background(sources: Sequence[str]) -> None:
    """Have the host's libraries of these sources made, in this order, on all cores but one. Who asks for one waits for
    it, or makes it where nobody has begun, and is told why where it fails.
    """
    queue: SimpleQueue[str] = SimpleQueue()
    for source in sources:
        queue.put(source)
    for _ in range(min(cores() - 1, len(sources))):
        threading.Thread(target=_work, args=(queue,), name=NAME, daemon=True).start()


def _work(queue: SimpleQueue[str]) -> None:
    """As long as there is something to make, nothing fails, and there is somebody who may want it; what fails is raised
    anew to who asks.
    """
    with suppress(BaseException):  # Empty, and what stopped another thread that made the same one
        while not _OVER.is_set():
            host_library(queue.get_nowait())


def at_work() -> list[threading.Thread]:
    """Threads that compile ahead."""
    return [thread for thread in threading.enumerate() if thread.name == NAME]


@atexit.register
def _end() -> None:
    """Leave no compiler and no folder behind."""
    _OVER.set()
    if ours := at_work():
        stop_compilers()
    for thread in ours:
        thread.join(5.0)
