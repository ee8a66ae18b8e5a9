"""One picture of how a run tuned itself: stepsize and acceptance, energy, the tests of burn-in, the error on its way to
the tolerance; phases as bands.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpu_thermo.tuning.rules import RATIO, SIZE
from gpu_thermo.tuning.told import Told
from gpu_thermo_analysis.drawing import NotWrittenError
from gpu_thermo_analysis.style import CLASS_COLOURS, CURVE, RC

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BANDS = {
    "descent": "#DDDDDD",
    "adaptation": "#FFFFFF",
    "ladder": "#F3EBDD",
    "burn-in": "#E8EEF7",
    "fall": "#F7EEE8",
    "sampling": "#FFFFFF",
    "dropped": "#EEEEEE",
}


def save_tuning(told: Told, path: Path) -> None:
    """Draw it and write it; NotWrittenError where that cannot be."""
    import matplotlib as mpl

    with mpl.rc_context(RC):
        figure = draw_tuning(told)
        try:
            figure.savefig(path, dpi=160)
        except OSError as error:
            raise NotWrittenError(f"{path} cannot be written ({error.strerror}).") from None


def draw_tuning(told: Told) -> "Figure":
    """Four panels over steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    panels = figure.subplots(4, 1, sharex=True)
    ends = [*(line["begun"] for line in told.course.log[1:]), told.course.stop]
    lines = list(zip(told.course.log, ends, strict=False))  # an empty log has one end
    for panel in panels:
        for line, end in lines:
            panel.axvspan(line["begun"], end, color=_BANDS[line["phase"]], lw=0)
    _stepsize(panels[0], lines)
    _curve(panels[1], lines, "energy", "median energy")
    _curve(panels[2], lines, "p", "drift: p", CLASS_COLOURS[0])
    _curve(panels[2], lines, "ratio", "tests", CLASS_COLOURS[1])
    panels[2].axhline(SIZE, color=CLASS_COLOURS[0], lw=0.7, ls=":", label=f"p above {SIZE:g}")
    panels[2].axhline(RATIO, color=CLASS_COLOURS[1], lw=0.7, ls=":", label=f"ratio below {RATIO:g}")
    panels[2].legend(frameon=False, fontsize=7, loc="upper left")
    _curve(panels[3], lines, "error", "error (posterior sd)")
    panels[3].axhline(told.tuner.tolerance, color=CLASS_COLOURS[1], lw=0.8, ls="--")
    panels[3].set_yscale("log")
    panels[3].set_xlabel("step (shaded: descent, ladder, burn-in, fall)")
    figure.suptitle(
        f"averages {'may be trusted' if told.verdict.trusted else 'are not to be trusted yet'}", fontsize=10
    )
    return figure


def _stepsize(panel: "Axes", lines: list[tuple[dict[str, Any], int]]) -> None:
    found = [(line["begun"], end, line["stepsize"]) for line, end in lines if line["stepsize"]]
    for begun, end, h in found:
        panel.plot([begun, end], [h, h], color=CURVE)
    panel.set_ylabel("stepsize")
    panel.set_yscale("log")


def _curve(panel: "Axes", lines: list[tuple[dict[str, Any], int]], name: str, label: str, colour: str = CURVE) -> None:
    points = list(_points(lines, name))
    if points:
        panel.plot(*zip(*points, strict=True), "o-", ms=3, lw=0.8, color=colour)
    panel.set_ylabel(label)


def _points(lines: list[tuple[dict[str, Any], int]], name: str) -> Iterator[tuple[int, float]]:
    for line, end in lines:
        if line.get(name) is not None:
            yield end, float(line[name])
