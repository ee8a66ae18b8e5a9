"""`gpu-thermo watch`: what a run that goes on has committed, again and again."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import Run, parse_duration
from .output import clean, clock, console

if TYPE_CHECKING:
    from rich.console import RenderableType

EPILOG = """\b
Reads what was committed (every few seconds), takes no lock and writes nothing:
watching changes no bit. Ends with the run; Ctrl-C ends the watching only.

\b
Example, beside a run in another terminal:
  gpu-thermo watch run.zarr
"""
_BARS = "▁▂▃▄▅▆▇█"
_WIDTH, _BAR = 40, 60
"""Values of a curve, and characters of the bar."""

Interval = Annotated[
    float,
    typer.Option(parser=parse_duration, metavar="TIME", help="Time between looks.  [default: 1s]", show_default=False),
]
Once = Annotated[bool, typer.Option("--once", help="Look once.")]


@dataclass(frozen=True)
class Glance:
    """What a store says at one moment.

    Attributes
    ----------
    step, total, draws : committed. phase, error, tolerance : of a run that tunes itself, else "" and NaN. energy : its
    median over replicas at each committed moment. temperatures : by partition, the last. frozen : replicas.
    ended : whether the run is over. seconds : that it has sampled.
    """

    step: int
    total: int
    draws: int
    phase: str
    error: float
    tolerance: float
    energy: tuple[float, ...]
    temperatures: dict[str, float]
    frozen: int
    ended: bool
    seconds: float


def watch(store: Run, interval: Interval = 1.0, once: Once = False) -> None:
    """Show where a run stands while it goes on: energy, temperatures, and how well its averages are known."""
    where = console(stderr=False)
    if once or not where.is_terminal:
        _in_lines(store, interval, once)
        return
    from rich.live import Live

    with Live(shown(found := glance(store)), console=where, auto_refresh=False) as live:
        while not found.ended:
            time.sleep(interval)
            found = glance(store)
            live.update(shown(found), refresh=True)


def _in_lines(store: Path, interval: float, once: bool) -> None:
    """A line for each commit."""
    from .output import echo

    last = -1
    while True:
        found = glance(store)
        if found.step != last:
            echo(in_line(found))
            last = found.step
        if once or found.ended:
            return
        time.sleep(interval)


def glance(store: Path) -> Glance:
    """Read what is committed; StoreError where there is no run, or it is damaged."""
    import numpy as np

    from gpu_thermo.averages.claims import check_header, told_of
    from gpu_thermo.store import open_run, read_header

    from .summary import planned_steps

    header = read_header(store)
    spec = check_header(header)
    tree, told, total = open_run(store), told_of(header.attributes), planned_steps(header, spec)
    group = tree["trace"] if "trace" in tree.children and tree["trace"].sizes.get("step", 0) else tree["sample_stats"]
    values = group.to_dataset()
    energy = _columns(values["energy"])
    kinetic: dict[str, float] = {}
    if energy.shape[-1]:
        last = values["kinetic_temperature"].isel({values["energy"].dims[-1]: -1})
        means = last.mean("chain", skipna=True)
        kinetic = {str(p): float(v) for p, v in zip(means["partition"].values, means.values, strict=True)}
    error = tolerance = float("nan")
    if told is not None:
        line = told.course.latest("sampling") or told.course.latest("burn-in")
        error, tolerance = float(line.get("error", np.nan)), told.tuner.tolerance
    return Glance(
        header.step, total, header.draws, "" if told is None else told.course.phase, error, tolerance,
        tuple(float(np.nanmedian(c)) for c in energy.T if np.isfinite(c).any()), kinetic,
        _frozen(tree),
        bool(told.course.ended) if told is not None else header.step >= total,
        float(header.attributes.get("sampling_time", 0.0)),
    )  # fmt: skip


def _frozen(tree: Any) -> int:
    """Replicas that have stopped."""
    stats = tree["sample_stats"]
    return int((stats["status"].to_numpy() != 0).sum()) if "status" in stats.coords else 0


def _columns(energy: Any) -> Any:
    return energy.transpose("chain", ...).to_numpy().astype(float)


def shown(found: Glance) -> "RenderableType":
    """For a terminal: a bar, a line for each thing, and the curve of the energy."""
    from rich.console import Group
    from rich.text import Text

    share = 1.0 if found.ended else min(1.0, found.step / max(found.total, 1))
    full = round(_BAR * share)
    bar = Text("━" * full, "green" if found.ended else "cyan").append("━" * (_BAR - full), "dim")
    about, *rest = _facts(found)
    lines = [f"{about} ({share:.0%})" if not found.ended else f"{about}, ended", *rest]
    if len(found.energy) > 1:
        lines = [f"{line} {curve(found.energy)}" if line.startswith("energy ") else line for line in lines]
    return Group(bar, *(Text(clean(line)) for line in lines))


def in_line(found: Glance) -> str:
    """The same on one line."""
    return ", ".join([*_facts(found), *(["ended"] if found.ended else [])])


def _facts(found: Glance) -> list[str]:
    """What there is to say, a text for each thing."""
    where = f"{found.phase + ', ' if found.phase else ''}step {found.step:,} of {found.total:,}"
    facts = [f"{where}, {found.draws:,} draws"]
    if found.error == found.error:
        facts.append(f"error of the averages {found.error:.2g} of {found.tolerance:g}")
    if found.energy:
        facts.append(f"energy {found.energy[-1]:.4g}")
    facts += [f"temperature of {name} {value:.3g}" for name, value in found.temperatures.items()]
    if found.frozen:
        facts.append(f"{found.frozen} frozen")
    return [*facts, f"after {clock(found.seconds)}"]


def curve(values: tuple[float, ...]) -> str:
    """Numbers as small bars, the last _WIDTH of them."""
    some = values[-_WIDTH:]
    low, high = min(some), max(some)
    if not high > low:
        return _BARS[0] * len(some)
    return "".join(_BARS[min(int((v - low) / (high - low) * len(_BARS)), len(_BARS) - 1)] for v in some)
