"""`gpu-thermo fit`: a table in, an answer with its uncertainty out."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .arguments import (
    Devices,
    JsonSummary,
    Overwrite,
    Quiet,
    Scheduler,
    Threads,
    TimeLimit,
    Workers,
    check_output,
    seconds_of,
)
from .fitted import finish, places_of, remarks
from .output import plural, say
from .progress import Words
from .sample import shared

if TYPE_CHECKING:
    from gpu_thermo.estimators.table import Planned
    from gpu_thermo.run import RunPlan

EPILOG = """\b
Leaves three things: NAME.zarr, the run (for predict, diagnose, resume, info);
NAME.npz, the fitted estimator in one file (gpu_thermo.estimators.load), made of
the run with fewer networks; NAME.html, a report. resume makes both anew.
A fifth of the rows, at most 2,000, is held out and judged by.

\b
Examples:
  gpu-thermo fit houses.csv --target price
  gpu-thermo fit houses.csv --target price --log --out houses_log
  gpu-thermo fit houses.csv --target price --kind zip=category --drop note,agent
  gpu-thermo fit houses.csv --target price --kind sold=day-first
  gpu-thermo fit houses.csv --target price --workers 4
  gpu-thermo fit houses.csv --target price --device cuda:all
"""

TableFile = Annotated[Path, typer.Argument(metavar="TABLE", help="A CSV or Parquet file, a row an example.")]
Target = Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict; all others may be used.")]
Out = Annotated[Path | None, typer.Option(metavar="NAME", help="Where to write.  [default: TABLE's name, here]")]
Log = Annotated[bool, typer.Option("--log", help="Learn the logarithm of a positive target; answers are in its units.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Decides the rows held out and every random number.")]
Goal = Annotated[float, typer.Option(metavar="X", help="Error of the averages to stop at, in parts of their spread.")]
Minutes = Annotated[
    float | None,
    typer.Option(metavar="M", help="Work so long at most; some 20 s of two cores unless given. resume goes on."),
]
Kind = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN=KIND",
        help="A column is a number, category or date, or day-first or month-first: dates written so. Repeatable.",
    ),
]
Features = Annotated[list[str] | None, typer.Option(metavar="A,B", help="Use these columns.  [default: all others]")]
Drop = Annotated[list[str] | None, typer.Option(metavar="A,B", help="Do not use these columns.")]
Task = Annotated[
    str,
    typer.Option(
        metavar="TASK",
        help="regression or classification (binary, multiclass).  [default: what the target looks like]",
        show_default=False,
    ),
]
DropMissing = Annotated[
    bool, typer.Option("--drop-missing-target", help="Leave out rows that have no value of the target.")
]
Keep = Annotated[
    list[str] | None, typer.Option(metavar="WHAT", help="Store log_likelihood of every draw, too (for arviz's loo).")
]
KEEP = ("parameters", "predictions", "log_likelihood")
NoReport = Annotated[bool, typer.Option("--no-report", help="Leave out NAME.html.")]


def fit(
    path: TableFile, target: Target, out: Out = None, log: Log = False, kind: Kind = None, features: Features = None,
    drop: Drop = None, task: Task = "", drop_missing_target: DropMissing = False, keep: Keep = None, seed: Seed = 0,
    tolerance: Goal = 0.1, minutes: Minutes = None, device: Devices = "auto", workers: Workers = 0,
    scheduler: Scheduler = None, threads: Threads = None, time_limit: TimeLimit = None, no_report: NoReport = False,
    overwrite: Overwrite = False, quiet: Quiet = False, as_json: JsonSummary = False,
) -> None:  # fmt: skip
    """Learn a column of a table from the others, and how sure to be of each answer.

    Everything is chosen: what each column becomes, the network, the noise, when to stop; --kind, --features, --drop and
    --task say otherwise. Ends in a verdict and in scores on rows held out, beside a linear model and gradient boosting.
    Ctrl-C keeps what is there: gpu-thermo resume goes on, and so it does after --minutes.
    """
    if not quiet:
        say(f"Reading {path} ...")
    from gpu_thermo.estimators.table import TASKS, Wanted, plan_table
    from gpu_thermo.run import Limits, start

    name = out or Path(path.stem)
    name = name.with_suffix("") if name.suffix == ".zarr" else name
    places = places_of(name.with_name(f"{name.name}.zarr"), not no_report)
    seconds = seconds_of(minutes)
    wanted = Wanted(
        log, _kinds(kind or []), _names(features), _names(drop), _choice("--task", task, TASKS), drop_missing_target,
        [_choice("--keep", one, KEEP) for one in _names(keep) or ()],
    )  # fmt: skip
    planned = plan_table(path, target, seed=seed, wanted=wanted, tolerance=tolerance, max_seconds=seconds)
    for place in list(places.values())[1:]:
        check_output(place, overwrite, (place.suffix,))
    if not quiet:
        _introduce(planned, target)
    with Words(quiet) as meter:
        tree = start(
            planned.ready(), places["run"], Limits(meter, time_limit), device=device, workers=workers,
            scheduler=scheduler, on_plan=lambda plan: _tell_shares(plan, quiet), overwrite=overwrite, threads=threads,
            remarks=remarks(not no_report),
        )  # fmt: skip
    finish(tree, places["run"], quiet, as_json)


def _kinds(given: list[str]) -> dict[str, str]:
    """Kinds by column, from COLUMN=KIND."""
    from gpu_thermo.data.kinds import KINDS
    from gpu_thermo.errors import SpecError

    out = {}
    for text in given:
        name, equals, kind = text.rpartition("=")
        if not equals or not name:
            raise SpecError(
                f"--kind {text!r} is not COLUMN=KIND, as in --kind zip=category. Kinds: {', '.join(KINDS)}."
            )
        out[name] = _choice(f"--kind {name}", kind, KINDS)
    return out


def _names(given: list[str] | None) -> list[str] | None:
    """Names of columns, separated by commas; one that holds a comma is put in quotes, as in a CSV file."""
    import csv

    if not given:
        return None
    found = [name.strip() for row in csv.reader(given, skipinitialspace=True) for name in row]
    return [name for name in found if name] or None


def _choice(option: str, given: str, known: Sequence[str]) -> str:
    """One of the known words, or none; SpecError for another."""
    from gpu_thermo.errors import SpecError, did_you_mean

    if given and given not in known:
        remedy = did_you_mean(given, known, f"Known: {', '.join(known)}.", always=True)
        raise SpecError(f"{option} {given!r} is not known. {remedy}")
    return given


def _introduce(planned: "Planned", target: str) -> None:
    """What is about to be learned from what."""
    data = planned.data
    what = f"one of {len(data.classes)} classes" if data.classes else "a number"
    say(
        f"'{target}' is {what}; {plural(data.points, 'row')} to learn from, {data.test_points:,} held out,"
        f" {plural(data.inputs, 'input')}"
    )
    for line in (*planned.advice, planned.network):
        say(f"  {line}")
    for line in planned.assumed:
        say(f"  assumed: {line}")


def _tell_shares(plan: "RunPlan", quiet: bool) -> None:
    """Among whom the networks are shared out, where there are several."""
    if plan.shares and not quiet:
        say(f"  shared out: {shared(plan)}")
