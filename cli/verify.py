"""`gpu-thermo verify`."""

from typing import TYPE_CHECKING, Annotated

import typer

from .arguments import Device, Json, Threads

if TYPE_CHECKING:
    from gpu_thermo.verify import Check, Report

EPILOG = """\b
Examples:
  gpu-thermo verify
  gpu-thermo verify --full
  gpu-thermo verify --device cuda --json > verified.json
"""

Engine = Annotated[str, typer.Option(metavar="ENGINE", help="all, batched or fused.")]
Full = Annotated[
    bool,
    typer.Option("--full/--quick", help="Every word on every target, with 16 times the samples; or the short form."),
]


def verify(
    device: Device = "auto", engine: Engine = "all", full: Full = False, threads: Threads = None, as_json: Json = False
) -> None:
    """Check this machine's engines against exact laws.

    Every splitting word on harmonic wells and networks at large stepsizes, kinetic energies, known random numbers, a
    posterior in closed form, engines against each other, and resumption, bit for bit. Exit code 1 if anything fails.
    """
    from gpu_thermo.verify import verify as run

    from .output import echo, print_json, say

    if as_json:
        report = run(device, engine, full=full, threads=threads)
        print_json(report.to_dict())
    else:
        report = _watched(device, engine, full, threads)
        for text in report.skipped:
            say(f"Not checked: {text}")
        echo(f"{report.verdict} ({report.seconds:.1f} s)")
    if not report.passed:
        raise typer.Exit(1)


def _watched(device: str, engine: str, full: bool, threads: int | None) -> "Report":
    """Run with a line of progress on a terminal, then print the table."""
    from gpu_thermo.verify import verify as run

    from .output import console, echo, show, table

    with console(stderr=True).status("Compiling kernels") as status:
        report = run(
            device,
            engine,
            full=full,
            threads=threads,
            on_check=lambda c: status.update(f"{c.group}: {c.name} ({c.engine})"),
        )
    columns = ("check", "of", "engine", "worst", "limit", "scores", "sees", "")
    right = ("worst", "limit", "scores", "sees")
    show(table(columns, [_row(check) for check in report.checks], right=right, fixed=("engine", "worst", "limit")))
    for check in report.failures:
        echo(f"FAILED {check.group}, {check.name} ({check.engine}): {check.what}")
    return report


def _row(check: "Check") -> tuple[str, ...]:
    """`worst` is the largest |z|, or the largest difference; `sees` the relative error that would have failed."""
    worst, limit = (
        (f"|z| {check.value:.1f}", f"{check.limit:g}")
        if check.kind == "z"
        else (f"{check.value:.2g}", f"{check.limit:.2g}")
    )
    sees = "" if check.sees is None else f"{100 * check.sees:.1f} %"
    return (
        check.group,
        check.name,
        check.engine,
        worst,
        limit,
        f"{check.count:,}",
        sees,
        "ok" if check.passed else "FAILED",
    )
