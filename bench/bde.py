"""Bayesian deep ensembles' table: airfoil and bike sharing, the split and the scaling of BDE 1.0.2, five seeds.

`python -m bench.bde [--data DATA/tabular] [--tables airfoil] [--methods ...] [--seeds 5]` goes on where its
result ends. The split is theirs, the same for all seeds: a fifth for testing, random_state 0, X and y standardised on
the training part (bench/tabular.py); scores are in that unit.

`ours` is the estimator at its defaults; `ours, 4 x 16` has their layers, and as long as a table is given (two minutes
of airfoil, fifteen of bike sharing); `mclmc` is the run of bench.tabular by hand with 4 x 16 silu units, its stepsize
chosen there on a validation part, with so many times the steps as fit in the same time (STEPS). BDE, of
`sklearn-contrib-bde` 1.0.2 where it is installed (it wants an older blackjax: an environment of its own), has ten
networks of 4 x 16 units and otherwise the settings of its README, with relu as published and with silu; one seed
unless --bde-seeds says more, and with a tenth of its warm-up.

NLL in nats a row, of the Gaussian with the mixture's mean and sd, as published, and of the mixture itself. Seconds are
of the processor over 2, compilers and the short descent included, and of the clock. Published: BDE, XGBoost, CatBoost,
TabPFN v2, a deep ensemble (on ten cores). Splits, seeds, methods and lengths were committed before the first scored
run; every row stays listed.
"""

import argparse
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpu_thermo import BayesianMLPRegressor

from . import tabular
from .common import DATA, RESULTS
from .rows import grow, measured

Array = Any
Scores = dict[str, Any]
PLACE = RESULTS / "bde.json"
SEEDS, SHAPE, WORD, STEPSIZE = 5, "4 x 16", "mclmc", 0.1
SECONDS = {"airfoil": 120.0, "bikesharing": 900.0}
"""What a fit may take of two cores."""
STEPS = {"airfoil": 4.0, "bikesharing": 10.0}
"""Steps of the run by hand, in those of bench.tabular."""
PUBLISHED = {
    "airfoil": {"BDE": (0.1215, -0.913), "XGBoost": (0.2025, None), "CatBoost": (0.2393, 0.148),
                "TabPFN v2": (0.1359, -0.934), "deep ensemble": (0.365, 0.176)},
    "bikesharing": {"BDE": (0.2261, -0.732), "XGBoost": (0.2143, None), "CatBoost": (0.2652, -0.374),
                    "TabPFN v2": (0.2103, -0.686), "deep ensemble": (0.288, -0.455)},
}  # fmt: skip
"""RMSE and NLL of moments."""
AIMS = {"airfoil": (0.12, -0.91, 120.0), "bikesharing": (0.226, -0.73, 900.0)}
"""RMSE, NLL of moments, seconds of two cores."""
MEMBERS, LAYERS = 10, [16] * 4
ROWS = 128
"""Of a mixture's scores at once."""
README = {"epochs": 200, "validation_split": 0.15, "lr": 1e-3, "weight_decay": 1e-4, "warmup_steps": 5000,
          "n_samples": 2000, "n_thinning": 2, "patience": 10}  # fmt: skip
"""Of BDE, but for its layers and members."""


def of_laws(means: Array, sds: Array, y: Array) -> Scores:
    """Scores of a mixture of normal laws [draws, n], a few rows at a time."""
    mean, variance, mixture = np.empty(len(y)), np.empty(len(y)), np.empty(len(y))
    for i in range(0, len(y), ROWS):
        m, s, at = (a[..., i : i + ROWS].astype(np.float64) for a in (means, sds, y))
        mean[i : i + ROWS], variance[i : i + ROWS] = m.mean(axis=0), (s**2).mean(axis=0) + m.var(axis=0)
        each = -(((at - m) / s) ** 2) / 2 - np.log(s)
        mixture[i : i + ROWS] = np.logaddexp.reduce(each, axis=0) - np.log(len(m)) - np.log(2 * np.pi) / 2
    return of_moments(mean, variance, y) | {"nll": -float(mixture.mean())}


def of_moments(mean: Array, variance: Array, y: Array) -> Scores:
    """RMSE, and NLL of the Gaussian."""
    off = y - mean
    return {"rmse": float(np.sqrt((off**2).mean())),
            "nll_of_moments": float((off**2 / variance + np.log(2 * np.pi * variance)).mean() / 2)}  # fmt: skip


