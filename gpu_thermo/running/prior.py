"""What a spec's prior says before any data: predictions of draws from it, so that one can look at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..averages.draws import Evaluate
from ..averages.mixtures import Mixture
from ..averages.moments import BLOCK, RunningMoments
from ..averages.points import check_inputs
from ..averages.predictive import QUANTILES
from ..data import Dataset
from ..engines import make_predictor
from ..errors import SpecError
from ..streams import make_keys
from ..targets.networks import MlpModel
from .given import Given, SpecLike, as_spec, make_ready
from .network import NetworkSubject

Array = Any
MOST_DRAWS = 10**6
_MANY = 2_000_000
"""Predictions of one network at one point from which on compiled kernels save more time than their compilation."""
_MEMORY = 64 * 2**20
"""Bytes of the predictions of all draws at one tile of points."""


@dataclass(frozen=True)
class PriorPredictive:
    """Draws from a spec's prior, ready to predict.

    Attributes
    ----------
    data : of the spec: units, classes, training points to compare with. model : the network. position : [draw, P]
    float64. assumptions : in words, as every run prints them. label : what titles call the data.
    """

    data: Dataset
    model: MlpModel
    position: np.ndarray
    assumptions: tuple[str, ...]
    label: str

    @classmethod
    def of(
        cls, spec: SpecLike, data: Any = None, draws: int = 1000, base: Path | None = None, network: Any = None
    ) -> "PriorPredictive":
        """Draw from the prior of a spec; arguments and errors as of `predict_prior`."""
        if not 1 <= draws <= MOST_DRAWS:
            raise SpecError(f"draws = {draws} is no number of draws: use 1 to {MOST_DRAWS:,}.")
        given = Given(data, network=network)
        made, folder = as_spec(spec, given)
        subject = make_ready(made, base or folder, given).subject
        if not isinstance(subject, NetworkSubject):
            raise SpecError("This spec samples a potential: there is no network to predict with.")
        if subject.model.prior_record is None:
            raise SpecError(
                "A prediction of the prior needs prior_sd in [model], as in prior_sd = 1.0: this spec has none."
            )
        keys = make_keys(np.full(draws, np.uint64(made.run.seed)), np.arange(draws, dtype=np.uint64))
        position = subject.model.initial_position("prior", 0.0, keys, np.float64)
        return cls(subject.data, subject.model, position, tuple(subject.assumptions()), subject.spec.data.label)

    def predict(self, x: Array, quantiles: Sequence[float] = QUANTILES, singles: int | None = None) -> xr.Dataset:
        """As `predict_prior`; phi is of the first `singles` draws, of all by default. Beside it and the result, memory
        is bounded.
        """
        x = check_inputs(x, self.model.inputs)
        s = self.data.standardisation
        inputs = x if s is None else (x - s.mean[0]) / s.sd[0]
        width = max(1, _MEMORY // (3 * 8 * len(self.position) * self.model.outputs))
        tiles = [inputs[i : i + width] for i in range(0, len(x), width)]
        many = len(x) * len(self.position) > _MANY
        phi = make_predictor(self.model, np.float64, "cpu").phi if many else self.model.predict
        out = xr.concat(
            [self._tile(phi, t, quantiles, singles) for t in tiles], "point", data_vars="minimal", coords="minimal",
            compat="override", join="exact",
        )  # fmt: skip
        if s is not None and s.target_sd is not None and s.target_mean is not None:
            mean, sd = s.target_mean[0], s.target_sd[0]
            shifted = [n for n in ("mean", "quantiles", "mean_quantiles", "phi") if n in out]
            out = out.assign({n: out[n] * sd + mean for n in shifted})
            out = out.assign({n: out[n] * np.square(sd) for n in ("variance", "aleatoric_variance", "total_variance")})
        names = self.model.likelihood.names(self.data.classes, self.data.targets)
        out = out.assign_coords(output=list(names), feature=list(self.data.features))
        out["x"] = (("point", "feature"), x)
        return out

    def _tile(
        self, predict: Evaluate, inputs: np.ndarray, quantiles: Sequence[float], singles: int | None
    ) -> xr.Dataset:
        """All at some points, in the network's units."""
        model, draws = self.model, len(self.position)
        phi = np.concatenate([predict(self.position[i : i + BLOCK], inputs) for i in range(0, draws, BLOCK)])
        moments = RunningMoments.empty(1, len(inputs), model.outputs, model.task, model.noise_sd, dof=model.dof)
        moments.update(phi, np.zeros(draws, np.int64), noise=model.noise_variance(self.position))
        out = moments.to_dataset().isel(ensemble=0)
        values = model.likelihood.values
        if values is not None:
            scale, phi = values.scale(phi, model.noise(self.position)), values.location(phi)
            found, dims = Mixture.of(values.law, model.settings, phi, scale), ("quantile", "point", "output")
            if quantiles:
                out["quantiles"] = (dims, found.quantiles(quantiles))
                out["mean_quantiles"] = (dims, found.location_quantiles(quantiles))
                out = out.assign_coords(quantile=list(quantiles))
        out["phi"] = (("draw", "point", "output"), phi[:singles])
        return out


def predict_prior(
    spec: SpecLike, x: Array, *, data: Any = None, draws: int = 1000, quantiles: Sequence[float] = QUANTILES,
    base: Path | None = None, network: Any = None,
) -> xr.Dataset:  # fmt: skip
    """Predictions of draws from a spec's prior at inputs: what `predict` would say of a posterior without data.

    Parameters
    ----------
    spec, data, base, network : as for `sample`; the data give units, classes and the centre of a learned noise, no
    more.
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
    return PriorPredictive.of(spec, data, draws, base, network).predict(x, quantiles)
