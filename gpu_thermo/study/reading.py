"""A study opened from disk: what it says of itself is checked before it is believed."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..errors import StoreError
from ..store.files import as_path, refuse_links
from ..store.record import is_ours
from . import builds
from .birth import read_spec
from .grids import StudySpec
from .parts import NOTICES

BROKEN = (OSError, ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RuntimeError)
"""What reading a document that is not true may raise, RecursionError among the last."""
MOST_STEPS = 10**7
"""Points of a learning curve that are believed."""


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
            if set(dataset.variables) > {"status"}:  # which is there from the study's birth
                names = str(dataset.attrs.get("coordinates", "")).split()
                dataset = dataset.set_coords([name for name in names if name in dataset.variables])
                _check_claims(path, dataset)
                return _named(dataset)
    except StoreError:
        raise
    except BROKEN as error:
        raise StoreError(f"'{path}' cannot be read: {error}. Restore it from a copy, or run the study again.") from None
    raise StoreError(
        f"'{path}' was stopped before its first results were put together. Give the command that began it once more:"
        " what was finished is kept."
    )


def _named(dataset: xr.Dataset) -> xr.Dataset:
    """With texts in place of the codes that studies of before have for methods and other names."""
    coded = {str(n): c for n, c in dataset.coords.items() if "labels" in c.attrs and c.dtype.kind in "iu"}
    for name, coordinate in coded.items():
        texts = np.array([str(text) for text in json.loads(coordinate.attrs["labels"])], np.dtypes.StringDType())
        dataset = dataset.assign_coords({name: ("chain", texts[values_of(dataset, name)])})
    return dataset


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
        problem = _check_columns(dataset, {"status": None, "cell": len(cells), "seed_index": runs})
    if problem:
        raise StoreError(
            f"'{path}' was changed after it was written, or is damaged: {problem}. Restore it from a copy, or run the"
            " study again."
        )


def _check_columns(dataset: xr.Dataset, columns: Mapping[str, int | None]) -> str:
    """What is wrong with the whole numbers that each run has, below the given ones where there are any; "" if nothing
    is.
    """
    for name, most in columns.items():
        found = dataset.variables.get(name)
        if found is None or found.dims != ("chain",) or found.dtype.kind not in "iu":
            return f"it has no whole numbers {name} of its runs"
        values = values_of(dataset, name)
        if most is not None and not 0 <= int(values.min()) <= int(values.max()) < most:
            return f"{name} names others than the {most} there are"
    for place, coordinate in dataset.coords.items():
        if "labels" in coordinate.attrs and not isinstance(json.loads(coordinate.attrs["labels"]), list):
            return f"the labels of {place} are no list"
    return ""


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


def notices_of(dataset: xr.Dataset) -> list[str]:
    """What of a study's runs is allowed but rarely meant, such as a class that a split leaves out of training."""
    try:
        found = json.loads(dataset.attrs.get(NOTICES, "[]"))
    except (ValueError, TypeError):
        return []
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


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
