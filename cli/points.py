"""The points that `predict` is asked about."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def read_points(path: Path, features: Sequence[str]) -> "tuple[np.ndarray, list[str]]":
    """Inputs [points, features] float64 in the order of `features`, and the names of columns left out.

    Raises
    ------
    DataError
        The file cannot be read, a feature is missing, or a value is missing or not a number; the line and the column
        are named.
    """
    from gpu_thermo.data.tables import read_csv

    # a table needs a target: a feature that serves as both leaves the reader with nothing else to ask for
    x = read_csv(path, features[:1], features, "regression").x
    return x, [name for name in _header(path) if name not in features]


def _header(path: Path) -> list[str]:
    """Names in the first line with text of a file that was read before."""
    from gpu_thermo.data.tables import DELIMITERS

    with path.open(encoding="utf-8-sig", newline="") as file:
        first = next(text for text in file if text.strip())
    return [name.strip() for name in next(csv.reader([first], delimiter=max(DELIMITERS, key=first.count)))]
