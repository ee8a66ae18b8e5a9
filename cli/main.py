"""`gpu-thermo`: the commands in one application, and what becomes of errors."""

import errno
import sys
import traceback
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from . import (
    bench,
    catalogue,
    compare,
    diagnose,
    docs,
    doctor,
    evidence,
    figure,
    fit,
    info,
    map,
    predict,
    report,
    sample,
    spec,
    study,
    verify,
    watch,
)

COMMANDS: dict[Callable[..., None], str | None] = {
    fit.fit: fit.EPILOG,
    sample.sample: sample.SAMPLE_EPILOG,
    sample.resume: sample.RESUME_EPILOG,
    info.info: info.EPILOG,
    watch.watch: watch.EPILOG,
    predict.predict: predict.EPILOG,
    map.map: map.EPILOG,
    diagnose.diagnose: diagnose.EPILOG,
    report.report: report.EPILOG,
    evidence.evidence: evidence.EPILOG,
    study.study: study.STUDY_EPILOG,
    study.table: study.TABLE_EPILOG,
    compare.compare: compare.EPILOG,
    figure.figure: figure.EPILOG,
    spec.spec: spec.EPILOG,
    catalogue.methods: None,
    catalogue.moves: None,
    catalogue.datasets: None,
    catalogue.targets: None,
    verify.verify: verify.EPILOG,
    bench.bench: bench.EPILOG,
    doctor.doctor: None,
    docs.docs: docs.EPILOG,
}
"""Functions of the commands, in the order that the help shows, with what stands below their help."""


class Commands(TyperGroup):
    """Turns what a command raises into one message on stderr and an exit code."""

    def list_commands(self, ctx: Any) -> list[str]:
        """In the order of COMMANDS."""
        return list(self.commands)

    def invoke(self, ctx: Any) -> Any:
        """Run the command.

        Exit codes: 0 done, 1 trouble in the middle, 2 refused before anything was written, 130, 143 and 129
        interrupted.
        """
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            _complain("Interrupted.", ctx)
            raise typer.Exit(130) from None
        except Exception as error:
            message, code = _explain(error)
            _complain(message, ctx)
            raise typer.Exit(code) from None


def _explain(error: Exception) -> tuple[str, int]:
    """Message and exit code of what is expected to go wrong; everything else is raised again."""
    from gpu_thermo.errors import GpuThermoError

    if isinstance(error, GpuThermoError):
        if error.exit_code > 128:
            return str(error), error.exit_code
        more = f"\nMore: gpu-thermo docs {error.page}" if error.page else ""
        return f"Error: {error}{more}", error.exit_code
    if isinstance(error, MemoryError):
        return (
            (
                f"Error: out of memory ({error or 'no details'}). Use fewer replicas or points; what was committed is"
                " kept."
            ),
            1,
        )
    if isinstance(error, OSError) and error.errno not in (None, errno.EPIPE):
        return f"Error: {error.strerror}{f': {error.filename}' if error.filename else ''}.", 1
    raise error


def _complain(message: str, ctx: Any) -> None:
    if ctx.params.get("debug"):
        traceback.print_exc()
    from .output import say

    say(message)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"gpu-thermo {version('gpu-thermo')}")
        except PackageNotFoundError:
            typer.echo("gpu-thermo (not installed: run from its sources)")
        raise typer.Exit


app = typer.Typer(
    name="gpu-thermo",
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(epilog="Start with: gpu-thermo sample --map spirals.png. Documentation: gpu-thermo docs.")
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="GPU_THERMO_DEBUG", help="Show tracebacks (before the command).")
    ] = False,
) -> None:
    """Sample the parameters of thousands of small neural networks at once.

    Thermodynamic integrators give chains; chains give Bayesian averages and maps of the uncertainty.
    """


for _command, _epilog in COMMANDS.items():
    app.command(_command.__name__, epilog=_epilog)(_command)


def _say_warning(message: Any, category: Any, *place: Any, **more: Any) -> None:
    """A warning of the library's, as the commands write theirs."""
    from .output import say

    say(f"Warning: {message}")


def main() -> None:
    """Entry point of the console script."""
    warnings.showwarning = _say_warning
    app(prog_name="gpu-thermo")
    sys.exit(0)


if __name__ == "__main__":
    main()
