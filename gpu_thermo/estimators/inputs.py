"""X, y and weights as scikit-learn gives them, to the data set of a run.

Rows are put in an order of their own, and whole weights become so many rows: a fit does not depend on the order of its
rows, and a row of weight 2 is a row that occurs twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import _safe_indexing

from ..averages.points import warn_of_new
from ..data import Dataset
from ..data.dataset import MAX_MAGNITUDE, Part, Schema, stack
from ..data.fields import without_targets
from ..data.frames import absent_answers, is_table, raw_columns
from ..data.kinds import KINDS, make_recipe
from ..data.recipe import Recipe, absent_in
from ..errors import DataError, did_you_mean

Array = Any
_MOST_REPEATS = 10
"""Rows that whole weights may make of one, on average; beyond it they stay weights."""


class Columns(NamedTuple):
    """What a user says of the columns of a DataFrame.

    Attributes
    ----------
    kinds : by name one of `data.kinds.KINDS`. features : names of those to use, None for all. drop : of those not to.
    """

    kinds: Mapping[str, str] | None = None
    features: Sequence[str] | None = None
    drop: Sequence[str] | None = None

    @property
    def given(self) -> dict[str, Any]:
        """What is said, by name of the parameter."""
        return {name: value for name, value in self._asdict().items() if value is not None and len(value)}

    def chosen(self, names: Sequence[str]) -> list[str]:
        """Names of the columns to use, of all `names`; DataError for one that is not there."""
        for parameter, value in self.given.items():
            for name in map(str, value):
                if name not in names:
                    raise DataError(f"{parameter} names '{name}', no column of X. {did_you_mean(name, names)}")
        for name, kind in (self.kinds or {}).items():
            if kind not in KINDS:
                raise DataError(
                    f"kinds says that '{name}' is a {kind!r}. {did_you_mean(str(kind), KINDS, always=True)}"
                )
        out = [*names] if self.features is None else [*map(str, self.features)]
        left = [name for name in out if name not in (self.drop if self.drop is not None else ())]
        if not left:
            raise DataError("features and drop leave no column of X: name at least one to use.")
        return left


def recipe_for(x: Any, columns: Columns = Columns()) -> Recipe | None:
    """How the columns of a DataFrame become inputs; None where all are numbers, or it is none.

    Raises
    ------
    DataError
        Something is said of columns that are not there, or that cannot be.
    """
    if not is_table(x):
        if columns.given:
            name = next(iter(columns.given))
            raise DataError(f"{name} names columns of a DataFrame, and X is {type(x).__name__}: leave {name} out.")
        return None
    names = [str(name) for name in x.columns]
    if len(set(names)) != len(names):
        return None  # scikit-learn's own checks name it
    kinds = {str(name): kind for name, kind in (columns.kinds or {}).items()}
    raw = raw_columns(x, columns.chosen(names), "X")
    recipe = make_recipe(raw, columns.features is not None, kinds, "X")
    plain = all(values.dtype.kind == "f" and not absent_in(values).any() for values in raw.values())
    return None if plain and not columns.given else recipe


def encoded(x: Any, recipe: Recipe) -> np.ndarray:
    """Inputs [rows, m] of a DataFrame; DataError where a column is missing, or holds something else. Texts that are new
    are named in a warning.
    """
    if not is_table(x):
        raise DataError("X is no DataFrame, and the estimator was fitted on one whose columns it knows by name.")
    names = [str(name) for name in x.columns]
    if absent := [name for name in recipe.names if name not in names]:
        raise DataError(
            f"X has no column '{absent[0]}'. {did_you_mean(absent[0], names, 'Its columns: ' + ', '.join(names) + '.')}"
            " The feature names should match those that were passed to fit."
        )
    raw = raw_columns(x, recipe.names, "X")
    warn_of_new(raw, recipe, 6)
    return recipe.encode(raw)


def with_answers(x: Any, y: Any, weight: Any, drop: bool) -> tuple[Any, Any, Any]:
    """X, y and weights without the rows that have no answer; DataError where there are some and they are to stay."""
    array = np.asarray(y)
    if array.dtype.kind not in "fO" or array.ndim not in (1, 2) or not len(array):
        return x, y, weight
    absent = absent_answers(array, texts=False)
    if not absent.any():
        return x, y, weight
    without_targets("y", ["y"], (np.flatnonzero(absent) + 1).tolist(), len(absent), "row", drop)
    kept = np.flatnonzero(~absent)
    return tuple(None if v is None else _safe_indexing(v, kept) for v in (x, y, weight))  # type: ignore[return-value]


def in_order(x: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> tuple[Array, Array, Array | None]:
    """Rows sorted by their values; those of weight 0 left out, whole weights as repeated rows."""
    if weight is not None:
        keep = weight > 0
        x, y, weight = x[keep], y[keep], weight[keep]
        if (weight == np.floor(weight)).all() and weight.sum() <= _MOST_REPEATS * len(weight):
            times = weight.astype(np.int64)
            x, y, weight = np.repeat(x, times, axis=0), np.repeat(y, times, axis=0), None
        elif (weight == weight[0]).all():
            weight = None
    keys = [*np.atleast_2d(y.T), *x.T] if weight is None else [*np.atleast_2d(y.T), *x.T, weight]
    order = np.lexsort(keys)
    return x[order], y[order], None if weight is None else weight[order]


def _refuse_large(values: np.ndarray, names: Sequence[str]) -> None:
    """DataError that names the first number beyond what squares of numbers can be."""
    if values.dtype.kind != "f" or not (large := np.argwhere(np.abs(values) > MAX_MAGNITUDE)).size:
        return
    row, column = (int(i) for i in large[0])
    rest = f" ({len(large):,} such values)" if len(large) > 1 else ""
    raise DataError(
        f"Column '{names[column]}', row {row + 1}, is {values[row, column]:.4g}{rest}; numbers may be {MAX_MAGNITUDE:g}"
        " in size at most: give it in another unit, or its logarithm."
    )


def dataset(
    task: str, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, features: tuple[str, ...],
    classes: tuple[str, ...] = (), targets: tuple[str, ...] = (), recipe: Recipe | None = None, standardise: Any = True,
    transform: str | None = None,
) -> Dataset:  # fmt: skip
    """All rows as training points; DataError for numbers too large to compute with."""
    for values, names in ((x, features), (y, targets)):
        _refuse_large(values, names)
    x, y, weight = in_order(x, y, weight)
    part = Part(x, y, x[:0], y[:0], weight)
    return stack(Schema("arrays", task, features, classes, targets, recipe, transform), [part], standardise)
