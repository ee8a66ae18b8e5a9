"""Data sets by kind, and a small one."""

from pathlib import Path

import numpy as np

from gpu_thermo.data import Csv, Dataset

GENERATED = ("spirals", "trig", "moons", "circles", "gap")
BUNDLED = {
    "digits": ("multiclass", 1797, 64, 10),
    "breast_cancer": ("binary", 569, 30, 1),
    "wine": ("multiclass", 178, 13, 3),
}


def small(**changes) -> Dataset:
    """A tiny valid data set with changes."""
    x, y = np.arange(6.0).reshape(1, 3, 2), np.array([[0, 1, 1]])
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    return Dataset(
        **({"name": "n", "task": "binary", **arrays, "features": ("a", "b"), "classes": ("0", "1")} | changes)
    )


def csv_file(folder: Path, text: str | bytes) -> Path:
    """Write a CSV file and return its path."""
    path = folder / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def read(folder: Path, text: str | bytes, **options) -> Dataset:
    """Dataset of a CSV text with target y, unsplit and in its own units unless told otherwise."""
    options = {"target": "y", "test_fraction": 0, "standardise": False} | options
    return Csv(path=str(csv_file(folder, text)), **options).build()


def column(values) -> str:
    """CSV text with the target values given."""
    return "a,y\n" + "".join(f"{i},{v}\n" for i, v in enumerate(values))
