"""The store's file operations: each replaces or removes one file, so that a kill falls between two of them.

None leaves the store: a link in it, at any level, would lead what is written, or deleted, somewhere else, so that
stores with links are refused whole, and each operation looks at every folder on its way.

And its lock: one writer a store, by an flock, which the system lets go when its process ends, however it ends.
"""

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import socket
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError, StoreError, StoreLockedError

PARTIAL = ".partial"
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")
"""How a URL begins; one letter before the colon is a drive. Paths have lost one of the slashes."""
DOCUMENT = "zarr.json"


def as_path(place: str | os.PathLike[str]) -> Path:
    """A folder or file named by the user; StoreError for what names none: a URL, a run in memory."""
    if not isinstance(place, str | os.PathLike):
        raise StoreError(
            f"A store is a folder, named by its path, and this is {type(place).__name__}. A run in memory has none:"
            " sample it into one (sample(spec, store)) to resume it or to read it by its name."
        )
    text = os.fspath(place)
    if isinstance(text, str) and _URL.match(text) and not os.path.lexists(text):
        raise StoreError(
            f"'{text}' is a URL and no folder: stores are folders of a file system. Copy the store here, or mount what"
            " holds it."
        )
    return Path(text)


def find_links(root: str | os.PathLike[str]) -> Iterator[str]:
    """Every link below `root`, by its path from there; what is no folder, or vanishes meanwhile, is passed over."""
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except (FileNotFoundError, NotADirectoryError):
            continue
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink():
                yield path
            elif entry.is_dir(follow_symlinks=False):
                folders.append(path)


def refuse_links(root: Path) -> None:
    """StoreError that names the first link below `root`."""
    for path in find_links(root):
        raise _linked(root, path)


def _linked(root: Path, path: str) -> StoreError:
    return StoreError(
        f"'{path}' in store '{root}' is a link, and nothing is read or written through one: it could lead anywhere."
        " Put what it names in its place, or restore the store from a copy."
    )


def inside(root: Path, key: str) -> str:
    """Where `key` lies; StoreError if any part of the way below `root` is a link."""
    path = os.fspath(root)
    for part in key.split("/"):
        path = f"{path}/{part}"
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                raise _linked(root, os.path.relpath(path, root))
        except FileNotFoundError:
            return f"{os.fspath(root)}/{key}"
    return path


def read(root: Path, key: str, most: int) -> bytes:
    """At most `most` bytes of a file; OSError where it is none (a pipe would never end)."""
    path = inside(root, key)
    if not stat.S_ISREG(os.lstat(path).st_mode):
        raise OSError(errno.EINVAL, "no plain file", path)
    with open(path, "rb") as file:
        return file.read(most)


def put(root: Path, key: str, *parts: bytes | np.ndarray) -> None:
    """Write a file under a name of its own and rename it into place.

    No fsync: a killed process loses nothing, a power cut may lose what the system had not written yet (crc32c finds
    it).
    """
    target = inside(root, key)
    partial = target + PARTIAL  # one writer holds the lock: the name is free
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
        try:
            for part in parts:
                _write_all(descriptor, part)
        finally:
            os.close(descriptor)
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
    target = Path(inside(root, key))
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def make_folder(root: Path, path: str) -> None:
    """A node's folder, where that is new."""
    if not path:
        return
    folder = inside(root, path)
    try:
        os.mkdir(folder)  # never its parents: a store that vanished must not come back half
    except FileExistsError:
        if not os.path.isdir(folder):
            raise


def put_document(root: Path, path: str, document: Mapping[str, Any]) -> None:
    """Write a node's zarr.json, and its folder where that is new."""
    make_folder(root, path)
    put_json(root, f"{path}/{DOCUMENT}" if path else DOCUMENT, document)


def put_json(root: Path, key: str, document: Mapping[str, Any]) -> None:
    """Write a file of JSON."""
    put(root, key, json.dumps(document, allow_nan=False).encode())


LOCK = "sample_stats/draw/lock"
"""Inside an array's folder, where zarr never lists and so never wonders about it."""


class Lock:
    """The writer's lock on the store at `path`; StoreLockedError if another has it."""

    def __init__(self, path: Path, name: Path | None = None) -> None:
        name = name or path
        try:
            self._descriptor = os.open(inside(path, LOCK), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
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
