"""`gpu-thermo sample`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .arguments import MAP_SUFFIXES, Device, JsonSummary, Overwrite, Quiet, Threads, TimeLimit, check_output, read_spec

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.spec.run import RunSpec

EPILOG = """\b
Examples:
  gpu-thermo sample --map spirals.png
  gpu-thermo sample run.toml --out run.zarr --set run.replicas=1024
  gpu-thermo sample --set data.name=digits --set method.stepsize=0.1
  gpu-thermo sample run.toml --dry-run
"""

Spec = Annotated[
    Path | None, typer.Argument(metavar="SPEC.toml", help="The spec; none: AdLaLa on the four-turn spirals.")
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
    spec: Spec = None, out: Out = None, changes: Changes = None, map_file: Map = None, device: Device = "auto", engine: Engine = "auto",
    threads: Threads = None, time_limit: TimeLimit = None, dry_run: DryRun = False, overwrite: Overwrite = False, quiet: Quiet = False,
    as_json: JsonSummary = False,
) -> None:  # fmt: skip
    """Sample an ensemble of networks and store its chains.

    Draws are committed to a Zarr store every few seconds. Ctrl-C commits and leaves; `gpu-thermo resume` goes on from
    there, bit for bit.
    """
    from gpu_thermo import run as library

    from .output import say
    from .plan import print_bill, print_plan
    from .progress import Meter
    from .summary import finish

    ready, base = read_spec(spec, changes or [])
    store = out or Path(f"{spec.stem}.zarr" if spec else "run.zarr")
    if dry_run:
        print_plan(library.plan(ready, device=device, engine=engine, base=base), as_json)
        return
    if map_file:
        _check_map(map_file, overwrite, ready)
    with Meter(quiet) as meter:
        tree = library.sample(
            ready,
            store,
            device=device,
            engine=engine,
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
