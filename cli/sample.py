"""`gpu-thermo sample`, with its plan and bill, and `gpu-thermo resume`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .arguments import (
    MAP_SUFFIXES,
    AllowOtherBits,
    Devices,
    JsonSummary,
    Overwrite,
    Quiet,
    Run,
    Scheduler,
    Threads,
    TimeLimit,
    Workers,
    check_output,
    read_spec,
    seconds_of,
)
from .fitted import finish as finish_fit
from .fitted import made_by_fit
from .info import finish
from .output import echo, facts, plural, print_json, say, show, size, table
from .progress import Meter, Words
from .summary import planned_steps, summarise

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.run import RunPlan
    from gpu_thermo.spec.run import RunSpec

SAMPLE_EPILOG = """\b
Examples:
  gpu-thermo sample --map spirals.png
  gpu-thermo sample run.toml --out run.zarr --set run.replicas=1024
  gpu-thermo sample --set data.name=digits --set method.stepsize=0.1
  gpu-thermo sample run.toml --dry-run
  gpu-thermo sample run.toml --device cuda:all
  gpu-thermo sample run.toml --workers 4
  gpu-thermo sample run.toml --scheduler tcp://host:8786
"""

Spec = Annotated[
    Path | None, typer.Argument(metavar="SPEC.toml", help="The spec; none: a posterior of two-turn spirals.")
]
Out = Annotated[
    Path | None, typer.Option(metavar="RUN.zarr", help="Store to create.  [default: SPEC's name, or run.zarr]")
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=value", help="Change one key of the spec; repeatable.")
]
Map = Annotated[Path | None, typer.Option("--map", metavar="FILE.png", help="Draw the uncertainty map at the end.")]
Engine = Annotated[str, typer.Option(metavar="ENGINE", help="auto, batched or fused.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would run, and what it costs.")]


def sample(
    spec: Spec = None, out: Out = None, changes: Changes = None, map_file: Map = None, device: Devices = "auto",
    engine: Engine = "auto", workers: Workers = 0, scheduler: Scheduler = None, threads: Threads = None,
    time_limit: TimeLimit = None, dry_run: DryRun = False,
    overwrite: Overwrite = False, quiet: Quiet = False, as_json: JsonSummary = False,
) -> None:  # fmt: skip
    """Sample an ensemble of networks and store its chains.

    Draws are committed to a Zarr store every few seconds. Ctrl-C commits and leaves; `gpu-thermo resume` goes on from
    there, bit for bit.
    """
    if not quiet:
        say(f"Reading {spec or 'the default spec'} ...")  # what follows takes a second to load
    from gpu_thermo import run as library

    ready, base = read_spec(spec, changes or [])
    store = out or Path(f"{spec.stem}.zarr" if spec else "run.zarr")
    if dry_run:
        bill = library.plan(
            ready, device=device, engine=engine, base=base, threads=threads, workers=workers, scheduler=scheduler
        )
        print_plan(bill, as_json)
        return
    if map_file:
        _check_map(map_file, overwrite, ready)
    with Meter(quiet) as meter:
        tree = library.sample(
            ready,
            store,
            device=device,
            engine=engine,
            workers=workers,
            scheduler=scheduler,
            on_plan=lambda bill: print_bill(bill, store, quiet),
            on_progress=meter,
            overwrite=overwrite,
            time_limit=time_limit,
            threads=threads,
            base=base,
        )
    if map_file:
        if not quiet:
            say(f"Drawing {map_file} ...")
        _draw(tree, store, map_file)
    finish(store, tree, as_json, quiet, map_file)


def _check_map(file: Path, overwrite: bool, spec: "RunSpec") -> None:
    """Refuse before the run what could only fail after it."""
    from gpu_thermo.errors import SpecError

    check_output(file, overwrite, MAP_SUFFIXES)
    if spec.target is not None:
        raise SpecError(f"--map shows predictions, and target '{spec.target.name}' is no network: leave out --map.")
    if "parameters" not in spec.run.keep:
        raise SpecError(
            '--map needs the parameters of each draw: keep = ["parameters", "predictions"] in [run], or leave out'
            " --map."
        )


def _draw(tree: "xarray.DataTree", store: Path, file: Path) -> None:
    """Draw the map of a finished run; what fails here must not hide that the run is there."""
    from gpu_thermo.errors import GpuThermoError, RunError
    from gpu_thermo_analysis.maps import save_map

    try:
        save_map(tree, file)
    except GpuThermoError as error:
        raise RunError(f"The run is in {store}, but its map was not drawn: {error}") from error


RESUME_EPILOG = """\b
Examples:
  gpu-thermo resume run.zarr
  gpu-thermo resume run.zarr --draws 100
  gpu-thermo resume run.zarr --tolerance 0.01
  gpu-thermo resume houses.zarr --minutes 2
