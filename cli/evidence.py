"""`gpu-thermo evidence`."""

from pathlib import Path
from typing import Annotated

import typer

from .arguments import MAP_SUFFIXES, Device, Json, Overwrite, Quiet, Run, Threads, check_output

EPILOG = """\b
Example:
  gpu-thermo evidence run.zarr --out evidence.png
  gpu-thermo evidence run.zarr --extend longer.zarr
\b
The run needs [[moves]] kind = "exchange", temper = "likelihood", rungs = 32 (say),
and method.posterior_temperature = 1.
--json: for each ensemble log_evidence and error (nats), ladders, powers, mean and
variance of the log likelihood on each, halved, mbar and mbar_error, warnings,
temperatures of a ladder with the rungs that are missing.
"""

Out = Annotated[Path | None, typer.Option(metavar="FILE.png", help="Picture to write: .png, .pdf or .svg.")]
Extend = Annotated[
    Path | None,
    typer.Option("--extend", metavar="NEW.zarr", help="Where the rungs are too few: the run again, with more of them."),
]
PriorDraws = Annotated[int, typer.Option(min=2, max=10**6, metavar="N", help="Draws from the prior, for the power 0.")]


def evidence(
    store: Run, out: Out = None, as_json: Json = False, prior_draws: PriorDraws = 8192, overwrite: Overwrite = False,
    extended: Extend = None, device: Device = "auto", threads: Threads = None, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Log evidence of a run on a ladder of powers of its likelihood.

    By thermodynamic integration over the rungs, with an error from independent ladders; beside it what every second
    rung gives, and the multistate Bennett acceptance ratio where pymbar is installed. Where that asks for more rungs
    --extend makes the run again with them, until it does not.
    """
    from gpu_thermo.averages.evidence import evidence as found_evidence
    from gpu_thermo_analysis.evidence import save_evidence

    from .output import print_json, say, show, table

    if out:
        check_output(out, overwrite, MAP_SUFFIXES)
    found = found_evidence(store, prior_draws=prior_draws)
    if extended and any(one.temperatures for one in found):
        from gpu_thermo.settle import extend
        from gpu_thermo.store import open_run

        from .progress import Meter

        told = (lambda text: None) if quiet else say
        with Meter(quiet) as meter:
            tree, _ = extend(
                open_run(store), store, extended, on_progress=meter, on_round=told, overwrite=overwrite, device=device,
                threads=threads,
            )  # fmt: skip
        found = found_evidence(tree, prior_draws=prior_draws)
    elif extended and not quiet:
        say(f"The rungs are enough: {extended} is not written.")
    if out:
        save_evidence(found, out)
    for one in found:
        for text in one.warnings:
            say(f"Warning: {text}")
    if as_json:
        print_json({"ensembles": [one.to_dict() for one in found]})
        return
    rows = [
        (one.label or one.ensemble, f"{one.log_evidence:.3f}", f"{one.error:.3f}", one.ladders, len(one.powers) - 1,
         f"{one.halved:.3f}", "" if one.mbar is None else f"{one.mbar:.3f}")
        for one in found
    ]  # fmt: skip
    show(table(("ensemble", "log evidence", "error", "ladders", "rungs", "half the rungs", "MBAR"), rows))
