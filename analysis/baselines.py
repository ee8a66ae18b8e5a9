"""A run's predictions about the rows held out beside what scikit-learn makes of the same rows: a linear model and
gradient boosting. Each number with its standard error over rows.
"""

import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from gpu_thermo.averages.calibration import calibration
from gpu_thermo.averages.held_out import held_out
from gpu_thermo.averages.predictive import data_names, predict, restored_data
from gpu_thermo.averages.trees import Run, opened
from gpu_thermo.data import Dataset
from gpu_thermo.errors import SpecError

Array = Any
OURS = "this run"
COVERAGE, DRAWS = 0.9, 1_000
"""Of the interval that is counted, and the draws that our densities are made of, at most."""
MANY = 20_000
"""Rows below which threads of gradient boosting wait for each other longer than they work."""
MOST_DIGITS, WIDEST = 4, 18
"""Behind the point, in a table; characters of a cell, so that it fits 80 columns."""
FEW_NATS = 0.05
"""A row by which another model may be better without a word."""
_NORMAL = 1.6448536269514722
"""Half the width of a normal law's central 90 % interval, in sd."""


@dataclass(frozen=True)
class Score:
    """Scores of one model on the rows held out; errors are standard errors over rows.

    Attributes
    ----------
    error : RMSE in the target's own units, or the share of wrong labels. nll : negative log likelihood a row, in nats.
    coverage : share of answers in the 90 % interval; NaN for classes. seconds : of its fit; NaN where not known.
    """

    name: str
    error: float
    error_se: float
    nll: float
    nll_se: float
    coverage: float
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def compared(run: Run, seconds: float = float("nan")) -> list[Score]:
    """Our scores first, then those of a linear model and of gradient boosting, fitted on the same training rows.

    Raises
    ------
    SpecError
        The run has no test rows, several data sets or targets, or samples no network.
    """
    import sklearn.ensemble  # noqa: F401  # its OpenMP must be there before its threads are counted

    tree = opened(run)
    data = restored_data(tree)
    if not data.test_points or data.count > 1 or len(data.targets) > 1:
        raise SpecError("Only a run on one data set with one target and rows held out can be compared.")
    with warnings.catch_warnings(), threadpool_limits(1 if data.points < MANY else None, user_api="openmp"):
        warnings.simplefilter("ignore")  # of lbfgs and of few samples in a class: the scores say enough
        return [_ours(tree, data, seconds), *(_classes(data) if data.classes else _numbers(data))]


def own_units(data: Dataset, values: Array) -> Array:
    """Answers as they stand in the run, in the target's own units."""
    s = data.standardisation
    if s is None or s.target_mean is None or s.target_sd is None:
        return values
    return values * s.target_sd[0, 0] + s.target_mean[0, 0]


def test_inputs(data: Dataset) -> Array:
    """Inputs of the rows held out in their own units, missing ones as the mean."""
    return data.own_inputs(data.x_test[0])


def _ours(tree: xr.DataTree, data: Dataset, seconds: float) -> Score:
    if data.classes:
        mean = predict(tree, test_inputs(data), 0)["mean"].transpose("point", "output").to_numpy()
        return _of_classes(OURS, _full(mean), data.y_test[0], seconds)
    answers = own_units(data, data.y_test[0, :, 0])
    mean = own_units(data, tree["predictive"]["mean"].to_numpy()[0, :, 0])  # of log y where that was learned
    judged, held = calibration(tree, 0, coverage=(COVERAGE,), draws=DRAWS), held_out(tree, [0])[0]["coverage"]
    found = _of_numbers(OURS, answers, mean, judged["nll"].to_numpy()[:, 0], np.zeros(len(answers)), seconds)
    return replace(found, coverage=held[f"{COVERAGE:g}"])  # as `diagnose` has it


def _full(p: Array) -> Array:
    """Probabilities of all classes."""
    return np.hstack([1 - p, p]) if p.shape[1] == 1 else p


def _of_classes(name: str, p: Array, y: Array, seconds: float) -> Score:
    wrong, nll = p.argmax(axis=1) != y, -np.log(np.maximum(p[np.arange(len(y)), y], 1e-12))
    return Score(name, *_mean(wrong.astype(float)), *_mean(nll), float("nan"), seconds)


def _of_numbers(name: str, y: Array, mean: Array, nll: Array, inside: Array, seconds: float) -> Score:
    square, square_se = _mean((y - mean) ** 2)
    rmse = square**0.5
    return Score(name, rmse, square_se / max(2 * rmse, 1e-300), *_mean(nll), float(inside.mean()), seconds)


def _mean(values: Array) -> tuple[float, float]:
    """Mean over rows and its standard error."""
    return float(values.mean()), float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")


