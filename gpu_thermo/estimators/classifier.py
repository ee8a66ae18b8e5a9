"""BayesianMLPClassifier."""

from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import Bunch
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from ..averages.draws import Scales
from ..data.tasks import classification
from .base import Array, BayesianMLP
from .inputs import dataset


class BayesianMLPClassifier(ClassifierMixin, BayesianMLP):
    """Classification by the posterior of a small network: probabilities that know what they do not know.

    Parameters and attributes as of BayesianMLPRegressor, and `classes_` [C]; likelihood is bernoulli or categorical by
    the number of classes.
    """

    _parameter_constraints: dict[str, list[Any]] = {  # noqa: RUF012
        **BayesianMLP._parameter_constraints, "target_transform": [None]
    }  # fmt: skip

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Sample the posterior of the networks given X [n, m] and labels y [n] of any type; `sample_weight` as of
        BayesianMLPRegressor.

        Raises
        ------
        ValueError
            What cannot be used, named; a single class among it.
        """
        x, y, weight = self._checked(X, y, sample_weight)
        check_classification_targets(y)
        y = column_or_1d(y, warn=True)
        self.classes_, labels = np.unique(y, return_inverse=True)
        present = self.classes_ if weight is None else np.unique(y[weight > 0])
        if len(present) < 2:
            raise ValueError(f"y has one class only, {present.tolist()[0]!r}: a classifier needs two at least.")
        names = tuple(map(str, self.classes_))
        names = names if len(set(names)) == len(names) else tuple(map(repr, self.classes_))
        task = classification(len(names))
        data = dataset(task, x, labels.astype(np.int64), weight, self._features, names, (), self.recipe_)
        return self._run(data)

    def predict_proba(self, X: Any) -> Array:
        """Probabilities [n, C] of the classes, averaged over networks."""
        mean = self._predicted(X)["mean"].transpose("point", "output").to_numpy()
        out = _of_all(mean)
        return out / out.sum(axis=1, keepdims=True)

    def _nats(self, x: Array, y: Array, networks: Array) -> tuple[float, float]:
        inputs = Scales.of(self.run_).inputs(x, 0).astype(networks.dtype)
        mean = _of_all(self._model.predict(networks, inputs).mean(axis=0, dtype=np.float64))
        p, share = mean[np.arange(len(y)), y], np.bincount(y)[y] / len(y)
        return float(np.log(np.maximum(p, np.finfo(np.float32).tiny)).mean()), float(np.log(share).mean())

    def predict(self, X: Any) -> Array:
        """The class [n] with the largest probability."""
        proba = self.predict_proba(X)
        return self.classes_[proba.argmax(axis=1)]

    def uncertainty(self, X: Any) -> Bunch:
        """Entropies [n] in nats: total, aleatoric (expected over networks), and epistemic, their difference (mutual
        information).
        """
        out = self._predicted(X)
        names = {"epistemic": "mutual_information", "aleatoric": "expected_entropy", "total": "entropy"}
        return Bunch(**{name: out[of].to_numpy() for name, of in names.items()})


def _of_all(p: Array) -> Array:
    """Probabilities [n, C], also where a network of two classes says that of the second only."""
    return np.hstack([1 - p, p]) if p.shape[1] == 1 else p
