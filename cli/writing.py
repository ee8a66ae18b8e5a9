"""Files that appear once they are whole, and leave nothing behind where a command is stopped."""

import errno
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from .output import say


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A place to write beside `path`, which takes its name at the end; by Ctrl-C, SIGTERM, SIGHUP and errors it is
    removed. What kill -9 left of an earlier one is written over.

    Raises
    ------
    RunError
        The disk is full.
    """
    from gpu_thermo.errors import RunError

    unfinished = path.with_name(f"{path.name}.partial")
    if unfinished.exists():
        say(f"{unfinished}, left by a command that was killed, is written over.")
    try:
        with stopped_in_order(f"nothing of {path} is kept."):
            yield unfinished
        unfinished.replace(path)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunError(
            f"The disk of '{path}' is full, and nothing of it is kept. Make room, and do it again."
        ) from None
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def stopped_in_order(said: str) -> Iterator[None]:
    """Let SIGINT (Ctrl-C), SIGTERM and SIGHUP end the command through everything that has to be put in order, with a
    word of where it stands and with exit codes of their own.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        """Say it and leave."""
        say(f"Stopped by {signal.Signals(signum).name}: {said}")
        raise SystemExit(128 + signum)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for signum, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(signum, stop)
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
