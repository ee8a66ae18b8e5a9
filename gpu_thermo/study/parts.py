"""What a study leaves on disk: one part for each finished shard, and the Zarr data set that is put together from them.

    STUDY.zarr/              a plain Zarr group: xarray opens it as it is
      status/parts/ID.npz    one finished shard, written whole by whoever ran it and renamed into place: the commit
      record status/lock            held by the coordinator

(Inside an array's folder, where Zarr never lists and so never wonders about them.)

A part never changes. The data set is made again from the parts whenever a study ends or stops; a run whose part is
missing has status -1.
"""

import fcntl
import json
import math
import os
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import SpecError, StoreError, StoreExistsError, StoreLockedError
from ..store.files import as_path, refuse_links
from ..store.record import is_ours
from ..store.staging import staging
from . import builds
from .grids import Cell, StudySpec
from .shards import FORMAT, Shard

PENDING = -1
"""Status of a run that was not done yet."""
ROWS = 4096
"""Runs of one chunk of a learning curve."""
_PARTS = Path("status") / "parts"
_LOCK = Path("status") / "lock"
_IN_MEMORY = 2**28
"""Bytes of an array that is put together in memory; a larger one goes to disk part by part."""

# -- parts -------------------------------------------------------------------------------------------------------------


def part_path(store: Path, shard_id: str) -> Path:
    """Where the part of a shard is."""
    return store / _PARTS / f"{shard_id}.npz"


def write_part(store: Path, shard_id: str, arrays: Mapping[str, np.ndarray]) -> None:
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


# -- the store ---------------------------------------------------------------------------------------------------------


@contextmanager
def writing(
    store: Path, study: StudySpec, cells: list[Cell], *, overwrite: bool = False, extend: bool = False
) -> Iterator[None]:
    """Create the store of a study, or continue it, with nobody else writing to it.

    Raises
    ------
    StoreError, StoreExistsError, StoreLockedError
        The place is taken by something else, or by another study (the message names what differs), or being written.
    """
    if store.is_dir():
        refuse_links(store)
    if os.path.lexists(store) and not overwrite:
        _check_same(store, study, extend)
    elif overwrite and os.path.lexists(store) and (not store.is_dir() or read_spec(store) is None):
        raise StoreError(f"'{store}' is no study and is not replaced. Remove it yourself, or choose another name.")
    elif not store.parent.is_dir():
        raise StoreError(f"The folder '{store.parent}' does not exist. Make it first, or choose another place.")
    try:
        if not store.exists():
            _create(store, study, cells)
        with _lock(store):
            if overwrite:
                shutil.rmtree(store / _PARTS)
                (store / _PARTS).mkdir()
            for left in (store / _PARTS).glob("*.partial"):
                left.unlink(missing_ok=True)
            yield
    except OSError as error:
        raise StoreError(
            f"'{store}' cannot be written ({error.strerror or error}). Check its permissions, or choose another place."
        ) from error


def read_spec(store: Path) -> StudySpec | None:
    """The study that a store holds; None if it holds none."""
    try:
        attributes = json.loads((store / "zarr.json").read_text())["attributes"]
        return StudySpec.from_json(attributes["study"])
    except (OSError, ValueError, KeyError, TypeError, SpecError):
        return None


def is_study(store: str | Path) -> bool:
    """Whether there is a study."""
    path = as_path(store)
    return path.is_dir() and read_spec(path) is not None


def _format(store: Path) -> Any:
    return json.loads((store / "zarr.json").read_text())["attributes"].get("study_format")


def _check_same(store: Path, study: StudySpec, extend: bool) -> None:
    there = read_spec(store) if store.is_dir() else None
    if there is None:
        raise StoreExistsError(f"'{store}' exists already and is no study. Choose another name.")
    held, given = (
        json.loads(s.to_json()) for s in (there, study)
    )  # as JSON: infinity is a text in one that was read back
    if (format_there := _format(store)) != FORMAT:
        raise StoreError(
            f"'{store}' is a study of format {format_there}, whose runs are cut into other shards than those of format"
            f" {FORMAT}: it stays readable, and only the version that began it can continue it. Choose another name, or"
            " --overwrite to run it again."
        )
    differing = sorted(key for key in held.keys() | given.keys() if held.get(key) != given.get(key))
    if not differing or set(differing) <= {"name"}:
        return
    if not extend:
        fields = ", ".join(differing)
        raise StoreExistsError(
            f"'{store}' holds another study (it differs in {fields}). Choose another name, --extend to keep what both"
            " have in common, or --overwrite to replace it."
        )


