"""`gpu-thermo study`, and `gpu-thermo table` of what came out."""

import math
import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from .arguments import AllowOtherBits, Device, Json, Overwrite, Quiet, Scheduler, Threads, Workers

if TYPE_CHECKING:
    import xarray
    from rich.console import RenderableType

    from gpu_thermo.study import StudyPlan, StudyProgress
    from gpu_thermo.study.statistics import PairedDifference, Summary

MOST_FAILED = 12
"""Groups whose failed runs are warned of one by one."""
MOST_PAIRS = 10
"""Pairs that are all shown; of more, those of the best group."""
MOST_NOTICES = 3
"""Warnings about runs that are said in full."""
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
Engine = Annotated[str, typer.Option(metavar="ENGINE", help="auto, batched or fused.")]
Keep = Annotated[bool, typer.Option("--keep", help="Keep the parameters of every draw, too.")]
Extend = Annotated[bool, typer.Option("--extend", help="Continue a store whose study had another grid or other seeds.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would run, and what it costs.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the plan or the final table as JSON.")]


Import = Annotated[
    list[str] | None,
    typer.Option("--import", metavar="MODULE", help="Module (name or path) that registers one's own records."),
]


def _import(modules: list[str] | None) -> None:
    """Import what registers; SpecError where it cannot be, with why."""
    from importlib import import_module
    from importlib.util import module_from_spec, spec_from_file_location

    from gpu_thermo.errors import SpecError

    for name in modules or []:
        try:
            if not name.endswith(".py"):
                import_module(name)
                continue
            found = spec_from_file_location(Path(name).stem, name)
            assert found is not None
            assert found.loader is not None
            module = module_from_spec(found)
            sys.modules[found.name] = module
            found.loader.exec_module(module)
        except Exception as error:
            raise SpecError(
                f"--import {name}: it cannot be imported ({type(error).__name__}: {error}). Give the name of an"
                " installed module, or the path of a file."
            ) from error


