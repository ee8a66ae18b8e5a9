"""Kernels made before they are asked for, by cores that have nothing to do while the first one is compiled."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue

from ..kernels.toolchain import host_library
from .base import cores

NAME = "gpu_thermo: compiling ahead"
"""Of the threads."""


def in_background(sources: Sequence[str]) -> None:
    """Have the host's libraries of these sources made, in this order, on all cores but one. Who asks for one waits for
    it, or makes it where nobody has begun, and is told why where it fails.
    """
    queue: SimpleQueue[str] = SimpleQueue()
    for source in sources:
        queue.put(source)
    for _ in range(min(cores() - 1, len(sources))):
        threading.Thread(target=_work, args=(queue,), name=NAME).start()


def _work(queue: SimpleQueue[str]) -> None:
    """As long as there is something to make, and a program that may want it."""
    with suppress(Empty):
        while threading.main_thread().is_alive():
            source = queue.get_nowait()
            with suppress(Exception):  # raised anew to who asks
                host_library(source)
