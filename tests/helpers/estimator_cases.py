"""Small data and settings for estimators."""

from typing import Any

import numpy as np

SMALL: dict[str, Any] = {"hidden": (4,), "replicas": 32, "tolerance": 0.2, "max_gradients": 4000, "random_state": 7}
ROWS = 40


def numbers() -> tuple[np.ndarray, np.ndarray]:
    """X [n, 2] and a linear y with noise of sd .3, in units far from 1."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(ROWS, 2))
    return x, 100 + 20 * (x[:, 0] - x[:, 1] + 0.3 * rng.normal(size=ROWS))


def classes() -> tuple[np.ndarray, np.ndarray]:
    """X [n, 2] and y 0 or 1 by a line, a tenth of them wrong."""
    rng = np.random.default_rng(4)
    x = rng.normal(size=(ROWS, 2))
    return x, ((x[:, 0] + x[:, 1] > 0) ^ (rng.random(ROWS) < 0.1)).astype(int)
