"""What the regressor and the classifier share: parameters, fit, uncertainty, verdict."""

import math
import warnings
from numbers import Integral, Real
from pathlib import Path
from typing import Any, Self

import numpy as np
import xarray as xr
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names,
    _check_n_features,
    _check_sample_weight,
    _check_y,
    check_consistent_length,
    check_is_fitted,
    validate_data,
)

from ..averages.draws import Source
from ..averages.outside import FAR, Outside, Reach, Tally, with_reach
from ..averages.predictive import MEMORY, model_of, predict, restored_data
from ..data import Dataset
from ..data.dataset import LOG
from ..engines import resolve_devices
from ..engines.devices import each_device
from ..errors import RunError
from ..run import sample
from ..targets.networks import MlpModel
from ..tuning.told import Told
from .defaults import AUTO, TOLERANCE, sections
from .inputs import Columns, encoded, recipe_for, refuse_missing, refuse_text, with_answers
from .saved import save, spread
from .table import FEWEST, log_would_help
from .words import LEARNED_NOTHING, Trust

Array = Any
JUDGED = 256
"""Rows of the fit, and networks, at most, by which it is seen whether anything was learned."""
WORSE = 0.1
"""Nats a row by which it may be worse than a model that looks at no input: what is learned of noise alone is less."""


class Untrusted(ConvergenceWarning):
    """A fit whose verdict is "not yet"; the estimator answers all the same, and `trust_` says why."""


class FewRows(UserWarning):
    """A fit of so few rows that answers are the prior's more than theirs."""


