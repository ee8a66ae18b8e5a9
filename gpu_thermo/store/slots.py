"""Checkpoint slots: the whole State, the running sums and what is derived from them, written to whichever slot the
record does not name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.storage import LocalStore

from ..errors import StoreError
from ..state import State
from .arrays import ArraySpec, dtype_name
from .files import put_array, put_document, put_values, remove
from .header import Checkpoint
from .record import Record, from_key, group_document, to_key
from .schema import SLOTS, Schema


@dataclass
class Commit:
    """One commit on its way to the disk; the arrays are copies."""

    step: int
    evaluations: int
    arrays: dict[str, np.ndarray]
    predictive: dict[str, np.ndarray]
    attributes: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls, state: State, sums: Mapping[str, Any], predictive: Mapping[str, Any], attributes: Mapping[str, Any]
    ) -> "Commit":
        """Copies of everything, under the names of a slot."""
        named = {_key(name): np.array(value) for name, value in state.arrays().items()}
        named |= {f"sums/{to_key(name)}": np.array(value) for name, value in sums.items()}
        shown = {name: np.array(value, np.float64) for name, value in predictive.items()}
        return cls(int(state.step), int(state.evaluations), named, shown, dict(attributes))


def _key(name: str) -> str:
    return f"extra/{to_key(name.removeprefix('extra/'))}" if name.startswith("extra/") else to_key(name)


def write_slot(root: Path, record: Record, slot: str, commit: Commit) -> None:
    """Fill a slot and enter its arrays in the record; those of an older state that are no more are removed."""
    arrays = commit.arrays | {f"predictive/{name}": value for name, value in commit.predictive.items()}
    specs = {name: _spec(name, value, record.schema) for name, value in arrays.items()}
    for path in [
        path for path in record.arrays if path.startswith(f"{slot}/") and path.removeprefix(f"{slot}/") not in specs
    ]:
        remove(root, path)
        del record.arrays[path]
    for name, spec in specs.items():
        path = f"{slot}/{name}"
        if record.arrays.get(path) == spec:
            put_values(root, path, spec, arrays[name])
        else:
            remove(root, path)
            put_array(root, path, spec, arrays[name])
        record.arrays[path] = spec
    record.groups[slot] = {"step": commit.step, "evaluations": commit.evaluations}
    put_document(root, slot, group_document(record.groups[slot]))


def _spec(name: str, value: np.ndarray, schema: Schema) -> ArraySpec:
    """The spec of a slot's array; axes are named after the array unless they are known, since names must agree within a
    group.
    """
    known = {
        "position": "parameter",
        "momentum": "parameter",
        "gradient": "parameter",
        "thermostat": "thermostat_partition",
    }
    word = name.rpartition("/")[2]
    dims = tuple(f"{word}_dim_{i}" for i in range(value.ndim))
    if "/" not in name and value.ndim and value.shape[0] == schema.replicas:
        dims = ("chain", *((known[name],) if name in known else dims[1:]))
    return ArraySpec.fixed(dims, value.shape, dtype_name(value.dtype))


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