def _create(store: Path, study: StudySpec, cells: list[Cell]) -> None:
    """Build beside the final name, then rename."""
    import zarr

    with staging(store.parent) as folder:
        runs = len(cells) * len(study.seeds.table())
        root = zarr.open_group(folder, mode="w", attributes=_attributes(study, cells, ["status"], {}))
        _put(root, "status", ("chain",), np.full(runs, PENDING, np.int32), {}, min(runs, ROWS))
        _consolidate(root)
        (folder / _PARTS).mkdir()
        os.rename(folder, store)


@contextmanager
def _lock(store: Path) -> Iterator[None]:
    with open(store / _LOCK, "a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StoreLockedError(
                f"'{store}' is being written by another process. Wait until it is done, or stop it first."
            ) from None
        yield


# -- the data set ------------------------------------------------------------------------------------------------------


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
    names, steps = _survey(store, done)
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
            _put_table(root, name, kind, (runs, rows), steps, lambda: _parts(store, done), _axes(name, dims))
    finished = int((columns["status"] != PENDING).sum())
    made, column = builds.table(part_builds(store, done), runs)
    _put(root, builds.NAME, ("chain",), column, {}, rows)
    coordinates = [*static, builds.NAME, *(n for n in names if n in _COORDINATES or n.startswith(_HYPER))]
    root.attrs.update(_attributes(study, cells, coordinates, versions) | {"builds": json.dumps(made)})
    _consolidate(root)
    return finished


_COORDINATES = ("status", "frozen_step", "stepsize")
_HYPER = ("temperature_", "friction_", "sigma_", "epsilon_", "momentum_", "thermostat_")


def _columns(store: Path, done: list[Shard], dtypes: Mapping[str, Any], runs: int) -> dict[str, np.ndarray]:
    """What has one number for each run, from all parts."""
    out = {
        n: np.full(runs, PENDING if n in ("status", "frozen_step") else np.nan, dtype) for n, dtype in dtypes.items()
    }
    for shard, part in _parts(store, done):
        for name in out.keys() & set(part.files):
            out[name][shard.rows] = part[name]
    return out


def _survey(store: Path, done: list[Shard]) -> tuple[dict[str, tuple[Any, tuple[int, ...]]], np.ndarray]:
    """Name -> (dtype, largest shape behind the first axis) over all parts, and the union of all recorded steps."""
    names: dict[str, tuple[Any, tuple[int, ...]]] = {"status": (np.dtype(np.int32), ())}
    steps: set[int] = set()
    for _, part in _parts(store, done):
        steps |= set(part["steps"].tolist())
        for name in part.files:
            if name in ("rows", "steps", builds.NAME):
                continue
            dtype, shape = _header(part, name)
            if name in names:
                shape = tuple(max(a, b) for a, b in zip(shape, names[name][1], strict=True))
            names[name] = (dtype, shape)
    return names, np.array(sorted(steps), np.int64)


def part_builds(store: Path, done: Iterable[Shard]) -> Iterator[tuple[Shard, dict[str, str]]]:
    """Finished shards, each with the build that made it."""
    for shard, part in _parts(store, done):
        yield shard, builds.from_part(part)


def remove_part(store: Path, shard: Shard) -> None:
    """Forget a finished shard."""
    part_path(store, shard.id).unlink(missing_ok=True)


def builds_of(dataset: xr.Dataset) -> list[dict[str, Any]]:
    """The builds of a study's runs, and how many runs each made."""
    try:
        made, column = json.loads(dataset.attrs["builds"]), dataset[builds.NAME].to_numpy()
        return [{"runs": int((column == i).sum()), "build": dict(build)} for i, build in enumerate(made)]
    except (KeyError, ValueError, TypeError, AttributeError):
        return []


def build_warning(dataset: xr.Dataset) -> str:
    """What to say where the runs of a study have several builds; empty where they agree."""
    return builds.warning([(one["build"], one["runs"]) for one in builds_of(dataset)])


def _header(part: Any, name: str) -> tuple[Any, tuple[int, ...]]:
    """dtype and shape [1:] of a member without reading it."""
    with part.zip.open(f"{name}.npy") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
    return dtype, shape[1:]


