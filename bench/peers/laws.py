"""Models of tables that others have, as `bench.eight` and `bench.pbp` run them: mean and sd of an answer at new rows.

Inputs are standardised for all but trees; a seed decides all. scikit-learn's at their defaults but for the kernel;
NGBoost at its own; deep ensembles as Lakshminarayanan et al. (2017) have them, trained by our Adam.
"""

from typing import Any

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Array = Any
Law = tuple[Array, Array]
"""Mean and sd [n] of an answer."""
SMALL = 1_000
"""Rows up to which a Gaussian process is asked."""
MEMBERS, BATCH = 5, 100
"""Networks of a deep ensemble, and rows of its minibatches."""


def ridge(x: Array, y: Array, at: Array, seed: int = 0) -> Law:
    """BayesianRidge."""
    return make_pipeline(StandardScaler(), BayesianRidge()).fit(x, y).predict(at, return_std=True)


def process(x: Array, y: Array, at: Array, seed: int = 0) -> Law:
    """A Gaussian process: RBF with a length for each input, and noise."""
    kernel = RBF(np.ones(x.shape[1]), (1e-2, 1e3)) + WhiteKernel()
    model = GaussianProcessRegressor(kernel, normalize_y=True, random_state=seed)
    return make_pipeline(StandardScaler(), model).fit(x, y).predict(at, return_std=True)


def process_of_some(x: Array, y: Array, at: Array, seed: int = 0) -> Law:
    """The same on SMALL rows drawn at random where there are more."""
    some = np.random.default_rng(seed).permutation(len(x))[:SMALL]
    return process(x[some], y[some], at, seed)


def boosted(x: Array, y: Array, at: Array, seed: int = 0) -> Law:
    """NGBoost with normal laws."""
    from ngboost import NGBRegressor

    law = NGBRegressor(random_state=seed, verbose=False).fit(x, y).pred_dist(at)
    return law.params["loc"], law.params["scale"]


def deep_ensemble(x: Array, y: Array, at: Array, seed: int = 0, epochs: int = 40, rate: float = 0.1) -> Law:
    """MEMBERS networks of 50 relu units with mean and log sd, Adam at `rate` for so many epochs; the moments of their
    mixture, as published. No adversarial examples.
    """
    import gpu_thermo as gt

    middle, scale = (x.mean(axis=0), y.mean()), (np.where(x.std(axis=0) > 0, x.std(axis=0), 1), y.std())
    batch = min(BATCH, len(x))
    steps = epochs * -(-len(x) // batch)
    spec = {
        "data": {"name": "arrays", "task": "regression", "standardise": False, "test_fraction": 0.0},
        "model": {"hidden": 50, "activation": "relu", "likelihood": "heteroscedastic", "init": "pytorch"},
        "method": {"name": "adam", "stepsize": rate},
        "run": {"replicas": MEMBERS, "steps": steps, "burn_in": steps - 1, "thin": 1, "trace": steps, "batch": batch,
                "minibatch": "epoch", "seed": seed, "keep": ["parameters"]},
    }  # fmt: skip
    tree = gt.sample(spec, data=((x - middle[0]) / scale[0], (y - middle[1]) / scale[1]))
    seen = gt.predict(tree, (at - middle[0]) / scale[0], quantiles=())
    mean, variance = (seen[name].to_numpy().reshape(len(at)) for name in ("mean", "total_variance"))
    return scale[1] * mean + middle[1], scale[1] * np.sqrt(variance)
