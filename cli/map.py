"""`gpu-thermo map`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import MAP_SUFFIXES, Device, Ensemble, Overwrite, Quiet, check_output, read_spec

if TYPE_CHECKING:
    import xarray

EPILOG = """\b
Examples:
  gpu-thermo map run.zarr --out map.png
  gpu-thermo map wine.zarr --out map.png --features alcohol,hue
  gpu-thermo map spec.toml --prior --out prior.png --set model.prior_sd=0.5
"""

Place = Annotated[
    Path, typer.Argument(metavar="RUN", help="Store of the run, a .zarr folder; with --prior the spec, a .toml file.")
]
Out = Annotated[Path, typer.Option(metavar="FILE.png", help="Picture to write: .png, .pdf or .svg.")]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="A,B", help="One or two features.  [default: the only two, or the plane of two principal components]"
    ),
]
Resolution = Annotated[int, typer.Option(min=2, max=2000, metavar="N", help="Points along each axis.")]
Data = Annotated[
    Path | None, typer.Option(metavar="FILE.zarr", help="Save the map's numbers, too: .zarr, .nc or .csv.")
]
Prior = Annotated[
    bool, typer.Option("--prior", help="Draw what a spec's prior predicts before any data; nothing is sampled.")
]
Draws = Annotated[
    int | None, typer.Option(min=1, max=100_000, metavar="N", help="With --prior: draws from it.  [default: 500]")
]
Changes = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=value", help="With --prior: change one key; repeatable.")
]


def map(
    store: Place, out: Out, prior: Prior = False, features: Features = None, ensemble: Ensemble = None,
    resolution: Resolution = 200, draws: Draws = None, changes: Changes = None, data: Data = None,
    device: Device = "auto", overwrite: Overwrite = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Draw the mean prediction beside its uncertainty.

    Runs of more than two features are mapped on the plane of their first two principal components, or over --features;
    the caption says what is held fixed. A run of one input is a curve with intervals. With --prior the same of a spec,
    before any data: mean, spread, and single draws.
    """
    chosen = [name.strip() for name in features.split(",")] if features else None
    options: dict[str, Any] = {"features": chosen, "resolution": resolution}
    if prior:
        draw = _of_prior(store, changes or [], draws or 500, ensemble, options)
    else:
        draw = _of_run(store, changes, draws, options | {"ensemble": ensemble, "device": device})
    check_output(out, overwrite, MAP_SUFFIXES)
    if data:
        check_output(data, overwrite, (".zarr", ".nc", ".csv"))
    drawn = draw(out, data)
    if not quiet:
        _say_what(drawn, out, data)


def _of_run(store: Path, changes: list[str] | None, draws: int | None, options: dict[str, Any]) -> Any:
    """What draws the map of a run."""
    from gpu_thermo.averages.trees import opened
    from gpu_thermo.errors import SpecError
    from gpu_thermo_analysis.maps import save_map

    if changes or draws:
        raise SpecError(f"{'--set' if changes else '--draws'} is for --prior: a run was sampled as it was.")
    if store.is_file():
        raise SpecError(
            f"'{store}' is a file, and a run is a .zarr folder: sample it first (gpu-thermo sample {store}), or look at"
            " its prior (--prior)."
        )
    tree = opened(store)
    return lambda out, data: save_map(tree, out, data, **options)


def _of_prior(place: Path, changes: list[str], draws: int, ensemble: int | None, options: dict[str, Any]) -> Any:
    """What draws the map of a spec's prior."""
    from gpu_thermo.errors import SpecError
    from gpu_thermo.running.prior import PriorPredictive
    from gpu_thermo_analysis.prior import save_prior_map

    if ensemble is not None:
        raise SpecError("--ensemble is about runs, and --prior about a spec: leave out one of the two.")
    if place.is_dir():
        raise SpecError(
            f"'{place}' is a folder: --prior takes the spec, a .toml file (gpu-thermo info RUN shows a run's)."
        )
    spec, base = read_spec(place, changes)
    prior = PriorPredictive.of(spec, draws=draws, base=base)
    return lambda out, data: save_prior_map(prior, out, data, **options)


def _say_what(drawn: "xarray.Dataset", out: Path, data: Path | None) -> None:
    from .output import fill, say

    say(f"{drawn.attrs['title']}: map in {out}" + (f", its numbers in {data}" if data else ""))
    if drawn.attrs["caption"]:
        say(fill(drawn.attrs["caption"], 80))
