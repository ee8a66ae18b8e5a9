"""X, y and weights as scikit-learn gives them, to the data set of a run.

Rows are put in an order of their own, and whole weights become so many rows: a fit does not depend on the order of its
rows, and a row of weight 2 is a row that occurs twice.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import check_consistent_length

from ..averages.points import warn_of_new
from ..data import Dataset
from ..data.dataset import MAX_MAGNITUDE, Part, Schema, stack
from ..data.fields import without_targets
from ..data.frames import absent_answers, categories_of, is_table, raw_columns
from ..data.kinds import KINDS, make_recipe
from ..data.recipe import Recipe, plain, reasons
from ..data.texts import number_in
from ..errors import DataError, did_you_mean

Array = Any
_MOST_REPEATS = 10
"""Rows that whole weights may make of one, on average; beyond it they stay weights."""


class Unused(UserWarning):
    """Columns of a DataFrame that a fit makes no inputs of, each with the reason."""


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
        dropped = set() if self.drop is None else set(map(str, self.drop))
        left = [name for name in out if name not in dropped]
        if not left:
            raise DataError("features and drop leave no column of X: name at least one to use.")
        return left


def recipe_for(x: Any, columns: Columns = Columns()) -> Recipe | None:
    """How the columns of a DataFrame become inputs; None where all are and are numbers, or it is none. An Unused names
    those that are left out without having been dropped.

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
    chosen = columns.chosen(names)
    kinds = categories_of(x, chosen) | {str(name): kind for name, kind in (columns.kinds or {}).items()}
    recipe = make_recipe(raw_columns(x, chosen, "X", kinds), columns.features is not None, kinds, "X")
    if recipe.is_plain and not columns.given:
        return None
    if left := recipe.left_out:
        which = "1 column is not used" if len(left) == 1 else f"{len(left):,} columns are not used"
        way = "drop=[...] says that it is to be so, features=[...] or kinds={...} that one is to be used"
        warnings.warn(f"{which}: {reasons(left)}; {way}.", Unused, stacklevel=4)
    return recipe


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
    raw = raw_columns(x, recipe.names, "X", recipe.kinds)
    warn_of_new(raw, recipe, 6)
    return recipe.encode(raw)


def refuse_missing(x: Any) -> None:
    """DataError that names the column and row of the first value that a DataFrame of numbers misses, or that is none,
    where no row of the fit missed any.
    """
    if is_table(x) and len(names := {str(name): None for name in x.columns}) == len(x.columns):
        plain(names).encode(raw_columns(x, names, "X"))


def with_answers(x: Any, y: Any, weight: Any, drop: bool) -> tuple[Any, Any, Any]:
    """X, y and weights without the rows that have no answer; DataError where there are some and they are to stay."""
    array = np.asarray(y)
    if array.dtype.kind not in "fO" or array.ndim not in (1, 2) or not len(array):
        return x, y, weight
    absent = absent_answers(array, texts=False)
    if not absent.any():
        return x, y, weight
    check_consistent_length(x, y, weight)
    names = getattr(y, "columns", None) if array.ndim == 2 else [getattr(y, "name", None)]
    known = [str(name) for name in (() if names is None else names) if name is not None]
    without_targets("y", known or ["y"], (np.flatnonzero(absent) + 1).tolist(), len(absent), "row", drop)
    kept = np.flatnonzero(~absent)
    answers = array[kept]
    if answers.dtype.kind == "O" and len(set(map(type, answers.ravel().tolist()))) == 1:
        answers = np.asarray(answers.tolist())  # of one type, as they would be if none had been missing
    return _safe_indexing(x, kept), answers, None if weight is None else _safe_indexing(weight, kept)


def refuse_text(x: Any, y: Any, numbers: bool) -> None:
    """DataError where X is an array that holds texts, or y does and `numbers` are wanted."""
    if not is_table(x) and (text := _text_in(x)) is not None:
        raise DataError(f"X is an array and holds text ({text!r}): give a DataFrame, whose columns may hold texts.")
    if numbers and (text := _text_in(y)) is not None:
        raise DataError(
            f"y holds text ({text!r}), and a regressor learns numbers: correct it, or take BayesianMLPClassifier."
        )
    if numbers and (kind := np.asarray(y).dtype.kind) in "mM":
        what, way = ("spans of time", "y") if kind == "m" else ("dates", "(y - y.min())")
        raise DataError(f"y holds {what}, and a regressor learns numbers: give {way} / numpy.timedelta64(1, 'h').")


def _text_in(values: Any) -> str | None:
    """The first text of an array that is no number; None where there is none."""
    array = values if hasattr(values, "dtype") or hasattr(values, "toarray") else np.asarray(values, object)
    if getattr(array, "dtype", None) is None or getattr(array.dtype, "kind", "") not in "OU":
        return None
    texts = (v for v in np.asarray(array, object).ravel().tolist() if isinstance(v, str))
    return next((str(text) for text in texts if number_in(text) is None), None)


def in_order(x: np.ndarray, y: np.ndarray, weight: np.ndarray | None) -> tuple[Array, Array, Array | None]:
    """Rows sorted by their values; those of weight 0 left out, whole weights as repeated rows."""
    if weight is not None:
        keep = weight > 0
        x, y, weight = x[keep], y[keep], weight[keep]
        whole = (weight == np.floor(weight)).all()
        if whole and weight.mean() <= _MOST_REPEATS:
            times = weight.astype(np.int64)
            x, y, weight = np.repeat(x, times, axis=0), np.repeat(y, times, axis=0), None
        elif (weight == weight[0]).all():
            weight = None
        elif whole:
            warnings.warn(
                f"sample_weight holds whole numbers of mean {weight.mean():.3g}: up to {_MOST_REPEATS} they count rows,"
                " beyond that they only say how much a row weighs beside the others.",
                stacklevel=4,
            )
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
