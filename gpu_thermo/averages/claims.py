"""What a store says of its run, held against what is there: a document may claim anything.

Types and shapes only, so that it costs next to nothing; whether the bytes are those that were written is
`verify_store`'s to say.
"""

import json
import math
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..data.dataset import LOG
from ..data.recipe import Recipe
from ..data.tasks import TASKS
from ..errors import SpecError, StoreError
from ..spec.model import LEARN
from ..spec.reports import read_reports
from ..spec.run import RunSpec
from ..store.header import RunInfo
from ..tuning.told import Told

MOST_STEPS = 2**53
MAKESHIFT = (
    "Time was over before the first draw: answers are those of the networks as they stood then, and how sure they seem"
    " to be means nothing. Give the run more time (gpu-thermo resume, max_seconds)."
)
NAMES = ("features", "classes", "targets")
BROKEN = (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError)


def claim(what: str, problem: str) -> StoreError:
    """The error for something that a store says of itself and that cannot be."""
    return StoreError(
        f"The run's {what} {problem}: its store was changed after it was written, or is damaged. Restore it from a"
        " copy, or run again."
    )


def spec_of(text: Any) -> RunSpec:
    """The spec that a store holds; StoreError for what is none."""
    try:
        return RunSpec.from_json(text)
    except SpecError as error:
        raise claim("attribute spec", f"is no spec ({error})") from None
    except BROKEN:
        raise claim("attribute spec", f"is no spec but {_shown(text)}") from None


def check_header(info: RunInfo) -> RunSpec:
    """The spec of a run, whose header and progress fit it; StoreError that names what does not."""
    spec, said = spec_of(info.spec), info.attributes
    if info.replicas != spec.run.replicas:
        raise claim("store", f"has {info.replicas} replicas, and its spec {spec.run.replicas}")
    steps, seconds = said.get("steps", spec.run.steps), said.get("sampling_time", 0.0)
    if (
        type(steps) is not int
        or not spec.run.burn_in < steps <= MOST_STEPS
        or (steps - spec.run.burn_in) % spec.run.thin
    ):
        raise claim("attribute steps", f"is {_shown(steps)}, no number of steps of its spec")
    if not 0 <= info.step <= steps:
        raise claim("step", f"is {info.step} of {steps}")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 1e12:
        raise claim("attribute sampling_time", f"is {_shown(seconds)}, no number of seconds")
    if not isinstance(said.get("engine", ""), str):
        raise claim("attribute engine", f"is {_shown(said['engine'])}, no name")
    check_reports(said.get("moves"))
    told_of(said)
    return spec


def told_of(attributes: Mapping[str, Any]) -> Told | None:
    """How a run tuned itself, by what its last commit says; None where it did not, or had not begun.

    Raises
    ------
    StoreError
        It is no such thing.
    """
    if attributes.get("tuning") is None:
        return None
    try:
        return Told.of(attributes["tuning"])
    except ValueError as error:
        raise claim("attribute tuning", f"is damaged ({error})") from None


def told_by(tree: xr.DataTree) -> Told | None:
    """How an opened run tuned itself; None of others."""
    found = tree["tuning"].attrs if "tuning" in tree.children else {}
    return told_of({"tuning": found}) if "course" in found else None


def warn_of_verdict(tree: xr.DataTree) -> None:
    """A warning where a run that tuned itself lost replicas, which no average survives, or has no draws."""
    told = told_by(tree)
    if told is not None and told.verdict.lost:
        warnings.warn(
            f"{told.verdict.lost} of the run's {told.tuner.replicas} replicas are lost, far outside where the others"
            " are, and predictions average over them, too: they mean nothing. Start the run again from other starts.",
            stacklevel=3,
        )  # fmt: skip
    if told is not None and told.verdict.makeshift:
        warnings.warn(MAKESHIFT, Makeshift, stacklevel=3)


class Makeshift(UserWarning):
    """A run has no draws, and answers by networks as they stood when it stopped."""


def check_reports(stored: Any) -> None:
    """StoreError for reports of moves that are none."""
    try:
        for report in read_reports(stored):
            if not all(isinstance(text, str) for text in (*report.lines, *report.lines.values(), *report.warnings)):
                raise ValueError("a line is no text")
            if not all(isinstance(v.topic, str) and isinstance(v.text, str) for v in report.verdicts):
                raise ValueError("a verdict is no text")
    except BROKEN:
        raise claim("attribute moves", f"is no report of moves but {_shown(stored)}") from None


