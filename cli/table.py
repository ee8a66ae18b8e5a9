"""`gpu-thermo table`."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .arguments import Json

if TYPE_CHECKING:
    import xarray

EPILOG = """\b
Examples:
  gpu-thermo table study.zarr
  gpu-thermo table study.zarr --outcome nll --by method.temperature
  gpu-thermo table study.zarr --against "adlala" --json
"""

Study = Annotated[Path, typer.Argument(metavar="STUDY", help="Store of the study, a .zarr folder.")]
Outcome = Annotated[
    str | None, typer.Option(metavar="NAME", help="accuracy, nll, ece, steps_to_90, ...  [default: accuracy or rmse]")
]
By = Annotated[
    str | None, typer.Option(metavar="A,B", help="Fields, hyperparameters or seeds to group by.  [default: each cell]")
]
Against = Annotated[str | None, typer.Option(metavar="LABEL", help="Compare every group with this one only.")]


def table(store: Study, outcome: Outcome = None, by: By = None, against: Against = None, as_json: Json = False) -> None:
    """Summarise a study: mean, spread, worst seed, and which differences are clear.

    Intervals are 95 % (bootstrap). Comparisons are paired by seed (t test) and corrected for their number (Holm);
    `seeds` is how many pairs a difference of that size needs to be clear with 90 % power.
    """
    from gpu_thermo.study import open_study

    chosen = tuple(name.strip() for name in by.split(",")) if by else ()
    print_table(open_study(store), outcome, chosen, as_json, against)


def print_table(
    found: "xarray.Dataset", outcome: str | None, by: tuple[str, ...], as_json: bool, against: str | None
) -> None:
    """The table of a study on stdout."""
    from gpu_thermo.study import comparisons, summaries
    from gpu_thermo.study.tables import best_outcome

    from .output import print_json, say, show
    from .output import table as make_table

    name = outcome or best_outcome(found)
    status = found["status"].to_numpy()
    done, frozen = int((status >= 0).sum()), int((status > 0).sum())
    rows = summaries(found, name, by) if done else {}
    pairs = comparisons(found, name, by, against) if done else []
    if as_json:
        kinds = {label: s.to_dict() for label, s in rows.items()}
        compared = [c.to_dict() for c in pairs]
        print_json(
            {
                "outcome": name,
                "runs": len(status),
                "done": done,
                "frozen": frozen,
                "groups": kinds,
                "comparisons": compared,
            }
        )
        return
    typer.echo(
        f"{name} of {done:,} runs" + (f" of {len(status):,} (the others are not done)" if done < len(status) else "")
    )
    columns = ("group", "runs", "mean", "95 %", "sd", "worst", "median")
    lines = [
        (
            label,
            s.count,
            _number(s.mean),
            f"{_number(s.mean_low)} .. {_number(s.mean_high)}",
            _number(s.sd),
            _number(s.worst),
            _number(s.quantiles[2]),
        )
        for label, s in rows.items()
    ]
    show(make_table(columns, lines, right=columns[1:]))
    if pairs:
        typer.echo()
        columns = ("first - second", "pairs", "difference", "95 %", "p (Holm)", "seeds", "")
        lines = [
            (
                f"{c.first} - {c.second}",
                c.pairs,
                _number(c.difference),
                f"{_number(c.low)} .. {_number(c.high)}",
                f"{c.p_holm:.2g}",
                f"{c.seeds_needed:,}" if c.seeds_needed else "-",
                "clear" if c.clear else "open",
            )
            for c in pairs
        ]
        show(make_table(columns, lines, right=columns[1:6]))
    if frozen:
        say(f"Warning: {frozen:,} runs were frozen; they are left out.")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4g}"
