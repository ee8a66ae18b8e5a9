"""Options that several commands share, and how their texts are read."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from gpu_thermo.spec.run import RunSpec

MAP_SUFFIXES = (".png", ".pdf", ".svg")
"""Endings of pictures."""
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([smhd]?)", re.ASCII)


def parse_duration(text: str | float) -> float:
    """Seconds from 90, 90s, 5m, 1.5h, 1d, or several of these in a row, as in 1h30m.

    Raises
    ------
    typer.BadParameter
        For anything else, and for 0.
    """
    if isinstance(text, float):
        return text
    parts = list(_DURATION.finditer(text))
    seconds = sum(float(number) * _UNITS[unit] for number, unit in (part.groups() for part in parts))
    bare = len(parts) > 1 and any(not part[2] for part in parts)
    if "".join(part[0] for part in parts) != text.replace(" ", "") or bare or seconds <= 0:
        raise typer.BadParameter(f"{text!r} is not a time above 0. Write 90s, 5m, 2h or 1d.")
    return seconds


def as_store(path: Path) -> Path:
    """A store by its path, or by its name alone where there is NAME.zarr and no NAME."""
    whole = path.with_name(f"{path.name}.zarr") if path.name else path
    return whole if not path.exists() and whole.exists() else path


Run = Annotated[Path, typer.Argument(metavar="RUN", help="Store of the run, a .zarr folder.", callback=as_store)]
Device = Annotated[str, typer.Option(metavar="DEVICE", help="auto (a GPU where there is one), cpu, cuda, or cuda:1.")]
Devices = Annotated[
    str,
    typer.Option(
        metavar="DEVICE",
        help="auto (a GPU where there is one), cpu, cuda, cuda:1; or several: cuda:0,cuda:1, cuda:all.",
    ),
]
Workers = Annotated[int, typer.Option(min=0, metavar="N", help="Local worker processes (needs Dask); 0: this process.")]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler that is there, tcp://host:port.")
]
Threads = Annotated[int | None, typer.Option(min=1, metavar="N", help="CPU threads.  [default: all cores]")]
TimeLimit = Annotated[
    float | None,
    typer.Option(
        parser=parse_duration,
        metavar="TIME",
        help="Commit and stop after this long: 90s, 5m, 2h, 1d.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
JsonSummary = Annotated[bool, typer.Option("--json", help="Print the final summary as JSON; progress goes to stderr.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no advice: errors and warnings only.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
AllowOtherBits = Annotated[
    bool,
    typer.Option(
        "--allow-other-bits", help="Go on with another build (engine, compiler, processor type); the store notes it."
    ),
]
Ensemble = Annotated[int | None, typer.Option(metavar="N", help="Number of the ensemble, where the run has several.")]


def read_spec(path: Path | None, overrides: list[str]) -> "tuple[RunSpec, Path | None]":
    """The spec of a run with `--set` applied, and the folder that paths in it start at; without a path, the embedded
    default.
    """
    from gpu_thermo.spec.default import default_spec
    from gpu_thermo.spec.run import RunSpec

    if path is None:
        return default_spec(overrides), None
    return RunSpec.from_toml(path, overrides), path.parent


def check_output(path: Path, overwrite: bool, suffixes: tuple[str, ...]) -> None:
    """Refuse, before any work, a place that cannot be written, and a file that exists.

    Raises
    ------
    StoreError
        The message names the path and the remedy.
    """
    import os

    from gpu_thermo.errors import StoreError, StoreExistsError
    from gpu_thermo.store.files import as_path

    as_path(path)
    if path.suffix.lower() not in suffixes:
        raise StoreError(f"'{path}' does not end in {', '.join(suffixes)}: the ending says what to write.")
    if not path.parent.is_dir():
        raise StoreError(f"The folder '{path.parent}' does not exist. Make it first, or choose another place.")
    if path.exists() and not overwrite:
        raise StoreExistsError(
            f"'{path}' exists already. Choose another name, or ask for it to be replaced (--overwrite)."
        )
    if path.is_dir():
        raise StoreError(f"'{path}' is a folder and is not replaced. Remove it yourself, or choose another name.")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise StoreError(f"'{path}' cannot be written. Check the folder's permissions, or choose another place.")


def seconds_of(minutes: float | None) -> float | None:
    """Of a time in minutes; SpecError for what is none."""
    from gpu_thermo.errors import SpecError

    if minutes is None or 0.1 <= minutes < math.inf:
        return None if minutes is None else 60 * minutes
    raise SpecError(f"--minutes {minutes:g} is no time to work for: give a number from 0.1 on, or leave it out.")
