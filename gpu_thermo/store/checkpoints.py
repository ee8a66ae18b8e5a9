"""Checkpoints written, and recovery from them.

A slot holds the whole State, the running sums and what is derived from them; each commit writes whichever slot the
record does not name. Recovery brings the files back to the last commit: only the record is trusted, and every step may
be interrupted and done again.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..state import State
from .arrays import ArraySpec, Growing, dtype_name, extended, put_array, put_values
from .birth import initial_values
from .files import DOCUMENT, PARTIAL, put_document, read, remove
from .header import Checkpoint
from .reader import read_array, read_slot
from .record import Record, group_document, to_key
from .schema import CHANGING, Schema
from .soundness import Damage, check_files, damaged, strangers

LARGEST = 2**20
"""Bytes of a node's document; ours have less than a thousand."""


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
    specs = {name: _spec(name, arrays[name], record) for name in sorted(arrays)}
    for path in [
        path for path in record.arrays if path.startswith(f"{slot}/") and path.removeprefix(f"{slot}/") not in specs
    ]:
        remove(root, path)
        del record.arrays[path]
    crc = 0
    for name, spec in specs.items():
        path = f"{slot}/{name}"
        if record.arrays.get(path) == spec:
            checks = put_values(root, path, spec, arrays[name])
        else:
            remove(root, path)
            _, checks = put_array(root, path, spec, arrays[name])
        record.arrays[path], crc = spec, extended(crc, checks)
    own = {"run_id": record.run, "crc32c": crc}
    record.groups[slot] = {"step": commit.step, "evaluations": commit.evaluations} | own
    put_document(root, slot, group_document(record.groups[slot]))


def _spec(name: str, value: np.ndarray, record: Record) -> ArraySpec:
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
    if "/" not in name and value.ndim and value.shape[0] == record.schema.replicas:
        dims = ("chain", *((known[name],) if name in known else dims[1:]))
    return ArraySpec.fixed(dims, value.shape, dtype_name(value.dtype), run=record.run)


def recover(root: Path, record: Record) -> tuple[Checkpoint, dict[str, Growing]]:
    """Undo what was written after the last commit; returns the checkpoint and the arrays' writing ends. The caller
    holds the lock.

    Raises
    ------
    StoreError
        Committed files are missing or damaged.
    """
    fixed, growing, slot = _split(record)
    check_files(root, record, fixed | growing | slot)
    for damage in strangers(root, record, fixed | growing):
        raise damaged(root, damage)
    _remove_leftovers(root, record)
    for path, spec in growing.items():
        truncate(root / path, spec)
    _restore_documents(root, record)
    checkpoint, predictive = read_slot(root, record)
    _restore_derived(root, record, checkpoint, predictive)
    return checkpoint, {path: _reopen(root, record, path, spec) for path, spec in growing.items()}


def _split(record: Record) -> tuple[dict[str, ArraySpec], ...]:
    """The arrays that never change, those that grow, and those of the committed slot; what derives from the slot is
    left out.
    """
    derived = record.schema.derived()
    outside = {p: s for p, s in record.arrays.items() if not p.startswith("checkpoint/") and p not in derived}
    growing = {p: s for p, s in outside.items() if s.grows is not None}
    slot = {p: s for p, s in record.arrays.items() if record.slot >= 0 and p.startswith(f"checkpoint/{record.slot}/")}
    return {p: s for p, s in outside.items() if s.grows is None}, growing, slot


def _remove_leftovers(root: Path, record: Record) -> None:
    """Files that a kill left before their rename, and arrays that a checkpoint slot got without the record hearing of
    it.
    """
    for folder, _, names in os.walk(root):
        for name in names:
            if name.endswith(PARTIAL):
                (Path(folder) / name).unlink(missing_ok=True)
    for slot in (group for group in record.groups if group.startswith("checkpoint/")):
        for entry in os.listdir(root / slot):
            path = f"{slot}/{entry}"
            if entry != DOCUMENT and path not in record.arrays and path not in record.groups:
                remove(root, path)


def truncate(folder: Path, spec: ArraySpec) -> None:
    """Delete chunks past the committed length. The last chunk may hold more draws than were committed: its document
    hides them.
    """
    axis = spec.grows or 0
    for name in os.listdir(folder):
        parts = name.split(".")
        if (
            parts[0] == "c"
            and len(parts) == len(spec.shape) + 1
            and parts[axis + 1].isdigit()
            and int(parts[axis + 1]) >= spec.grid[axis]
        ):
            (folder / name).unlink(missing_ok=True)


def _restore_documents(root: Path, record: Record) -> None:
    """Give every node the document that the record has for it; StoreError where that is none."""
    groups = {path: group_document(attributes) for path, attributes in record.groups.items()}
    for path, document in (groups | {path: spec.document() for path, spec in record.arrays.items()}).items():
        try:
            present = json.loads(read(root, f"{path}/{DOCUMENT}", LARGEST))
        except (OSError, ValueError):
            present = None
        if present != document:
            try:
                put_document(root, path, document)
            except ValueError:  # NaN, or infinity
                raise damaged(root, Damage(DOCUMENT, f"what it has for '{path}' is no JSON")) from None


def _restore_derived(root: Path, record: Record, checkpoint: Checkpoint, predictive: dict[str, np.ndarray]) -> None:
    """Rewrite `predictive` and the coordinates that a run changes from the checkpoint."""
    values = {f"predictive/{name}": predictive.get(name) for name in record.schema.predictive}
    state = {} if checkpoint.state is None else checkpoint.state.arrays()
    for group in record.schema.chained:
        shown = changing(record.schema, group, state) if state else {}
        values |= {f"{group}/{name}": shown.get(name) for name in CHANGING}
        values |= {f"{group}/{name}": state.get(f"extra/tuned_{name}") for name in record.schema.tuned}
    for path, value in values.items():
        spec = record.arrays[path]
        put_values(root, path, spec, initial_values(path.rpartition("/")[2], spec) if value is None else value)


def changing(schema: Schema, group: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The coordinates of a group that a run changes, of its replicas or its chains; `arrays` has them of replicas."""
    each = {name: np.asarray(arrays[name]) for name in CHANGING}
    if schema.lead(group)[0] == "replica" or schema.together == 1:
        return each
    return {name: schema.of_chain(value, each["status"]) for name, value in each.items()}


def _reopen(root: Path, record: Record, path: str, spec: ArraySpec) -> Growing:
    """The writing end of an array, its last partial row of chunks read back."""
    end = Growing(root, path, spec)
    axis = spec.grows or 0
    start = spec.shape[axis] // spec.chunks[axis] * spec.chunks[axis]
    end.restore(read_array(root, record, path, (slice(None),) * axis + (slice(start, None),)))
    return end
