"""BayesianMLPRegressor."""

from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import Bunch, check_random_state

from ..averages.draws import Scales
from ..errors import SpecError
from .base import Array, BayesianMLP
from .inputs import dataset

POISSON, MANY = "poisson", 300
"""The likelihood of counts; rows from which on the noise may depend on x, where nothing else is said."""


class BayesianMLPRegressor(RegressorMixin, BayesianMLP):
    """Regression by the posterior of a small network: a mean with its uncertainty, intervals, quantiles.

    The run tunes itself and stops when every average is known to `tolerance` posterior standard deviations, or after
    `max_gradients`; `trust_` says which. X and y are scaled inside; a DataFrame may hold texts, dates and missing
    values.

    Parameters
    ----------
    hidden : widths of the hidden layers. activation : see `gpu_thermo.Dataset`'s models (`gpu-thermo spec model`).
    likelihood : gaussian (noise learned), heteroscedastic, student_t or poisson; "auto" is heteroscedastic from 300
        rows on, else gaussian.
    prior, prior_sd : of the parameters.
    tolerance : one standard error of the worst average, in posterior standard deviations.
    replicas : networks advanced together. max_gradients : of each at most.
    max_seconds : time at most; where it binds, `repeatable_` is False.
    draws : networks kept for predictions, at most. device : auto, cpu or cuda. random_state : decides all.

    Attributes
    ----------
    run_ : xarray.DataTree, the run with its draws thinned. trust_ : the verdict; print(model.trust_.text).
    repeatable_ : whether `random_state` alone decided the result.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Sample the posterior of the networks given X [n, m] and y [n] or [n, targets].

        Raises
        ------
        ValueError
            What cannot be used, named.
        """
        x, y, weight = self._checked(X, y, sample_weight, multi_output=True, y_numeric=True)
        y = np.asarray(y, np.float64)
        self._flat = y.ndim == 1
        y = y.reshape(len(y), -1)
        likelihood = self.likelihood
        if likelihood == "auto":
            likelihood = "heteroscedastic" if len(y) >= MANY else "gaussian"
        targets = tuple(f"y{i}" for i in range(y.shape[1])) if y.shape[1] > 1 else ("y",)
        scale = "features" if likelihood == POISSON else True
        data = dataset("regression", x, y, weight, self._features, (), targets, self.recipe_, scale)
        return self._run(data, likelihood)

    def predict(self, X: Any, return_std: bool = False) -> Array:
        """Mean [n] (or [n, targets]) of an answer; with `return_std` its standard deviation too, noise included."""
        out = self._predicted(X)
        mean = self._shaped(out["mean"])
        return (mean, np.sqrt(self._shaped(out["total_variance"]))) if return_std else mean

    def predict_quantiles(self, X: Any, levels: Any = (0.05, 0.5, 0.95)) -> Array:
        """Quantiles [n, levels] (or [n, targets, levels]) of an answer: of the mixture over networks, not of a normal
        law.
        """
        found = self._predicted(X, tuple(np.atleast_1d(levels)))["quantiles"]
        out = found.transpose("point", "output", "quantile").to_numpy()
        return out[:, 0] if self._flat else out

    def predict_interval(self, X: Any, coverage: float = 0.9) -> Array:
        """Lower and upper end [n, 2] (or [n, targets, 2]) of the interval that holds an answer with this
        probability.
        """
        if not 0 < coverage < 1:
            raise SpecError(f"coverage = {coverage} is no probability between 0 and 1, such as 0.9.")
        return self.predict_quantiles(X, ((1 - coverage) / 2, (1 + coverage) / 2))

    def uncertainty(self, X: Any) -> Bunch:
        """Standard deviations [n]: epistemic (what more rows would narrow), aleatoric (noise) and their total."""
        out = self._predicted(X)
        names = {"epistemic": "variance", "aleatoric": "aleatoric_variance", "total": "total_variance"}
        return Bunch(**{name: np.sqrt(self._shaped(out[of])) for name, of in names.items()})

    def sample_predictive(self, X: Any, draws: int = 100) -> Array:
        """Answers drawn from the predictive law [draws, n] (or [draws, n, targets]): a network each, then its noise."""
        x, rng, model, units = self._inputs(X), check_random_state(self.random_state), self._model, Scales.of(self.run_)
        values = model.likelihood.values
        assert values is not None
        networks = self._networks()
        position = networks[rng.randint(len(networks), size=draws)]
        phi = model.predict(position, units.inputs(x, 0).astype(position.dtype)).astype(np.float64)
        location = values.location(phi)
        scale = np.broadcast_to(values.scale(phi, model.noise(position)), location.shape)
        answers = values.law.quantile(rng.uniform(size=location.shape), location, scale, model.settings)
        if units.target_mean is not None and units.target_sd is not None:
            answers = answers * units.target_sd[0] + units.target_mean[0]
        return answers[..., 0] if self._flat else answers

    def _shaped(self, values: Any) -> Array:
        out = values.transpose("point", "output").to_numpy()
        return out[:, 0] if self._flat else out

    def __sklearn_tags__(self) -> Any:
        """That several targets are fine."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
