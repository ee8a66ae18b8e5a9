"""Models of tables that others have for classes, as `bench.eight` runs them: probabilities of the classes at new rows.

Labels are 0 to C - 1, all of them there. Inputs are standardised for all but trees; a seed decides all. Models are at
their defaults but for the kernel and for what lets them end.
"""

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from .laws import EPOCHS, MEMBERS, bde_settings

Array = Any


def _of(model: Any, x: Array, y: Array, at: Array) -> Array:
    return model.fit(x, y).predict_proba(at)


def logistic(x: Array, y: Array, at: Array, seed: int = 0) -> Array:
    """LogisticRegression."""
    return _of(make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000)), x, y, at)


def forest(x: Array, y: Array, at: Array, seed: int = 0) -> Array:
    """A random forest of 100 trees."""
    return _of(RandomForestClassifier(100, random_state=seed, n_jobs=2), x, y, at)


def boosting(x: Array, y: Array, at: Array, seed: int = 0) -> Array:
    """HistGradientBoosting."""
    return _of(HistGradientBoostingClassifier(random_state=seed), x, y, at)


def process(x: Array, y: Array, at: Array, seed: int = 0) -> Array:
    """A Gaussian process, RBF with one length."""
    model = GaussianProcessClassifier(RBF(np.sqrt(x.shape[1])), random_state=seed)
    return _of(make_pipeline(StandardScaler(), model), x, y, at)


def networks(x: Array, y: Array, at: Array, seed: int = 0) -> Array:
    """MEMBERS networks of scikit-learn at their defaults, averaged."""
    made = (MLPClassifier(max_iter=EPOCHS, random_state=MEMBERS * seed + k) for k in range(MEMBERS))
    return np.mean([_of(make_pipeline(StandardScaler(), one), x, y, at) for one in made], axis=0)


def natural(x: Array, y: Array, at: Array, seed: int = 0) -> Array:
    """NGBoost."""
    from ngboost import NGBClassifier
    from ngboost.distns import k_categorical

    return _of(NGBClassifier(k_categorical(int(y.max()) + 1), verbose=False, random_state=seed), x, y, at)


def bde(x: Array, y: Array, at: Array, seed: int = 0) -> Array:
    """sklearn-contrib-bde at the settings of its page."""
    settings = bde_settings()
    from bde import BdeClassifier
    from bde.loss import CategoricalCrossEntropy

    scaled = StandardScaler().fit(x)
    model = BdeClassifier(loss=CategoricalCrossEntropy(), seed=seed, **settings)
    model.fit(x=scaled.transform(x).astype(np.float32), y=y.astype(np.int32))
    return np.asarray(model.predict_proba(scaled.transform(at).astype(np.float32)), np.float64)
