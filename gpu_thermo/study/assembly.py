"""The Zarr data set that is put together from a study's parts: a row for each run, in the order of cells and seeds."""

import json
import math
import shutil
import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from . import builds
from .grids import Cell, StudySpec
from .meaning import PRIOR_SD, meaning
from .parts import NOTICES, PENDING, each_part, is_done
from .shards import FORMAT, Shard

ROWS = 4096
"""Runs of one chunk of a learning curve."""
_IN_MEMORY = 2**28
"""Bytes of an array that is put together in memory; a larger one goes to disk part by part."""


def begin(folder: Path, study: StudySpec, cells: list[Cell]) -> None:
    """The data set of a study that has not run yet: nothing but the status of each run."""
    import zarr

    runs = len(cells) * len(study.seeds.table())
    root = zarr.open_group(folder, mode="w", attributes=_attributes(study, cells, ["status"], {}))
    _put(root, "status", ("chain",), np.full(runs, PENDING, np.int32), {}, min(runs, ROWS))
    _consolidate(root)


def assemble(
    store: Path,
    study: StudySpec,
    shards: Iterable[Shard],
    cells: list[Cell],
    versions: Mapping[str, str],
    dims: Mapping[str, tuple[str, ...]],
) -> int:
    """Put the data set together from all parts that are there, `dims` being the axes of each tensor; returns the number
    of finished runs.
    """
    import zarr

    done = [shard for shard in shards if is_done(store, shard)]
    seeds = study.seeds.table()
    runs = len(cells) * len(seeds)
    names, steps, made, notices = _survey(store, done)
    root = zarr.open_group(store, mode="r+", use_consolidated=False)
    for old in set(root.array_keys()) - {"status"}:
        del root[old]
    static, rows = _static(cells, seeds, runs), _rows(names, runs, len(steps))
    for name, (values, attributes) in static.items():
        _put(root, name, ("chain",), values, attributes, rows)
    if len(steps):
        _put(root, "step", ("step",), steps, {}, len(steps))
    columns = _columns(store, done, {name: dtype for name, (dtype, shape) in names.items() if not shape}, runs)
    for name, column in columns.items():
        _put(root, name, ("chain",), column, {}, rows)
    for name, kind in names.items():
        if kind[1]:
            _put_table(root, name, kind, (runs, rows), steps, lambda: each_part(store, done), _axes(name, dims))
    finished = int((columns["status"] != PENDING).sum())
    facts, column = builds.table(made, runs)
    _put(root, builds.NAME, ("chain",), column, {}, rows)
    coordinates = [*static, builds.NAME, *(n for n in names if n in _COORDINATES or n.startswith(_HYPER))]
    root.attrs.update(_attributes(study, cells, coordinates, versions) | {"builds": json.dumps(facts)})
    root.attrs[NOTICES] = json.dumps(notices)
    _consolidate(root)
    return finished


_COORDINATES = ("status", "frozen_step", "stepsize", "block")
_HYPER = ("temperature_", "friction_", "sigma_", "epsilon_", "momentum_", "thermostat_", PRIOR_SD)


def _columns(store: Path, done: list[Shard], dtypes: Mapping[str, Any], runs: int) -> dict[str, np.ndarray]:
    """What has one number for each run, from all parts."""
    out = {n: np.full(runs, PENDING if dtype.kind in "iu" else np.nan, dtype) for n, dtype in dtypes.items()}
    for shard, part in each_part(store, done):
        for name in out.keys() & set(part.files):
            out[name][shard.rows] = part[name]
    return out


class Survey(NamedTuple):
    """What all parts together say, but for their numbers.

    names : name -> (dtype, largest shape behind the first axis). steps : the union of all recorded ones. builds : each
    shard's. notices : each thing once.
    """

    names: dict[str, tuple[Any, tuple[int, ...]]]
    steps: np.ndarray
    builds: list[tuple[Shard, dict[str, str]]]
    notices: list[str]


def _survey(store: Path, done: list[Shard]) -> Survey:
    """Every part opened once."""
    names: dict[str, tuple[Any, tuple[int, ...]]] = {"status": (np.dtype(np.int32), ())}
    steps: set[int] = set()
    made: list[tuple[Shard, dict[str, str]]] = []
    notices: dict[str, None] = {}
    for shard, part in each_part(store, done):
        steps |= set(part["steps"].tolist())
        made.append((shard, builds.from_part(part)))
        notices |= dict.fromkeys(json.loads(str(part[NOTICES])) if NOTICES in part else ())
        for name in part.files:
            if name in ("rows", "steps", builds.NAME, NOTICES):
                continue
            dtype, shape = _header(part, name)
            if name in names:
                shape = tuple(max(a, b) for a, b in zip(shape, names[name][1], strict=True))
            names[name] = (dtype, shape)
    return Survey(names, np.array(sorted(steps), np.int64), made, list(notices))


def _header(part: Any, name: str) -> tuple[Any, tuple[int, ...]]:
    """dtype and shape [1:] of a member without reading it."""
    with part.zip.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return dtype, shape[1:]


