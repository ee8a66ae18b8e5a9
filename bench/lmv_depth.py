"""LMV's methods at depth: AdLaLa, LOL, Langevin and Adam on four-turn spirals through two hidden layers of 20, 100 runs
of each from each start.

`python -m bench.lmv_depth [--store DEPTH.zarr]`

The study is bench/lmv_depth.toml; `gpu-thermo study` and `gpu-thermo table` take it, too. A store that is given is
kept, and continued where it was left. Every run has its own data realisation, the same for all cells.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np

from gpu_thermo.study import run_study
from gpu_thermo.study.grids import StudySpec
from gpu_thermo.study.tables import grouped

from .common import save

SPEC = Path(__file__).with_suffix(".toml")


def quartiles(accuracy: np.ndarray) -> dict[str, float]:
    """Of one cell's runs [R], in percent; a run that stopped counts as guessing."""
    a = 100 * np.where(np.isnan(accuracy), 0.5, accuracy)
    low, median, high = np.quantile(a, [0.25, 0.5, 0.75])
    spread = {"lower_quartile": low, "median": median, "upper_quartile": high, "worst": a.min(), "best": a.max()}
    out = {"mean": a.mean(), "standard_error": a.std(ddof=1) / np.sqrt(len(a)), **spread}
    return {name: float(value) for name, value in out.items()} | {"stopped": int(np.isnan(accuracy).sum())}


def main() -> None:
    """Run the study, print the table, write the result file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="keep the study here")
    parser.add_argument("--steps", type=int, help="other than the spec's")
    parser.add_argument("--runs", type=int, help="of each cell, other than the spec's")
    given = parser.parse_args()
    tree = StudySpec.from_toml(SPEC).to_dict()
    tree["run"] |= {} if given.steps is None else {"steps": given.steps, "trace": given.steps}
    tree["seeds"] |= {} if given.runs is None else {"count": given.runs}
    spec = StudySpec.from_dict(tree)
    begin, cpu = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        study = run_study(spec, given.store or Path(folder) / "study.zarr")
        cells = {name: quartiles(a) for name, a in grouped(study, "accuracy").items()}
        study.close()
    print(f"{'cell':26}  mean      quartiles     worst  best  stopped")
    for name, c in cells.items():
        print(
            f"{name:26} {c['mean']:5.1f}  {c['lower_quartile']:5.1f} {c['median']:5.1f} {c['upper_quartile']:5.1f}"
            f"  {c['worst']:5.1f} {c['best']:5.1f} {c['stopped']:3d}"
        )
    sizes = {"runs": tree["seeds"]["count"], "steps": tree["run"]["steps"], "study": json.loads(spec.to_json())}
    times = {"seconds": time.perf_counter() - begin, "processor_seconds": time.process_time() - cpu}
    save("lmv_depth", {"unit": "test accuracy, percent", **sizes, "cells": cells, **times})


if __name__ == "__main__":
    main()
