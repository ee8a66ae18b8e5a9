"""The table of eight: the estimators at their defaults beside what others have, on the same splits.

    python -m bench.eight                                   ten splits of all sets by all models, and the table
    python -m bench.eight --splits 1 --only wine --models ridge,BayesianMLP --limit-seconds 300

**Every set, split and model is a process of its own**, and a row of bench/results/eight.json once it has ended: the
command may be stopped at any time and given again; finished rows are not done twice, and it ends in the table. What
takes longer than --limit-seconds is stopped, and its row says so; what misses a package has no row, and a line.

Sets, seeds, splits, peers and the estimators' defaults were committed before the first scored run; every run that was
scored stays listed (eight_first.json: three splits at the defaults before large tables had theirs;
eight_one_layer.json: middling tables before a look decided on their layers). Generated sets are made with the split's
number as seed; all are cut by train_test_split with it, a fifth for testing. `bikesharing` wants the file of
EmanuelSommer/MILE (UCI data) in FOLDER, or is left out.

Scores on the test part. Numbers: RMSE and width of the 90 % interval in sd of the test answers, NLL in nats a row in
that unit, coverage. Classes: share of wrong labels, NLL, ECE (15 bins of the largest probability). Seconds are of the
processor, compilers included, over 2: what two idle cores would take.

Peers: BayesianRidge or LogisticRegression; a Gaussian process (RBF with a length for each input, and noise) up to 1,000
rows; five networks of scikit-learn; HistGradientBoosting, with intervals from its 5 and 95 % quantiles and the sd of
five-fold residuals as its noise; a random forest of 100 trees with intervals of MAPIE's cross-conformal CV+ (`mapie`)
and the same noise; NGBoost (`ngboost`); `sklearn-contrib-bde` (with JAX) at the settings of its page, scored by its
mixture. Inputs are standardised for all that are not trees.
"""

import argparse
import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn import datasets
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.model_selection import cross_val_predict, train_test_split

from gpu_thermo import BayesianMLPClassifier, BayesianMLPRegressor

from .common import DATA, RESULTS
from .eight_table import eight as table
from .peers import classes, laws
from .race.clock import begun
from .rows import grow

Array = Any
Row = dict[str, Any]
SPLITS = 10
LIMIT = 900.0
"""Seconds of the clock that one model may take."""
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


def _ours(x: Array, y: Array, at: Array, answers: Array, split: int) -> Row:
    model = BayesianMLPRegressor(random_state=split).fit(x, y)
    nll = -float(model.log_predictive(at, answers).mean()) - float(np.log(answers.std()))
    return _numbers(model.predict(at), answers, nll, model.predict_interval(at)) | _trust(model)


def _trust(model: Any) -> Row:
    return {"trusted": model.trust_.trusted, "sampling": model.trust_.error}


def _law(of: Callable[..., laws.Law]) -> Callable[..., Row]:
    return lambda x, y, at, answers, split: _normal(*of(x, y, at, split), answers)


def _mixture(x: Array, y: Array, at: Array, answers: Array, split: int) -> Row:
    """Of networks of sklearn-contrib-bde: NLL of their mixture, intervals from an answer of each."""
    mean, sd = laws.bde(x, y, at, split)
    each = -(((answers - mean) / sd) ** 2) / 2 - np.log(sd) - np.log(2 * np.pi) / 2
    nll = -(np.logaddexp.reduce(each, axis=0) - np.log(len(each))).mean() - np.log(answers.std())
    drawn = mean + sd * np.random.default_rng(split).normal(size=mean.shape)
    return _numbers(mean.mean(axis=0), answers, float(nll), np.quantile(drawn, LEVELS, axis=0).T)


def _forest(x: Array, y: Array, at: Array, answers: Array, split: int) -> Row:
    from mapie.regression import CrossConformalRegressor

    forest = RandomForestRegressor(100, random_state=split, n_jobs=2)
    sd = (y - cross_val_predict(forest, x, y, cv=5)).std()
    conformal = CrossConformalRegressor(forest, confidence_level=0.9, method="plus", cv=5)
    mean, ends = conformal.fit_conformalize(x, y).predict_interval(at)
    return _normal(mean, np.full(len(mean), sd), answers, ends[:, :, 0])


def _boosting(x: Array, y: Array, at: Array, answers: Array, split: int) -> Row:
    one = HistGradientBoostingRegressor(random_state=split)
    sd = (y - cross_val_predict(one, x, y, cv=5)).std()
    of = lambda q: HistGradientBoostingRegressor(loss="quantile", quantile=q, random_state=split)  # noqa: E731
    ends = np.sort(np.stack([of(q).fit(x, y).predict(at) for q in LEVELS], axis=1), axis=1)
    mean = one.fit(x, y).predict(at)
    return _normal(mean, np.full(len(mean), sd), answers, ends)


# -- classes -----------------------------------------------------------------------------------------------------------


