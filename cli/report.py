"""`gpu-thermo report`."""

from pathlib import Path
from typing import Annotated

import typer

from .arguments import Overwrite, Quiet, as_store, check_output
from .fitted import is_fit, verdict_of
from .output import say, size

EPILOG = """\b
One file that needs no network: data and network in a sentence, verdict,
learning curves, calibration, scores beside a linear model and gradient
boosting, predictions with intervals, the effect of each input, what is unlike
the data, and how it was made.

\b
Example:
  gpu-thermo report run.zarr --out report.html
"""

Store = Annotated[Path, typer.Argument(metavar="RUN", help="Store of a run or of a study.", callback=as_store)]
Out = Annotated[Path, typer.Option(metavar="FILE.html", help="Where to write.")]


def report(store: Store, out: Out = Path("report.html"), overwrite: Overwrite = False, quiet: Quiet = False) -> None:
    """Write what a run or a study came to as one page."""
    check_output(out, overwrite, (".html",))
    from gpu_thermo_analysis.report import write_report

    if not quiet:
        say(f"Reading {store} ...")
    write_report(store, out, overwrite=True, said=_said(store))
    if not quiet:
        say(f"{out} written ({size(out.stat().st_size)})")


def _said(store: Path) -> list[str]:
    """The verdict on a fit in the words of its end; of other runs and of studies the report has its own."""
    from gpu_thermo.store import open_run
    from gpu_thermo.study.birth import is_study

    if is_study(store) or not is_fit(tree := open_run(store)):
        return []
    return verdict_of(tree, store)
