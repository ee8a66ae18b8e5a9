"""Data sets by kind, and a small one."""

import numpy as np

from gpu_thermo.data import (
    Dataset,
)

GENERATED = ("spirals", "trig", "moons", "circles", "gap")
BUNDLED = {
    "digits": ("multiclass", 1797, 64, 10),
    "breast_cancer": ("binary", 569, 30, 1),
    "wine": ("multiclass", 178, 13, 3),
}


# ---------------------------------------------------------------- Dataset


def small(**changes) -> Dataset:
    """A tiny valid data set with changes."""
    x, y = np.arange(6.0).reshape(1, 3, 2), np.array([[0, 1, 1]])
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    return Dataset(
        **({"name": "n", "task": "binary", **arrays, "features": ("a", "b"), "classes": ("0", "1")} | changes)
    )
