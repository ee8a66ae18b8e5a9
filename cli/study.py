"""`gpu-thermo study`, and `gpu-thermo table` of what came out."""

import math
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from .arguments import Device, Json, Overwrite, Quiet, Threads

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.study import StudyPlan, StudyProgress

STUDY_EPILOG = """\b
Examples:
  gpu-thermo study study.toml --dry-run
  gpu-thermo study study.toml --out study.zarr --workers 4
  gpu-thermo study study.toml --out study.zarr --scheduler tcp://host:8786
  gpu-thermo table study.zarr
"""

Spec = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="A run's spec with [grid], [[zip]] and [seeds].")]
Out = Annotated[
    Path | None, typer.Option(metavar="STUDY.zarr", help="Store to create or continue.  [default: STUDY's name]")
]
Workers = Annotated[int, typer.Option(min=0, metavar="N", help="Local worker processes (needs Dask); 0: this process.")]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler that is there, tcp://host:port.")
]
Engine = Annotated[str, typer.Option(metavar="ENGINE", help="auto, batched or fused.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the parameters of every draw, too.")]
Extend = Annotated[bool, typer.Option("--extend", help="Continue a store whose study had another grid or other seeds.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would run, and what it costs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the plan or the final table as JSON.")]


def study(
    spec: Spec, out: Out = None, workers: Workers = 0, scheduler: Scheduler = None, device: Device = "auto",
    engine: Engine = "auto", threads: Threads = None, keep: Keep = False, extend: Extend = False,
    dry_run: DryRun = False, overwrite: Overwrite = False, quiet: Quiet = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run a grid of methods and hyperparameters over many seeds, as few large launches.

    Every finished shard is kept at once. Ctrl-C, a kill or a lost worker loses the shards under way; the same command
    goes on from there.
    """
    from gpu_thermo.study import conduct as drive

    from .output import say

    store = out or Path(f"{spec.stem}.zarr")
    if dry_run:
        print_plan(
            drive.plan_study(
                drive.as_study(spec, keep)[0], store, device=device, engine=engine, base=spec.resolve().parent
            ),
            as_json,
        )
        return
    with Bar(quiet) as bar:
        found = drive.run_study(
            spec, store, workers=workers, scheduler=scheduler, device=device, engine=engine, threads=threads, keep=keep,
            overwrite=overwrite, extend=extend, on_progress=bar,
        )  # fmt: skip
    if not quiet or as_json:
        print_table(found, None, (), as_json, None)
    if not quiet:
        say(f"Study in {store}. More: gpu-thermo table {store} --help")


def print_plan(plan: "StudyPlan", as_json: bool) -> None:
    """What a study would do, on stdout."""
    from .output import clock, count, facts, print_json, say, show, size, table

    if as_json:
        print_json(plan.to_dict())
        return
    done = f", {plan.done:,} of them done" if plan.done else ""
    show(
        facts({
            "runs": f"{plan.runs:,} ({plan.cells:,} cells x {plan.seeds:,} seeds)", "launch groups": plan.ensembles,
            "shards": f"{plan.shards:,}{done}", "work": f"{count(plan.replica_steps)} replica-steps",
            "time": f"roughly {clock(plan.seconds)} on {plan.device}, as busy as it is now",
            "disk": f"about {size(plan.bytes)}",
        })
    )  # fmt: skip
    typer.echo()
    rows = [(label, cells, shards, f"{steps:,}") for label, cells, shards, steps in plan.groups[:40]]
    show(
        table(
            ("cells alike in all but hyperparameters", "cells", "shards", "steps"),
            rows,
            right=("cells", "shards", "steps"),
        )
    )
    if len(plan.groups) > 40:
        typer.echo(f"... and {len(plan.groups) - 40} more")
    say("Nothing was run or written.")


class Bar:
    """Progress of a study on stderr: a bar in a terminal, elsewhere a plain line every ten seconds; a context manager
    to be called.
    """

    def __init__(self, quiet: bool = False) -> None:
        import time

        self._quiet, self._live, self._task, self._clock = quiet, None, None, time.monotonic
        self._last = time.monotonic()

    def __enter__(self) -> Self:
        from .output import console

        where = console(stderr=True)
        if not self._quiet and where.is_terminal:
            from rich.progress import BarColumn, Progress, TextColumn

            live: Any = Progress(
                BarColumn(None), TextColumn("{task.description}"), console=where, transient=True, expand=True
            )
            self._live, self._task = live, live.add_task("starting ...", total=None)
            live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: "StudyProgress") -> None:
        """Show `progress`."""
        from .output import say

        if self._live is not None:
            self._live.update(
                self._task, total=progress.total_steps, completed=progress.steps, description=line(progress)
            )
        elif not self._quiet and self._clock() - self._last >= 10:
            self._last = self._clock()
            say(line(progress))


def line(progress: "StudyProgress") -> str:
    """Where a study stands, on one line."""
    from .output import clock, count

    percent = 100 * progress.steps / max(1, progress.total_steps)
    workers = f", {progress.workers} workers" if progress.workers else ""
    shards = f"{progress.shards:,} of {progress.total_shards:,} shards"
    speed = f"{count(progress.rate)} replica-steps/s{workers}"
    return f"{percent:.0f} %, {shards}, {progress.runs:,} runs, {speed}, {clock(progress.seconds_left)} left"


TABLE_EPILOG = """\b
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