class BayesianMLP(BaseEstimator):
    """Base of both estimators; see there for parameters and attributes."""

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        "hidden": [StrOptions({AUTO}), "array-like", Interval(Integral, 1, None, closed="left")],
        "activation": [str],
        "likelihood": [str],
        "prior": [str],
        "prior_sd": [Interval(Real, 0, None, closed="neither"), StrOptions({AUTO, "fan_in"}), dict],
        "target_transform": [StrOptions({LOG}), None],
        "tolerance": [Interval(Real, 0, 1, closed="right")],
        "replicas": [StrOptions({AUTO}), Interval(Integral, 32, None, closed="left")],
        "max_gradients": [StrOptions({AUTO}), Interval(Integral, 1000, None, closed="left")],
        "max_seconds": [Interval(Real, 0, None, closed="neither"), None],
        "draws": [Interval(Integral, 1, None, closed="left")],
        "device": [str, "array-like"],
        "workers": [Interval(Integral, 0, None, closed="left")],
        "scheduler": [str, None],
        "random_state": ["random_state"],
        "kinds": [dict, None],
        "features": ["array-like", None],
        "drop": ["array-like", None],
        "drop_missing_target": ["boolean"],
        "keep": ["array-like"],
        "on_progress": [callable, None],
    }

    def __init__(
        self, hidden: Any = AUTO, *, activation: str = "silu", likelihood: str = AUTO, prior: str = "normal",
        prior_sd: Any = AUTO, tolerance: float = TOLERANCE, replicas: Any = AUTO, max_gradients: Any = AUTO,
        max_seconds: float | None = None, draws: int = 2048, device: Any = "auto", random_state: Any = None,
        target_transform: str | None = None, workers: int = 0, scheduler: str | None = None,
        kinds: Any = None, features: Any = None, drop: Any = None, drop_missing_target: bool = False, keep: Any = (),
        on_progress: Any = None,
    ) -> None:  # fmt: skip
        self.hidden = hidden
        self.activation = activation
        self.likelihood = likelihood
        self.prior = prior
        self.prior_sd = prior_sd
        self.tolerance = tolerance
        self.replicas = replicas
        self.max_gradients = max_gradients
        self.max_seconds = max_seconds
        self.draws = draws
        self.device = device
        self.random_state = random_state
        self.target_transform = target_transform
        self.workers = workers
        self.scheduler = scheduler
        self.kinds = kinds
        self.features = features
        self.drop = drop
        self.drop_missing_target = drop_missing_target
        self.keep = keep
        self.on_progress = on_progress

    # -- fitting -------------------------------------------------------------------------------------------------------

    def _checked(self, x: Any, y: Any, sample_weight: Any, **of_y: bool) -> tuple[Array, Array, Array | None]:
        """X as inputs [n, m], y as it is, weights [n] or None; sets what scikit-learn wants of the columns."""
        self._validate_params()
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None: give the answers."
            )
        x, y, sample_weight = with_answers(x, y, sample_weight, self.drop_missing_target)
        refuse_text(x, y, numbers="y_numeric" in of_y)
        self.recipe_ = recipe_for(x, Columns(self.kinds, self.features, self.drop))
        if self.recipe_ is None:
            x, y = validate_data(self, x, y, dtype=np.float64, ensure_min_samples=2, **of_y)
        else:
            _check_feature_names(self, x, reset=True)
            _check_n_features(self, x, reset=True)
            y = _check_y(y, **of_y, estimator=self)
            x = encoded(x, self.recipe_)
            check_consistent_length(x, y)
        if sample_weight is None:
            return x, y, None
        return x, y, _check_sample_weight(sample_weight, x, ensure_non_negative=True)

    @property
    def _features(self) -> tuple[str, ...]:
        if self.recipe_ is not None:
            return self.recipe_.features
        names = getattr(self, "feature_names_in_", None)
        return tuple(f"x{i}" for i in range(self.n_features_in_)) if names is None else tuple(map(str, names))

    def _run(self, data: Dataset) -> Self:
        """Sample the posterior of `data`, and keep what predictions need."""
        if data.points < FEWEST:
            warnings.warn(
                f"There {'is 1 row' if data.points == 1 else f'are {data.points} rows'} to learn from: answers, and how"
                f" sure they are, come from the prior more than from so few. Give {FEWEST} at least.",
                FewRows,
                stacklevel=3,
            )
        where = {"device": self.device, "workers": self.workers, "scheduler": self.scheduler}
        tree = sample(self._spec(data), data=data, on_progress=self.on_progress, **where)
        self._take(tree)
        self.advice_ = ("the target is positive and skewed: try target_transform='log'",) * (log_would_help(data) > 0)
        if not self.trust_.trusted:
            why = "; ".join(self.trust_.said)
            warnings.warn(f"The averages are not to be trusted yet: {why}.", Untrusted, stacklevel=3)
        return self

    def _take(self, tree: xr.DataTree) -> None:
        """Make a run that tuned itself this estimator's own: its networks, and its verdict."""
        told = Told.of(tree["tuning"].attrs)
        self.run_ = with_reach(self._thinned(tree))
        seconds = float(tree["sample_stats"].attrs.get("sampling_time", math.nan))
        self.trust_ = Trust.of(told, seconds, None if self.max_gradients == AUTO else self.max_gradients)
        self.repeatable_ = not told.course.timed
        if not self._learned(restored_data(tree)):
            self.trust_ = self.trust_.against(LEARNED_NOTHING)

    def _spec(self, data: Dataset) -> dict[str, Any]:
        """The spec of the run."""
        chosen = sections(
            data, hidden=self.hidden, activation=self.activation, likelihood_name=self.likelihood, prior=self.prior,
            prior_sd=self.prior_sd, tolerance=self.tolerance, replicas=self.replicas, max_gradients=self.max_gradients,
            max_seconds=self.max_seconds, seed=int(check_random_state(self.random_state).randint(2**31 - 1)),
        )  # fmt: skip
        chosen["run"]["keep"] = [*dict.fromkeys([*chosen["run"]["keep"], *self.keep])]
        return chosen

    def _thinned(self, tree: xr.DataTree) -> xr.DataTree:
        """The run with at most `draws` networks, evenly spread over its draws."""
        posterior = tree["posterior"].to_dataset()
        chains, kept = posterior.sizes["chain"], posterior.sizes["draw"]
        if kept == 0:
            raise RunError(
                "There was no time for a single network: give more (max_seconds, max_gradients; --minutes of gpu-thermo"
                " fit)."
            )
        every = max(1, math.ceil(chains * kept / self.draws))
        last = slice((kept - 1) % every, None, every)
        groups = {name: node.to_dataset() for name, node in tree.children.items()}
        for name, group in groups.items():
            groups[name] = group.isel(draw=last) if group.sizes.get("draw") == kept else group
        return xr.DataTree.from_dict({"/": tree.to_dataset(), **groups})

    # -- answers -------------------------------------------------------------------------------------------------------

    def _inputs(self, x: Any) -> Array:
        check_is_fitted(self, "run_")
        if self.recipe_ is not None:
            return encoded(x, self.recipe_)
        refuse_missing(x)
        return validate_data(self, x, dtype=np.float64, reset=False)

    def _predicted(self, x: Any, quantiles: Any = ()) -> xr.Dataset:
        inputs = self._inputs(x)  # says first that nothing is fitted yet
        device, *_ = each_device(resolve_devices(self.device))  # answers are no work for several
        found = predict(self.run_, inputs, 0, quantiles=quantiles, mean_quantiles=False, device=device)
        self._warn_of_outside(inputs, found)
        return found

    def _warn_of_outside(self, inputs: Array, found: xr.Dataset) -> None:
        """An Outside that counts the rows whose answers are extrapolated."""
        reach = Reach.of(self.run_) if "outside" in found and (found["outside"] > FAR).any() else None
        if reach is not None:
            way = "outside(X) says how far each row is."
            tally = Tally.of(self._features, self.recipe_).add(reach.beyond(inputs))
            warnings.warn(tally.said(way), Outside, stacklevel=4)

    def outside(self, X: Any) -> Array:
        """[n] by how many standard deviations the farthest input of a row lies beyond all rows of the fit; 0 inside, 10
        where a category is new.
        """
        inputs, reach = self._inputs(X), Reach.of(self.run_)
        return np.zeros(len(inputs)) if reach is None else reach.beyond(inputs).max(axis=1)

    def _learned(self, data: Dataset) -> bool:
        """Whether the networks are no worse on rows of the fit than a model that looks at no input."""
        if data.weight is not None or self.trust_.makeshift:
            return True
        rows, networks = spread(data.points, JUDGED), self._networks()
        x, y = data.own_inputs(data.x_train[0][rows]), data.y_train[0][rows]
        ours, plain = self._nats(x, y, networks[spread(len(networks), JUDGED)])
        return ours > plain - WORSE

    def _nats(self, x: Array, y: Array, networks: Array) -> tuple[float, float]:
        """Mean log predictive density of y, in the run's unit, at inputs in their own; and of a model without x."""
        raise NotImplementedError

    @property
    def _model(self) -> MlpModel:
        return model_of(self.run_)

    def _networks(self) -> Array:
        """[draws, P] the networks kept."""
        source = Source.of(self.run_, self._model.layout, 0)
        return np.concatenate([chunk.position for chunk in source.chunks(MEMORY)])

    def save(self, path: str | Path, draws: int = 256) -> None:
        """Write the fitted estimator to one file of a few hundred kB; see `gpu_thermo.estimators.load`."""
        check_is_fitted(self, "run_")
        save(self, Path(path), draws)

    def __getattr__(self, name: str) -> Any:
        """Say why there is no `partial_fit`, to people; to scikit-learn it is simply not there."""
        if name == "partial_fit":
            raise AttributeError(
                "partial_fit is not offered: a posterior of more data is another one, and networks drawn from the old"
                " one are no start that says how far they are from the new. Fit again on all rows."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
