"""Creating a store: built whole beside its final name, then renamed."""

import ctypes
import errno
import json
import os
import secrets
import shutil
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DiskError, StoreError, StoreExistsError
from .arrays import ArraySpec, put_array
from .files import LOCK, Lock, as_path, put_document
from .header import FORMAT, Header, spec_digest
from .meaning import meaning
from .record import MAKER, Record, group_document, is_ours, require_assertions
from .schema import CHANGING, TUNING, Schema
from .staging import staging

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def create_store(path: Path, header: Header, overwrite: bool) -> tuple[Path, Record, Lock]:
    """A store at step 0, locked by us.

    Raises
    ------
    StoreExistsError
        The path exists and `overwrite` is not set.
    StoreError
        It cannot be written there, or `overwrite` would replace something that is not a store of ours.
    """
    require_assertions()
    schema = Schema.of(header)
    path = _real(path)
    old = _old_lock(path, overwrite)
    try:
        with staging(path.parent) as folder:
            record = _build(folder, header, schema)
            lock = Lock(folder, path)
            try:
                _move_in(folder, path, replace=old is not None)
            except BaseException:
                lock.release()
                raise
    except OSError as error:
        raise _refusal(path, error) from error
    finally:
        if old is not None:
            old.release()
    return path, record, lock


def _real(path: Path) -> Path:
    """The path without links, so that `overwrite` replaces what a link names; StoreError where the parent is none."""
    try:
        real = Path(os.path.realpath(as_path(path)))
    except FileNotFoundError:  # only the current folder is asked for
        raise StoreError("The current folder was deleted. Change to one that exists.") from None
    except (OSError, ValueError) as error:
        raise _no_place(path, error) from None
    try:
        real.lstat()
    except FileNotFoundError:
        pass
    except NotADirectoryError:
        raise StoreError(f"'{path}' lies below a file. Name a place inside a folder.") from None
    except (OSError, ValueError) as error:
        raise _no_place(path, error) from None
    if not real.parent.is_dir():
        raise StoreError(f"The folder '{real.parent}' does not exist. Make it first, or choose another place.")
    return real


def _no_place(path: Path, error: Exception) -> StoreError:
    why = getattr(error, "strerror", None) or error
    return StoreError(f"No store can be made at '{path}': {why}. Choose another name.")


def _old_lock(path: Path, overwrite: bool) -> Lock | None:
    """Refuse an existing path, or lock the store that is to be replaced."""
    if not os.path.lexists(path):
        return None
    if not overwrite:
        raise StoreExistsError(
            f"'{path}' exists already. Choose another name, or ask for it to be replaced (--overwrite)."
        )
    if path.is_dir() and not os.listdir(path):
        return None
    if not is_ours(path) or not (path / LOCK).parent.is_dir():
        raise StoreError(
            f"'{path}' is no store of {MAKER} and is not replaced. Remove it yourself, or choose another name."
        )
    return Lock(path)


def _build(folder: Path, header: Header, schema: Schema) -> Record:
    """Write all groups and arrays at step 0; the record last."""
    run, derived = secrets.token_hex(16), schema.derived()
    arrays = {
        p: replace(s, run=run, crc=None if p in derived else 0, about=meaning(p, schema, header.about))
        for p, s in schema.arrays().items()
    }
    groups = {path: _group_attributes(path, header, schema) for path in schema.groups()}
    record = Record(_root_attributes(header, schema) | {"run_id": run}, schema, groups, arrays)
    put_document(folder, "", group_document(record.attributes))
    for path, attributes in record.groups.items():
        put_document(folder, path, group_document(attributes))
    for path, spec in arrays.items():
        arrays[path], _ = put_array(folder, path, spec, _initial(path, spec, header, schema))
    put_document(folder, "", record.document())
    return record


def _root_attributes(header: Header, schema: Schema) -> dict[str, str | int | float]:
    odd = sorted(name for name, value in header.attributes.items() if not isinstance(value, str | int | float))
    if odd:
        raise StoreError(f"The attribute '{odd[0]}' of the store is neither a number nor text. Give it as JSON text.")
    return {
        **header.attributes,
        "format": FORMAT,
        "spec": header.spec,
        "spec_digest": spec_digest(header.spec),
        "data_fingerprint": header.data_fingerprint,
        "fingerprint": header.fingerprint,
        "engine": header.engine,
        "device": header.device,
        "versions": json.dumps(dict(header.versions), sort_keys=True),
        "schema": schema.to_json(),
        **_credits(header),
    }


def _credits(header: Header) -> dict[str, str]:
    """What ArviZ looks for in a group."""
    return {
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "inference_library": MAKER,
        "inference_library_version": header.versions.get(MAKER, "unknown"),
    }


def _group_attributes(path: str, header: Header, schema: Schema) -> dict[str, Any]:
    if path == "checkpoint":
        return {"slot": -1, "step": 0, "draws": 0, "attributes": "{}"}
    if path.startswith("checkpoint/") or path == TUNING:
        return {}
    return {"coordinates": schema.coordinates(path)} | (_credits(header) if path in schema.chained else {})


def initial_values(name: str, spec: ArraySpec) -> np.ndarray:
    """What an array that the run fills holds before its first commit: running, never frozen, NaN."""
    return np.full(spec.shape, -1 if name == "frozen_step" else spec.fill, spec.dtype)


def _initial(path: str, spec: ArraySpec, header: Header, schema: Schema) -> np.ndarray:
    group, _, name = path.partition("/")
    if spec.grows is not None or (group == "predictive" and name in schema.predictive):
        return initial_values(name, spec)
    if group == "constant_data" and name in schema.constant:
        return np.asarray(header.probes if name == "x_probe" else header.constant[name][1])
    if name in CHANGING:
        return initial_values(name, spec)
    if name in header.chain and group in schema.chained:
        each = np.asarray(header.chain[name])
        return each if spec.dims == ("replica",) else schema.of_chain(each)
    if group == "predictive" and name in header.ensembles:
        return np.asarray(header.ensembles[name])
    if name == "ladder":
        return np.arange(schema.replicas) // schema.together
    return schema.labels(name, spec.shape[0])


def _move_in(folder: Path, path: Path, replace: bool) -> None:
    """Rename; an old store, locked by us, is exchanged with the new one in one step if the system can."""
    try:
        os.rename(folder, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if not replace:
            raise StoreExistsError(f"'{path}' was created by another process meanwhile. Choose another name.") from None
        if not _exchange(folder, path):
            aside = folder.with_suffix(".old")
            os.rename(path, aside)
            os.rename(folder, path)
            shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names atomically (Linux, most file systems); False where that cannot be done."""
    if not sys.platform.startswith("linux"):
        return False
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    return (
        rename is not None and rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
    )


def _refusal(path: Path, error: OSError) -> StoreError:
    """The error for a store that could not be born."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskError(
            f"The disk of '{path.parent}' is full{_free(path.parent)}, or a limit on files is reached: store"
            f" '{path.name}' was not created ({error.strerror}). Make room, or choose another place."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StoreError(
            f"Store '{path}' cannot be written ({error.strerror}). Check the folder's permissions, or choose another"
            " place."
        )
    return DiskError(f"Store '{path}' cannot be written ({error.strerror}). Check its disk, or choose another place.")


def _free(folder: Path) -> str:
    """How much room there is, where the system tells."""
    try:
        return f" ({shutil.disk_usage(folder).free / 2**20:.1f} MiB are free)"
    except OSError:
        return ""