def study(
    spec: Spec, out: Out = None, workers: Workers = 0, scheduler: Scheduler = None, device: Device = "auto",
    engine: Engine = "auto", threads: Threads = None, keep: Keep = False, extend: Extend = False,
    dry_run: DryRun = False, overwrite: Overwrite = False, allow_other_bits: AllowOtherBits = False,
    modules: Import = None, quiet: Quiet = False, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Run a grid of methods and hyperparameters over many seeds, as few large launches.

    Every finished shard is kept at once. Ctrl-C, a kill or a lost worker loses the shards under way; the same command
    goes on from there, bit for bit. So another build (engine, compiler, processor type, ...) is refused, unless
    --allow-other-bits insists.
    """
    from gpu_thermo.study import plan_study, run_study
    from gpu_thermo.study.work import as_study

    from .output import say

    _import(modules)
    store = out or Path(f"{spec.stem}.zarr")
    if dry_run:
        print_plan(
            plan_study(as_study(spec, keep)[0], store, device=device, engine=engine, base=spec.resolve().parent),
            as_json,
        )
        return
    with Bar(quiet) as bar:
        found = run_study(
            spec, store, workers=workers, scheduler=scheduler, device=device, engine=engine, threads=threads, keep=keep,
            overwrite=overwrite, extend=extend, on_progress=bar, allow_other_bits=allow_other_bits,
        )  # fmt: skip
    if not quiet or as_json:
        print_table(found, None, (), as_json, None)
    if not quiet:
        say(f"Study in {store}. More: gpu-thermo table {store} --help")


def print_plan(plan: "StudyPlan", as_json: bool) -> None:
    """What a study would do, on stdout."""
    from .output import clock, count, echo, facts, print_json, say, show, size, table

    if as_json:
        print_json(plan.to_dict())
        return
    most = "at most " if plan.at_most else ""
    done = f", {plan.done:,} of them done" if plan.done else ""
    show(
        facts({
            "runs": f"{plan.runs:,} ({plan.cells:,} cells x {plan.seeds:,} seeds)", "launch groups": plan.ensembles,
            "shards": f"{plan.shards:,}{done}", "launches": f"{plan.launches:,} to do",
            "work": f"{most}{count(plan.replica_steps)} replica-steps",
            "time": f"{most or 'roughly '}{clock(plan.seconds)} on {plan.device}, as busy as it is now",
            "memory": f"about {size(plan.memory_bytes)}", "disk": f"about {size(plan.bytes)}",
        })
    )  # fmt: skip
    echo()
    rows = [(label, cells, shards, f"{steps:,}") for label, cells, shards, steps in plan.groups[:40]]
    show(
        table(
            ("cells alike in all but hyperparameters", "cells", "shards", "steps"),
            rows,
            right=("cells", "shards", "steps"),
        )
    )
    if len(plan.groups) > 40:
        echo(f"... and {len(plan.groups) - 40} more")
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
    left = "at most " * progress.at_most + clock(progress.seconds_left)
    return f"{percent:.0f} %, {shards}, {progress.runs:,} runs, {speed}, {left} left"


TABLE_EPILOG = """\b
Examples:
  gpu-thermo table study.zarr
  gpu-thermo table study.zarr --outcome nll --by method.temperature
  gpu-thermo table study.zarr --against "adlala" --json
  gpu-thermo table study.zarr --outcome ess_per_gradient --plot cost.png
"""

Study = Annotated[Path, typer.Argument(metavar="STUDY", help="Store of the study, a .zarr folder.")]
Outcome = Annotated[
    str | None, typer.Option(metavar="NAME", help="accuracy, nll, ece, steps_to_90, ...  [default: accuracy or rmse]")
]
By = Annotated[
    str | None, typer.Option(metavar="A,B", help="Fields, hyperparameters or seeds to group by.  [default: each cell]")
]
Plot = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Draw it over the grid's axes (or --by) into FILE.png, .svg or .pdf, with a CSV."
    ),
]
Against = Annotated[str | None, typer.Option(metavar="LABEL", help="Compare every group with this one only.")]


def table(
    store: Study, outcome: Outcome = None, by: By = None, against: Against = None, plot: Plot = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Summarise a study: mean, spread, worst seed, and which differences are clear.

    Intervals are 95 % (bootstrap). Comparisons are paired by seed (t test) and corrected for their number (Holm);
    `seeds` is how many pairs a difference of that size needs to be clear with 90 % power. A run that failed is worse
    than any other, and one that never got somewhere later than the last step: then comparisons are sign tests.
    """
    from gpu_thermo.study import open_study

    chosen = tuple(name.strip() for name in by.split(",")) if by else ()
    drawn = None if plot is None else _draw(store, outcome, chosen, plot)
    print_table(open_study(store), outcome, chosen, as_json, against, drawn)


def _draw(store: Path, outcome: str | None, by: tuple[str, ...], path: Path) -> list[Path]:
    """The study's own figure; what was written."""
    from gpu_thermo.study import open_study
    from gpu_thermo_analysis.grid_figure import check_suffix, figure, write

    check_suffix(path)
    return write(figure(open_study(store), outcome, by), path)


def print_table(
    found: "xarray.Dataset", outcome: str | None, by: tuple[str, ...], as_json: bool, against: str | None,
    drawn: list[Path] | None = None,
) -> None:  # fmt: skip
    """The table of a study on stdout."""
    from gpu_thermo.study import comparisons, summaries
    from gpu_thermo.study.reading import values_of
    from gpu_thermo.study.tables import best_group, best_outcome, failures, lower_is_better, paired

    from .output import echo, print_json, show

    name = outcome or best_outcome(found)
    status = values_of(found, "status")
    done = int((status >= 0).sum())
    rows = summaries(found, name, by) if done else {}
    pairs = comparisons(found, name, by, against) if done else []
    failed = failures(found, by)
    if as_json:
        print_json({
            "outcome": name, "runs": len(status), "done": done, "frozen": sum(f["runs"] for f in failed),
            "groups": {label: s.to_dict() for label, s in rows.items()},
            "comparisons": [c.to_dict() for c in pairs], "failed": failed,
            **({} if drawn is None else {"drawn": [str(path) for path in drawn]}),
        })  # fmt: skip
    else:
        echo(
            f"{name} of {done:,} runs"
            + (f" of {len(status):,} (the others are not done)" if done < len(status) else "")
        )
        show(_groups(rows))
        if pairs:
            echo()
            best = best_group(paired(found, name, by), lower_is_better(name))
            few = against is not None or len(pairs) <= MOST_PAIRS
            shown = pairs if few else _telling(pairs, best)
            show(_comparisons(shown))
            if not few:
                which = f"{len(shown)} of {len(pairs):,} pairs are shown, those nearest to the best, '{best}'"
                echo(f"{which}: --against LABEL has those of another, --json all.")
        for line in _missing(rows, pairs):
            echo(line)
        if drawn:
            echo(f"Drawn: {', '.join(map(str, drawn))}")
    say_warnings(found, failed)


def say_warnings(found: "xarray.Dataset", failed: "list[dict[str, Any]]") -> None:
    """On stderr: which runs failed, several builds, and the first MOST_NOTICES of what is rarely meant."""
    from gpu_thermo.study.reading import build_warning, notices_of

    from .output import plural, say

    warn_of(failed)
    if builds := build_warning(found):
        say(f"Warning: {builds}")
    notices = notices_of(found)
    for text in notices[:MOST_NOTICES]:
        say(f"Warning: {text}")
    if len(notices) > MOST_NOTICES:
        say(f"And {plural(len(notices) - MOST_NOTICES, 'more such warning')}.")


def warn_of(failed: "list[dict[str, Any]]") -> None:
    """Say on stderr which runs failed, and what to change."""
    from .output import plural, say

    for f in failed[:MOST_FAILED]:
        runs = f"{f['runs']:,} of {plural(f['attempted'], 'run')}"
        say(f"Warning: {f['group']}: {runs} failed, {f['remedy']}.")
    if len(failed) > MOST_FAILED:
        say(
            f"Warning: {sum(f['runs'] for f in failed[MOST_FAILED:]):,} runs of other groups failed (--json lists all)."
        )


def _groups(rows: "dict[str, Summary]") -> "RenderableType":
    """A row for each group. Of an outcome that says when, with runs that never got there, no mean of the others."""
    from .output import table as make_table

    when = any(s.end is not None and s.missing for s in rows.values())
    middle = ("median", "95 %", "worst") if when else ("mean", "95 %", "sd", "worst", "median")
    columns = ("group", "reached" if when else "runs", *middle)
    lines = []
    for label, s in rows.items():
        shown = s.to_dict()
        runs = f"{s.count:,} of {s.attempted:,}" if s.missing else f"{s.count:,}"
        low, high = ("median_low", "median_high") if when else ("mean_low", "mean_high")
        values = {name: _number(shown[name]) for name in ("median", "mean", "sd", "worst")}
        values["95 %"] = f"{_number(shown[low])} .. {_number(shown[high])}"
        lines.append((label, runs, *(values[name] for name in middle)))
    return make_table(columns, lines, right=columns[1:], fixed=columns[1:2])


def _telling(pairs: "list[PairedDifference]", best: str) -> "list[PairedDifference]":
    """Of many pairs those of the best group that are nearest to it."""
    mine = sorted((c for c in pairs if best in (c.first, c.second)), key=lambda c: abs(c.difference))
    return mine[:MOST_PAIRS]


def _comparisons(pairs: "list[PairedDifference]") -> "RenderableType":
    from .output import table as make_table

    columns = ("first - second", "pairs", "difference", "95 %", "p (Holm)", "seeds", "")
    lines = [
        (
            f"{c.first} - {c.second}",
            f"{c.finished:,} of {c.pairs:,}" if c.finished < c.pairs else f"{c.pairs:,}",
            _number(c.difference),
            f"{_number(c.low)} .. {_number(c.high)}",
            f"{c.p_holm:.2g}",
            f"{c.seeds_needed:,}" if c.seeds_needed else "-",
            "clear" if c.clear else "open",
        )
        for c in pairs
    ]
    return make_table(columns, lines, right=columns[1:6])


def _missing(rows: "dict[str, Summary]", pairs: "list[PairedDifference]") -> "list[str]":
    """How runs without a value are counted, where there are some."""
    from .output import plural

    if not any(s.missing for s in rows.values()):
        return []
    lost, all_runs = sum(s.missing for s in rows.values()), sum(s.attempted for s in rows.values())
    when = any(s.end is not None for s in rows.values())
    what = "never got there and count as later than the last step" if when else "failed and count as worse than any"
    means = "there is no mean of the others" if when else "means and sd are of the finished"
    out = [f"\n{lost:,} of {plural(all_runs, 'run')} {what}; {means}."]
    if any(c.test == "sign" for c in pairs):
        out.append("Pairs with such a run are compared by who is better (sign test): a median difference is given.")
    return out


def _number(value: "float | str") -> str:
    if isinstance(value, str):
        return value
    return "-" if math.isnan(value) else f"{value:.4g}"