def _classes(data: Dataset) -> list[Score]:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression

    lone = np.unique(data.y_train[0], return_counts=True)[1].min() < 2  # cannot be set aside for stopping early
    boosting = HistGradientBoostingClassifier(early_stopping=False if lone else "auto")
    models = {"logistic regression": LogisticRegression(max_iter=1_000), "gradient boosting": boosting}
    out = []
    for name, model in models.items():
        fitted, seconds = _timed(lambda m=model: m.fit(data.x_train[0], data.y_train[0]))  # type: ignore[misc]
        p = np.zeros((data.test_points, len(data.classes)))
        p[:, fitted.classes_] = fitted.predict_proba(data.x_test[0])
        out.append(_of_classes(name, p, data.y_test[0], seconds))
    return out


def _numbers(data: Dataset) -> list[Score]:
    """The sd of boosting is that of five-fold residuals."""
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.linear_model import BayesianRidge
    from sklearn.model_selection import cross_val_predict

    x, y, unit = data.x_train[0], data.y_train[0, :, 0], own_units(data, np.array([0.0, 1.0]))
    ridge, ridge_seconds = _timed(lambda: BayesianRidge().fit(x, y))
    boosted, seconds = _timed(lambda: HistGradientBoostingRegressor().fit(x, y))
    rest = y - cross_val_predict(HistGradientBoostingRegressor(), x, y, cv=min(5, len(y)))
    mean, sd = ridge.predict(data.x_test[0], return_std=True)
    found = {
        "ridge regression": (mean, sd, ridge_seconds),
        "gradient boosting": (boosted.predict(data.x_test[0]), np.full(len(mean), rest.std()), seconds),
    }
    answers = own_units(data, data.y_test[0, :, 0])
    return [
        _of_normal(name, answers, own_units(data, m), s * (unit[1] - unit[0]), t) for name, (m, s, t) in found.items()
    ]


def _of_normal(name: str, y: Array, mean: Array, sd: Array, seconds: float) -> Score:
    """Of a model whose answers are normal."""
    z = (y - mean) / np.maximum(sd, 1e-300)
    nll = z**2 / 2 + np.log(np.maximum(sd, 1e-300)) + np.log(2 * np.pi) / 2
    return _of_numbers(name, y, mean, nll, abs(z) <= _NORMAL, seconds)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    begin = time.perf_counter()
    return work(), time.perf_counter() - begin


def behind(scores: Sequence[Score]) -> list[str]:
    """A line where one of the others predicts rows held out better than ours, beyond two standard errors of both."""
    ours, best = scores[0], min(scores[1:], key=lambda s: s.nll)
    gap, error = ours.nll - best.nll, math.hypot(ours.nll_se, best.nll_se)
    if not gap > max(2 * error, FEW_NATS):
        return []
    return [
        f"{best.name} predicts the rows held out better, by {gap:.2g} +- {error:.1g} nats a row: prefer its answers, or"
        " learn from more rows or fewer columns"
    ]


def columns(data: Dataset) -> tuple[str, ...]:
    """Heads of a table of scores."""
    if data.classes:
        return "model", "wrong", "NLL", "time"
    what = "RMSE" if data.target_transform is None else f"RMSE of {data.targets[0]}"
    return "model", what if len(what) <= WIDEST else "RMSE of log", "NLL", "90 % holds", "time"


def rows(scores: Sequence[Score]) -> list[tuple[str, ...]]:
    """The same as texts."""
    out = []
    for s in scores:
        held = () if np.isnan(s.coverage) else (f"{s.coverage:.1%}",)  # of answers in the 90 % interval
        took = "" if np.isnan(s.seconds) else f"{s.seconds:.1f} s"
        out.append((s.name, with_error(s.error, s.error_se), with_error(s.nll, s.nll_se), *held, took))
    return out


def with_error(value: float, error: float) -> str:
    """Both to the second digit of the error, or to four digits where that is not known: WIDEST characters at most."""
    if not (np.isfinite(value) and np.isfinite(error) and error > 0):
        return f"{value:.4g}"
    digits = max(0, 1 - math.floor(math.log10(error)))
    if digits > MOST_DIGITS or max(abs(value), error) >= 1e6:
        return f"{value:.3g} +- {error:.1g}"
    return f"{value:,.{digits}f} +- {error:,.{digits}f}"


def is_comparable(tree: xr.DataTree) -> bool:
    """Whether `compared` has anything to say of an opened run."""
    names = data_names(tree)
    sizes = tree["constant_data"]["x_test"].shape
    return bool(sizes[0] == 1 and sizes[1] and len(names["targets"]) < 2 and "posterior" in tree.children)
