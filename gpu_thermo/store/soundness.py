"""Whether the files of a store are as they were written: there, whole, sound, and this run's.

A document may claim any shape; the files behind it cannot. Checking that each chunk file exists with its right size,
before anything is read, also bounds what reading can ask of memory.
"""

import json
import math
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import StoreError
from .arrays import STRING, ArraySpec, checksum, chunk_key, extended
from .files import DOCUMENT, read
from .record import Record
from .schema import SLOTS

_LEAST_TEXT = 8
_MAX_DOCUMENT = 2**20
_ABSENT, _NO_FILE = -1, -2


@dataclass(frozen=True)
class Damage:
    """One file of a store that is not as it was written: its path inside the store, and what is wrong."""

    file: str
    problem: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}"


def live_arrays(record: Record) -> dict[str, ArraySpec]:
    """All arrays but those of the idle checkpoint slot, which a kill may leave half written."""
    committed = f"{SLOTS[record.slot]}/" if record.slot >= 0 else None
    return {
        path: spec
        for path, spec in record.arrays.items()
        if not path.startswith("checkpoint/") or (committed is not None and path.startswith(committed))
    }


def missing_or_truncated(root: Path, path: str, spec: ArraySpec) -> Iterator[Damage]:
    """Chunk files of one array that are absent, of the wrong size, or no plain files."""
    folder = root / path
    if not folder.is_dir():
        yield Damage(path, "the folder is missing")
        return
    with os.scandir(folder) as entries:
        sizes = {
            entry.name: _size(entry.stat(follow_symlinks=False)) for entry in entries if entry.name.startswith("c")
        }
    expected = math.prod(spec.grid)
    if expected > len(sizes) + 1_000_000:  # do not enumerate what a document merely claims
        yield Damage(path, f"{expected} chunks are due, {len(sizes)} are there")
        return
    for index in spec.keys():
        key = chunk_key(index)
        size = sizes.get(key, _ABSENT)
        if not _fits(size, spec):
            size = _size_now(folder / key)  # the listing may have missed a file that was being replaced
        if not _fits(size, spec):
            what = {_ABSENT: "missing", _NO_FILE: "no plain file"}.get(size, f"{size} bytes, not {spec.chunk_bytes}")
            yield Damage(f"{path}/{key}", what)


def _size(status: os.stat_result) -> int:
    return status.st_size if stat.S_ISREG(status.st_mode) else _NO_FILE


def _size_now(path: Path) -> int:
    try:
        return _size(path.lstat())
    except OSError:
        return _ABSENT


def _fits(size: int, spec: ArraySpec) -> bool:
    return size >= _LEAST_TEXT if spec.dtype == STRING else size == spec.chunk_bytes


def check_files(root: Path, record: Record, arrays: dict[str, ArraySpec] | None = None) -> None:
    """StoreError that names the first damaged file of the committed arrays, if there is one."""
    for path, spec in (live_arrays(record) if arrays is None else arrays).items():
        for damage in (*_foreign(root, path, spec), *missing_or_truncated(root, path, spec)):
            raise damaged(root, damage)
        if spec.dtype == STRING:
            for damage in _unsound(root, path, spec):
                raise damaged(root, damage)


def damaged(root: Path, damage: Damage) -> StoreError:
    """The error for a damaged file."""
    return StoreError(
        f"Store '{root}' is damaged: {damage}. verify_store lists all damaged files; restore them from a copy, or run"
        " again."
    )


def _unsound(root: Path, path: str, spec: ArraySpec) -> Iterator[Damage]:
    """Chunks whose bytes do not fit their checksum, or text that claims more items than the array has."""
    for index in spec.keys():
        key = f"{path}/{chunk_key(index)}"
        try:
            data = np.fromfile(root / key, np.uint8)
        except OSError as error:
            yield Damage(key, f"cannot be read ({error.strerror})")
            continue
        if checksum(data[:-4]) != data[-4:].tobytes():
            yield Damage(key, "the bytes do not fit their checksum")
        elif spec.dtype == STRING and int.from_bytes(data[:4].tobytes(), "little") != math.prod(spec.chunks):
            yield Damage(key, "the number of texts is wrong")


def scan(root: Path, record: Record) -> list[Damage]:
    """Read every committed chunk; all damage found."""
    found = []
    for path, spec in live_arrays(record).items():
        found += _foreign(root, path, spec)
        absent = list(missing_or_truncated(root, path, spec))
        found += absent
        if not absent:
            found += list(_unsound(root, path, spec))
        elif all(damage.file != path for damage in absent):
            named = {damage.file for damage in absent}
            found += [damage for damage in _unsound(root, path, spec) if damage.file not in named]
    return found or [*strangers(root, record, live_arrays(record)), *odd_slot(root, record)]


# -- what belongs to another run ---------------------------------------------------------------------------------------


def _foreign(root: Path, path: str, spec: ArraySpec) -> list[Damage]:
    """The array whose own document names another run, as after a copy of a store that stopped half way. A document that
    is missing or no document is put right by recovery.
    """
    if not spec.run:
        return []
    try:
        theirs = json.loads(read(root, f"{path}/{DOCUMENT}", _MAX_DOCUMENT))["attributes"].get("run_id", "no id")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    if theirs == spec.run:
        return []
    return [Damage(path, f"of another run ({str(theirs)[:32]}; this one is {spec.run})")]


def strangers(root: Path, record: Record, arrays: Mapping[str, ArraySpec]) -> Iterator[Damage]:
    """Arrays that have chunks of another run: each is sound, and together they do not fit the record's checksum."""
    for path, spec in arrays.items():
        if spec.crc is not None and _crc(root, path, spec.whole_rows) != spec.crc:
            yield Damage(path, "sound chunks that are not those of this run: of another run, or of another time")


def odd_slot(root: Path, record: Record) -> Iterator[Damage]:
    """The committed slot, where its files are not those that the record was written with."""
    if record.slot < 0 or not record.run:
        return
    slot, crc = SLOTS[record.slot], 0
    paths = sorted(path for path in record.arrays if path.startswith(f"{slot}/"))
    for path in paths:
        crc = _crc(root, path, record.arrays[path].keys(), crc)
    if crc == record.groups[slot].get("crc32c"):
        return
    unsound = [damage for path in paths for damage in _unsound(root, path, record.arrays[path])]
    odd = Damage(slot, "this checkpoint is not the one that was committed: of another run, or of another commit")
    yield from unsound or [odd]


def _crc(root: Path, path: str, keys: Iterable[tuple[int, ...]], crc: int = 0) -> int:
    """crc32c over the checksums that the chunk files end with; -1 where one cannot be read."""
    folder = os.fspath(root / path)
    for key in keys:
        try:
            descriptor = os.open(f"{folder}/{chunk_key(key)}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return -1
        try:
            crc = extended(crc, os.pread(descriptor, 4, max(0, os.fstat(descriptor).st_size - 4)))
        finally:
            os.close(descriptor)
    return crc