def check_tree(tree: xr.DataTree) -> None:
    """StoreError that names what an opened run says and what it has not."""
    spec = spec_of(tree.attrs["spec"])
    if "sample_stats" in tree.children:
        stats = tree["sample_stats"]
        check_reports(stats.attrs.get("moves"))
        if "draw" not in stats.sizes or "chain" not in stats.sizes:
            raise claim("group sample_stats", "has no chains or draws")
    if spec.target is None and "constant_data" in tree.children and "data" in tree.attrs:
        names = names_of(tree.attrs["data"])
        _check_data(tree, names)


def names_of(text: Any) -> dict[str, Any]:
    """Name, task, features, classes and targets of the data, from the attribute `data`; StoreError for what is no such
    text.
    """
    try:
        names = json.loads(text)
        lists = [names[kind] for kind in NAMES]
        texts = [names["name"], names["task"], *(name for some in lists for name in some)]
        good = all(isinstance(some, list) for some in lists) and all(isinstance(name, str) for name in texts)
        task = TASKS[names["task"]]
        good = good and task.fewest <= len(names["classes"]) <= task.most and bool(names["targets"]) == task.numeric
        recipe = names.get("recipe")
        if recipe is not None:
            names["recipe"] = Recipe.model_validate(recipe)
            good = good and list(names["recipe"].features) == names["features"]
        good = good and names.get("target_transform") in (None, LOG)
    except BROKEN:
        good = False
    if not good or not names["features"]:
        raise claim("attribute data", f"does not name its data but is {_shown(text)}")
    return {name: tuple(value) if name in NAMES else value for name, value in names.items()}


def _check_data(tree: xr.DataTree, names: Mapping[str, Any]) -> None:
    """Shapes of the data and of what was sampled from them."""
    constant, features = tree["constant_data"], len(names["features"])
    noise = tree.attrs.get("noise_sd", 1.0)
    if isinstance(noise, str) and noise == LEARN:
        learned_centre(tree, len(names["targets"]))
        noise = 1.0
    if isinstance(noise, bool) or not isinstance(noise, int | float | np.number) or not 0 < noise < math.inf:
        raise claim("attribute noise_sd", f"is {_shown(noise)}, no standard deviation")
    widths = {"x_train": features, "x_test": features, "feature_mean": features, "feature_sd": features}
    if names["targets"]:
        widths |= dict.fromkeys(("y_train", "y_test", "target_mean", "target_sd"), len(names["targets"]))
    for name in ("x_train", "y_train", "x_test", "y_test"):
        if name not in constant:
            raise claim("group constant_data", f"has no {name}")
    sets = constant["x_train"].shape[0]
    for name, width in widths.items():
        if name in constant and (constant[name].shape[-1:] != (width,) or constant[name].shape[0] != sets):
            raise claim(
                f"{name} in constant_data", f"has shape {constant[name].shape}, for {width} columns and {sets} sets"
            )
    if "sample_stats" in tree.children and "predictive" in tree.children and "dataset" in tree["sample_stats"].coords:
        _check_numbers(tree, "dataset", sets)
        _check_numbers(tree, "ensemble", tree["predictive"].sizes.get("ensemble", 0))


def learned_centre(tree: xr.DataTree, targets: int) -> tuple[float, ...]:
    """Means of the prior of a learned noise, target by target; StoreError for what is none."""
    text = str(tree.attrs.get("noise_centre"))
    try:
        centre = tuple(float(value) for value in json.loads(str(text)))
        good = len(centre) == targets and all(math.isfinite(value) for value in centre)
    except BROKEN:
        good = False
    if not good:
        raise claim("attribute noise_centre", f"is {_shown(text)}, not a number for each of {targets} targets")
    return centre


def _check_numbers(tree: xr.DataTree, name: str, count: int) -> None:
    values = tree["sample_stats"][name].to_numpy()
    if values.dtype.kind not in "iu" or (values.size and not 0 <= values.min() <= values.max() < count):
        raise claim(f"coordinate {name}", f"names others than the {count} there are")


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except BROKEN:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
