"""`gpu-thermo resume`."""

from pathlib import Path
from typing import Annotated

import typer

from .arguments import Device, JsonSummary, Quiet, Run, Threads, TimeLimit

EPILOG = """\b
Examples:
  gpu-thermo resume run.zarr
  gpu-thermo resume run.zarr --draws 100
"""

Spec = Annotated[
    Path | None, typer.Argument(metavar="SPEC.toml", help="The run's spec; it may differ in run.steps only.")
]
Draws = Annotated[int, typer.Option(min=0, metavar="N", help="Add N draws to the run's plan.")]
Engine = Annotated[str | None, typer.Option(metavar="ENGINE", help="auto, batched or fused.  [default: as recorded]")]


def resume(
    store: Run, spec: Spec = None, draws: Draws = 0, device: Device = "auto", engine: Engine = None, threads: Threads = None,
    time_limit: TimeLimit = None, quiet: Quiet = False, as_json: JsonSummary = False,
) -> None:  # fmt: skip
    """Continue a run to its end, or beyond it with --draws.

    The result is bit for bit that of a run which never stopped, whether it ended by itself, by Ctrl-C or by kill -9.
    """
    from gpu_thermo import run as library
    from gpu_thermo.spec.run import RunSpec
    from gpu_thermo.store import read_header

    from .output import say
    from .progress import Meter
    from .summary import finish, planned_steps

    header = read_header(store)
    if not quiet:
        total = planned_steps(header, RunSpec.from_json(header.spec))
        more = f", {draws:,} more asked for" if draws else ""
        say(f"{store}: step {header.step:,} of {total:,}, {header.draws:,} draws committed{more}")
    with Meter(quiet) as meter:
        tree = library.resume(
            store,
            spec,
            draws=draws,
            device=device,
            engine=engine,
            on_progress=meter,
            time_limit=time_limit,
            threads=threads,
        )
    finish(store, tree, as_json, quiet)
