"""What a run trains on: `Dataset`, D data sets of one shape side by side, and how parts are standardised and stacked
into one.

Axes: D data sets (replica r uses set r mod D), N training points, M test points, m features, n regression targets, C
classes.
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .recipe import Recipe
from .tasks import TASKS

Floats = NDArray[np.float64]
Values = NDArray[np.generic]

MAX_VALUES = 2**31
"""Most values one array of a data set may hold (16 GiB of float64): anything larger is a mistake or a hostile
header."""
MAX_MAGNITUDE = 1e30
"""Largest number accepted in a feature or target: float32 arithmetic overflows soon after."""


@dataclass(frozen=True)
class Standardisation:
    """What was subtracted and divided by, so that results can be shown in the data's own units: `x = standardised * sd
    + mean`.

    `mean` and `sd` [D, m] are of the features, from the training part only. `target_mean` and `target_sd` [D, n] exist
    for regression. A column that is constant but for rounding has sd 1.
    """

    mean: Floats
    sd: Floats
    target_mean: Floats | None = None
    target_sd: Floats | None = None


@dataclass(frozen=True)
class Dataset:
    """D data sets of one shape, ready for a run.

    Attributes
    ----------
    name, task
        Name of the data options this came from; binary, multiclass or regression.
    x_train, x_test
        [D, N, m] and [D, M, m] float64; M may be 0.
    y_train, y_test
        [D, N] and [D, M] int64 labels (binary 0 or 1, multiclass 0..C-1), or [D, N, n] and [D, M, n] float64 for
        regression.
    features, classes, targets
        Column names [m]; class names [C], empty for regression; target names [n], empty for classification.
    standardisation
        What was subtracted and divided by, or None where the arrays are in the data's own units. Regression targets are
        standardised along with the features, so a noise sd of the model is then in units of `target_sd`.
    weight
        [D, N] float64 weights of the training points, of mean 1 in each set; None for equal ones.
    recipe
        How the columns of a table became the features; None where they are numbers, taken as they are.
    target_transform
        "log" where y holds logarithms of the answers, before it was standardised; its names then say so.

    Raises
    ------
    DataError
        If shapes, types, labels or values do not fit together.
    """

    name: str
    task: str
    x_train: Floats
    y_train: Values
    x_test: Floats
    y_test: Values
    features: tuple[str, ...]
    classes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    standardisation: Standardisation | None = None
    weight: Floats | None = None
    recipe: Recipe | None = None
    target_transform: str | None = None

    def __post_init__(self) -> None:
        """Refuse what a run could only fail on later."""
        if self.task not in TASKS:
            raise DataError(f"Data '{self.name}' has the unknown task '{self.task}'. Tasks: {', '.join(TASKS)}.")
        _check_names(self)
        _check_part(self, "train", self.x_train, self.y_train)
        _check_part(self, "test", self.x_test, self.y_test)
        _check_weight(self)
        if len(self.x_train) != len(self.x_test) or len(self.x_train) == 0 or self.points == 0:
            raise DataError(
                f"Data '{self.name}' has x_train of shape {self.x_train.shape} and x_test of shape {self.x_test.shape}:"
                " give at least one training point, and as many test sets as training sets."
            )

    @property
    def count(self) -> int:
        """Number of data sets D."""
        return self.x_train.shape[0]

    def own_inputs(self, x: Floats) -> Floats:
        """Inputs [n, m] of the first set in their own units, missing ones as the mean."""
        s = self.standardisation
        return x if s is None else x * s.sd[0] + s.mean[0]

    @property
    def points(self) -> int:
        """Training points N of each set."""
        return self.x_train.shape[1]

    @property
    def test_points(self) -> int:
        """Test points M of each set, possibly 0."""
        return self.x_test.shape[1]

    @property
    def inputs(self) -> int:
        """Number of features m."""
        return self.x_train.shape[2]

    @property
    def outputs(self) -> int:
        """Outputs of a network for this task: 1 for binary, the number of classes, or the number of regression
        targets.
        """
        return TASKS[self.task].outputs(self.y_train.shape[2] if TASKS[self.task].numeric else len(self.classes))

    def one(self, which: int) -> "Dataset":
        """Data set `which` of several, alone."""

        def mine(of: Any, names: tuple[str, ...]) -> dict[str, Any]:
            held = {name: getattr(of, name) for name in names}
            return {name: None if v is None else v[which : which + 1] for name, v in held.items()}

        s = self.standardisation
        scales = None if s is None else replace(s, **mine(s, ("mean", "sd", "target_mean", "target_sd")))
        parts = mine(self, ("x_train", "y_train", "x_test", "y_test", "weight"))
        return replace(self, standardisation=scales, **parts)

    def fingerprint(self) -> str:
        """SHA-256 (hex) of every name, shape and value, standardisation included: equal exactly where the content is
        bit for bit equal.
        """
        digest = hashlib.sha256()
        names: list[Any] = [self.name, self.task, self.features, self.classes, self.targets]
        if self.recipe is not None:
            names.append(self.recipe.model_dump())
        if self.target_transform is not None:
            names.append({"target_transform": self.target_transform})
        digest.update(json.dumps(names).encode())
        s = self.standardisation
        arrays = {"x_train": self.x_train, "y_train": self.y_train, "x_test": self.x_test, "y_test": self.y_test}
        scales = (
            {} if s is None else {"mean": s.mean, "sd": s.sd, "target_mean": s.target_mean, "target_sd": s.target_sd}
        )
        for key, value in {**arrays, **scales, "weight": self.weight}.items():
            if value is not None:
                little = value.astype(value.dtype.newbyteorder("<"), order="C", copy=False)
                digest.update(json.dumps([key, little.dtype.str, little.shape]).encode())
                digest.update(little.data)
        return digest.hexdigest()


class Part(NamedTuple):
    """One data set before stacking: x [N, m] and [M, m], y [N] or [N, n] and [M] or [M, n]; weights [N] of the training
    points, of any mean, or None.
    """

    x_train: Values
    y_train: Values
    x_test: Values
    y_test: Values
    weight: Values | None = None


@dataclass(frozen=True)
class Schema:
    """What the columns of a data set mean; the parts of a `Dataset` that are not arrays."""

    name: str
    task: str
    features: tuple[str, ...]
    classes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    recipe: Recipe | None = None
    target_transform: str | None = None


LOG = "log"
"""Of target_transform: the logarithm of positive answers is learned."""


def transformed(name: str) -> str:
    """What a target is called once its logarithm is taken."""
    return f"{LOG}({name})"


def own_name(name: str) -> str:
    """Inverse of `transformed`."""
    return name.removeprefix(f"{LOG}(").removesuffix(")")


def logarithms(y: Values, schema: Schema) -> Floats:
    """log y; DataError where an answer is not positive, or is a label."""
    if not TASKS[schema.task].numeric:
        raise DataError(
            f"Data '{schema.name}': target_transform = \"log\" is of numbers, and the target holds classes."
        )
    bad = np.argwhere(~(np.asarray(y, np.float64) > 0))
    if len(bad):
        value = y[tuple(bad[0])]
        raise DataError(
            f"Data '{schema.name}': target_transform = \"log\" takes positive answers, and one is {value:g} ({len(bad)}"
            " such rows): leave it out, or mend these rows."
        )
    return np.log(y.astype(np.float64))


def stack(schema: Schema, parts: Sequence[Part], standardise: bool | str = False) -> Dataset:
    """One `Dataset` from D parts of equal shape, each standardised, if asked, by the moments of its own training
    part; regression targets with the features, unless `standardise` is "features". Features that are missing (NaN) are
    filled in with the mean of the training part, 0 once standardised.
    """
    first = parts[0]
    refuse_absurd(
        len(parts) * (len(first.x_train) + len(first.x_test)) * first.x_train.shape[1], f"Data '{schema.name}'"
    )
    numeric = TASKS[schema.task].numeric
    kind = np.float64 if numeric else np.int64
    x_train: Floats = np.stack([p.x_train for p in parts]).astype(np.float64, copy=False)
    x_test: Floats = np.stack([p.x_test for p in parts]).astype(np.float64, copy=False)
    y_train: Any = np.stack([p.y_train for p in parts]).astype(kind, copy=False)
    y_test: Any = np.stack([p.y_test for p in parts]).astype(kind, copy=False)
    targets = schema.targets
    if schema.target_transform is not None:
        y_train, y_test = logarithms(y_train, schema), logarithms(y_test, schema)
        targets = tuple(transformed(name) for name in targets)
    scales = None
    if standardise:
        x_train, x_test, mean, sd = _by_training_part(x_train, x_test)
        scales = Standardisation(mean, sd)
        if numeric and standardise != "features":
            y_train, y_test, *of_answers = _by_training_part(y_train, y_test)
            scales = Standardisation(mean, sd, *of_answers)
    elif schema.recipe is not None and schema.recipe.may_miss.any():
        raise DataError(
            f"Data '{schema.name}' has missing values, which count as the mean of their column once columns are"
            " standardised: leave standardise at true, or fill them in."
        )
    weight = None
    if first.weight is not None:
        weight = scaled_weights(schema.name, np.stack([np.asarray(p.weight) for p in parts]))
    return Dataset(
        schema.name, schema.task, x_train, y_train, x_test, y_test, schema.features, schema.classes, targets, scales,
        weight, schema.recipe, schema.target_transform,
    )  # fmt: skip


def _by_training_part(train: Floats, test: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Both parts rescaled by the moments of the training part, then its mean and sd [D, m]."""
    mean, sd = moments(train)
    return rescale(train, mean, sd), rescale(test, mean, sd), mean, sd


def scaled_weights(name: str, weight: Values) -> Floats:
    """Weights [D, N] as float64, of mean 1 in each set; DataError for what can be none."""
    w = weight.astype(np.float64)
    bad = np.argwhere(~((w >= 0) & (w <= MAX_MAGNITUDE)))
    if len(bad):
        d, i = bad[0]
        raise DataError(
            f"Data '{name}': the weight of training point {i} is {w[d, i]:g} ({len(bad)} such values). Weights are"
            " finite and not negative: mend them, or leave the point out."
        )
    mean = w.mean(axis=1, keepdims=True)
    if not (mean > 0).all():
        raise DataError(f"Data '{name}': all weights of training points are 0. Give some of them a positive weight.")
    return w / mean


def moments(x: Floats) -> tuple[Floats, Floats]:
    """Mean and sd [D, m] over the points of `x` [D, N, m], without ddof; a constant column has its own value as mean,
    exactly, and sd 1.

    Constant is what differs by no more than rounding makes of one number: (3 + log2 N) eps max|x|, the bound of a
    pairwise mean. Divided by such a spread, the last bit of .3 would become an input of size 1. Values that are missing
    (NaN) do not count.
    """
    if np.isnan(x).any():
        return _moments_of_present(x)
    mean, sd = x.mean(axis=1), x.std(axis=1)
    rounding = (3 + math.log2(x.shape[1])) * np.finfo(np.float64).eps * np.abs(x).max(axis=1)
    constant = x.max(axis=1) - x.min(axis=1) <= rounding
    return np.where(constant, x[:, 0], mean), np.where(constant | (sd == 0), 1.0, sd)


def _moments_of_present(x: Floats) -> tuple[Floats, Floats]:
    """`moments` column by column of what is there; 0 and 1 where nothing is."""
    mean, sd = np.zeros((len(x), x.shape[2])), np.ones((len(x), x.shape[2]))
    for d, i in np.ndindex(mean.shape):
        present = x[d, ~np.isnan(x[d, :, i]), i]
        if len(present):
            (mean[d, i],), (sd[d, i],) = (found[0] for found in moments(present[None, :, None]))
    return mean, sd


def rescale(x: Floats, mean: Floats, sd: Floats) -> Floats:
    """`(x - mean) / sd` for x [D, N, m], and mean, sd [D, m]; 0 where x is missing (NaN)."""
    out = (x - mean[:, None]) / sd[:, None]
    absent = np.isnan(x)
    return np.where(absent, 0.0, out) if absent.any() else out


def refuse_absurd(values: int, what: str) -> None:
    """Refuse an array of so many values before it is allocated."""
    if values > MAX_VALUES:
        raise DataError(
            f"{what} would hold {values:,} values; at most {MAX_VALUES:,} are accepted. Use fewer points, features or"
            " data sets, or check that the file is not damaged."
        )


def _check_names(data: Dataset) -> None:
    """Names of columns and classes: as many as the task wants, none twice."""
    classes = len(data.classes)
    task = TASKS[data.task]
    if not task.fewest <= classes <= task.most or (len(data.targets) > 0) != task.numeric:
        raise DataError(
            f"Data '{data.name}' ({data.task}) has {classes} classes and {len(data.targets)} target names: binary has"
            " two classes, multiclass at least two, regression none; only regression names its targets."
        )
    for what, names in (("feature", data.features), ("class", data.classes), ("target", data.targets)):
        twice = [name for name, times in Counter(names).items() if times > 1]
        if twice:
            raise DataError(f"Data '{data.name}' has the {what} '{twice[0]}' twice. Give each its own name.")


def _check_part(data: Dataset, part: str, x: Floats, y: Values) -> None:
    """Shapes, types and values of the training or the test part."""
    numeric = TASKS[data.task].numeric
    where = f"Data '{data.name}' ({data.task}): "
    if x.ndim != 3 or x.dtype != np.float64 or x.shape[2] != len(data.features) or x.shape[2] == 0:
        raise DataError(
            f"{where}x_{part} is {x.dtype} {x.shape}; it must be float64 [sets, points, {len(data.features)} features]."
        )
    shape = (*x.shape[:2], len(data.targets)) if numeric else x.shape[:2]
    if y.shape != shape or y.dtype != (np.float64 if numeric else np.int64):
        raise DataError(
            f"{where}y_{part} is {y.dtype} {y.shape}; it must be {'float64' if numeric else 'int64'} {shape}."
        )
    _check_magnitude(where, f"x_{part}", x, data.features)
    if numeric:
        _check_magnitude(where, f"y_{part}", y.astype(np.float64, copy=False), data.targets)
    elif y.size and not (0 <= y.min() and y.max() < len(data.classes)):
        bad = y.min() if y.min() < 0 else y.max()
        raise DataError(f"{where}y_{part} has the label {bad}; labels are 0 to {len(data.classes) - 1}.")


def _check_weight(data: Dataset) -> None:
    """Weights: one for each training point, of mean 1."""
    w = data.weight
    if w is None:
        return
    if w.shape != data.x_train.shape[:2] or w.dtype != np.float64:
        raise DataError(
            f"Data '{data.name}' has weights of {w.dtype} {w.shape}; they must be float64 {data.x_train.shape[:2]},"
            " one for each training point."
        )
    if not ((w >= 0) & np.isfinite(w)).all() or not np.allclose(w.mean(axis=1), 1, rtol=1e-6):
        raise DataError(f"Data '{data.name}' has weights that are negative, not finite, or not of mean 1: scale them.")


def _check_magnitude(where: str, what: str, values: Floats, names: tuple[str, ...]) -> None:
    """All of `values` [D, N, m] finite and within `MAX_MAGNITUDE`."""
    with np.errstate(invalid="ignore"):
        good = np.abs(values) <= MAX_MAGNITUDE
    if not good.all():
        d, i, j = np.argwhere(~good)[0]
        raise DataError(
            f"{where}{what} has the value {values[d, i, j]:g} in '{names[j]}' (set {d}, point {i}); numbers must be"
            f" finite and at most {MAX_MAGNITUDE:g} in size. Remove the point, or rescale or leave out the column."
        )