def _parts(store: Path, done: Iterable[Shard]) -> Iterator[tuple[Shard, Any]]:
    """Every shard with its arrays. Where its runs belong is for the shard to say: the study may have been extended
    since.
    """
    for shard in done:
        with np.load(part_path(store, shard.id), allow_pickle=False) as part:
            yield shard, part


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
    fill = PENDING if name == "status" else np.nan if values.dtype.kind == "f" else 0
    array = root.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=(rows,),
        dimension_names=dims,
        fill_value=fill,
        attributes=dict(attributes),
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
        dimension_names=("chain", *dims),
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
    """What is known before anything ran: cell, seeds, and each varied field (numbers, or codes with their labels)."""
    each = len(seeds)
    out: dict[str, tuple[np.ndarray, dict[str, Any]]] = {
        "cell": (np.repeat(np.arange(len(cells), dtype=np.int64), each), {}),
        "seed_index": (np.tile(np.arange(each, dtype=np.int64), len(cells)), {}),
    }
    for kind, values in seeds._asdict().items():
        out[f"{kind}_seed"] = (np.tile(values.astype(np.uint64), len(cells)), {})
    for field in cells[0].fields:
        values = [cell.fields[field] for cell in cells]
        if all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
            out[field] = (np.repeat(np.asarray(values, np.float64), each), {})
        else:
            labels = list(dict.fromkeys(str(v) for v in values))
            codes = np.array([labels.index(str(v)) for v in values], np.int64)
            out[field] = (np.repeat(codes, each), {"labels": json.dumps(labels)})
    return out


def _attributes(
    study: StudySpec, cells: list[Cell], coordinates: list[str], versions: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "study": study.to_json(), "study_format": FORMAT, "name": study.name,
        "versions": json.dumps(dict(versions), sort_keys=True),
        "cells": json.dumps([cell.label for cell in cells]), "coordinates": " ".join(coordinates),
        "updated_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip


def open_study(store: str | Path) -> xr.Dataset:
    """Open a study lazily: one data set over `chain`; a run that is not done has status -1.

    Raises
    ------
    StoreError
        There is no study, or none of its runs has been put together yet.
    """
    path = as_path(store)
    if not path.is_dir() or read_spec(path) is None:
        run = " It is one run: gpu-thermo info says what of it." if is_ours(path) else ""
        raise StoreError(f"'{path}' is no study.{run} Make one with: gpu-thermo study STUDY.toml --out {path}")
    refuse_links(path)
    try:
        with suppress(KeyError):
            dataset = xr.open_zarr(path, chunks=None, consolidated=True)
            if "status" in dataset.variables:
                names = str(dataset.attrs.get("coordinates", "")).split()
                dataset = dataset.set_coords([name for name in names if name in dataset.variables])
                _check_claims(path, dataset)
                return dataset
    except BROKEN as error:
        raise StoreError(f"'{path}' cannot be read: {error}. Restore it from a copy, or run the study again.") from None
    raise StoreError(
        f"'{path}' was interrupted before its first result was put together. Continue it with: gpu-thermo study"
    )


BROKEN = (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError)
"""What reading a document that is not true may raise, RecursionError among the last."""
MOST_STEPS = 10**7
"""Points of a learning curve that are believed."""


def _check_claims(path: Path, dataset: xr.Dataset) -> None:
    """StoreError where what a study says of itself does not fit together; nothing as large as what it claims is read
    before.
    """
    study, problem = StudySpec.from_json(dataset.attrs["study"]), ""
    cells = json.loads(dataset.attrs["cells"])
    runs = dataset.sizes.get("chain", -1)
    if not isinstance(cells, list) or not cells or not all(isinstance(label, str) for label in cells):
        problem = "its attribute cells is no list of labels"
    elif runs != len(cells) * len(study.seeds.table()):
        problem = f"it has {runs} runs, and its spec {len(cells)} x {len(study.seeds.table())}"
    elif dataset.sizes.get("step", 0) > MOST_STEPS:
        problem = f"it claims {dataset.sizes['step']} points of learning curves"
    else:
        for name, most in (("status", None), ("cell", len(cells)), ("seed_index", runs)):
            if (
                name not in dataset.variables
                or dataset[name].dims != ("chain",)
                or dataset[name].dtype.kind not in "iu"
            ):
                problem = problem or f"it has no whole numbers {name} of its runs"
            elif most is not None and not 0 <= int((v := values_of(dataset, name)).min()) <= int(v.max()) < most:
                problem = problem or f"{name} names others than the {most} there are"
        for field, c in dataset.coords.items():
            if "labels" in c.attrs and not isinstance(json.loads(c.attrs["labels"]), list):
                problem = problem or f"the labels of {field} are no list"
    if problem:
        raise StoreError(
            f"'{path}' was changed after it was written, or is damaged: {problem}. Restore it from a copy, or run the"
            " study again."
        )


def values_of(dataset: xr.Dataset, name: str) -> np.ndarray:
    """A variable of an opened study, read; StoreError where its chunks are not what its document says."""
    try:
        return np.asarray(dataset[name].to_numpy())
    except BROKEN as error:
        raise StoreError(
            f"{name} of the study cannot be read ({error}): it was changed after it was written, or is damaged. Restore"
            " it from a copy, or run the study again."
        ) from None


def labels(dataset: xr.Dataset) -> list[str]:
    """Label of each cell."""
    return list(json.loads(dataset.attrs["cells"]))
