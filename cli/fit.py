"""`gpu-thermo fit`: a table in, an answer with its uncertainty out."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
)
from .output import echo, plural, print_json, say, show, table
from .progress import Meter
from .sample import shared

if TYPE_CHECKING:
    from gpu_thermo.estimators.table import Planned
    from gpu_thermo.run import Progress, RunPlan

EPILOG = """\b
Leaves three things: NAME.zarr, the run (for info, predict, diagnose, resume);
NAME.npz, the fitted estimator (gpu_thermo.estimators.load); NAME.html, a report.
A fifth of the rows, at most 2,000, is held out and judged by.

\b
Examples:
  gpu-thermo fit houses.csv --target price
  gpu-thermo fit houses.csv --target price --log --out houses_log
  gpu-thermo fit houses.csv --target price --workers 4
  gpu-thermo fit houses.csv --target price --device cuda:all
"""
PHASES = {
    "descent": "looking for networks that fit", "adaptation": "finding the length of a step",
    "ladder": "placing temperatures", "burn-in": "forgetting where it began",
    "fall": "settling down in small steps", "sampling": "collecting networks",
}  # fmt: skip
"""What a run does, for people who know no physics."""

TableFile = Annotated[Path, typer.Argument(metavar="TABLE", help="A CSV or Parquet file, a row an example.")]
Target = Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict; all others may be used.")]
Out = Annotated[Path | None, typer.Option(metavar="NAME", help="Where to write.  [default: TABLE's name, here]")]
Log = Annotated[bool, typer.Option("--log", help="Learn the logarithm of a positive target; answers are in its units.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Decides the rows held out and every random number.")]
Goal = Annotated[float, typer.Option(metavar="X", help="Error of the averages to stop at, in parts of their spread.")]
Minutes = Annotated[
    float | None,
    typer.Option(min=0.1, metavar="M", help="Work so long at most; some 20 s of two cores unless given."),
]
NoReport = Annotated[bool, typer.Option("--no-report", help="Leave out NAME.html.")]


def fit(
    path: TableFile, target: Target, out: Out = None, log: Log = False, seed: Seed = 0, tolerance: Goal = 0.1,
    minutes: Minutes = None, device: Devices = "auto", workers: Workers = 0, scheduler: Scheduler = None,
    threads: Threads = None, time_limit: TimeLimit = None, no_report: NoReport = False,
    overwrite: Overwrite = False, quiet: Quiet = False, as_json: JsonSummary = False,
) -> None:  # fmt: skip
    """Learn a column of a table from the others, and how sure to be of each answer.

    Everything is chosen: what each column becomes, the network, the noise, when to stop. Ends in a verdict and in
    scores on rows held out, beside a linear model and gradient boosting. Ctrl-C keeps what is there: gpu-thermo resume
    goes on.
    """
    if not quiet:
        say(f"Reading {path} ...")
    from gpu_thermo import run as library
    from gpu_thermo.estimators.table import plan_table

    name = out or Path(path.stem)
    places = {"run": name.with_name(f"{name.name}.zarr"), "model": name.with_name(f"{name.name}.npz"),
              "report": name.with_name(f"{name.name}.html")}  # fmt: skip
    for key in ("model", *(() if no_report else ("report",))):
        check_output(places[key], overwrite, (places[key].suffix,))
    seconds = None if minutes is None else 60 * minutes
    planned = plan_table(path, target, seed=seed, log=log, tolerance=tolerance, max_seconds=seconds)
    if not quiet:
        _introduce(planned, target)
    begin = time.perf_counter()
    with Words(quiet) as meter:
        library.sample(
            planned.spec, places["run"], device=device, workers=workers, scheduler=scheduler,
            on_plan=lambda plan: _tell_shares(plan, quiet), on_progress=meter, overwrite=overwrite,
            time_limit=time_limit, threads=threads, base=Path(),
        )  # fmt: skip
    if no_report:
        del places["report"]
    _finish(places, time.perf_counter() - begin, quiet, as_json)


def _introduce(planned: "Planned", target: str) -> None:
    """What is about to be learned from what."""
    data = planned.data
    what = f"one of {len(data.classes)} classes" if data.classes else "a number"
    say(
        f"'{target}' is {what}; {plural(data.points, 'row')} to learn from, {data.test_points:,} held out,"
        f" {plural(data.inputs, 'input')}"
    )
    for line in planned.advice:
        say(f"  {line}")
    for line in planned.assumed:
        say(f"  assumed: {line}")


def _tell_shares(plan: "RunPlan", quiet: bool) -> None:
    """Among whom the networks are shared out, where there are several."""
    if plan.shares and not quiet:
        say(f"  shared out: {shared(plan)}")


class Words(Meter):
    """Progress in words that need no physics."""

    def line(self, progress: "Progress") -> str:
        """One line."""
        return in_words(progress)

    def bar(self, progress: "Progress") -> Any:
        """The line under a bar."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.text import Text

        bar = ProgressBar(total=progress.total_steps, completed=progress.step, width=60)
        return Group(bar, Text(in_words(progress)))


def in_words(progress: "Progress") -> str:
    """What it does, how well averages are known, and how long it will take."""
    import math

    from .progress import left

    doing = PHASES.get(progress.phase, progress.phase)
    known = ""
    if math.isfinite(progress.error):
        known = f"; averages are known to {progress.error:.2f} of their spread, the goal is {progress.tolerance:g}"
    return f"{doing}{known}; {left(progress)}"


def _finish(places: dict[str, Path], seconds: float, quiet: bool, as_json: bool) -> None:
    """The estimator's file, scores, verdict and report of a run that is over."""
    from gpu_thermo.averages.predictive import restored_data
    from gpu_thermo.estimators.runs import from_run
    from gpu_thermo.estimators.words import in_words as verdict_in_words
    from gpu_thermo.store import open_run
    from gpu_thermo.tuning.told import Told
    from gpu_thermo_analysis.baselines import columns, compared, rows

    tree = open_run(places["run"])
    model = from_run(tree)
    model.save(places["model"])
    scores = compared(tree, seconds)
    tuning: Any = tree["tuning"].attrs
    said = verdict_in_words(Told.of(tuning), seconds)
    if "report" in places:
        from gpu_thermo_analysis.report import write_report

        write_report(places["run"], places["report"], overwrite=True, scores=scores, said=said)
    if as_json:
        print_json({"verdict": model.trust_.to_dict() | {"said": said}, "scores": [s.to_dict() for s in scores],
                    "seconds": seconds, **places})  # fmt: skip
    else:
        heads = columns(restored_data(tree))
        echo()
        show(table(heads, rows(scores), right=heads[1:]))
        echo()
    trusted = model.trust_.trusted
    if not trusted or not quiet:
        for line in said:
            say(f"{'' if trusted else 'Warning: '}{line}")
    if not quiet:
        say("\nWritten: " + ", ".join(str(place) for place in places.values()))
        say(f"Next:\n  gpu-thermo predict {places['run']} POINTS.csv --out predictions.csv")
