"""X, y and weights as scikit-learn gives them, to the data set of a run.

Rows are put in an order of their own, and whole weights become so many rows: a fit does not depend on the order of its
rows, and a row of weight 2 is a row that occurs twice.
"""

from typing import Any

import numpy as np

from ..data import Dataset
from ..data.dataset import Part, Schema, stack
from ..data.frames import is_table, raw_columns
from ..data.kinds import make_recipe
from ..data.recipe import Recipe
from ..errors import DataError

Array = Any
_MOST_REPEATS = 10
"""Rows that whole weights may make of one, on average; beyond it they stay weights."""


def recipe_for(x: Any) -> Recipe | None:
    """How the columns of a DataFrame become inputs; None where all are numbers, or it is none."""
    if not is_table(x):
        return None
    names = [str(name) for name in x.columns]
    if len(set(names)) != len(names):
        return None  # scikit-learn's own checks name it
    recipe = make_recipe(raw_columns(x, names, "X"), True, {}, "X")
    return None if all(c.kind == "number" and not c.fills for c in recipe.columns) else recipe


def encoded(x: Any, recipe: Recipe) -> np.ndarray:
    """Inputs [rows, m] of a DataFrame; DataError where a column is missing, or holds something else."""
    if not is_table(x):
        raise DataError("X is no DataFrame, and the estimator was fitted on one with texts, dates or missing values.")
    names = [str(name) for name in x.columns]
    if absent := [name for name in recipe.names if name not in names]:
        raise DataError(f"X has no column '{absent[0]}'. The feature names should match those that were passed to fit.")
    return recipe.encode(raw_columns(x, recipe.names, "X"))


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


def dataset(
    task: str, x: np.ndarray, y: np.ndarray, weight: np.ndarray | None, features: tuple[str, ...],
    classes: tuple[str, ...] = (), targets: tuple[str, ...] = (), recipe: Recipe | None = None, standardise: Any = True,
    transform: str | None = None,
) -> Dataset:  # fmt: skip
    """All rows as training points."""
    x, y, weight = in_order(x, y, weight)
    part = Part(x, y, x[:0], y[:0], weight)
    return stack(Schema("arrays", task, features, classes, targets, recipe, transform), [part], standardise)
