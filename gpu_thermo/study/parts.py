"""Parts of a study: what each finished shard leaves on disk, written whole and renamed into place. They are the commit
record; the data set (assembly.py) is made again from them whenever a study ends or stops.

    STUDY.zarr/              a plain Zarr group: xarray opens it as it is
      status/parts/ID.npz    one finished shard
      status/runs/ID.zarr    a run that stops itself, under way
      status/lock            held by the coordinator

(Inside an array's folder, where Zarr never lists and so never wonders about them.) A part never changes; a run whose
part is missing has status -1.
"""

import os
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import RunError
from . import builds
from .shards import Shard

PENDING = -1
"""Status of a run that was not done yet."""
PARTS = Path("status") / "parts"
"""Where they are in a store."""
RUNS = Path("status") / "runs"
"""Where runs that stop themselves are while they are under way, and when they are kept."""
NOTICES = "notices"
"""The array of a part that says, as JSON, what of its runs is allowed but rarely meant."""


def part_path(store: Path, shard_id: str) -> Path:
    """Where the part of a shard is."""
    return store / PARTS / f"{shard_id}.npz"


def write_part(store: Path, shard: Shard, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a finished shard; RunError where the disk is full or the folder is gone."""
    try:
        _write(store, shard.id, arrays)
    except OSError as error:
        raise RunError(
            f"Shard {shard.id} could not be written to '{store}': {error.strerror or error}. What was done before is"
            " kept: mend the cause, then give the same command to continue."
        ) from error


def _write(store: Path, shard_id: str, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a part whole and rename it into place; two writers of the same part write the same numbers, and either may
    win.
    """
    target = part_path(store, shard_id)
    descriptor, name = tempfile.mkstemp(prefix=f"{shard_id}-", suffix=".partial", dir=target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(name, target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def is_done(store: Path, shard: Shard) -> bool:
    """Whether the part of `shard` is there and whole; one that was cut short (power, copying) counts as missing."""
    path = part_path(store, shard.id)
    if not path.exists():
        return False
    try:
        with zipfile.ZipFile(path) as file:
            return "rows.npy" in file.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def part_builds(store: Path, done: Iterable[Shard]) -> Iterator[tuple[Shard, dict[str, str]]]:
    """Finished shards, each with the build that made it."""
    for shard, part in each_part(store, done):
        yield shard, builds.from_part(part)


def remove_part(store: Path, shard: Shard) -> None:
    """Forget a finished shard."""
    part_path(store, shard.id).unlink(missing_ok=True)


def each_part(store: Path, done: Iterable[Shard]) -> Iterator[tuple[Shard, Any]]:
    """Every shard with its arrays. Where its runs belong is for the shard to say: the study may have been extended
    since.
    """
    for shard in done:
        with np.load(part_path(store, shard.id), allow_pickle=False) as part:
            yield shard, part
