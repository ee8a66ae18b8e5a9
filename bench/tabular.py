"""Airfoil and bike sharing with networks that know their own noise: BAOAB, BAOAB with masses, adaptive Langevin and
mclmc, each with one, two and four hidden layers.

`python -m bench.tabular airfoil.csv [--shapes "4 x 16"] [--methods mclmc] [--share 1] [--activation relu]`, likewise
bikesharing.csv

Both are files of EmanuelSommer/MILE (UCI data): a line of names, the target last. The split is that of the published
tables (a fifth for testing, random_state 0), standardised on the training part. **Stepsizes are chosen on a validation
part**, a fifth of the training part, by the mixture's NLL of runs a third as long; then the chosen one is trained on
all of the training part and judged on the test part, once. All settings that were tried are listed in the result.
Replicas start where a short descent by Adam ends.

Scores are in units of the standardised target: RMSE of the mixture's mean, NLL of the mixture and of the Gaussian of
its mean and variance (as published), the share of answers in the mixture's central 90 % interval. Seconds are those of
the wall clock, and of the processor: twice what two idle cores would take. The short descent is not counted.
"""

import argparse
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

import gpu_thermo as gt
from gpu_thermo.engines.base import cores
from gpu_thermo.run import Interrupted

from .common import save

Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
"""x, y to learn from; x, y to be judged by."""

SHAPES: dict[str, list[int]] = {"1 x 100": [100], "2 x 32": [32, 32], "4 x 16": [16] * 4}


@dataclass(frozen=True)
class Table:
    """What runs on a file are.

    Attributes
    ----------
    steps : of the tested run; those that choose have a third. descent : steps of Adam before. batches : minibatches of
    a training set; 1 is the full batch. draws : of each replica, from the last 30 % of a run.
    """

    steps: int
    descent: int
    batches: int
    draws: int
    activation: str = "silu"


TABLES = {"airfoil": Table(25_000, 1000, 1, 15), "bikesharing": Table(50_000, 1500, 16, 6)}
REPLICAS = 16


