"""Points at which something is asked: numbers in the order of the run's features, or a table that names them."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.frames import is_table, raw_columns
from ..data.labels import shorten
from ..data.recipe import Raw, Recipe
from ..errors import DataError, did_you_mean

Array = Any
_MAX_INPUT = 1e30
MOST_TEXTS = 5
"""New texts of a column that a warning names."""


def points_of(x: Any, features: Sequence[str], targets: Sequence[str] = (), recipe: Recipe | None = None) -> np.ndarray:
    """`x` as float64 [point, feature]; NaN where a value is missing that the recipe fills in.

    Parameters
    ----------
    x
        An array, whose columns are the features in the run's own order; or a table (a DataFrame, or a mapping from
        names to columns), whose columns are matched by name, in any order.
    features
        Of the run.
    targets
        Columns that a table may have beside them; of others a warning says that they are left out.
    recipe
        How the columns of the run's table became its features: then a table is wanted with these columns, as they
        come.

    Raises
    ------
    DataError
        A feature that a table lacks or has twice; a wrong width, NaN, or numbers no network can take.
    """
    named = _columns(x) if recipe is None or not is_table(x) else list(x.columns)
    if recipe is not None and named is not None:
        names = [str(name) for name in named]
        known = (*targets, *(c.name for c in recipe.left_out))
        _check_columns(names, recipe.names, known)
        return encoded(raw_columns(x, recipe.names, "x", recipe.kinds), recipe)
    may_miss = False if recipe is None else recipe.may_miss
    return check_inputs(x if named is None else _by_name(x, named, features, targets), len(features), may_miss)


class NewCategories(UserWarning):
    """Texts in a column of categories that the data of the run had not."""


def encoded(raw: Mapping[str, Raw], recipe: Recipe) -> np.ndarray:
    """Raw columns as float64 [point, feature]; texts that the run never saw are named in a warning."""
    warn_of_new(raw, recipe, 5)
    return check_inputs(recipe.encode(raw), len(recipe.features), recipe.may_miss)


def warn_of_new(raw: Mapping[str, Raw], recipe: Recipe, stacklevel: int = 2) -> None:
    """A NewCategories for each column with texts that the data of the run had not: which, and in how many rows."""
    for name, texts in recipe.unknown(raw).items():
        rows = sum(texts.values())
        most = sorted(texts, key=lambda text: -texts[text])[:MOST_TEXTS]
        shown = ", ".join(f"'{shorten(text)}' in {texts[text]:,}" for text in most)
        warnings.warn(
            f"Column '{shorten(name)}': {rows:,} of {len(raw[name]):,} rows hold texts that the run's data had not"
            f" ({shown}{', ...' if len(texts) > MOST_TEXTS else ''}): they count as none of its categories.",
            NewCategories,
            stacklevel=stacklevel,
        )


def _columns(x: Any) -> list[Any] | None:
    """The columns of a table; None of an array, and of a table whose columns are only counted."""
    if isinstance(x, Mapping):
        columns = list(x)
    elif is_table(x):
        columns = list(x.columns)
    elif getattr(getattr(x, "dtype", None), "names", None):
        columns = list(x.dtype.names)
    else:
        return None
    return None if columns == list(range(len(columns))) and not isinstance(x, Mapping) else columns


def _by_name(table: Any, columns: list[Any], features: Sequence[str], targets: Sequence[str]) -> np.ndarray:
    names = [str(name) for name in columns]
    _check_columns(names, features, targets)
    return np.column_stack([_numbers(table[columns[names.index(name)]], name) for name in features])


def _check_columns(names: Sequence[str], features: Sequence[str], known: Sequence[str]) -> None:
    """DataError unless a table has all features once; a warning names columns that are neither these nor `known`."""
    if absent := [name for name in features if name not in names]:
        raise DataError(
            f"x has no column {_listed(absent)}."
            f" {did_you_mean(absent[0], names, f'Its columns: {_listed(names)}.', always=True)}"
            f" Columns are matched by name; the run's features are {_listed(features)}. Give a plain array"
            " (x.to_numpy()) to go by position."
        )
    if twice := [name for name in features if names.count(name) > 1]:
        raise DataError(f"x has {names.count(twice[0])} columns {_listed(twice[:1])}: leave one.")
    if extra := [name for name in names if name not in features and name not in known]:
        warnings.warn(f"Columns of x that are no features of the run are left out: {_listed(extra)}.", stacklevel=5)


def _refuse_lossy(values: Any, what: str) -> None:
    """DataError for what asarray(float64) would take without its mask or its imaginary part."""
    if np.ma.is_masked(values):
        masked = np.ma.count_masked(values)
        raise DataError(f"{what} has {masked} masked values: fill them in, or leave these points out.")
    if np.iscomplexobj(values):
        raise DataError(f"{what} holds complex numbers: give real ones.")


def _numbers(column: Any, name: str) -> np.ndarray:
    _refuse_lossy(column, f"Column '{shorten(name)}' of x")
    try:
        return np.asarray(column, np.float64).reshape(-1)
    except (TypeError, ValueError) as error:
        raise DataError(f"Column '{shorten(name)}' of x does not hold numbers ({error}).") from None


def _listed(names: Sequence[str]) -> str:
    return shorten(", ".join(repr(str(name)) for name in names), 200)


def check_inputs(x: Array, features: int, may_miss: np.ndarray | bool = False) -> np.ndarray:
    """`x` as float64 [point, feature]; DataError for a wrong width, NaN but in features that `may_miss`, or numbers no
    network can take.
    """
    _refuse_lossy(x, "x")
    try:
        out = np.asarray(x, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"x is not an array of numbers ({error}). Give [points, {features}] numbers.") from None
    if out.ndim == 1 and features == 1:
        out = out[:, None]
    if out.ndim != 2 or out.shape[1] != features:
        raise DataError(
            f"x has shape {out.shape}; the run was trained on {features} features: give [points, {features}]."
        )
    if len(out) == 0:
        raise DataError("x has no points. Give at least one.")
    with np.errstate(invalid="ignore"):
        bad = np.argwhere(~(np.abs(out) <= _MAX_INPUT) & ~(np.isnan(out) & may_miss))
    if len(bad):
        i, j = bad[0]
        raise DataError(
            f"x[{i}, {j}] is {out[i, j]:g} ({len(bad)} such values); numbers must be finite and at most {_MAX_INPUT:g}"
            " in size. Remove or fill in these points."
        )
    return out
