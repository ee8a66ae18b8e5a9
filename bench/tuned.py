"""Runs with a tolerance, measured: are their errors true, what does tuning cost, how long do twelve targets take.

`python -m bench.tuned truth [--folder DIR]`: 4 NUTS references x 2 starts x 2 tolerances x seeds 0 to 19; goes on where
it was stopped. `cost`: the same numbers given by hand, needs the rows of `truth`. `table`: twelve targets by three
methods, a minute each at most. `all`: the three of them, one after another. Smaller ones, which write no file:
`lost`, how near 40 right runs come to what is called lost; `judged`, what the draws of judged windows are worth;
`mueller`, Mueller-Brown over 20 seeds.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from . import tuned_cost, tuned_judged, tuned_lost, tuned_table, tuned_truth
from .common import save
from .tuned_runs import REFERENCES, STARTS, TOLERANCES, rows, run_all
from .tuned_truth import Cell, cells, rms

NUTS = {
    "2_5_1": (53.4, 55_400), "2_4_4_1": (64.9, 68_900), "1_6_6_heteroscedastic": (244.4, 214_000),
    "1_8_1_student_t": (171.3, None),
}  # fmt: skip
"""Gradients of a draw of NUTS (target acceptance .9), and of 1,000 draws of its warm-up, a chain."""


def truth(folder: Path) -> None:
    """Run what is missing, judge, write."""
    run_all(folder)
    found = cells(rows(folder), folder)
    z = [cell.scores() for cell in found]
    result = {
        "cells": [judged(cell) for cell in found],
        "pooled": np.sqrt(np.mean([rms(one) ** 2 for one in z], axis=0)).tolist(),
        "pooled_by_tolerance": {
            f"{t:g}": np.sqrt(
                np.mean([rms(one) ** 2 for one, c in zip(z, found, strict=True) if c.rows[0]["tolerance"] == t], axis=0)
            ).tolist()
            for t in TOLERANCES
        },
        "nuts": [nuts(name, tolerance) for name in REFERENCES for tolerance in TOLERANCES],
    }
    save("tuned_truth", result)


def judged(cell: Cell) -> dict[str, Any]:
    """What is said of a cell."""
    z, exact = cell.scores(), tuned_truth.simulated(cell)
    low, high = np.quantile(exact, tuned_truth.QUANTILES, axis=0)
    steps = [row["steps"] for row in cell.rows]
    return {
        **{key: cell.rows[0][key] for key in ("reference", "start", "tolerance")}, "seeds": len(z),
        "rms": rms(z).tolist(), "lowest": low.tolist(), "highest": high.tolist(),
        "within_2": float((abs(z) < 2).mean()), "largest_z": float(abs(z).max()),
        "trusted": sum(row["trusted"] for row in cell.rows),
        "reasons": [row["text"] for row in cell.rows if not row["trusted"]],
        "largest_of_trusted": cell.largest(), "steps": float(np.median(steps)), "most_steps": max(steps),
        "burned": float(np.median([row["origin"] for row in cell.rows])),
        "error": float(np.median([row["error"] for row in cell.rows])),
    }  # fmt: skip


def nuts(name: str, tolerance: float) -> dict[str, Any]:
    """Gradients of NUTS for the same error of the worst input, all chains together, warm-up aside."""
    reference = tuned_truth.load(name)
    worst = min(law.ess[0] for law in reference.laws.values())
    per_draw, warm_up = NUTS[name]
    draws = 1 / tolerance**2 * reference.chains * reference.draws / worst
    return {"reference": name, "tolerance": tolerance, "gradients": draws * per_draw, "warm_up": warm_up}


def cost(folder: Path) -> None:
    """Against the same run with numbers given by hand."""
    every = rows(folder)
    found = []
    for name in REFERENCES:
        for tolerance in TOLERANCES:
            for start in STARTS:
                chosen = [r for r in every if (r["reference"], r["start"], r["tolerance"]) == (name, start, tolerance)]
                found.append(tuned_cost.by_hand(name, start, chosen))
                print(found[-1], flush=True)
    save("tuned_cost", {"rows": found})


def table() -> None:
    """Twelve targets by three methods."""
    found: list[dict[str, Any]] = []
    for row in tuned_table.rows():
        found.append(row)
        print(row, flush=True)
    save("tuned_table", {"tolerance": tuned_table.TOLERANCE, "rows": found})


def mueller() -> None:
    """True errors over reported ones of Mueller-Brown, by each method, over seeds."""
    for method in ("langevin", "adl"):
        found = [tuned_table.row("Mueller-Brown", tuned_table.mueller_brown(), method, seed) for seed in range(20)]
        known = [r for r in found if r.get("true_rms") is not None]
        ratio = [r["true_rms"] / np.hypot(r["reported"], np.hypot(r["bias"] or 0, r["bias_error"] or 0)) for r in known]
        print({
            "method": method, "runs": len(found), "trusted": sum(r.get("trusted", False) for r in found),
            "rms of true over reported": float(np.sqrt(np.mean(np.square(ratio)))), "largest": float(max(ratio)),
        }, flush=True)  # fmt: skip


def judged_windows() -> None:
    """z of windows that ended burn-in."""
    for row in tuned_judged.rows():
        print(row, flush=True)


def everything(folder: Path) -> None:
    """All that is committed, one after another."""
    truth(folder)
    cost(folder)
    table()


def lost() -> None:
    """False alarms of lost replicas."""
    for row in tuned_lost.rows():
        print(row, flush=True)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("what", choices=("truth", "cost", "table", "all", "lost", "judged", "mueller"))
    parser.add_argument("--folder", type=Path, default=Path("tuned_runs"), help="where rows of truth are kept")
    options = parser.parse_args()
    folder = options.folder
    small = {"table": table, "lost": lost, "judged": judged_windows, "mueller": mueller}
    large = {"truth": truth, "cost": cost, "all": everything}
    if options.what in small:
        small[options.what]()
    else:
        large[options.what](folder)


if __name__ == "__main__":
    main()
