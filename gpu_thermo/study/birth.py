"""The place of a study on disk: made, found again, and held by one writer."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..errors import SpecError, StoreError, StoreExistsError, StoreLockedError
from ..store.files import as_path, refuse_links
from ..store.staging import staging
from .assembly import begin
from .beside import NETWORK, differs
from .grids import Cell, StudySpec
from .parts import PARTS, RUNS
from .shards import FORMAT

_LOCK = Path("status") / "lock"


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
                shutil.rmtree(store / PARTS)
                (store / PARTS).mkdir()
                shutil.rmtree(store / RUNS, ignore_errors=True)
            for left in (store / PARTS).glob("*.partial"):
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
    keys = (held.keys() | given.keys()) - {"given"}
    differing = sorted(key for key in keys if held.get(key) != given.get(key))
    other = differs(there.given, study.given)
    if other and (not extend or NETWORK in other):
        raise StoreExistsError(
            f"'{store}' was begun with something else: {other} is not the same. Give what it was begun with, choose"
            " another name, or --overwrite to run it again."
        )
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
    with staging(store.parent) as folder:
        begin(folder, study, cells)
        (folder / PARTS).mkdir()
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
