"""Time as tests may judge it: of this process, which does not run on while the machine is busy with others."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def at_once(seconds: float) -> Iterator[None]:
    """Fail if what is within needs more processor time."""
    begin = time.process_time()
    yield
    spent = time.process_time() - begin
    assert spent < seconds, f"{spent:.1f} s of processor time, at most {seconds:g} allowed"