def _consolidate(root: Any) -> None:
    """One document for all metadata, which every reader in use takes; zarr warns that the format's text does not have
    it yet.
    """
    import zarr

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        zarr.consolidate_metadata(root.store)


def _rows(names: Mapping[str, tuple[Any, tuple[int, ...]]], runs: int, steps: int) -> int:
    """Runs of one chunk of every array, so that xarray's chunks agree: what the widest of them allows."""
    widest = max((math.prod(shape) for name, (_, shape) in names.items() if not name.startswith("curve_")), default=1)
    return max(1, min(runs, ROWS, 2**22 // max(1, widest)))


def _put(
    root: Any, name: str, dims: tuple[str, ...], values: np.ndarray, attributes: Mapping[str, Any], rows: int
) -> None:
    """An array of one axis, in chunks of `rows`."""
    rows = max(1, rows)
    if name == "status" and name in root:  # its folder holds the parts: never made anew
        if root[name].chunks != (rows,):
            _forget_chunks(Path(root.store.root) / name)
        else:
            root[name].resize(values.shape)
            root[name][...] = values
            return
    fill: Any = PENDING if name == "status" else {"f": np.nan, "T": ""}.get(values.dtype.kind, 0)
    array = root.create_array(
        name,
        shape=values.shape,
        dtype="string" if values.dtype.kind == "T" else values.dtype,
        chunks=(rows,),
        dimension_names=dims,
        fill_value=fill,
        attributes=meaning(name) | dict(attributes),
    )
    array[...] = values


def _forget_chunks(folder: Path) -> None:
    """Remove an array from its folder, and nothing else that is in there."""
    shutil.rmtree(folder / "c", ignore_errors=True)
    (folder / "zarr.json").unlink()


def _axes(name: str, dims: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Axes behind the runs: of a learning curve, of a tensor at each draw, or of one at the start."""
    if name.startswith("curve_"):
        return ("step",)
    if name == "log_weight":
        return ("draw",)
    tensor = name.removeprefix("initial_")
    return dims[tensor] if tensor != name else ("draw", *dims[tensor])


def _put_table(
    root: Any, name: str, kind: tuple[Any, tuple[int, ...]], size: tuple[int, int], steps: np.ndarray,
    parts: Callable[[], Any], dims: tuple[str, ...],
) -> None:  # fmt: skip
    """An array with more axes than the runs: a learning curve, aligned by steps, or a tensor, padded with NaN; `size`
    is the number of runs, and of those in a chunk.
    """
    (dtype, shape), (runs, rows) = kind, size
    curve = name.startswith("curve_")
    shape = (len(steps),) if curve else shape
    array = root.create_array(
        name, shape=(runs, *shape), dtype=dtype, chunks=(rows, *(max(1, n) for n in shape)), fill_value=np.nan,
        dimension_names=("chain", *dims), attributes=meaning(name),
    )  # fmt: skip
    small = array.nbytes <= _IN_MEMORY
    target: Any = np.full(array.shape, np.nan, dtype) if small else array
    for shard, part in parts():
        if name in part:
            values, at = part[name], shard.rows
            columns = np.searchsorted(steps, part["steps"]) if curve else None
            full = np.full((len(at), *shape), np.nan, dtype)
            full[(slice(None), columns) if curve else tuple(slice(0, n) for n in values.shape)] = values
            if at[-1] - at[0] == len(at) - 1:
                target[int(at[0]) : int(at[-1]) + 1] = full
            else:
                (target if small else target.oindex)[at] = full
    if small:
        array[...] = target


def _static(cells: list[Cell], seeds: Any, runs: int) -> dict[str, tuple[np.ndarray, dict[str, Any]]]:
    """What is known before anything ran: cell, its label, seeds, and each varied field, numbers or texts."""
    each = len(seeds)
    out: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "cell": (np.repeat(np.arange(len(cells), dtype=np.int64), each), {}),
        "label": (_texts([cell.label for cell in cells], each), {}),
        "seed_index": (np.tile(np.arange(each, dtype=np.int64), len(cells)), {}),
    }
    for kind, values in seeds._asdict().items():
        out[f"{kind}_seed"] = (np.tile(values.astype(np.uint64), len(cells)), {})
    for field in cells[0].fields:
        values = [cell.fields[field] for cell in cells]
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            out[field] = (np.repeat(np.asarray(values, np.float64), each), {})
        else:
            out[field] = (_texts(values, each), {})
    return out


def _texts(values: list[Any], each: int) -> np.ndarray:
    return np.repeat(np.array([str(v) for v in values], np.dtypes.StringDType()), each)


def _attributes(
    study: StudySpec, cells: list[Cell], coordinates: list[str], versions: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "study": study.to_json(), "study_format": FORMAT, "name": study.name,
        "versions": json.dumps(dict(versions), sort_keys=True),
        "cells": json.dumps([cell.label for cell in cells]), "coordinates": " ".join(coordinates),
        "updated_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