def ours(name: str, data: tabular.Parts, seed: int, timed: bool = False, **settings: Any) -> Scores:
    """The estimator; `timed` gives it what its table may take."""
    x, y, at, answers = data
    more = {"max_seconds": SECONDS[name]} if timed else {}
    model = BayesianMLPRegressor(random_state=seed, **settings, **more).fit(x, y)
    mean, sd = model.predict(at, return_std=True)
    nll = -float(model.log_predictive(at, answers).mean())
    return of_moments(mean, sd**2, answers) | {"nll": nll, "trusted": model.trust_.trusted}


def by_hand(name: str, data: tabular.Parts, seed: int, share: float = 1.0) -> Scores:
    """bench.tabular's descent and its run."""
    table, method = tabular.TABLES[name], tabular.METHODS[WORD]
    start = tabular.descent(table, SHAPE, data, seed, None)
    steps = int(table.steps * STEPS[name] * share)
    found = tabular.judged(method, STEPSIZE, SHAPE, data, start, steps, table, seed, None)
    return {name: found[name] for name in ("rmse", "nll", "nll_of_moments", "frozen", "replicas", "steps")}


def theirs(name: str, data: tabular.Parts, seed: int, activation: str, **settings: Any) -> Scores:
    """BdeRegressor; its mixture is over all draws of all members."""
    os.environ.setdefault("XLA_FLAGS", f"--xla_force_host_platform_device_count={os.cpu_count()}")
    from bde import BdeRegressor
    from bde.loss import GaussianNLL

    x, y, at, answers = data
    how = {"n_members": MEMBERS, "hidden_layers": LAYERS, "seed": seed, "activation": activation, **README, **settings}
    model = BdeRegressor(loss=GaussianNLL(), **how).fit(x, y)
    raw = np.asarray(model.predict(at, raw=True))  # [members, draws, n, 2]
    raw = raw.reshape(-1, *raw.shape[2:])
    sds = np.logaddexp(0, raw[..., 1]) + 1e-6
    return of_laws(raw[..., 0], sds, answers)


METHODS: dict[str, Callable[..., Scores]] = {
    "ours": ours,
    "ours, 4 x 16": partial(ours, timed=True, hidden=LAYERS),
    "mclmc by hand": by_hand,
    "BDE, relu": partial(theirs, activation="relu"),
    "BDE, silu": partial(theirs, activation="silu"),
    "BDE, silu, a tenth": partial(theirs, activation="silu", warmup_steps=README["warmup_steps"] // 10),
}


def row(key: Mapping[str, Any], folder: Path, share: float) -> Scores:
    """One method with one seed."""
    data = tabular.parts(folder / f"{key['table']}.csv")["test"]
    more = {"share": share} if key["method"] == "mclmc by hand" else {}
    return measured(key["method"], partial(METHODS[key["method"]], key["table"], data, key["seed"], **more))


def line(found: Mapping[str, Any]) -> str:
    """For reading."""
    return (
        f"{found['table']:11} {found['method']:20} seed {found['seed']}  RMSE {found['rmse']:.4f}  NLL of moments"
        f" {found['nll_of_moments']:.3f}, of the mixture {found['nll']:.3f}  {found['seconds']:.0f} s"
    )


def main(given: list[str] | None = None) -> None:
    """Seed after seed, all methods of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    mine = [name for name in METHODS if not name.startswith("BDE")]
    parser.add_argument("--data", type=Path, default=DATA / "tabular")
    parser.add_argument("--tables", nargs="+", default=[*AIMS], choices=[*AIMS])
    parser.add_argument("--methods", nargs="+", default=mine, choices=[*METHODS])
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--bde-seeds", type=int, default=1)
    parser.add_argument("--share", type=float, default=1.0, help="of the steps of the run by hand, to see that it runs")
    parser.add_argument("--out", type=Path, default=PLACE)
    asked = parser.parse_args(given)
    keys = (
        {"table": name, "method": method, "seed": seed}
        for seed in range(asked.seeds) for name in asked.tables for method in asked.methods
        if seed < asked.bde_seeds or not method.startswith("BDE")
    )  # fmt: skip
    told = {"published": PUBLISHED, "aims": AIMS, "bde": README, "share": asked.share}
    grow(asked.out, keys, lambda key: row(key, asked.data, asked.share), told, line)


if __name__ == "__main__":
    main()
