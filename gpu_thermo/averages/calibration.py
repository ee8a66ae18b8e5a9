"""Whether a run's posterior predictive of numbers is right about its test set: coverage of intervals, probability
integral transforms, and proper scores of the mixture (equations.md section 9).
"""

import math
from typing import Any

import numpy as np
import xarray as xr

from ..engines import make_predictor
from ..errors import SpecError
from .draws import Scales, Source, mixtures
from .predictive import MEMORY, model_of, restored_data
from .trees import Run, names_damage, opened

COVERAGE = (0.5, 0.8, 0.9, 0.95)
"""Central intervals whose coverage is counted."""


@names_damage
def calibration(
    run: Run, ensemble: int | None = None, *, coverage: tuple[float, ...] = COVERAGE, points: int | None = None,
    draws: int | None = None, memory: int = MEMORY, threads: int | None = None,
    network: Any = None,
) -> xr.Dataset:  # fmt: skip
    """Calibration and proper scores of each ensemble's mixture over draws on its test points.

    Parameters
    ----------
    run : an opened run, or the path of its store. ensemble : one of them, or None for all.
    coverage : probabilities of central intervals. points, draws : at most so many, spread evenly; None takes all.
    network : given again, of a run whose network was given from Python.

    Returns
    -------
    xarray.Dataset
        pit, crps, nll [ensemble, point, output] (nll target by target), in the target's own units; covered [ensemble,
        coverage], the share of answers in each central interval, beside expected, what right predictions would have
        (the coverage itself; more of counts), and covered_error, the standard error of that if answers at different
        points were independent. Attributes: `crps_by`, how the CRPS was computed; `draws`, `points`, how
        many of each.

    Raises
    ------
    SpecError
        The answers are classes (see scores), there is no test set, or no such ensemble. StoreError : as for predict.
    """
    tree = opened(run)
    model, data = model_of(tree, network), restored_data(tree)
    if model.likelihood.values is None:
        raise SpecError(
            f"{data.name} is {data.task}: probabilities of classes are judged by their scores (brier, ece)."
        )
    if not data.test_points:
        raise SpecError(f"{data.name} has no test points: there is nothing to be right about.")
    source, scales = Source.of(tree, model.layout, ensemble), Scales.of(tree)
    chosen = np.unique(
        np.linspace(0, data.test_points - 1, min(points or data.test_points, data.test_points)).astype(int)
    )
    every = source.every(draws)
    networks = {int(d): data.x_test[d][chosen].astype(source.dtype) for d in np.unique(source.ensemble_dataset)}
    predictor = make_predictor(model, source.dtype, "cpu", threads)
    shape = (len(source.ensembles), len(chosen), model.targets)
    out = {name: np.full(shape, np.nan) for name in ("pit", "crps", "nll")}
    hits, how = np.zeros((len(coverage), *shape), bool), ""
    held = np.full((len(coverage), *shape), np.nan)
    for tile, e, mixture in mixtures(source, model, predictor.phi, networks, len(chosen), memory, every):
        d = source.ensemble_dataset[e]
        y, unit = data.y_test[d][chosen[tile]], scales.target_unit(d)
        crps, how = mixture.crps(y)
        out["pit"][e, tile], out["crps"][e, tile] = mixture.pit(y), crps * unit
        out["nll"][e, tile] = np.log(unit) - mixture.log_density(y)
        hits[:, e, tile], held[:, e, tile] = mixture.inside(y, coverage), mixture.held(coverage)
    level, many = np.asarray(coverage), shape[1] * shape[2]
    dims = ("ensemble", "point", "output")
    result = xr.Dataset({name: (dims, values) for name, values in out.items()})
    for name, values in (
        ("covered", hits.mean(axis=(2, 3))), ("expected", held.mean(axis=(2, 3))),
        ("covered_error", np.sqrt((held * (1 - held)).sum(axis=(2, 3))) / many),
    ):  # fmt: skip
        result[name] = (("ensemble", "coverage"), values.T)
    result = result.assign_coords(ensemble=source.ensembles, output=list(data.targets), coverage=level)
    result.attrs = {"crps_by": how, "draws": math.ceil(source.most / every), "points": len(chosen)}
    return result.isel(ensemble=0) if ensemble is not None else result
