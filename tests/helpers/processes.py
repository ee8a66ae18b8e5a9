"""Processes below this one, and whether they are gone."""

import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

NEEDS_PROC = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are found in /proc")


def descendants(pid: int) -> list[int]:
    """Processes below one, those of its children included."""
    lists = [p.read_text().split() for p in Path(f"/proc/{pid}/task").glob("*/children")]
    return [found for pids in lists for child in map(int, pids) for found in (child, *descendants(child))]


def all_gone(pids: list[int], seconds: float = 10) -> bool:
    """Whether none of them runs any more, soon."""

    def running(pid: int) -> bool:
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    end = time.monotonic() + seconds
    while any(map(running, pids)) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(map(running, pids))


def wait_for_handlers(process: subprocess.Popen, seconds: float = 300) -> None:
    """Until a process that is to collect its signals does so, SIGHUP among them, or has ended."""
    end = time.monotonic() + seconds
    while process.poll() is None and time.monotonic() < end:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text()
        except OSError:  # no /proc, or it has just ended
            time.sleep(3)
            return
        if int(re.search(r"SigCgt:\s*(\w+)", status)[1], 16) >> (signal.SIGHUP - 1) & 1:
            return
        time.sleep(0.01)


def workers_of(pid: int) -> list[int]:
    """Dask's worker processes below one, beside the helpers of Python that are there, too."""
    return [one for one in descendants(pid) if b"spawn_main" in Path(f"/proc/{one}/cmdline").read_bytes()]
