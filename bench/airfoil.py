"""Airfoil with a 4 x 16 silu network that knows its own noise: BAOAB, with and without masses, and mclmc, at several
stepsizes chosen on a validation part.

`python -m bench.airfoil airfoil.csv [--steps 12000] [--replicas 16] [--only NAME ...] [--test]`

The split is that of the published tables (a fifth for testing, random_state 0), standardised on the training part; a
fifth of the training part is for validation, and the settings are compared on it. `--test` trains the best of each
method on all of the training part and looks at the test part, once. RMSE and the NLL of a Gaussian with the mixture's
mean and variance are in units of the standardised target, as published.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import gpu_thermo as gt

from .common import save

FALLING = {"schedule": "table", "factors": [*np.geomspace(1, 1 / 7, 70).round(4).tolist(), 1 / 7]}


def setting(name: str, stepsize: float, friction: float, **more: Any) -> dict[str, Any]:
    """[method]: a word at T = 1 with h falling to a seventh over 70 % of the run."""
    return {"name": name, "stepsize": {"value": stepsize, **FALLING}, "friction": friction, **more}


METHODS: dict[str, list[dict[str, Any]]] = {
    "BAOAB": [setting("langevin", h, 0.1) for h in (0.0125, 0.025, 0.05, 0.1)],
    "BAOAB, fan_in": [setting("langevin", h, 0.1, mass="fan_in") for h in (0.025, 0.05, 0.1, 0.2, 0.4)],
    "mclmc": [setting("mclmc", h, 0.003) for h in (0.007, 0.014, 0.028)],
    "mclmc, fan_in": [setting("mclmc", h, 0.003, mass="fan_in") for h in (0.014, 0.028, 0.056)],
}


def parts(path: Path) -> dict[str, tuple[np.ndarray, ...]]:
    """(x, y, x of the judge, y of the judge) of "validation" and "test", standardised."""
    from sklearn.model_selection import train_test_split

    table = np.loadtxt(path, delimiter=",", skiprows=1)
    train, test = train_test_split(table, test_size=0.2, random_state=0)
    train, test = ((part - train.mean(axis=0)) / train.std(axis=0) for part in (train, test))
    fit, judge = train_test_split(train, test_size=0.2, random_state=1)
    cut = lambda a, b: (a[:, :-1], a[:, -1], b[:, :-1], b[:, -1])  # noqa: E731
    return {"validation": cut(fit, judge), "test": cut(train, test)}


def judge(method: dict[str, Any], data: tuple[np.ndarray, ...], replicas: int, steps: int) -> dict[str, float]:
    """RMSE, NLL, seconds and frozen replicas of one run."""
    every = max(1, steps // 100)
    tables = {**method, "stepsize": {**method["stepsize"], "every": every}, "posterior_temperature": 1.0}
    thin = max(1, steps // 200)
    spec = {
        "data": {"name": "arrays", "task": "regression", "standardise": False},
        "model": {"hidden": [16] * 4, "activation": "silu", "likelihood": "heteroscedastic", "prior_sd": 1.0,
                  "init": "he"},
        "method": tables,
        "run": {"replicas": replicas, "steps": steps, "burn_in": steps - 60 * thin, "thin": thin, "minibatch": "full",
                "trace": steps},
    }  # fmt: skip
    begin = time.perf_counter()
    tree = gt.sample(spec, data=data)
    seconds = time.perf_counter() - begin
    seen = gt.predict(tree, data[2])
    mean, variance = (np.asarray(seen[name]).reshape(len(data[3])) for name in ("mean", "variance"))
    off = data[3] - mean
    return {
        "rmse": float(np.sqrt(np.mean(off**2))),
        "nll": float(np.mean(off**2 / variance + np.log(2 * np.pi * variance)) / 2),
        "seconds": seconds,
        "frozen": int((tree["sample_stats"]["status"].to_numpy() != 0).sum()),
    }


def main() -> None:
    """Compare, print, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--replicas", type=int, default=16)
    parser.add_argument("--only", nargs="*", default=[*METHODS], choices=[*METHODS])
    parser.add_argument("--test", action="store_true", help="look at the test part with the best setting of each")
    parser.add_argument("data", type=Path, help="airfoil.csv: five features and the target, under a line of names")
    parser.add_argument("--stepsizes", type=float, nargs="*", help="of the settings' initial h, only these")
    given = parser.parse_args()
    data, results = parts(given.data), []
    for name in given.only:
        rows = []
        for method in METHODS[name]:
            if given.stepsizes and method["stepsize"]["value"] not in given.stepsizes:
                continue
            try:
                row = judge(method, data["validation"], given.replicas, given.steps)
            except gt.GpuThermoError as error:
                print(f"{name}, h {method['stepsize']['value']:g}: {error}", flush=True)
                continue
            rows.append({"name": name, "part": "validation", "stepsize": method["stepsize"]["value"], **row})
            print(_line(rows[-1]), flush=True)
        if given.test and rows:
            best = min(range(len(rows)), key=lambda i: np.nan_to_num(rows[i]["nll"], nan=np.inf))
            method = next(m for m in METHODS[name] if m["stepsize"]["value"] == rows[best]["stepsize"])
            row = judge(method, data["test"], given.replicas, given.steps)
            rows.append({"name": name, "part": "test", "stepsize": method["stepsize"]["value"], **row})
            print(_line(rows[-1]), flush=True)
        results += rows
    save("airfoil", {"steps": given.steps, "replicas": given.replicas, "rows": results})


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['name']:14} {row['part']:10} h {row['stepsize']:<7g} RMSE {row['rmse']:.3f}  NLL {row['nll']:6.2f}"
        f"  {row['frozen']} frozen  {row['seconds']:.0f} s"
    )


if __name__ == "__main__":
    main()
