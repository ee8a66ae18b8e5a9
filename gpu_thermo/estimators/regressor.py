"""BayesianMLPRegressor."""

import warnings
from typing import Any, Self

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.utils import Bunch, check_random_state

from ..averages.draws import Scales
from ..averages.mixtures import Mixture
from ..averages.predictive import data_names
from ..data.dataset import LOG
from ..engines import make_predictor
from ..errors import DataError, SpecError
from .base import Array, BayesianMLP
from .inputs import dataset

_VALUES = 1 << 22
"""Predictions held at once."""
_MANY = 200_000
"""Predictions of one network at one row from which on compiled kernels make them."""
POISSON = "poisson"
"""The likelihood of counts."""


class BayesianMLPRegressor(RegressorMixin, BayesianMLP):
    """Regression by the posterior of a small network: a mean with its uncertainty, intervals, quantiles.

    The run tunes itself and stops when every average is known to `tolerance` posterior standard deviations, or after
    `max_gradients`; `trust_` says which. X and y are scaled inside; a DataFrame may hold texts, dates and missing
    values.

    Parameters
    ----------
    hidden : widths of the hidden layers; "auto" is one of 16 or four, as is better on rows held out in a short look;
        of fewer than 300 rows, or 20 for each input, one, from 2,000 rows on four.
    activation : see `gpu-thermo spec model`.
    likelihood : gaussian (noise learned), heteroscedastic, student_t or poisson; "auto" is heteroscedastic from 300
        rows on, else gaussian.
    prior, prior_sd : of the parameters; "auto" takes the scales under which a wide network explains the rows best.
    tolerance : one standard error of the worst average, in posterior standard deviations.
    replicas : networks advanced together; "auto" is 48, of four layers 32. max_gradients : of each at most; "auto" is
        60,000, or fewer (3,000 at least), so that a fit takes some 20 s of two cores at most, or as many as they do in
        `max_seconds`. How both are gone about is `gpu_thermo.estimators.defaults.SIZES`.
    max_seconds : time at most; where it binds, `repeatable_` is False. Where it is over before a network could be
        collected, they answer as they stand: `trust_.makeshift`.
    target_transform : "log" learns the logarithm of a positive, skewed target; answers are in its own units.
    draws : networks kept for predictions, at most. random_state : decides all.
    device : auto, cpu or cuda; or several GPUs, "cuda:0,cuda:1" or "cuda:all", among which the networks are shared out.
    workers : local Dask processes that carry a share of the networks each; 0 is this process. scheduler : address of a
        Dask scheduler, tcp://host:port, whose workers do. Neither changes a bit.
    kinds : of a DataFrame, by column "number", "category" or "date" where it would be taken for something else;
        "day-first" and "month-first" are dates, and how they are written. features, drop : names of columns that are
        used, all by default, and of those that are not.
    drop_missing_target : leave out rows without an answer, with a warning that counts them; they are refused unless
        that is asked for.
    keep : what `run_` holds of each draw beside its networks: "predictions" at some rows, "log_likelihood" of each.
    on_progress : called with a Progress while the fit goes on; `gpu_thermo.live()` shows it.

    Attributes
    ----------
    run_ : xarray.DataTree, the run with its draws thinned. trust_ : the verdict; print(model.trust_.text).
    advice_ : lines on what might do better.
    repeatable_ : whether `random_state` alone decided the result.

    Answers far outside the rows of the fit, and texts that a column of categories had not, are counted in warnings
    (`Outside` and `NewCategories`).
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Sample the posterior of the networks given X [n, m] and y [n] or [n, targets].

        Of `sample_weight` [n] whole numbers of mean 10 at most count rows; any others say how much a row weighs beside
        the rest, and their mean counts as 1.

        Raises
        ------
        ValueError
            What cannot be used, named.
        """
        x, y, weight = self._checked(X, y, sample_weight, multi_output=True, y_numeric=True)
        y = np.asarray(y, np.float64)
        self._flat = y.ndim == 1
        y = y.reshape(len(y), -1)
        same = (y == y[0]).all(axis=0) & (len(y) > 1)
        constant = bool(same.all())
        if same.any() and not constant:
            k = int(same.argmax())
            raise DataError(
                f"Column {k} of y holds one value in all rows, {y[0, k]:g}: there is nothing to learn of it, and it"
                " would spoil the others. Leave it out."
            )
        if constant:
            warnings.warn(f"y holds one value in all rows, {y[0, 0]:g}: there is nothing to learn.", stacklevel=2)
        targets = tuple(f"y{i}" for i in range(y.shape[1])) if y.shape[1] > 1 else ("y",)
        scale = "features" if self.likelihood == POISSON else True
        transform = self.target_transform
        data = dataset("regression", x, y, weight, self._features, (), targets, self.recipe_, scale, transform)
        with np.errstate(over="ignore" if constant else "warn"):  # then noise may be as small as it likes
            return self._run(data)

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
        x, rng, networks = self._inputs(X), check_random_state(self.random_state), self._networks()
        laws = self._laws(x, networks[rng.randint(len(networks), size=draws)])
        answers = laws.law.quantile(rng.uniform(size=laws.location.shape), laws.location, laws.scale, laws.settings)
        units = Scales.of(self.run_)
        if units.target_mean is not None and units.target_sd is not None:
            answers = answers * units.target_sd[0] + units.target_mean[0]
        if self._logarithmic:
            answers = np.exp(answers)
        return answers[..., 0] if self._flat else answers

    def log_predictive(self, X: Any, y: Any) -> Array:
        """Log of the predictive density of y [n] at X [n, m], of all targets together: its mean is a score that asks
        for the right mean and the right width.
        """
        x, networks, units = self._inputs(X), self._networks(), Scales.of(self.run_)
        y = np.asarray(y, np.float64).reshape(len(x), -1)
        slope: Any = 0.0
        if self._logarithmic:
            with np.errstate(divide="ignore", invalid="ignore"):
                y = np.where(y > 0, np.log(y), -np.inf)
            slope = np.where(np.isfinite(y), y, 0.0).sum(axis=1)
        unit: Any = 1.0
        if units.target_mean is not None and units.target_sd is not None:
            unit = units.target_sd[0]
            y = (y - units.target_mean[0]) / unit
        rows = max(1, _VALUES // (len(networks) * y.shape[1]))
        tiles = [slice(i, i + rows) for i in range(0, len(x), rows)]
        found = [self._laws(x[tile], networks).log_joint(y[tile]) for tile in tiles]
        with np.errstate(invalid="ignore"):
            return np.nan_to_num(np.concatenate(found), nan=-np.inf, neginf=-np.inf) - np.log(unit).sum() - slope

    def _nats(self, x: Array, y: Array, networks: Array) -> tuple[float, float]:
        if self._model.likelihood.name == POISSON or not y.std(axis=0).all():
            return 0.0, -np.inf  # there is no normal law to compare with
        plain = -(np.log(2 * np.pi * y.var(axis=0)) / 2 + 0.5).sum()
        return float(self._laws(x, networks).log_joint(y).mean()), float(plain)

    @property
    def _logarithmic(self) -> bool:
        return data_names(self.run_).get("target_transform") == LOG

    def _laws(self, x: Array, networks: Array) -> Mixture:
        """The laws of an answer under each of some networks, in the units they were trained in."""
        model, inputs = self._model, Scales.of(self.run_).inputs(x, 0)
        values = model.likelihood.values
        assert values is not None
        of = make_predictor(model, networks.dtype, "cpu").phi if len(x) * len(networks) > _MANY else model.predict
        phi = of(networks, inputs.astype(networks.dtype)).astype(np.float64)
        scale = values.scale(phi, model.noise(networks))
        return Mixture.of(values.law, model.settings, values.location(phi), scale)

    def _shaped(self, values: Any) -> Array:
        out = values.transpose("point", "output").to_numpy()
        return out[:, 0] if self._flat else out

    def __sklearn_tags__(self) -> Any:
        """That several targets are fine."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
