"""A table in a file and the name of its target, made ready to fit: everything is chosen, and what cannot work is said
before any work.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data import Dataset
from ..data.labels import shorten
from ..data.recipe import plain
from ..data.sources import Csv, Parquet
from ..data.tasks import classification
from ..errors import DataError
from ..running.model import assumptions, make_model, with_scales
from ..running.setup import prepare
from ..running.subject import Setup
from ..spec.run import RunSpec
from .defaults import sections

CLASSIFICATION = "classification"
TASKS = ("regression", CLASSIFICATION, "binary", "multiclass")
"""What a target may be said to be."""
KEPT = ("parameters", "predictions")
"""What is stored of each draw: predictions at some 32 points say in `gpu-thermo diagnose` how well chains mix."""
FEWEST = 10
"""Rows of a table: of fewer neither a network nor its score can be made."""
HELD_OUT, MOST_HELD_OUT = 0.2, 2_000
"""Share of the rows that scores are judged by, and the most of them."""
SKEWED = 2.0
"""Skewness of a positive target from which on its logarithm is suggested, where that is less skewed by half."""


class Planned(NamedTuple):
    """A table made ready.

    Attributes
    ----------
    spec : of the run. data : as it will be sampled. advice : lines for the user, before anything is done. assumed : of
    answers and parameters.
    """

    spec: dict[str, Any]
    data: Dataset
    advice: tuple[str, ...]
    assumed: tuple[str, ...]

    @property
    def network(self) -> str:
        """A line on the layers that were chosen."""
        widths = self.spec["model"]["hidden"]
        layers = "1 hidden layer" if len(widths) == 1 else f"{len(widths)} hidden layers"
        return f"network: {layers} of {widths[0]} units"

    def ready(self) -> Setup:
        """The run of the table that was read, which is not read again."""
        return prepare(RunSpec.from_dict(self.spec), data=self.data)


class Wanted(NamedTuple):
    """What a user says of a table, beside the name of its target.

    Attributes
    ----------
    log : whether the logarithm of the target is learned. kinds, features, drop, drop_missing_target : as in [data] of a
    spec. task : "" for what the target looks like, regression, classification, or as in [data]. keep : what the run
    stores of each draw beside networks and predictions.
    """

    log: bool = False
    kinds: Mapping[str, str] | None = None
    features: Sequence[str] | None = None
    drop: Sequence[str] | None = None
    task: str = ""
    drop_missing_target: bool = False
    keep: Sequence[str] = ()

    def section(self, different: int) -> dict[str, Any]:
        """What it adds to [data], of a target with so many different values."""
        task = self.task
        if task == CLASSIFICATION:
            task = classification(different)
        found = {"kinds": self.kinds, "features": self.features, "drop": self.drop, "task": task,
                 "drop_missing_target": self.drop_missing_target, "target_transform": "log" * self.log}  # fmt: skip
        return {name: value for name, value in found.items() if value}


def plan_table(path: Path, target: str, *, seed: int = 0, wanted: Wanted = Wanted(), **settings: Any) -> Planned:
    """The run that `gpu-thermo fit` makes of a CSV or Parquet file.

    Parameters
    ----------
    path, target : the file, and the name of its target column. seed : of the split, the starts and the motion.
    settings : as of `defaults.sections`.

    Raises
    ------
    DataError
        What the table lacks, with its name and what to do. SpecError : what is wanted of columns does not go together.
    """
    source: Any = {".parquet": Parquet, ".pq": Parquet}.get(path.suffix.lower(), Csv)
    answers = source.column(path, target)
    different = _check(path, target, answers)
    share = min(HELD_OUT, MOST_HELD_OUT / len(answers))
    section = {"name": source.model_fields["name"].default, "path": str(path), "target": target,
               "test_fraction": share, "split_seed": seed, **wanted.section(different)}  # fmt: skip
    data = RunSpec.from_dict({"data": section}).data.build()
    _check_answers(path, target, data)
    spec = {"data": section, **sections(data, seed=seed, **settings)}
    spec["run"]["keep"] = [*dict.fromkeys([*KEPT, *wanted.keep])]
    chosen = with_scales(RunSpec.from_dict(spec), data)
    if chosen.model.prior_scales is not None:
        spec["model"]["prior_scales"] = chosen.model.prior_scales
    assumed = assumptions(make_model(chosen, data), data, chosen.model.prior_scales is not None)
    return Planned(spec, data, tuple(_advice(data, wanted.log)), tuple(assumed))


def _check(path: Path, target: str, answers: Sequence[str | None]) -> int:
    """How many different answers there are; DataError where there are too few, or too few rows."""
    rows = len(answers)
    if rows < FEWEST:
        raise DataError(f"{path} has {rows} rows, and at least {FEWEST} are needed to learn from and to judge by.")
    present = {v for v in answers if v is not None}
    if len(present) == 1:
        raise DataError(
            f"{path}: column '{target}' holds one value in all rows, {shorten(str(present.pop()))}: there is nothing to"
            " learn. Name another target."
        )
    return len(present)


def _check_answers(path: Path, target: str, data: Dataset) -> None:
    """More than one answer in the part that is learned from."""
    y, rows = data.y_train[0], data.points + data.test_points
    if len(data.classes) > max(2, rows // 2):
        raise DataError(
            f"{path}: column '{target}' has {len(data.classes):,} different values in {rows:,} rows, too many for"
            " classes. Say --task regression where they are numbers, or name another target."
        )
    if data.classes and len(np.unique(y)) < 2:
        raise DataError(f"{path}: column '{target}' has one class in the rows to learn from: give more of the others.")


def _advice(data: Dataset, log: bool) -> list[str]:
    recipe = plain(data.features) if data.recipe is None else data.recipe
    lines = [f"column {line}" for line in recipe.lines]
    if not log and (skew := log_would_help(data)):
        lines.append(f"the target is positive and skewed ({skew:.1f}): its logarithm may be easier to learn (--log)")
    return lines


def log_would_help(data: Dataset) -> float:
    """Skewness of a target of positive numbers whose logarithm is less skewed by half; 0 of others."""
    s = data.standardisation
    logarithmic = data.target_transform is not None
    if (
        data.classes
        or logarithmic
        or len(data.targets) != 1
        or s is None
        or s.target_mean is None
        or s.target_sd is None
    ):
        return 0.0
    y = data.y_train[0, :, 0] * s.target_sd[0, 0] + s.target_mean[0, 0]
    if not (y > 0).all() or (skew := _skewness(y)) < SKEWED:
        return 0.0
    return skew if abs(_skewness(np.log(y))) < skew / 2 else 0.0


def _skewness(y: np.ndarray) -> float:
    unit = float(np.ptp(y))
    if not 0 < unit < np.inf:
        return 0.0
    centred = (y - y.mean()) / unit
    return float((centred**3).mean() / (centred**2).mean() ** 1.5)
