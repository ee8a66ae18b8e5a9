"""Predictions of a run that learned the logarithm of its target, in the target's own units (equations.md section 9).

Quantiles go through the exponential. Means do not: under one draw an answer is lognormal, exp(m + s^2/2) on average,
and the mixture's mean and variances are those of these laws.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr

from ..data.dataset import own_name
from .draws import Scales
from .mixtures import Mixture

Array = Any


def in_own_units(
    out: xr.Dataset, found: Iterable[tuple[slice, int, Mixture]], scales: Scales, dataset: np.ndarray
) -> xr.Dataset:
    """Predictions of log y [ensemble, point, output] as those of y.

    Parameters
    ----------
    out : what is said of log y, its units put back. found : the mixtures of draws, tile by tile. scales : of the data.
    dataset : [E] of each ensemble.
    """
    names = ("mean", "variance", "aleatoric_variance")
    values = {name: np.full(out["mean"].transpose("ensemble", "point", "output").shape, np.nan) for name in names}
    for tile, e, mixture in found:
        moments = _moments(mixture, *_units(scales, dataset[e]))
        for name, moment in zip(names, moments, strict=True):
            values[name][e, tile] = moment
    dims = ("ensemble", "point", "output")
    changed: dict[str, Any] = {name: (dims, v) for name, v in values.items()}
    changed["total_variance"] = (dims, values["variance"] + values["aleatoric_variance"])
    changed |= {name: np.exp(out[name]) for name in ("quantiles", "mean_quantiles") if name in out}
    return out.assign(changed).assign_coords(output=[own_name(str(name)) for name in out["output"].values])


def _units(scales: Scales, dataset: int) -> tuple[Array, Array]:
    """What log y was shifted and divided by [n]."""
    if scales.target_mean is None or scales.target_sd is None:
        return 0.0, 1.0
    return scales.target_mean[dataset], scales.target_sd[dataset]


def _moments(mixture: Mixture, shift: Array, unit: Array) -> tuple[Array, Array, Array]:
    """Mean of exp(log y) [T, n], its variance over draws, and the mean over draws of its own."""
    m, s2 = mixture.location * unit + shift, (mixture.scale * unit) ** 2
    means = np.exp(m + s2 / 2)
    mean = np.tensordot(mixture.weight, means, axes=1)
    spread = np.tensordot(mixture.weight, (means - mean) ** 2, axes=1)
    return mean, spread, np.tensordot(mixture.weight, means**2 * np.expm1(s2), axes=1)
