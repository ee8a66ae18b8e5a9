"""Time as tests may judge it: of this process, which does not run on while the machine is busy with others."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager

SLOWEST = 6
"""Times as slow a machine may be as the one that limits were written on, neighbours on the same core included."""


@contextmanager
def at_once(seconds: float) -> Iterator[None]:
    """Fail if what is within needs more processor time, on a machine of the usual speed; no garbage of other tests is
    collected within.
    """
    gc.disable()
    begin = time.process_time()
    try:
        yield
    finally:
        spent = time.process_time() - begin
        gc.enable()
    assert spent < SLOWEST * seconds, f"{spent:.1f} s of processor time, at most {SLOWEST * seconds:g} allowed"
