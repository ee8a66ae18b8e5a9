"""What a spec's prior says before any data: predictions of draws from it, so that one can look at them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..averages.mixtures import Mixture
from ..averages.moments import BLOCK, RunningMoments
from ..averages.points import check_inputs
from ..averages.predictive import QUANTILES
from ..errors import SpecError
from ..streams import make_keys
from .given import Given, SpecLike, as_spec, make_ready
from .network import NetworkSubject

Array = Any


def predict_prior(
    spec: SpecLike, x: Array, *, data: Any = None, draws: int = 1000, quantiles: Sequence[float] = QUANTILES,
    base: Path | None = None,
) -> xr.Dataset:  # fmt: skip
    """Predictions of draws from a spec's prior at inputs: what `predict` would say of a posterior without data.

    Parameters
    ----------
    spec, data, base : as for `sample`; the data give units, classes and the centre of a learned noise, no more.
    x : [point, feature] in the data's own units. draws : from the prior, at the addresses of init = "prior".
    quantiles : levels, where answers are numbers.

    Returns
    -------
    xarray.Dataset
        As of `predict`, without ensembles, and phi [draw, point, output], the single draws' own.

    Raises
    ------
    SpecError, DataError
        The spec has no prior, samples a potential, or does not fit its data or x.
    """
    if not 1 <= draws <= 10**6:
        raise SpecError(f"draws = {draws} is no number of draws: use 1 to 1,000,000.")
    given = Given(data)
    made, folder = as_spec(spec, given)
    subject = make_ready(made, base or folder, given).subject
    if not isinstance(subject, NetworkSubject):
        raise SpecError("This spec samples a potential: there is no network to predict with.")
    model, held = subject.model, subject.data
    x = check_inputs(x, model.inputs)
    s = held.standardisation
    inputs = x if s is None else (x - s.mean[0]) / s.sd[0]
    keys = make_keys(np.full(draws, np.uint64(made.run.seed)), np.arange(draws, dtype=np.uint64))
    position = model.initial_position("prior", 0.0, keys, np.float64)
    rows = [slice(i, i + BLOCK) for i in range(0, draws, BLOCK)]
    phi = np.concatenate([model.predict(position[r], inputs) for r in rows])
    moments = RunningMoments.empty(1, len(x), model.outputs, model.task, model.noise_sd, dof=model.dof)
    moments.update(phi, np.zeros(draws, np.int64), noise=model.noise_variance(position))
    out = moments.to_dataset().isel(ensemble=0)
    mean, sd = (0.0, 1.0) if s is None or s.target_sd is None else (s.target_mean[0], s.target_sd[0])  # type: ignore[index]
    values = model.likelihood.values
    if values is not None:
        location = values.location(phi)
        found = Mixture.of(values.law, model.settings, location, values.scale(phi, model.noise(position)))
        out["quantiles"] = (("quantile", "point", "output"), found.quantiles(quantiles))
        out = out.assign({n: out[n] * sd + mean for n in ("mean", "quantiles")})
        out = out.assign_coords(quantile=list(quantiles))
        out = out.assign({n: out[n] * np.square(sd) for n in ("variance", "aleatoric_variance", "total_variance")})
        phi = location * sd + mean
    out["phi"] = (("draw", "point", "output"), phi)
    names = model.likelihood.names(held.classes, held.targets)
    out = out.assign_coords(output=list(names), feature=list(held.features))
    out["x"] = (("point", "feature"), x)
    return out
