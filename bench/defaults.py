"""Chooses the estimators' defaults: settings beside each other on generated sets, each cut into a learning and a
judging part. None of the sets that are scored elsewhere is among them.

    python -m bench.defaults --set hidden=16 --set prior_sd=fan_in      one row a set, and the mean
    python -m bench.defaults --only steps,moons --peers                 with what scikit-learn has
    python -m bench.defaults --only demand --set max_gradients=7000     of the large sets, minutes each
    python -m bench.defaults --only arm,ripple --set hidden=[16,16,16,16]   what a look at a table decides

NLL is of the mixture over networks, in nats a point; seconds are of the processor, compilers included, over 2: what two
idle cores would take.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from sklearn.datasets import make_blobs, make_classification, make_friedman2, make_moons, make_regression
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gpu_thermo import BayesianMLPClassifier, BayesianMLPRegressor

from .race.clock import begun

Array = Any
JUDGED = 500
"""Points of the judging part of a small set, of which the posterior sees none."""


def _linear(rng: Array, n: int) -> tuple[Array, Array]:
    return make_regression(n, 10, n_informative=5, noise=30.0, random_state=int(rng.integers(1e6)))


def _wave(rng: Array, n: int) -> tuple[Array, Array]:
    x = rng.uniform(-3, 3, (n, 2))
    return x, np.sin(2 * x[:, 0]) + 0.3 * x[:, 1] + 0.2 * rng.normal(size=n)


def _steps(rng: Array, n: int) -> tuple[Array, Array]:
    x = rng.uniform(-1, 1, (n, 4))
    return x, np.floor(3 * x[:, 0]) * np.sign(x[:, 1]) + 0.3 * rng.normal(size=n)


def _noisy(rng: Array, n: int) -> tuple[Array, Array]:
    x = rng.uniform(-1, 1, (n, 3))
    return x, 2 * x[:, 0] + x[:, 1] ** 2 + np.exp(1.5 * x[:, 2] - 1) * rng.normal(size=n)


def _products(rng: Array, n: int) -> tuple[Array, Array]:
    x = rng.normal(size=(n, 8))
    return x, x[:, 0] * x[:, 1] + np.abs(x[:, 2]) + 0.5 * x[:, 3] + 0.3 * rng.normal(size=n)


def _nothing(rng: Array, n: int) -> tuple[Array, Array]:
    x = rng.normal(size=(n, 10))
    return x, 0.4 * x[:, 0] + rng.normal(size=n)


def _moons(rng: Array, n: int) -> tuple[Array, Array]:
    return make_moons(n, noise=0.25, random_state=int(rng.integers(1e6)))


def _mixed(rng: Array, n: int) -> tuple[Array, Array]:
    seed = int(rng.integers(1e6))
    return make_classification(n, 12, n_informative=5, n_clusters_per_class=3, flip_y=0.05, random_state=seed)


def _blobs(rng: Array, n: int) -> tuple[Array, Array]:
    return make_blobs(n, 6, centers=5, cluster_std=5.0, random_state=int(rng.integers(1e6)))


def _arm(rng: Array, n: int) -> tuple[Array, Array]:
    """How far an arm of four joints reaches."""
    angle, length = rng.uniform(-np.pi / 2, np.pi / 2, (n, 4)), rng.uniform(0.5, 1, (n, 4))
    turned = np.cumsum(angle, 1)
    reach = np.hypot((length * np.cos(turned)).sum(1), (length * np.sin(turned)).sum(1))
    return np.hstack([angle, length]), reach + 0.02 * rng.normal(size=n)


def _ripple(rng: Array, n: int) -> tuple[Array, Array]:
    x = rng.uniform(-1, 1, (n, 5))
    fold = np.sin(4 * x[:, 0] * x[:, 1] + 2 * x[:, 2]) * (1 + x[:, 3])
    return x, fold + 0.5 * x[:, 4] ** 2 + 0.1 * rng.normal(size=n)


def _impedance(rng: Array, n: int) -> tuple[Array, Array]:
    return make_friedman2(n, noise=15.0, random_state=int(rng.integers(1e6)))


SETS: dict[str, tuple[Callable[[Array, int], tuple[Array, Array]], int]] = {
    "linear": (_linear, 150), "wave": (_wave, 200), "steps": (_steps, 400), "noisy": (_noisy, 500),
    "products": (_products, 1000), "nothing": (_nothing, 300), "waves": (_wave, 1500), "moons": (_moons, 150),
    "mixed": (_mixed, 400), "blobs": (_blobs, 200),
}  # fmt: skip
"""Who makes them, and points to learn from."""
FOLDED: dict[str, tuple[Callable[[Array, int], tuple[Array, Array]], int]] = {
    "arm": (_arm, 1000), "ripple": (_ripple, 1500), "ripple4": (_ripple, 400), "impedance": (_impedance, 500),
}  # fmt: skip
"""The same of functions with little noise, by which more layers were judged; run where they are named."""


def _demand(rng: Array, n: int) -> tuple[Array, Array]:
    """Counts by hour, weekday, weather and month, over-dispersed."""
    hour, day = rng.integers(0, 24, n), rng.integers(0, 7, n)
    work = (day < 5) & (rng.random(n) > 0.03)
    warm, wet = rng.normal(size=n), rng.choice(4, n, p=[0.6, 0.25, 0.12, 0.03])
    month = rng.integers(1, 13, n)
    rush = np.exp(-(((hour - 8) / 1.5) ** 2)) + 1.2 * np.exp(-(((hour - 17.5) / 2) ** 2))
    level = 3.2 + 2.2 * np.where(work, rush, np.exp(-(((hour - 14) / 4.5) ** 2)))
    level = level - 0.75 * ((hour > 0) & (hour < 6)) + 0.35 * np.tanh(warm) - 0.3 * wet
    level = level + 0.3 * np.sin(2 * np.pi * (month - 4) / 12)
    y = rng.poisson(rng.gamma(20, np.exp(level) / 20))
    columns = [hour, day, work, warm, wet, month, rng.normal(size=n), warm + 0.2 * rng.normal(size=n)]
    return np.column_stack(columns).astype(float), y.astype(float)


LARGE: dict[str, tuple[Callable[[Array, int], tuple[Array, Array]], int]] = {
    "demand2": (_demand, 2_000), "steps2": (_steps, 2_000), "mixed3": (_mixed, 3_000), "steps5": (_steps, 5_000),
    "demand": (_demand, 10_000), "products20": (_products, 20_000), "mixed20": (_mixed, 20_000),
}  # fmt: skip
"""The same of large tables, which are run where they are named: minutes each."""


def judged(n: int) -> int:
    """Points of the judging part beside n to learn from."""
    return JUDGED if n < 2_000 else 1_000 if n < 10_000 else 2_000


def parts(name: str, seed: int) -> tuple[Array, ...]:
    """Inputs and answers to learn from, and to judge by."""
    make, n = {**SETS, **FOLDED, **LARGE}[name]
    x, y = make(np.random.default_rng([seed, *name.encode()]), n + judged(n))
    return x[:n], y[:n], x[n:], y[n:]


def score(model: Any, x: Array, y: Array) -> dict[str, float]:
    """NLL, error (RMSE in sd of y, or share of wrong labels), coverage of the 90 % interval, of a fitted model."""
    if hasattr(model, "predict_proba"):
        p = model.predict_proba(x)[np.arange(len(y)), y]
        wrong = float((model.predict(x) != y).mean())
        return {"nll": float(-np.log(np.maximum(p, 1e-12)).mean()), "error": wrong}
    if isinstance(model, BayesianMLPRegressor):
        low, high = model.predict_interval(x).T
        mean, nll = model.predict(x), -float(model.log_predictive(x, y).mean())
    else:
        mean, sd = model.predict(x, return_std=True)
        low, high = mean - 1.645 * sd, mean + 1.645 * sd
        nll = float((0.5 * np.log(2 * np.pi * sd**2) + 0.5 * ((y - mean) / sd) ** 2).mean())
    unit = y.std()
    return {"nll": nll - float(np.log(unit)), "error": float(np.sqrt(((mean - y) ** 2).mean()) / unit),
            "coverage": float(((low <= y) & (y <= high)).mean())}  # fmt: skip


class Boosted(HistGradientBoostingRegressor):
    """With one sd, that of a fifth of the rows held out."""

    def fit(self, x: Array, y: Array) -> Any:
        """As it does."""
        cut = len(y) * 4 // 5
        super().fit(x[:cut], y[:cut])
        self.sd_ = float(np.sqrt(((super().predict(x[cut:]) - y[cut:]) ** 2).mean()))
        return super().fit(x, y)

    def predict(self, x: Array, return_std: bool = False) -> Any:
        """Mean, and sd."""
        mean = super().predict(x)
        return (mean, np.full(len(mean), self.sd_)) if return_std else mean


def peers(labels: bool) -> Iterator[tuple[str, Any]]:
    """What scikit-learn has."""
    if labels:
        yield "logistic", make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        yield "boosting", HistGradientBoostingClassifier()
        return
    yield "ridge", make_pipeline(StandardScaler(), BayesianRidge())
    yield "boosting", Boosted()
    kernel = RBF() + WhiteKernel()
    yield "gaussian process", make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True))


def measure(name: str, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """One set with our estimator."""
    x, y, judged_x, judged_y = parts(name, seed)
    kind = BayesianMLPClassifier if y.dtype.kind == "i" else BayesianMLPRegressor
    taken = begun()
    model = kind(random_state=seed, **settings).fit(x, y)
    spent, trust = taken(), model.trust_
    return {"set": name, **spent, **score(model, judged_x, judged_y), "trusted": trust.trusted,
            "sampling": trust.error, "steps": int(model.run_["sample_stats"].attrs.get("steps", 0))}  # fmt: skip


def row(values: dict[str, Any]) -> str:
    """As a line."""
    return "  ".join(f"{k} {v:.3f}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())


def main() -> None:
    """Settings from the command line, a line for each set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=JSON")
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers", action="store_true")
    asked = parser.parse_args()
    settings = dict(text.split("=", 1) for text in asked.set)
    given = {name: json.loads(text) for name, text in settings.items()}
    for name in asked.only.split(","):
        if asked.peers:
            x, y, judged_x, judged_y = parts(name, asked.seed)
            for peer, model in peers(y.dtype.kind == "i"):
                print(row({"set": name, "peer": peer, **score(model.fit(x, y), judged_x, judged_y)}), flush=True)
        else:
            print(row(measure(name, asked.seed, given)), flush=True)


if __name__ == "__main__":
    main()
