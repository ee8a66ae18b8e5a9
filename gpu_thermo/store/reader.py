"""Reading a store: the tree, the header, the checkpoint, the check. None of it needs the writer's lock."""

import json
import os
from collections.abc import Mapping
from typing import Any

import xarray
from zarr.storage import LocalStore

from ..errors import StoreError
from .header import Checkpoint, Header, RunInfo
from .record import Record, load_record, located
from .scan import Damage, check_files, scan
from .schema import CHANGING, SLOTS, Schema
from .slots import read_slot

_NODE, _DISK_BLOCK, _TRIES = 900, 4096, 20


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
    check_files(real, load_record(real))
    try:
        # a store object, not its name: xarray would take "~" and "::" in a name for more than that
        tree = xarray.open_datatree(LocalStore(real, read_only=True), engine="zarr", consolidated=True, chunks=chunks)  # type: ignore[arg-type]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"Store '{real}' cannot be opened: {error} verify_store lists damaged files.") from error
    return tree.drop_nodes("checkpoint")


def read_header(path: str | os.PathLike[str]) -> RunInfo:
    """The store at a glance: spec, fingerprint, versions and progress; StoreError as for `open_run`, damaged arrays
    apart.
    """
    record = load_record(located(path))
    root, schema = record.attributes, record.schema
    text = {name: str(root.get(name, "")) for name in ("spec", "fingerprint", "engine", "device", "created_at")}
    return RunInfo(
        **text, format=root["format"], versions=_versions(root.get("versions")),
        replicas=schema.replicas, parameters=schema.parameters, keep=schema.keep,
        step=record.step, draws=record.draws, expected_draws=schema.draws, trace_steps=record.trace_steps,
        attributes=record.commit_attributes,
    )  # fmt: skip


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
    return scan(real, load_record(real))


def disk_bill(header: Header, extra: int = 0) -> int:
    """Bytes that the finished store takes, in disk blocks; `extra` is what the running sums and State.extra need,
    once.
    """
    schema = Schema.of(header)
    total = 0
    for path, spec in schema.arrays().items():
        grown = spec.at(schema.trace_steps if path.startswith("trace/") else schema.draws)
        total += _blocks(_NODE) + _DISK_BLOCK + (grown.stored_bytes // grown.chunk_bytes) * _blocks(grown.chunk_bytes)
    wide = 3 * schema.replicas * schema.parameters * (8 if schema.dtype == "float64" else 4)
    narrow = schema.replicas * (8 * len(schema.partitions) + 8 + 4 + 8)
    shown = sum(_blocks(spec.stored_bytes) for path, spec in schema.arrays().items() if path.startswith("predictive/"))
    small = (len(schema.groups()) + len(SLOTS) * (5 + len(CHANGING) + len(schema.predictive))) * 3 * _DISK_BLOCK
    constant = len(header.spec) + len(schema.arrays()) * _NODE
    return total + len(SLOTS) * (wide + narrow + shown + extra) + small + constant


def _blocks(size: int) -> int:
    return -(-size // _DISK_BLOCK) * _DISK_BLOCK