def scores_of_classes(p: Array, y: Array) -> dict[str, float]:
    """Error, mean NLL and calibration error, in 15 bins, of probabilities p [n, classes] of labels y [n]."""
    best, right = p.max(axis=1), p.argmax(axis=1) == y
    bins = np.minimum((best * 15).astype(int), 14)
    gaps = [abs(best[bins == b].mean() - right[bins == b].mean()) * (bins == b).mean() for b in np.unique(bins)]
    nll = -np.log(np.maximum(p[np.arange(len(y)), y], 1e-12)).mean()
    return {"error": float(1 - right.mean()), "nll": float(nll), "ece": float(sum(gaps))}


def _our_classes(x: Array, y: Array, at: Array, answers: Array, split: int) -> Row:
    model = BayesianMLPClassifier(random_state=split).fit(x, y)
    return scores_of_classes(model.predict_proba(at), answers) | _trust(model)


def _chances(of: Callable[..., Array]) -> Callable[..., Row]:
    return lambda x, y, at, answers, split: scores_of_classes(of(x, y, at, split), answers)


OURS, GP, FOREST, BOOSTING, NETWORKS, NGBOOST, BDE = (
    "BayesianMLP", "Gaussian process", "random forest", "boosting", "MLP ensemble", "NGBoost", "BDE",
)  # fmt: skip
NUMBERS: dict[str, Callable[..., Row]] = {
    OURS: _ours, "ridge": _law(laws.ridge), GP: _law(laws.process), NETWORKS: _law(laws.networks),
    BOOSTING: _boosting, FOREST: _forest, NGBOOST: _law(laws.boosted), BDE: _mixture,
}  # fmt: skip
CLASSES: dict[str, Callable[..., Row]] = {
    OURS: _our_classes, "logistic": _chances(classes.logistic), GP: _chances(classes.process),
    NETWORKS: _chances(classes.networks), BOOSTING: _chances(classes.boosting), FOREST: _chances(classes.forest),
    NGBOOST: _chances(classes.natural), BDE: _chances(classes.bde),
}  # fmt: skip
LABELS = {"breast cancer", "wine", "imbalanced", "digits"}
"""Sets of classes."""
ABSENT = 3
"""Exit status of one that misses a package."""


# -- the harness -------------------------------------------------------------------------------------------------------


def measure(name: str, split: int, model: str, folder: Path) -> Row:
    """One row, here and now."""
    x, at, y, answers = parts(name, split, folder)
    run = (CLASSES if name in LABELS else NUMBERS)[model]
    taken = begun()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = run(x, y, at, answers, split)
    return {"rows": len(x), "seconds": taken()["seconds"], **found}


def keys(asked: argparse.Namespace) -> Iterator[Row]:
    """What is to be run, splits one after another; a Gaussian process on small sets only."""
    for split in range(asked.splits):
        for name in asked.only:
            if name == "bikesharing" and not (asked.data / "bikesharing.csv").exists():
                continue
            for model in CLASSES if name in LABELS else NUMBERS:
                small = model != GP or len(parts(name, split, asked.data)[0]) <= laws.SMALL
                if small and (not asked.models or model in asked.models):
                    yield {"set": name, "split": split, "model": model}


def alone(key: Row, folder: Path, limit: float) -> Row | None:
    """One row by a process of its own; None where a package is missing; `failed` says why it did not end."""
    order = [sys.executable, "-m", "bench.eight", "--one", json.dumps(key), "--data", str(folder)]
    try:
        done = subprocess.run(order, capture_output=True, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {limit:g} s"}
    said = done.stderr.strip().splitlines()
    if done.returncode == ABSENT:
        print(f"{key['set']} {key['model']}: left out, {said[-1]}", flush=True)
        return None
    if done.returncode:
        return {"failed": said[-1] if said else f"exit {done.returncode}"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _one(key: Row, folder: Path) -> None:
    """What such a process does: the row on its last line."""
    try:
        print(json.dumps(measure(key["set"], key["split"], key["model"], folder)))
    except ImportError as error:
        print(error, file=sys.stderr)
        sys.exit(ABSENT)


def main(given: list[str] | None = None) -> None:
    """Every row that is not there yet, and the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    names = lambda text: [t for t in text.split(",") if t]  # noqa: E731
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--only", type=names, default=list(SETS), help="sets, with commas between")
    parser.add_argument("--models", type=names, default=[], help="the same of models; all by default")
    parser.add_argument("--limit-seconds", type=float, default=LIMIT, help="of the clock, for one model on one split")
    parser.add_argument("--data", type=Path, default=DATA / "tabular")
    parser.add_argument("--out", type=Path, default=PLACE, help="where rows are")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    asked = parser.parse_args(given)
    if wrong := [n for n in asked.only if n not in SETS] + [m for m in asked.models if m not in {**NUMBERS, **CLASSES}]:
        parser.error(f"{', '.join(wrong)}: sets are {', '.join(SETS)}, models {', '.join({**NUMBERS, **CLASSES})}")
    if asked.one:
        _one(asked.one, asked.data)
        return
    grow(asked.out, keys(asked), partial(alone, folder=asked.data, limit=asked.limit_seconds), {}, str)
    print(table(json.loads(asked.out.read_text())))


if __name__ == "__main__":
    main()
