"""`gpu-thermo compare`."""

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from .arguments import AllowOtherBits, Device, Json, Overwrite, Quiet, Threads

if TYPE_CHECKING:
    from gpu_thermo.running.loop import Progress
    from gpu_thermo_analysis.comparison import Results

EPILOG = """\b
Examples:
  gpu-thermo compare list
  gpu-thermo compare plane --out plane
  gpu-thermo compare twenty_five --out modes --scale 0.2
  gpu-thermo compare MY.toml --out mine --json
"""

What = Annotated[
    str, typer.Argument(metavar="DEMO|FILE.toml", help="A published demonstration, a file of your own, or list.")
]
Out = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder for stores, numbers, table and pictures.  [default: DEMO's name]")
]
Scale = Annotated[
    float, typer.Option(min=0.001, max=1.0, metavar="S", help="Less than 1: that share of the chains and steps.")
]


def compare(
    what: What, out: Out | None = None, scale: Scale = 1.0, device: Device = "auto", threads: Threads = None,
    overwrite: Overwrite = False, allow_other_bits: AllowOtherBits = False, as_json: Json = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Compare methods on one target at equal numbers of gradient evaluations.

    Every entry of the file is run into DIR; complete runs are used as they are, unfinished ones continued. A table is
    printed, and pictures are drawn into DIR with their numbers beside them.
    """
    from gpu_thermo.study.compare import compare_methods
    from gpu_thermo.study.entries import ComparisonSpec
    from gpu_thermo_analysis.comparison import Results
    from gpu_thermo_analysis.multimodal import draw

    from .output import print_json, say

    if what == "list":
        _list()
        return
    path = _file(what)
    folder = out or Path(path.stem if scale >= 1 else f"{path.stem}-{scale:g}")
    with _Report(quiet) as report:
        done = compare_methods(
            ComparisonSpec.from_toml(path),
            folder,
            scale=scale,
            device=device,
            threads=threads,
            overwrite=overwrite,
            on_progress=report,
            name=path.stem,
            allow_other_bits=allow_other_bits,
        )
    pictures = draw(folder)
    if as_json:
        print_json(done.record)
    else:
        _print(Results.read(folder))
    if not quiet:
        say(f"In {folder}: comparison.json, comparison.csv, {', '.join(p.name for p in pictures)}")


def _demos() -> dict[str, Path]:
    import gpu_thermo_analysis

    folder = Path(gpu_thermo_analysis.__file__).parent / "demos"
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _file(what: str) -> Path:
    """The file of a demonstration, or the user's own.

    Raises
    ------
    SpecError
        There is neither.
    """
    from gpu_thermo.errors import SpecError, did_you_mean

    demos = _demos()
    if what in demos:
        return demos[what]
    path = Path(what)
    if path.suffix == ".toml" and path.is_file():
        return path
    remedy = did_you_mean(what, demos, f"Demonstrations: {', '.join(demos)}.", always=True)
    raise SpecError(f"There is no demonstration or file '{what}'. {remedy}")


def _list() -> None:
    from gpu_thermo.study.entries import ComparisonSpec

    from .output import show, table

    rows = [
        (name, spec.title, len(spec.entry))
        for name, spec in ((n, ComparisonSpec.from_toml(p)) for n, p in _demos().items())
    ]
    show(table(("demo", "what", "entries"), rows, right=("entries",), fixed=("demo",)))


def _print(results: "Results") -> None:
    from gpu_thermo_analysis.comparison import table as cells

    from .output import count, echo, show, table

    record, rows = results.record, results.rows
    echo(record["title"])
    group = rows[0]["gradients_per_group"]
    echo(
        f"{record['groups']} groups; each entry evaluates {count(group)} gradients in a group,"
        f" {count(rows[0]['gradients'])} in all. Means over groups; 0.741(3) is 0.741 +- 0.003.\n"
    )
    columns, body = cells(results, brief=True)
    show(table(columns, body, right=columns[1:]))
    if results.on_potential:
        echo(
            "distance: total variation to the exact density. worth: how many independent draws\n"
            "10^6 gradients are worth, by the error of the mean."
        )
    for row in rows:
        if row["note"]:
            echo(f"{row['label']}: {row['note']}.")
        if row["frozen"]:
            echo(f"{row['label']}: {row['frozen']} of {row['replicas']} replicas froze and are left out from then on.")


class _Report:
    """Progress of the entries on stderr: in a terminal a line that is rewritten, elsewhere a line for each finished
    entry.
    """

    def __init__(self, quiet: bool) -> None:
        from .output import console

        self._quiet, self._live, self._where = quiet, None, console(stderr=True)

    def __enter__(self) -> Self:
        if not self._quiet and self._where.is_terminal:
            live: Any = self._where.status("starting ...")
            self._live = live
            live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, label: str, progress: "Progress | None") -> None:
        """Show where entry `label` stands; None: it is done."""
        from .output import clock, say

        if progress is None:
            if not self._quiet:
                say(f"{label}: done")
        elif self._live is not None:
            percent = 100 * progress.step / progress.total_steps
            self._live.update(f"{label}: {percent:.0f} %, {clock(progress.seconds_left)} left")