"""

ResumedSpec = Annotated[
    Path | None, typer.Argument(metavar="SPEC.toml", help="The run's spec; it may differ in its length only.")
]
Draws = Annotated[int, typer.Option(min=0, metavar="N", help="Add N draws to the run's plan.")]
Tolerance = Annotated[
    float | None,
    typer.Option(metavar="X", help="Of a run that stops itself: go on to errors of X posterior sd."),
]
More = Annotated[
    float | None, typer.Option(metavar="M", help="Of a run that stops itself: work so long at most from now on.")
]
RecordedEngine = Annotated[
    str | None, typer.Option(metavar="ENGINE", help="auto, batched or fused.  [default: as recorded]")
]


def resume(
    store: Run, spec: ResumedSpec = None, draws: Draws = 0, tolerance: Tolerance = None, minutes: More = None,
    device: Devices = "auto", engine: RecordedEngine = None, workers: Workers = 0, scheduler: Scheduler = None,
    threads: Threads = None, time_limit: TimeLimit = None, allow_other_bits: AllowOtherBits = False,
    quiet: Quiet = False, as_json: JsonSummary = False,
) -> None:  # fmt: skip
    """Continue a run to its end, or beyond it with --draws; where it stops itself, with a smaller --tolerance or more
    --minutes, in which a burn-in that had not ended goes on.

    What gpu-thermo fit left beside its run (NAME.npz, NAME.html) is made anew, with a new verdict.

    The result is bit for bit that of a run which never stopped, whether it ended by itself, by Ctrl-C or by kill -9. So
    another build (engine, compiler, processor type, ...) is refused, unless --allow-other-bits insists.
    """
    if not quiet:
        say(f"Reading {store} ...")
    from gpu_thermo import run as library
    from gpu_thermo.spec.run import RunSpec
    from gpu_thermo.store import read_header

    seconds, header = seconds_of(minutes), read_header(store)
    planned, of_fit = RunSpec.from_json(header.spec), made_by_fit(header)
    earlier = float(header.attributes.get("sampling_time", 0.0))
    if not quiet:
        total = planned_steps(header, planned)
        more = f", {draws:,} more asked for" if draws else ""
        more += f", on to a tolerance of {tolerance:g}" if tolerance is not None else ""
        more += f", {minutes:g} min longer" if minutes is not None else ""
        say(f"{store}: step {header.step:,} of {total:,}, {plural(header.draws, 'draw')} committed{more}")
    with Words(quiet) if of_fit else Meter(quiet) as meter:
        tree = library.resume(
            store,
            spec,
            draws=draws,
            tolerance=tolerance,
            seconds=seconds,
            device=device,
            engine=engine,
            workers=workers,
            scheduler=scheduler,
            on_progress=meter,
            time_limit=time_limit,
            threads=threads,
            allow_other_bits=allow_other_bits,
        )
    if not quiet and time_limit is None and meter.step in (None, header.step):
        say("Nothing was left to do. Ask for more: " + ("--draws" if planned.run.tolerance is None else "--tolerance"))
    if of_fit:
        finish_fit(tree, store, quiet, as_json, earlier, summarise(store, tree) if as_json else None)
    else:
        finish(store, tree, as_json, quiet, earlier=earlier)


def print_bill(plan: "RunPlan", store: Path, quiet: bool = False) -> None:
    """What is about to run, where, and what it costs; and the warnings, which `quiet` keeps. On stderr."""
    if not quiet:
        replicas, draws = plural(plan.replicas, "replica"), plural(plan.draws, "draw")
        length = f"{plan.steps:,} steps, {draws} each"
        if plan.tolerance is not None:
            length = f"until averages are known to {plan.tolerance:g} posterior sd, at most {plan.steps:,} steps"
        say(f"{replicas} of {plan.parameters:,} parameters, {length}")
        say(
            f"engine {plan.engine} on {shared(plan)}, about {size(plan.memory_bytes)} of memory,"
            f" {size(plan.disk_bytes)} in {store}"
        )
        for line in plan.assumptions:
            say(f"assumed: {line}")
        for line in plan.columns:
            say(f"column {line}")
    for warning in plan.warnings:
        say(f"Warning: {warning}")


def shared(plan: "RunPlan") -> str:
    """The device of a run, and among how many its replicas are shared out."""
    if not plan.shares:
        return plan.device
    most = max(count for _, count in plan.shares)
    if plan.worker_bytes:
        kind = plan.device.partition(":")[0]
        return f"{kind} of {plural(len(plan.shares), 'worker')}, at most {plural(most, 'replica')} each"
    return f"{plan.device}, at most {plural(most, 'replica')} each"


def print_plan(plan: "RunPlan", as_json: bool) -> None:
    """The whole plan on stdout: sizes, partitions, one step of the program, the bill."""
    if as_json:
        print_json(plan.to_dict())
        return
    ensembles = f" in {plan.ensembles:,} ensembles" if plan.ensembles > 1 else ""
    datasets = f" on {plan.datasets:,} data sets" if plan.datasets > 1 else ""
    show(
        facts({
            "replicas": f"{plan.replicas:,}{ensembles}{datasets}, {plan.parameters:,} parameters each",
            **_length(plan),
            "gradients": f"{plan.gradients_per_step} a step",
            "moves": ", ".join(plan.moves) or None,
            "assumed": "; ".join(plan.assumptions) or None,
            "columns": "\n".join(plan.columns) or None,
            "engine": f"{plan.engine} on {shared(plan)}" + (f" ({plan.engine_reason})" if plan.engine_reason else ""),
            "memory": f"about {size(plan.memory_bytes)}",
            "of a worker": f"about {size(plan.worker_bytes)}" if plan.worker_bytes else None,
            "of a GPU": f"about {size(plan.device_bytes)}" if plan.device_bytes else None,
            "disk": f"about {size(plan.disk_bytes)}",
        })
    )  # fmt: skip
    rows = [(name, word or "frozen", f"{parameters:,}") for name, (word, parameters) in plan.words.items()]
    echo()
    show(table(("partition", "word or update", "parameters"), rows, right=("parameters",)))
    echo("\nOne step:\n" + "\n".join(f"  {line}" for line in plan.substeps))
    for warning in plan.warnings:
        say(f"Warning: {warning}")
    say("Nothing was run or written.")


def _length(plan: "RunPlan") -> dict[str, str]:
    """Steps and draws, or how far a run goes that stops itself."""
    if plan.tolerance is not None:
        return {
            "tolerance": f"{plan.tolerance:g} posterior sd", "steps": f"at most {plan.steps:,}; burn-in as it takes",
            "draws": "as many as it takes",
        }  # fmt: skip
    stages = " of the sampling stages" if plan.draws < (plan.steps - plan.burn_in) // plan.thin else ""
    return {
        "steps": f"{plan.steps:,}, of these {plan.burn_in:,} burn-in",
        "draws": f"{plan.draws:,}, one every {plural(plan.thin, 'step')}{stages}",
    }
