"""The fitted estimator of a run: what `gpu-thermo fit` leaves, and any run of one of our networks on a table."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..averages.predictive import data_names, model_of
from ..averages.trees import Run, opened
from ..data.texts import are_numbers, is_whole
from ..errors import SpecError
from ..spec.run import RunSpec
from .classifier import BayesianMLPClassifier
from .regressor import BayesianMLPRegressor


def from_run(run: Run, draws: int = 2048) -> BayesianMLPRegressor | BayesianMLPClassifier:
    """A fitted estimator from an opened run or the path of its store; at most `draws` of its networks.

    Raises
    ------
    SpecError
        The run did not tune itself, samples no network, or has several ensembles.
    """
    tree = opened(run)
    names, spec = data_names(tree), RunSpec.from_json(tree.attrs["spec"])
    if "tuning" not in tree.children:
        raise SpecError("The run did not tune itself (run.tolerance), so that an estimator has no verdict to give.")
    if len(np.unique(tree["sample_stats"]["ensemble"].to_numpy())) > 1:
        raise SpecError("The run has several ensembles, and an estimator answers for one.")
    model_of(tree)  # a network given from Python is refused here
    kind: Any = BayesianMLPClassifier if names["classes"] else BayesianMLPRegressor
    own = spec.model
    model = kind(
        tuple(own.layers), activation=own.activation, likelihood=own.likelihood or "auto", prior=own.prior or "normal",
        prior_sd=own.prior_sd if own.prior_sd is not None else "auto", tolerance=spec.run.tolerance,
        replicas=spec.run.replicas, max_gradients=spec.run.steps, draws=draws, random_state=spec.run.seed,
    )  # fmt: skip
    model.recipe_ = names.get("recipe")
    columns = names["features"]
    if model.recipe_ is not None:
        columns = [*model.recipe_.names, *(c.name for c in model.recipe_.left_out)]
    model.n_features_in_, model.feature_names_in_ = len(columns), np.array(columns, object)
    if names["classes"]:
        model.classes_ = labels_of(names["classes"])
    else:
        model._flat, model.target_transform = len(names["targets"]) == 1, names.get("target_transform")
    model._take(tree)
    model.advice_ = ()
    return model


def labels_of(classes: Sequence[str]) -> np.ndarray:
    """Classes as a table held them: numbers and truth values where all are, else texts."""
    if set(classes) <= {"True", "False"}:
        return np.array([name == "True" for name in classes])
    if not are_numbers(classes):
        return np.array(classes)
    return np.array([int(name) if is_whole(name) else float(name) for name in classes])
