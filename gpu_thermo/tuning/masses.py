"""Masses estimated over an ensemble (equations.md section 16).

At equilibrium the mean square of a gradient is tau times the mean curvature along its parameter, whatever the density,
so that masses which follow it make the parameters alike to the stepsize. One mass serves a whole group of parameters (a
tensor of a network, whose units may trade places); float64, in a fixed order.
"""

from collections.abc import Mapping

import numpy as np

WIDEST = 1e12
"""Of the largest over the smallest mass: beyond it float32 would not see the small ones move."""


def estimate(gradient: np.ndarray, groups: Mapping[str, slice], free: np.ndarray) -> dict[str, float]:
    """Mass of each group: mean squares of the gradient, over their geometric mean over the free parameters.

    Parameters
    ----------
    gradient : [R, P], rows that are not finite are left out. groups : name -> its parameters. free : [P] bool, whether
        a parameter moves; groups that do not, or whose gradient is 0, have mass 1.
    """
    rows = gradient[np.isfinite(gradient).all(axis=1)].astype(np.float64)
    square = np.mean(rows * rows, axis=0) if len(rows) else np.zeros(gradient.shape[1])
    mean = {name: float(square[at].mean()) for name, at in groups.items()}
    moving = [name for name, at in groups.items() if free[at].any() and mean[name] > 0]
    if not moving:
        return dict.fromkeys(groups, 1.0)
    count = np.array([free[groups[name]].sum() for name in moving], np.float64)
    logs = np.log([mean[name] for name in moving])
    logs -= (count * logs).sum() / count.sum()
    half = np.log(WIDEST) / 2
    found = dict(zip(moving, np.exp(np.clip(logs, -half, half)).tolist(), strict=True))
    return {name: found.get(name, 1.0) for name in groups}


def scale(mass: Mapping[str, float], groups: Mapping[str, slice], size: int) -> np.ndarray:
    """m^(-1/2) [P] of each parameter."""
    out = np.ones(size)
    for name, at in groups.items():
        out[at] = mass[name] ** -0.5
    return out
