"""A table in a file and the name of its target, made ready to fit: everything is chosen, and what cannot work is said
before any work.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data import Dataset
from ..data.labels import shorten
from ..data.sources import Csv, Parquet
from ..errors import DataError, did_you_mean
from ..running.model import assumptions, make_model, with_scales
from ..spec.run import RunSpec
from .defaults import sections

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


def plan_table(path: Path, target: str, *, seed: int = 0, log: bool = False, **settings: Any) -> Planned:
    """The run that `gpu-thermo fit` makes of a CSV or Parquet file.

    Parameters
    ----------
    path, target : the file, and the name of its target column. seed : of the split, the starts and the motion.
    log : whether the logarithm of the target is learned. settings : as of `defaults.sections`.

    Raises
    ------
    DataError
        What the table lacks, with its name and what to do.
    """
    source: Any = {".parquet": Parquet, ".pq": Parquet}.get(path.suffix.lower(), Csv)
    raw = source.raw(path)
    _check(path, target, raw)
    rows = len(raw[target])
    share = min(HELD_OUT, MOST_HELD_OUT / rows)
    section = {"name": source.model_fields["name"].default, "path": str(path), "target": target,
               "test_fraction": share, "split_seed": seed}  # fmt: skip
    if log:
        section["target_transform"] = "log"
    data = source(**section).build()
    _check_answers(path, target, data)
    spec = {"data": section, **sections(data, seed=seed, **settings)}
    chosen = with_scales(RunSpec.from_dict(spec), data)
    if chosen.model.prior_scales is not None:
        spec["model"]["prior_scales"] = chosen.model.prior_scales
    assumed = assumptions(make_model(chosen, data), data, chosen.model.prior_scales is not None)
    return Planned(spec, data, tuple(_advice(data, log)), tuple(assumed))


def _check(path: Path, target: str, raw: dict[str, Any]) -> None:
    """The target is there, and enough rows."""
    if target not in raw:
        remedy = did_you_mean(target, raw, f"Columns: {shorten(', '.join(raw), 300)}.", always=True)
        raise DataError(f"{path} has no column '{target}'. {remedy}")
    rows = len(raw[target])
    if rows < FEWEST:
        raise DataError(f"{path} has {rows} rows, and at least {FEWEST} are needed to learn from and to judge by.")
    values = raw[target].tolist()
    present = {v for v in values if v is not None and v == v}
    if len(present) == 1:
        raise DataError(
            f"{path}: column '{target}' holds one value in all rows, {shorten(str(present.pop()))}: there is nothing to"
            " learn. Name another target."
        )


def _check_answers(path: Path, target: str, data: Dataset) -> None:
    """More than one answer in the part that is learned from."""
    y = data.y_train[0]
    if data.classes and len(np.unique(y)) < 2:
        raise DataError(f"{path}: column '{target}' has one class in the rows to learn from: give more of the others.")


def _advice(data: Dataset, log: bool) -> list[str]:
    lines = [] if data.recipe is None else [f"column {line}" for line in data.recipe.lines]
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
    centred = y - y.mean()
    return float((centred**3).mean() / max((centred**2).mean(), 1e-300) ** 1.5)
