"""One writer a store: an flock, which the system lets go when its process ends, however it ends."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path

from ..errors import RunError, StoreError, StoreLockedError

LOCK = "sample_stats/draw/lock"
"""Inside an array's folder, where zarr never lists and so never wonders about it."""


class Lock:
    """The writer's lock on the store at `path`; StoreLockedError if another has it."""

    def __init__(self, path: Path, name: Path | None = None) -> None:
        name = name or path
        try:
            self._descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except OSError as error:
            raise StoreError(
                f"Store '{name}' cannot be written ({error.strerror}). Check its permissions, or copy it."
            ) from None
        try:
            self._take(path, name)
        except BaseException:
            os.close(self._descriptor)
            raise

    def _take(self, path: Path, name: Path) -> None:
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip()
            who = f"process {owner}" if owner else "another process"
            raise StoreLockedError(
                f"Store '{name}' is being written by {who}. Wait until it is done, or stop it first."
            ) from None
        except OSError as error:
            raise StoreError(
                f"Store '{name}' cannot be locked ({error.strerror}). Use a file system that supports flock."
            ) from None
        if not self._is_there(path):
            raise StoreLockedError(f"Store '{name}' was replaced by another process just now. Try again.")
        with contextlib.suppress(OSError):  # a full disk must not stop a recovery: the name is a courtesy
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, f"{os.getpid()} on {socket.gethostname()}".encode(), 0)

    def check(self, path: Path) -> None:
        """RunError unless the locked store is still the one at `path`: a writer must not write into its successor."""
        try:
            there = self._is_there(path)
        except OSError:
            there = False
        if not there:
            raise RunError(
                f"Store '{path}' vanished while it was written. Do not move, replace or delete a store that is being"
                " written."
            )

    def _is_there(self, path: Path) -> bool:
        ours, there = os.fstat(self._descriptor), os.stat(path / LOCK)
        return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)

    def release(self) -> None:
        """Let go; twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
