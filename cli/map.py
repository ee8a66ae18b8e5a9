"""`gpu-thermo map`."""

from pathlib import Path
from typing import Annotated

import typer

from .arguments import MAP_SUFFIXES, Device, Ensemble, Overwrite, Quiet, Run, check_output

EPILOG = """\b
Examples:
  gpu-thermo map run.zarr --out map.png
  gpu-thermo map wine.zarr --out map.png --features alcohol,hue
"""

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


def map(
    store: Run, out: Out, features: Features = None, ensemble: Ensemble = None, resolution: Resolution = 200,
    data: Data = None, device: Device = "auto", overwrite: Overwrite = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Draw the mean prediction beside its uncertainty.

    Runs of more than two features are mapped on the plane of their first two principal components, or over --features;
    the caption says what is held fixed.
    """
    from gpu_thermo.averages.trees import opened
    from gpu_thermo_analysis.maps import save_map

    from .output import fill, say

    tree = opened(store)
    check_output(out, overwrite, MAP_SUFFIXES)
    if data:
        check_output(data, overwrite, (".zarr", ".nc", ".csv"))
    chosen = [name.strip() for name in features.split(",")] if features else None
    drawn = save_map(tree, out, data, ensemble=ensemble, features=chosen, resolution=resolution, device=device)
    if not quiet:
        say(f"{drawn.attrs['title']}: map in {out}" + (f", its numbers in {data}" if data else ""))
        if drawn.attrs["caption"]:
            say(fill(drawn.attrs["caption"], 80))
