"""What readers of a run are given: an opened run or the path of its store, checked, so that what is neither is answered
in a sentence.
"""

import os
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import xarray as xr

from ..errors import SpecError, StoreError
from .claims import check_tree

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
Run = xr.DataTree | str | os.PathLike[str]
ANY_OF = ("sample_stats", "posterior")
"""Groups of which every run has one."""


def opened(run: Run, *groups: str) -> xr.DataTree:
    """An opened run from itself or from the path of its store, with the `groups` that are needed of it.

    Raises
    ------
    SpecError
        It is neither.
    StoreError
        A tree that is no run, or has lost what a run says of itself; else as for `open_run`.
    """
    if isinstance(run, xr.DataTree):
        return _checked(run, groups)
    if not isinstance(run, str | os.PathLike):
        raise SpecError(
            f"A run is the path of its store, or what open_run, sample or resume return (an xarray.DataTree), not"
            f" {_kind(run)}."
        )
    from ..store import open_run

    tree = open_run(Path(run))
    check_tree(tree)
    return tree


def _kind(run: Any) -> str:
    if isinstance(run, xr.Dataset) and "study" in run.attrs:
        return "a study: gpu_thermo.study.summaries and comparisons take one"
    return "an xarray.Dataset (one group of a run: give the run)" if isinstance(run, xr.Dataset) else type(run).__name__


def _checked(tree: xr.DataTree, groups: tuple[str, ...]) -> xr.DataTree:
    if tree.parent is not None:
        raise StoreError(f"This is the group '{tree.name}' of a run: give the whole run.")
    has = ", ".join(tree.children) or "none"
    if not any(name in tree.children for name in ANY_OF):
        raise StoreError(
            f"This tree is no run: it has no group {ANY_OF[0]} (groups: {has}). Give what open_run returns."
        )
    if not isinstance(tree.attrs.get("spec"), str):
        raise StoreError(
            "This tree has lost its attributes, and with them the spec of its run: open the store anew, or keep them"
            " (tree.attrs.update(run.attrs))."
        )
    if absent := [name for name in groups if name not in tree.children]:
        raise StoreError(f"This tree has no group {absent[0]} (groups: {has}). Give all that open_run returns.")
    check_tree(tree)
    return tree


def names_damage(reader: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """A reader of chunks whose error over rotten ones is a StoreError that says what to do."""

    @wraps(reader)
    def reading(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        """As the reader."""
        try:
            return reader(*args, **kwargs)
        except ValueError as error:
            if "checksum" not in str(error):
                raise
            raise StoreError(
                "A chunk of the run's store is damaged: its bytes do not fit their checksum. gpu_thermo.store's"
                " verify_store(RUN) names the file; restore it from a copy, or run again."
            ) from None

    return reading
