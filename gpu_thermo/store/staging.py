"""Folders in which stores are built beside their final names, and what killed births left of them.

Whoever builds holds an flock on the folder, which ends with the process, however that ends: so a folder that can be
locked is nobody's any more, and the next birth in the same place clears it. Where folders cannot be locked (some
network file systems) nothing is cleared.
"""

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = re.compile(r"\.gpu_thermo-[0-9a-z_]{6,}\.partial")


@contextmanager
def staging(parent: Path) -> Iterator[Path]:
    """A new folder in `parent`, held by us; what has its name at the end is removed: nothing after a plain rename, the
    old store after an exchange.

    Raises
    ------
    OSError
        It cannot be made there.
    """
    clear(parent)
    folder, held = _make(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def _make(parent: Path) -> tuple[Path, int]:
    """A folder and our hold on it; another one where a clearing was quicker than our lock."""
    while True:
        folder = parent / f".gpu_thermo-{uuid.uuid4().hex[:12]}.partial"
        folder.mkdir()
        try:
            held = _open(folder)
        except FileNotFoundError:
            continue
        if (_lock(held) or not _lockable(held)) and folder.exists():
            return folder, held
        os.close(held)


def clear(parent: Path) -> int:
    """Remove the folders of ours that nobody holds; returns how many. What cannot be removed stays."""
    cleared = 0
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in [entry for entry in entries if _NAME.fullmatch(entry.name)]:
            with suppress(OSError):
                cleared += _clear_one(Path(entry.path))
    return cleared


def _clear_one(folder: Path) -> bool:
    held = _open(folder)  # refuses links and files
    try:
        if os.fstat(held).st_uid != os.geteuid() or not _lock(held):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    finally:
        os.close(held)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _lock(held: int) -> bool:
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _lockable(held: int) -> bool:
    """Whether a lock was refused because another has it, and not because there are none here."""
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True
