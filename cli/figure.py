"""`gpu-thermo figure`."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .arguments import AllowOtherBits, Device, Quiet, Threads

if TYPE_CHECKING:
    from gpu_thermo_analysis.paper.entry import Entry

EPILOG = """\b
Examples:
  gpu-thermo figure fig8 --out figures
  gpu-thermo figure all --out figures --scale 0.1
  gpu-thermo figure list
"""

Name = Annotated[
    str, typer.Argument(metavar="ID", help="A figure, as in fig8; all; or list, which says what there is.")
]
Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder for pictures, numbers, tables and studies.")]
Scale = Annotated[
    float, typer.Option(min=0.001, max=1.0, metavar="S", help="Less than 1: that share of the runs and steps.")
]
Workers = Annotated[int, typer.Option(min=0, metavar="N", help="Local worker processes (needs Dask); 0: this process.")]
Gallery = Annotated[Path | None, typer.Option(metavar="FILE.md", help="Write a page of all figures in DIR.")]
How = tuple[int, str, int | None]


def figure(
    name: Name, out: Out = Path("figures"), scale: Scale = 1.0, workers: Workers = 0, device: Device = "auto",
    threads: Threads = None, gallery: Gallery = None, allow_other_bits: AllowOtherBits = False, quiet: Quiet = False,
) -> None:  # fmt: skip
    """Reproduce a published figure: run its study, draw it, and put published beside obtained.

    A study that is in DIR already is continued, or only drawn again where it is complete.
    """
    from gpu_thermo.errors import SpecError
    from gpu_thermo_analysis.paper.figures import ENTRIES
    from gpu_thermo_analysis.paper.gallery import ENSEMBLES
    from gpu_thermo_analysis.paper.more import MORE

    from .output import say, show, table

    entries = ENTRIES | MORE
    if name == "list":
        rows = [(e.id, e.title, e.ours) for e in entries.values()]
        rows.append((ENSEMBLES, "Ensembles against alternatives on real data", "no published figure"))
        show(table(("id", "what", "not in the paper"), rows, fixed=("id",)))
        return
    if name not in ("all", ENSEMBLES, *entries):
        raise SpecError(f"There is no figure '{name}'. Figures: {', '.join((*entries, ENSEMBLES))}, or all of them.")
    out.mkdir(parents=True, exist_ok=True)
    for entry in entries.values():
        if name in ("all", entry.id):
            _one(entry, out, scale, (workers, device, threads), quiet, allow_other_bits)
    if name in ("all", ENSEMBLES):
        _ensembles(out, scale, (workers, device, threads), quiet)
    if gallery is not None:
        from gpu_thermo_analysis.paper.gallery import write_gallery

        say(f"{write_gallery(out, gallery)} figures in {gallery}")


def _one(entry: "Entry", out: Path, scale: float, how: How, quiet: bool, allow_other_bits: bool) -> None:
    from gpu_thermo.study import run_study
    from gpu_thermo_analysis.paper.entry import scaled
    from gpu_thermo_analysis.paper.gallery import write_entry

    from .output import clock, echo, say
    from .study import Bar

    workers, device, threads = how
    began = time.monotonic()
    suffix = "" if scale >= 1 else f"-{scale:g}"
    with Bar(quiet) as bar:
        study = run_study(
            scaled(entry.study, scale),
            out / f"{entry.id}{suffix}.zarr",
            workers=workers,
            device=device,
            threads=threads,
            on_progress=bar,
            allow_other_bits=allow_other_bits,
        )
    text = write_entry(entry, study, out, scale, time.monotonic() - began)
    say(f"{entry.id}: {entry.title} ({clock(time.monotonic() - began)})")
    echo(text)


def _ensembles(out: Path, scale: float, how: How, quiet: bool) -> None:
    """Every contender on every data set, scored at once, so that no chains stay behind; scores that are there are
    kept.
    """
    from gpu_thermo.run import sample
    from gpu_thermo_analysis.paper import ensembles
    from gpu_thermo_analysis.paper.gallery import write_ensembles

    from .output import clock, echo, say

    _, device, threads = how
    began = time.monotonic()
    for case in ensembles.cases(scale):
        if ensembles.is_done(out, case):
            continue
        start = time.monotonic()
        scores = ensembles.score(sample(case.spec, device=device, threads=threads), case.contender)
        ensembles.write_result(out, case, scores, time.monotonic() - start)
        if not quiet:
            say(f"{case.data}, {case.contender.label} ({clock(time.monotonic() - start)})")
    text = write_ensembles(out, scale, time.monotonic() - began)
    say(f"ensembles: {clock(time.monotonic() - began)}")
    echo(text)
