"""Reading a store: the tree, the header, the checkpoint, and whether all of it is as it was written.

None of it needs the writer's lock.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray
import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype
from zarr.storage import LocalStore

from ..errors import StoreError
from ..state import State
from .files import DOCUMENT, find_links
from .foreign import ForeignStoreError, check_foreign, committed, length
from .header import Checkpoint, RunInfo, spec_digest
from .narrow import widen
from .record import Record, from_key, load_record, located, refuse_earlier
from .schema import SLOTS, Schema
from .soundness import Damage, check_files, damaged, odd_slot, scan

_TRIES = 20


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
    return open_written(real, chunks)


def open_written(path: str | os.PathLike[str], chunks: Mapping[str, int] | None = None) -> xarray.DataTree:
    """As `open_run`, of a store that this process has just written: its files are not looked at one by one."""
    real = located(path)
    try:
        # a store object, not its name: xarray would take "~" and "::" in a name for more than that
        tree = xarray.open_datatree(Results(real), engine="zarr", consolidated=True, chunks=chunks)  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"Store '{real}' cannot be opened: {error} verify_store lists damaged files.") from error
    widen(tree, real, chunks)
    return tree


class Results(LocalStore):
    """A store's folder without the checkpoints, read-only: what opens all that it is told of need not open these, which
    are a fifth of the arrays and most of the groups.
    """

    def __init__(self, root: Path | str, *, read_only: bool = True) -> None:
        super().__init__(root, read_only=read_only)

    async def get(
        self, key: str, prototype: BufferPrototype | None = None, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """As LocalStore's, but for the record, which is told without the checkpoints."""
        found = await super().get(key, prototype, byte_range)
        if key != DOCUMENT or found is None or byte_range is not None:
            return found
        root = json.loads(found.to_bytes())
        nodes = (root.get("consolidated_metadata") or {}).get("metadata") or {}
        for path in [path for path in nodes if path.partition("/")[0] == "checkpoint"]:
            del nodes[path]
        return type(found).from_bytes(json.dumps(root).encode())


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


REMARK = "remark_"
"""In front of the names of remarks, as attributes."""
_TEXTS = ("spec", "fingerprint", "engine", "device", "created_at", "run_id", "spec_digest", "data_fingerprint")


def _glance(root: Mapping[str, Any], schema: Schema, **progress: Any) -> RunInfo:
    text: dict[str, Any] = {name: str(root.get(name, "")) for name in _TEXTS}
    remarks = {name.removeprefix(REMARK): str(text) for name, text in root.items() if name.startswith(REMARK)}
    return RunInfo(
        remarks=remarks,
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
    for damage in odd_slot(root, record):
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
