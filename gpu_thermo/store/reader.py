"""Reading a store: the tree, the header, the checkpoint, and whether the chunk files are there, whole and sound.

None of it needs the writer's lock.

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
from typing import Any

import numpy as np
import xarray
import zarr
from zarr.storage import LocalStore

from ..errors import StoreError
from ..state import State
from .arrays import STRING, ArraySpec, checksum, chunk_key, extended
from .files import DOCUMENT, find_links, read
from .foreign import ForeignStoreError, check_foreign, committed, length
from .header import Checkpoint, Header, RunInfo, spec_digest
from .record import Record, from_key, load_record, located, refuse_earlier
from .schema import CHANGING, SLOTS, Schema

_NODE, _DISK_BLOCK, _TRIES = 900, 4096, 20

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


def open_run(path: str | os.PathLike[str], chunks: Mapping[str, int] | None = None) -> xarray.DataTree:
    """The store as a DataTree, read-only, its arrays read when used; as xarray.open_datatree does, without the
    checkpoints.

    A tree shows the draws that were committed when it was opened, also while the run goes on; `predictive` and `status`
    may be newer.

    Parameters
    ----------
    path
        The store.
    chunks
        Given to xarray, for Dask arrays.

    Raises
    ------
    StoreError
        It is no store of ours, of another format, or damaged.
    """
    real = located(path)
    try:
        check_files(real, load_record(real))
    except ForeignStoreError as copy:
        check_foreign(real, copy.nodes)
    try:
        # a store object, not its name: xarray would take "~" and "::" in a name for more than that
        tree = xarray.open_datatree(LocalStore(real, read_only=True), engine="zarr", consolidated=True, chunks=chunks)  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"Store '{real}' cannot be opened: {error} verify_store lists damaged files.") from error
    return tree.drop_nodes("checkpoint", errors="ignore")


def read_header(path: str | os.PathLike[str]) -> RunInfo:
    """The store at a glance: spec, fingerprint, versions and progress; StoreError as for `open_run`, damaged arrays
    apart.
    """
    try:
        record = load_record(located(path))
    except ForeignStoreError as copy:
        return _glance(copy.attributes, copy.schema, **_progress(located(path), copy.nodes), foreign=True)
    return _glance(
        record.attributes, record.schema, step=record.step, draws=record.draws, trace_steps=record.trace_steps,
        attributes=record.commit_attributes,
    )  # fmt: skip


_TEXTS = ("spec", "fingerprint", "engine", "device", "created_at", "run_id", "spec_digest", "data_fingerprint")


def _glance(root: Mapping[str, Any], schema: Schema, **progress: Any) -> RunInfo:
    text: dict[str, Any] = {name: str(root.get(name, "")) for name in _TEXTS}
    return RunInfo(
        **text, **progress, format=root["format"], versions=_versions(root.get("versions")), replicas=schema.replicas,
        parameters=schema.parameters, keep=schema.keep, expected_draws=schema.draws,
    )  # fmt: skip


def _progress(path: Path, nodes: Mapping[str, Any]) -> dict[str, Any]:
    """How far a run was when another program copied it, by its commit, or, where that was left out, its draws."""
    step, text = committed(nodes)
    if step < 0:
        tree = open_run(path)
        places = ("sample_stats/step", "trace/step")
        step = max((int(tree[p].to_numpy().max()) for p in places if p in nodes and tree[p].size), default=0)
    try:
        attributes = json.loads(text)
    except (ValueError, RecursionError):
        attributes = {}
    return {
        "step": step, "draws": length(nodes, "sample_stats/draw"), "trace_steps": length(nodes, "trace/step"),
        "attributes": attributes if isinstance(attributes, dict) else {},
    }  # fmt: skip


def require_resumable(path: str | os.PathLike[str], info: RunInfo) -> None:
    """StoreError for a store that can be read and not continued: of an earlier format, or with another spec than it
    was sampled with.
    """
    refuse_earlier(Path(path), info.format)
    if info.foreign:
        raise ForeignStoreError(path)
    if info.spec_digest != spec_digest(info.spec):
        raise StoreError(
            f"The spec in store '{path}' was edited after the run began (its attribute `spec` does not fit"
            " `spec_digest`), so that the run it describes is not the one in the store. Put the spec back, or start a"
            " new run with the edited one."
        )


def _versions(text: Any) -> dict[str, str]:
    try:
        return {str(name): str(value) for name, value in json.loads(text).items()}
    except (ValueError, TypeError, AttributeError, RecursionError):
        return {}


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """The last committed checkpoint, also of a run that goes on; StoreError as for `open_run`."""
    real = located(path)
    for attempt in range(_TRIES):
        record = load_record(real)
        try:
            slot = {path: spec for path, spec in record.arrays.items() if path.startswith(f"checkpoint/{record.slot}/")}
            check_files(real, record, slot)
            checkpoint = read_slot(real, record)[0]
        except (StoreError, OSError):
            if attempt == _TRIES - 1 or _commit(load_record(real)) == _commit(record):
                raise
            continue
        if _commit(load_record(real)) == _commit(record):
            return checkpoint  # a slot is written again only after the record has named the other
    raise StoreError(f"Store '{real}' commits faster than its checkpoint can be read. Try again, or stop the run.")


def _commit(record: Record) -> tuple[int, int, int]:
    return record.slot, record.step, record.draws


def verify_store(path: str | os.PathLike[str]) -> list[Damage]:
    """Read every committed chunk and name the files that are missing, truncated or corrupted; [] for a sound store.

    Raises
    ------
    StoreError
        It is no store of ours, of another format, or its root document is damaged.
    """
    real = located(path)
    if links := [Damage(link, "a link, through which nothing is read or written") for link in find_links(real)]:
        return links
    for _ in range(_TRIES):
        record = load_record(real)
        found = scan(real, record)
        if not found or _commit(load_record(real)) == _commit(record):
            break  # else the run went on, and a checkpoint may have been written meanwhile
    return found


def disk_bill(header: Header, extra: int = 0) -> int:
    """Bytes that the finished store takes, in disk blocks; `extra` is what the running sums and State.extra need,
    once.
    """
    schema = Schema.of(header)
    total = 0
    for path, spec in schema.arrays().items():
        grown = _grown(schema, path, spec)
        total += _blocks(_NODE) + _DISK_BLOCK + (grown.stored_bytes // grown.chunk_bytes) * _blocks(grown.chunk_bytes)
    wide = 3 * schema.replicas * schema.parameters * (8 if schema.dtype == "float64" else 4)
    narrow = schema.replicas * (8 * len(schema.partitions) + 8 + 4 + 8)
    shown = sum(_blocks(spec.stored_bytes) for path, spec in schema.arrays().items() if path.startswith("predictive/"))
    small = (len(schema.groups()) + len(SLOTS) * (5 + len(CHANGING) + len(schema.predictive))) * 3 * _DISK_BLOCK
    constant = len(header.spec) + len(schema.arrays()) * _NODE
    return total + len(SLOTS) * (wide + narrow + shown + extra) + small + constant


def array_bytes(header: Header) -> int:
    """Bytes of all arrays of the finished store in memory, checkpoints aside."""
    schema = Schema.of(header)
    return sum(_grown(schema, path, spec).nbytes for path, spec in schema.arrays().items())


def draw_bytes(header: Header) -> dict[str, int]:
    """Bytes of one draw as it is handed over, by group: posterior, probes, sample_stats."""
    schema = Schema.of(header)
    each = {group: 0 for group in schema.sampled}
    for path, spec in schema.arrays().items():
        group = path.partition("/")[0]
        if group in each and spec.grows is not None:
            each[group] += spec.at(1).nbytes
    return each


def gathering_bytes(header: Header) -> int:
    """Bytes of the rows of chunks that draws gather in until they are full, while the store is written."""
    schema = Schema.of(header)
    growing = {path: spec for path, spec in schema.arrays().items() if spec.grows is not None}
    lengths = {path: min(spec.chunks[spec.grows or 0], _length(schema, path)) for path, spec in growing.items()}
    return sum(spec.at(lengths[path]).nbytes for path, spec in growing.items() if lengths[path] > 1)


def _grown(schema: Schema, path: str, spec: ArraySpec) -> ArraySpec:
    return spec.at(_length(schema, path))


def _length(schema: Schema, path: str) -> int:
    """Of an array that grows, when the run is done."""
    return schema.trace_steps if path.partition("/")[0] in schema.traced else schema.draws


def _blocks(size: int) -> int:
    return -(-size // _DISK_BLOCK) * _DISK_BLOCK


def read_arrays(root: Path, record: Record, prefix: str) -> dict[str, np.ndarray]:
    """All arrays below `prefix/`, read whole; StoreError where a checksum fails."""
    out = {}
    for path in record.arrays:
        if path.startswith(f"{prefix}/"):
            out[path.removeprefix(f"{prefix}/")] = read_array(root, record, path)
    return out


def read_array(root: Path, record: Record, path: str, where: Any = ...) -> np.ndarray:
    """One array, or part of it, at the shape the record gives it; StoreError where a checksum fails."""
    array: Any = zarr.Array.from_dict(
        zarr.storage.StorePath(LocalStore(root, read_only=True), path), record.arrays[path].document()
    )
    try:
        return np.asarray(array[where])
    except ValueError as error:
        raise StoreError(
            f"Store '{root}' is damaged: {path}: {error} verify_store names the file; restore it from a copy."
        ) from None


def read_slot(root: Path, record: Record) -> tuple[Checkpoint, dict[str, np.ndarray]]:
    """The committed checkpoint, and the values of group `predictive` that belong to it."""
    checkpoint = Checkpoint(None, {}, record.step, record.draws, record.trace_steps, record.commit_attributes)
    if record.slot < 0:
        return checkpoint, {}
    slot = SLOTS[record.slot]
    for damage in _odd_slot(root, record):
        raise damaged(root, damage)
    arrays = read_arrays(root, record, slot)
    checkpoint.sums = {
        from_key(name.removeprefix("sums/")): value for name, value in arrays.items() if name.startswith("sums/")
    }
    predictive = {
        name.removeprefix("predictive/"): value for name, value in arrays.items() if name.startswith("predictive/")
    }
    own = {
        f"extra/{from_key(name.removeprefix('extra/'))}" if name.startswith("extra/") else name: value
        for name, value in arrays.items()
        if not name.startswith(("sums/", "predictive/"))
    }
    checkpoint.state = State.from_arrays(own, record.step, record.groups[slot]["evaluations"])
    return checkpoint, predictive


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
    return found or [*strangers(root, record, live_arrays(record)), *_odd_slot(root, record)]


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


def _odd_slot(root: Path, record: Record) -> Iterator[Damage]:
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
