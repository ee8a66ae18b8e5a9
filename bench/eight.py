"""The table of eight: the estimators at their defaults beside what scikit-learn has, on the same splits.

`python -m bench.eight [--splits 3] [--only diabetes,wine] [--data FOLDER]`; it goes on where its result ends.

Sets, seeds, splits, peers and the estimators' defaults were committed before the first scored run; every run that was
scored stays listed. Generated sets are made with the split's number as seed; all are cut by train_test_split with it, a
fifth for testing. `bikesharing` wants the file of EmanuelSommer/MILE (UCI data) in FOLDER, or is left out.

Scores on the test part. Numbers: RMSE and width of the 90 % interval in sd of the test answers, NLL in nats a row in
that unit, coverage. Classes: share of wrong labels, NLL, ECE (15 bins of the largest probability). Seconds are of the
processor, compilers included, over 2: what two idle cores would take.

Peers: BayesianRidge or LogisticRegression; a random forest of 100 trees with intervals of MAPIE's cross-conformal CV+
(where `mapie` is installed) and the sd of five-fold residuals as its noise; HistGradientBoosting, with intervals from
its 5 and 95 % quantiles and the same noise; a Gaussian process (RBF with a length for each input, and noise) up to
1,000 rows. Inputs are standardised for all that are not trees.
"""

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from gpu_thermo import BayesianMLPClassifier, BayesianMLPRegressor

from .common import RESULTS, save
from .defaults import _processor
from .peers import laws

Array = Any
SPLITS = 10
LEVELS, NORMAL = (0.05, 0.95), 1.6448536269514722
PLACE = RESULTS / "eight.json"


def _hetero(seed: int) -> tuple[Array, Array]:
    g = np.random.default_rng(seed)
    x = g.uniform(-1, 1, (800, 4))
    noise = 0.1 + 0.5 * (x[:, 1] > 0) * abs(x[:, 2])
    return x, np.sin(3 * x[:, 0]) + x[:, 1] * x[:, 3] + noise * g.normal(size=800)


def _imbalanced(seed: int) -> tuple[Array, Array]:
    return datasets.make_classification(1_500, 10, n_informative=5, weights=[0.95], flip_y=0.01, random_state=seed)


def _bikes(folder: Path) -> tuple[Array, Array]:
    table = np.loadtxt(folder / "bikesharing.csv", delimiter=",", skiprows=1)
    return table[:, :-1], table[:, -1]


SETS: dict[str, Callable[[int, Path], tuple[Array, Array]]] = {
    "friedman": lambda seed, _: datasets.make_friedman1(600, noise=1.0, random_state=seed),
    "diabetes": lambda _, __: datasets.load_diabetes(return_X_y=True),
    "hetero": lambda seed, _: _hetero(seed),
    "breast cancer": lambda _, __: datasets.load_breast_cancer(return_X_y=True),
    "wine": lambda _, __: datasets.load_wine(return_X_y=True),
    "imbalanced": lambda seed, _: _imbalanced(seed),
    "digits": lambda _, __: datasets.load_digits(return_X_y=True),
    "bikesharing": lambda _, folder: _bikes(folder),
}


def parts(name: str, split: int, folder: Path) -> list[Array]:
    """x, y to learn from; x, y to be judged by, in the order of train_test_split."""
    x, y = SETS[name](split, folder)
    labels = y if y.dtype.kind in "iu" else None
    return train_test_split(x, y, test_size=0.2, random_state=split, stratify=labels)


# -- numbers -----------------------------------------------------------------------------------------------------------


def _normal(mean: Array, sd: Array, y: Array, ends: Array | None = None) -> dict[str, float]:
    """Scores of normal laws; of other intervals, where they are given."""
    unit, sd = y.std(), np.maximum(sd, 1e-9)
    ends = np.stack([mean - NORMAL * sd, mean + NORMAL * sd], axis=1) if ends is None else ends
    nll = (((y - mean) / sd) ** 2 / 2 + np.log(sd / unit) + np.log(2 * np.pi) / 2).mean()
    return _numbers(mean, y, float(nll), ends)


def _numbers(mean: Array, y: Array, nll: float, ends: Array) -> dict[str, float]:
    unit = y.std()
    return {"error": float(np.sqrt(((mean - y) ** 2).mean()) / unit), "nll": nll,
            "coverage": float(((ends[:, 0] <= y) & (y <= ends[:, 1])).mean()),
            "width": float((ends[:, 1] - ends[:, 0]).mean() / unit)}  # fmt: skip


def _ours(x: Array, y: Array, at: Array, answers: Array, split: int) -> dict[str, Any]:
    model = BayesianMLPRegressor(random_state=split).fit(x, y)
    nll = -float(model.log_predictive(at, answers).mean()) - float(np.log(answers.std()))
    return _numbers(model.predict(at), answers, nll, model.predict_interval(at)) | _trust(model)