@dataclass(frozen=True)
class Method:
    """A row of the comparison: [method] without its stepsize, and the initial stepsizes that are tried.

    Attributes
    ----------
    fall : h falls by this factor over 70 % of a run and stays there.
    fixed_length : its stepsizes are those of positions: h sqrt(tau). heavy : whether it has `masses`. batches :
    minibatches of a training set where the table has full batches, for as many steps more.
    """

    name: str
    stepsizes: tuple[float, ...]
    fall: float
    rest: dict[str, Any] = field(default_factory=dict)
    fixed_length: bool = False
    heavy: bool = False
    batches: int = 1

    def spec(self, stepsize: float, points: int, steps: int, layers: int) -> dict[str, Any]:
        """[method] of one run at T = 1."""
        fall = [*np.geomspace(1, 1 / self.fall, 70).round(4).tolist(), 1 / self.fall]
        h = stepsize / np.sqrt(points) if self.fixed_length else stepsize
        mass = {"mass": masses(layers)} if self.heavy else {}
        schedule = {"value": h, "schedule": "table", "factors": fall, "every": max(1, steps // 100)}
        return {"name": self.name, "stepsize": schedule, "posterior_temperature": 1.0, **mass, **self.rest}


METHODS = {
    "BAOAB": Method("langevin", (0.01, 0.02, 0.03), 2, {"friction": 0.1}),
    "BAOAB, mass": Method("langevin", (0.015, 0.03, 0.045), 2, {"friction": 0.1}, heavy=True),
    "adl": Method("adl", (0.01, 0.02, 0.03), 2, {"sigma": 0.01, "epsilon": 0.1}, batches=8),
    "mclmc": Method("mclmc", (0.1, 0.2, 0.4), 7, {"friction": 0.1}, fixed_length=True),
}


def masses(layers: int) -> dict[str, float]:
    """Masses by tensor: weights between hidden layers 1, those of inputs and outputs 6, biases 6, the last ones 64: as
    mean squares of gradients are on airfoil's training part (docs/tuning.md).
    """
    inner = {f"w{i}": 1.0 for i in range(2, layers + 1)}
    ends = {"w1": 6.0, f"w{layers + 1}": 6.0, **{f"b{i}": 6.0 for i in range(1, layers + 1)}}
    return inner | ends | {f"b{layers + 1}": 64.0}


def parts(path: Path) -> dict[str, Parts]:
    """Data of "validation" and "test", standardised on the training part."""
    from sklearn.model_selection import train_test_split

    table = np.loadtxt(path, delimiter=",", skiprows=1)
    train, test = train_test_split(table, test_size=0.2, random_state=0)
    mean, sd = train.mean(axis=0), train.std(axis=0)
    train, test = (train - mean) / sd, (test - mean) / sd
    fit, judge = train_test_split(train, test_size=0.2, random_state=1)
    cut = lambda a, b: (a[:, :-1], a[:, -1], b[:, :-1], b[:, -1])  # noqa: E731
    return {"validation": cut(fit, judge), "test": cut(train, test)}


def model(shape: str, activation: str) -> dict[str, Any]:
    """[model]"""
    return {"hidden": SHAPES[shape], "activation": activation, "likelihood": "heteroscedastic", "prior_sd": 1.0}


DATA = {"name": "arrays", "task": "regression", "standardise": False}


def run_of(steps: int, draws: int, thin: int, batches: int, points: int) -> dict[str, Any]:
    """[run] whose draws are the last ones."""
    batch = {"minibatch": "full"} if batches == 1 else {"batch": points // batches}
    return {
        "replicas": REPLICAS,
        "steps": steps,
        "burn_in": steps - draws * thin,
        "thin": thin,
        "trace": steps,
        **batch,
    }


def descent(
    table: Table, shape: str, data: Parts, seed: int = 1, threads: int | None = 1
) -> dict[str, np.ndarray]:  # fmt: skip
    """Tensors [R, ...] where Adam ends from He's start."""
    steps = table.descent
    fall = {"value": 0.02, "schedule": "cosine", "final": 0.1}
    spec = {
        "data": DATA, "model": {**model(shape, table.activation), "init": "he"},
        "method": {"name": "adam", "stepsize": fall},
        "run": run_of(steps, 1, steps, table.batches, len(data[1])) | {"seed": seed},
    }  # fmt: skip
    posterior = gt.sample(spec, data=data, threads=threads)["posterior"]
    return {str(name): values.to_numpy()[:, -1] for name, values in posterior.data_vars.items()}


def judged(
    method: Method, stepsize: float, shape: str, data: Parts, start: dict[str, np.ndarray], steps: int, table: Table,
    seed: int = 1, threads: int | None = 1,
) -> dict[str, Any]:  # fmt: skip
    """Scores, seconds and frozen replicas of one run of so many steps, of more where the method has smaller batches."""
    wall, processor = time.perf_counter(), time.process_time()
    points, more = len(data[1]), method.batches if table.batches == 1 else 1
    thin, batches = max(1, int(0.3 * steps * more / table.draws)), table.batches * more
    long = int(table.draws / 0.3) * thin
    spec = {
        "data": DATA, "model": model(shape, table.activation),
        "run": run_of(long, table.draws, thin, batches, points) | {"seed": seed},
        "method": method.spec(stepsize, points, long, len(SHAPES[shape])),
    }  # fmt: skip
    tree = gt.sample(spec, data=data, init=start, threads=threads)
    return {
        **of_mixture(tree, data), "steps": long, "replicas": REPLICAS, "batches": batches,
        "frozen": int((tree["sample_stats"]["status"].to_numpy() != 0).sum()),
        "seconds": time.perf_counter() - wall, "processor_seconds": time.process_time() - processor,
    }  # fmt: skip


def of_mixture(tree: Any, data: Parts) -> dict[str, float]:
    """RMSE, both NLLs and coverage on the part that judges."""
    seen, calibrated = gt.predict(tree, data[2]), gt.calibration(tree, coverage=(0.9,))
    mean, variance = (seen[name].to_numpy().reshape(len(data[3])) for name in ("mean", "total_variance"))
    off = data[3] - mean
    return {
        "rmse": float(np.sqrt(np.mean(off**2))),
        "nll": float(calibrated["nll"].mean()),
        "nll_of_moments": float(np.mean(off**2 / variance + np.log(2 * np.pi * variance)) / 2),
        "covered": float(calibrated["covered"].mean()),
    }


def compared(
    name: str, table: Table, shape: str, method: str, data: dict[str, Parts], share: float, test: bool
) -> list[dict[str, Any]]:
    """Rows of every setting of one method on the validation part, then of the best of them on the test part."""
    start = descent(table, shape, data["validation"])

    def row(part: str, stepsize: float, steps: float) -> dict[str, Any]:
        kind = {"table": name, "shape": shape, "method": method, "part": part, "stepsize": stepsize}
        try:
            scores = judged(METHODS[method], stepsize, shape, data[part], start, int(steps), table)
        except Interrupted:
            raise
        except gt.GpuThermoError as error:
            scores = {"nll": float("nan"), "frozen": REPLICAS, "error": str(error)}
        print(line(kind | scores), flush=True)
        return kind | scores

    rows = [row("validation", h, table.steps * share / 3) for h in METHODS[method].stepsizes]
    best = min(rows, key=lambda row: (row["frozen"], np.nan_to_num(row["nll"], nan=np.inf)))
    if test and np.isfinite(best["nll"]):
        start = descent(table, shape, data["test"])
        rows.append(row("test", best["stepsize"], table.steps * share))
    return rows


def line(row: dict[str, Any]) -> str:
    """One row, for reading."""
    head = f"{row['table']:11} {row['shape']:8} {row['method']:12} {row['part']:10} h {row['stepsize']:<6g}"
    if "error" in row:
        return f"{head} {row['error'][:120]}"
    return (
        f"{head} RMSE {row['rmse']:.3f}  NLL {row['nll']:6.3f} (moments {row['nll_of_moments']:6.3f})  90 %:"
        f" {100 * row['covered']:.1f}  {row['frozen']} of {row['replicas']} frozen  {row['seconds']:.0f} s,"
        f" processor {row['processor_seconds']:.0f} s"
    )


def main() -> None:
    """Compare, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="airfoil.csv or bikesharing.csv, wherever it is")
    parser.add_argument("--table", choices=[*TABLES], help="which of them it is, where its name does not say")
    parser.add_argument("--shapes", nargs="+", default=[*SHAPES], choices=[*SHAPES])
    parser.add_argument("--methods", nargs="+", default=[*METHODS], choices=[*METHODS])
    parser.add_argument("--share", type=float, default=1.0, help="of the steps")
    parser.add_argument("--activation", default="silu", help="of all layers")
    parser.add_argument("--validation-only", action="store_true", help="choose, and leave the test part alone")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes, each with one thread")
    given = parser.parse_args()
    name = given.table or given.data.stem
    if name not in TABLES:
        parser.error(f"{given.data} is none of {', '.join(TABLES)} by its name: say which with --table")
    data, table = parts(given.data), replace(TABLES[name], activation=given.activation)
    cells = [(shape, method) for method in given.methods for shape in given.shapes]
    with ProcessPoolExecutor(given.jobs, get_context("spawn")) as pool:
        done = [
            pool.submit(compared, name, table, *cell, data, given.share, not given.validation_only) for cell in cells
        ]
        rows = [row for cell in done for row in cell.result()]
    settings = {method: asdict(METHODS[method]) for method in given.methods}
    suffix = "" if given.activation == "silu" else f"_{given.activation}"
    save(f"tabular_{name}{suffix}", {"share": given.share, **asdict(table), "methods": settings, "rows": rows})


if __name__ == "__main__":
    main()
