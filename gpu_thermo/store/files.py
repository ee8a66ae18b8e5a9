"""The store's file operations: each replaces or removes one file, so that a kill falls between two of them."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .arrays import ArraySpec, chunk_key, encode

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


def put_values(root: Path, path: str, spec: ArraySpec, values: np.ndarray) -> None:
    """Write all chunks of an array that is written whole."""
    for index in spec.keys():
        where = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, spec.chunks, strict=True))
        put(root, f"{path}/{chunk_key(index)}", *encode(values[where], spec))


def put_array(root: Path, path: str, spec: ArraySpec, values: np.ndarray) -> None:
    """Write the document and all chunks of an array."""
    put_document(root, path, spec.document())
    put_values(root, path, spec, values)