def _trust(model: Any) -> dict[str, Any]:
    return {"trusted": model.trust_.trusted, "sampling": model.trust_.error}


def _law(of: Callable[..., laws.Law]) -> Callable[..., dict[str, Any]]:
    return lambda x, y, at, answers, split: _normal(*of(x, y, at, split), answers)


def _forest(x: Array, y: Array, at: Array, answers: Array, split: int) -> dict[str, Any]:
    from mapie.regression import CrossConformalRegressor

    forest = RandomForestRegressor(100, random_state=split, n_jobs=2)
    sd = (y - cross_val_predict(forest, x, y, cv=5)).std()
    conformal = CrossConformalRegressor(forest, confidence_level=0.9, method="plus", cv=5)
    mean, ends = conformal.fit_conformalize(x, y).predict_interval(at)
    return _normal(mean, np.full(len(mean), sd), answers, ends[:, :, 0])


def _boosting(x: Array, y: Array, at: Array, answers: Array, split: int) -> dict[str, Any]:
    one = HistGradientBoostingRegressor(random_state=split)
    sd = (y - cross_val_predict(one, x, y, cv=5)).std()
    of = lambda q: HistGradientBoostingRegressor(loss="quantile", quantile=q, random_state=split)  # noqa: E731
    ends = np.sort(np.stack([of(q).fit(x, y).predict(at) for q in LEVELS], axis=1), axis=1)
    mean = one.fit(x, y).predict(at)
    return _normal(mean, np.full(len(mean), sd), answers, ends)


# -- classes -----------------------------------------------------------------------------------------------------------


def _classes(p: Array, y: Array) -> dict[str, float]:
    best, right = p.max(axis=1), p.argmax(axis=1) == y
    bins = np.minimum((best * 15).astype(int), 14)
    gaps = [abs(best[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    nll = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean()
    return {"error": float(1 - right.mean()), "nll": float(nll), "ece": float(sum(gaps))}


def _our_classes(x: Array, y: Array, at: Array, answers: Array, split: int) -> dict[str, Any]:
    model = BayesianMLPClassifier(random_state=split).fit(x, y)
    return _classes(model.predict_proba(at), answers) | _trust(model)


def _of(make: Callable[[Array, int], Any]) -> Callable[..., dict[str, Any]]:
    return lambda x, y, at, answers, split: _classes(make(x, split).fit(x, y).predict_proba(at), answers)


OURS, GP = "BayesianMLP", "Gaussian process"
NUMBERS = {
    OURS: _ours, "ridge": _law(laws.ridge), "random forest": _forest, "boosting": _boosting, GP: _law(laws.process),
}  # fmt: skip
CLASSES = {
    OURS: _our_classes,
    "logistic": _of(lambda _, __: make_pipeline(StandardScaler(), LogisticRegression(max_iter=2_000))),
    "random forest": _of(lambda _, split: RandomForestClassifier(100, random_state=split, n_jobs=2)),
    "boosting": _of(lambda _, split: HistGradientBoostingClassifier(random_state=split)),
    GP: _of(lambda x, split: make_pipeline(
        StandardScaler(), GaussianProcessClassifier(RBF(np.sqrt(x.shape[1])), random_state=split))),
}  # fmt: skip


def measure(name: str, split: int, folder: Path, known: set[str]) -> list[dict[str, Any]]:
    """A row for each model that is not `known` yet."""
    x, at, y, answers = parts(name, split, folder)
    models: dict[str, Any] = CLASSES if y.dtype.kind in "iu" else NUMBERS
    rows = []
    for model, run in models.items():
        if model in known or (model == GP and len(x) > laws.SMALL):
            continue
        begin = _processor()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                found = run(x, y, at, answers, split)
            except ImportError as error:
                print(f"{name} {model}: left out, {error}", flush=True)
                continue
        seconds = (_processor() - begin) / 2
        rows.append({"set": name, "split": split, "model": model, "rows": len(x), "seconds": seconds, **found})
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Splits one after another, all sets of each; the result is written after every set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--only", default=",".join(SETS))
    parser.add_argument("--data", type=Path, default=Path("../shared/data/tabular"))
    asked = parser.parse_args()
    rows = json.loads(PLACE.read_text())["rows"] if PLACE.exists() else []
    for split in range(asked.splits):
        for name in asked.only.split(","):
            if name == "bikesharing" and not (asked.data / "bikesharing.csv").exists():
                continue
            known = {r["model"] for r in rows if (r["set"], r["split"]) == (name, split)}
            rows += measure(name, split, asked.data, known)
            save("eight", {"rows": rows})


if __name__ == "__main__":
    main()
