"""The store's file operations: each replaces or removes one file, so that a kill falls between two of them.

And its lock: one writer a store, by an flock, which the system lets go when its process ends, however it ends.
"""

import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError, StoreError, StoreLockedError

PARTIAL = ".partial"
DOCUMENT = "zarr.json"


def put(root: Path, key: str, *parts: bytes | np.ndarray) -> None:
    """Write a file under a name of its own and rename it into place.

    No fsync: a killed process loses nothing, a power cut may lose what the system had not written yet (crc32c finds
    it).
    """
    target = os.path.join(root, key)
    partial = target + PARTIAL  # one writer holds the lock: the name is free
    try:
        with open(partial, "wb", buffering=0) as file:
            for part in parts:
                _write_all(file.fileno(), part)
        os.replace(partial, target)
    except OSError:
        Path(partial).unlink(missing_ok=True)
        raise


def _write_all(descriptor: int, part: bytes | np.ndarray) -> None:
    """A write may take less than all (signals, 2 GB at most a call)."""
    view = memoryview(part)  # type: ignore[arg-type]
    while len(view):
        view = view[os.write(descriptor, view) :]


def remove(root: Path, key: str) -> None:
    """Delete a file or a folder."""
    target = root / key
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def put_document(root: Path, path: str, document: Mapping[str, Any]) -> None:
    """Write a node's zarr.json, and its folder where that is new."""
    folder = root / path
    if path and not folder.is_dir():
        folder.mkdir()  # never its parents: a store that vanished must not come back half
    put(root, f"{path}/{DOCUMENT}" if path else DOCUMENT, json.dumps(document, allow_nan=False).encode())


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
