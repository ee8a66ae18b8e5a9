"""Models of tables that others have, as `bench.eight` and `bench.pbp` run them: mean and sd of an answer at new rows.

Inputs are standardised for all but trees; a seed decides all. scikit-learn's at their defaults but for the kernel;
NGBoost at its own; deep ensembles as Lakshminarayanan et al. (2017) have them, trained by our Adam.
"""

import os
from typing import Any

import numpy as np
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Array = Any
Law = tuple[Array, Array]
"""Mean and sd [n] of an answer."""
SMALL = 1_000
"""Rows up to which a Gaussian process is asked."""
MEMBERS, BATCH = 5, 100
"""Networks of a deep ensemble, and rows of its minibatches."""
EPOCHS = 1_000
"""Of scikit-learn's networks at most, so that they end by their own rule."""
SHOWN = 4
"""Every so many of a network's draws are scored, where they are thousands."""


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


def networks(x: Array, y: Array, at: Array, seed: int = 0) -> Law:
    """MEMBERS networks of scikit-learn at their defaults, each on its four fifths of the rows: their mean, their spread
    and, as noise, the root mean square of what each misses on the fifth that it did not see.
    """
    unit, middle = y.std() or 1.0, y.mean()
    seen, missed = [], []
    for k, (fit, held) in enumerate(KFold(MEMBERS, shuffle=True, random_state=seed).split(x)):
        model = make_pipeline(StandardScaler(), MLPRegressor(max_iter=EPOCHS, random_state=MEMBERS * seed + k))
        model.fit(x[fit], (y[fit] - middle) / unit)
        missed.append((y[held] - middle) / unit - model.predict(x[held]))
        seen.append(model.predict(at))
    noise = np.mean(np.square(np.concatenate(missed)))
    return middle + unit * np.mean(seen, axis=0), unit * np.sqrt(np.var(seen, axis=0) + noise)


def bde_settings() -> dict[str, Any]:
    """Of sklearn-contrib-bde's page for regression; its chains go to two devices of the host. To be called before it is
    imported.
    """
    os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    return {
        "n_members": 8, "hidden_layers": [16, 16], "epochs": 200, "validation_split": 0.15, "lr": 1e-3,
        "weight_decay": 1e-4, "warmup_steps": 5_000, "n_samples": 2_000, "n_thinning": 2, "patience": 10,
    }  # fmt: skip


def bde(x: Array, y: Array, at: Array, seed: int = 0) -> tuple[Array, Array]:
    """sklearn-contrib-bde at the settings of its page: mean and sd [draws, n] of networks it drew, one of SHOWN."""
    settings = bde_settings()
    from bde import BdeRegressor
    from bde.loss import GaussianNLL

    scaled, unit, middle = StandardScaler().fit(x), y.std() or 1.0, y.mean()
    model = BdeRegressor(loss=GaussianNLL(), seed=seed, **settings)
    model.fit(x=scaled.transform(x).astype(np.float32), y=((y - middle) / unit).astype(np.float32).reshape(-1, 1))
    raw = np.asarray(model.predict(scaled.transform(at).astype(np.float32), raw=True), np.float64)
    mean, sd = raw[:, ::SHOWN].reshape(-1, len(at), 2).transpose(2, 0, 1)
    return middle + unit * mean, unit * (np.logaddexp(0, sd) + 1e-6)
