"""A study's own figure: an outcome with its interval over the axes of the study's grid, and its numbers.

One axis lies along x; of two, the other is lines of one colour and mark each; of three, the last is panels side by
side. What lies along x is the numeric axis with the most values, or of names the longest.
"""

import csv
import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gpu_thermo.errors import DataError, SpecError, StoreError
from gpu_thermo.spec.keys import keys_of
from gpu_thermo.spec.run import RunSection
from gpu_thermo.study.grids import StudySpec
from gpu_thermo.study.parts import PENDING
from gpu_thermo.study.reading import values_of
from gpu_thermo.study.statistics import Summary
from gpu_thermo.study.tables import best_outcome, codes, lower_is_better, summaries
from gpu_thermo_analysis.drawing import FORMATS, NotWrittenError
from gpu_thermo_analysis.study_figures import NAMES, Drawn, panels, styled
from gpu_thermo_analysis.style import RC, class_colour, class_mark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINES, MOST_PANELS, MOST_AXES = 8, 12, 3
"""Lines of a panel, panels, and axes of a picture."""
_WIDE = 8.0
"""Ratio of values beyond which they may lie on a logarithmic axis."""
_APART, _MARGIN, _BESIDE = 0.07, 0.07, 0.01
"""Parts of an axis: how far ticks are apart at the least, what is left free at each end, and lines beside each
other."""
_LETTERS = 14
"""Of a title, in an inch."""
_WORDS = {
    "ess": "effective draws of a run", "ess_per_gradient": "effective draws per gradient",
    "ess_per_second": "effective draws per second", "autocorrelation": "autocorrelation time (steps)",
    "seconds": "time of a run (s)", "seconds_to_tolerance": "time to tolerance (s)",
    "gradients_to_tolerance": "gradients to tolerance", "steps_to_tolerance": "steps to tolerance",
    "error": "largest standard error (posterior sd)", "bias": "stepsize bias (posterior sd)",
    "acceptance": "acceptance", "swap_acceptance": "acceptance of the worst pair of rungs",
    "round_trips": "round trips of a ladder", "energy": "energy U", "brier": "Brier score",
    "crps": "CRPS (network's units)", "miscalibration": "miscalibration", "trusted": "share of trusted runs",
}  # fmt: skip


@dataclass(frozen=True)
class Axis:
    """A varied field: its name, its values in order (numbers, or texts), and the place of each group on it [G]."""

    field: str
    values: list[Any]
    place: np.ndarray

    @property
    def numeric(self) -> bool:
        """Whether its values are finite numbers."""
        return all(isinstance(v, float) and math.isfinite(v) for v in self.values)

    @property
    def logarithmic(self) -> bool:
        """Whether its numbers are spread more evenly in their logarithm."""
        if not self.numeric or len(self.values) < 3 or min(self.values) <= 0:
            return False
        v = np.sort(np.asarray(self.values))
        uneven = [float(np.diff(w).std() / np.diff(w).mean()) for w in (v, np.log(v))]
        return v[-1] / v[0] >= _WIDE and uneven[1] < uneven[0]

    @property
    def apart(self) -> float:
        """The least distance of two of its numbers, of all there is."""
        v = np.log(self.values) if self.logarithmic else np.asarray(self.values)
        return float(np.diff(v).min() / (v[-1] - v[0])) if len(v) > 1 else 1.0

    def shown(self, i: int) -> str:
        """A value for people."""
        value = self.values[i]
        return f"{value:g}" if isinstance(value, float) else str(value)

    @property
    def title(self) -> str:
        """Its name, with a unit where it has one."""
        short = self.field.removeprefix("method.").removeprefix("model.").removeprefix("moves.").replace("run.", "")
        short = "hidden units" if short == "hidden" else short.replace("_", " ").replace(".", ": ")
        unit = {key.name: key.unit for key in keys_of(RunSection)}.get(self.field.removeprefix("run."), "")
        return f"{short} ({unit})" if self.field.startswith("run.") and unit and unit != short else short


@styled
def figure(study: xr.Dataset, outcome: str | None = None, by: Sequence[str] = ()) -> Drawn:
    """Mean and 95 % interval of an outcome over the seeds, by the axes of the grid, or by the fields `by`; where runs
    never got there, or failed, of an outcome that says when, the median of all of them.

    Raises
    ------
    SpecError
        There is no such outcome or field; more axes than a picture has.
    StoreError
        No run is done yet.
    """
    outcome = outcome or best_outcome(study)
    if not (values_of(study, "status") != PENDING).any():
        raise StoreError("No run of the study is done yet: run it first, with gpu-thermo study.")
    fields = tuple(by) or varied(study)
    found = list(summaries(study, outcome, fields).values())
    axes = _axes(study, fields)
    x, lines, split = _roles(axes)
    drawn, places = panels(len(split.values), *_size(x, len(split.values)), sharey=True)
    middle = [_interval(s) for s in found]
    for panel, at in zip(places, range(len(split.values)), strict=True):
        for line in range(len(lines.values)):
            here = np.flatnonzero((split.place == at) & (lines.place == line))
            _line(panel, x, here, middle, found, (line, len(lines.values), lines.shown(line)))
        _dress(panel, x, f"{split.title} {split.shown(at)}" if len(split.values) > 1 else "")
    _finish(drawn, places, outcome, middle, lines)
    title = textwrap.fill(_title(study, found), int(_LETTERS * drawn.get_figwidth()))
    drawn.suptitle(title, x=0.02, ha="left", fontsize=9, color="0.3")
    rows = [_row(axes, g, s, middle[g]) for g, s in enumerate(found)]
    return Drawn(drawn, (*fields, "runs", "finished", "middle", "low", "high"), rows)


def varied(study: xr.Dataset) -> tuple[str, ...]:
    """The fields of the grid, and the first of each [[zip]]; the cells' labels where nothing is varied."""
    spec = StudySpec.from_json(study.attrs["study"])
    fields = [*spec.grid, *(next(iter(group)) for group in spec.zip)]
    return tuple(field for field in fields if field in study.coords) or ("label",)


def write(drawn: Drawn, path: Path) -> list[Path]:
    """Write the picture, and its numbers beside it as CSV.

    Raises
    ------
    DataError
        The suffix is of no known picture.
    """
    import matplotlib as mpl

    numbers = path.with_suffix(".csv")
    try:
        with mpl.rc_context(RC):
            meta: Any = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix)
            drawn.figure.savefig(path, metadata=meta)
        with open(numbers, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(drawn.columns)
            writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in drawn.rows)
    except OSError as error:
        raise NotWrittenError(f"Cannot write {path}: {error.strerror or error}.") from None
    return [path, numbers]


def check_suffix(path: Path) -> None:
    """DataError for a file whose suffix says no known picture."""
    if path.suffix not in FORMATS:
        raise DataError(f"'{path}' has no known suffix: use one of {', '.join(FORMATS)}.")


# -- axes --------------------------------------------------------------------------------------------------------------


def _axes(study: xr.Dataset, fields: Sequence[str]) -> list[Axis]:
    """Each field with the place of each group on it, groups as `summaries` has them."""
    code, names = codes(study, fields)
    first = np.array([int(np.argmax(code == g)) for g in range(len(names))])
    axes = []
    for field in fields:
        mine = values_of(study, field)[first]
        if mine.dtype.kind in "TUO":
            values: list[Any] = list(dict.fromkeys(str(v) for v in mine))
            axes.append(Axis(field, values, np.array([values.index(str(v)) for v in mine])))
        else:
            numbers, place = np.unique(mine.astype(np.float64), return_inverse=True)
            axes.append(Axis(field, [float(v) for v in numbers], place.reshape(-1)))
    return axes


def _roles(axes: list[Axis]) -> tuple[Axis, Axis, Axis]:
    """Who lies along x, who is lines, who is panels; who is missing has one value."""
    if len(axes) > MOST_AXES:
        raise SpecError(
            f"The grid has {len(axes)} axes ({', '.join(a.field for a in axes)}), and a picture {MOST_AXES} at most:"
            " name those to show, --by A,B (runs that differ in the others count together)."
        )
    order = sorted(axes, key=lambda a: (a.numeric, len(a.values)), reverse=True)
    one = Axis("", [""], np.zeros_like(axes[0].place))
    x, rest = order[0], sorted(order[1:], key=lambda a: len(a.values))
    if not rest:
        return x, one, one
    lines, split = (rest[0], one) if len(rest) == 1 else (rest[1], rest[0])
    if len(lines.values) > MOST_LINES:
        lines, split = split, lines
    if len(split.values) > MOST_PANELS or len(lines.values) > MOST_LINES:
        raise SpecError(
            f"{split.field or lines.field} has {max(len(split.values), len(lines.values))} values, more than a picture"
            f" has lines ({MOST_LINES}) or panels ({MOST_PANELS}): leave it out, --by A,B."
        )
    return x, lines, split


# -- drawing -----------------------------------------------------------------------------------------------------------


def _interval(s: Summary) -> tuple[float, float, float]:
    """Middle, low and high: of the mean, or where runs have no value of an outcome that says when, of the median."""
    if s.end is not None and s.missing:
        return s.median, s.median_low, s.median_high
    return s.mean, s.mean_low, s.mean_high


def _size(x: Axis, count: int) -> tuple[float, float]:
    """Inches of a panel."""
    if count > 1:
        return 3.0, 2.7
    return (max(4.6, 0.55 * len(x.values) + 1.8) if not x.numeric else 4.8), 3.3


def _line(
    panel: "Axes", x: Axis, here: np.ndarray, middle: list[tuple[float, float, float]], found: list[Summary],
    which: tuple[int, int, str],
) -> None:  # fmt: skip
    """One line: filled marks where all runs have a value, open ones where some have none, with their intervals; one
    that has no upper end goes to the top.
    """
    number, of, label = which
    here = here[np.argsort(x.place[here])]
    at = _beside(x, x.place[here], number - (of - 1) / 2)
    y, low, high = np.array([middle[g] for g in here], np.float64).reshape(-1, 3).T
    known = np.isfinite(y)
    whole = known & np.array([found[g].missing == 0 for g in here], bool)
    style: Any = {"color": class_colour(number)}
    if x.numeric:
        panel.plot(at[known], y[known], lw=1.2, zorder=2, **style)
    for a, b, c, d in zip(at[known], y[known], low[known], high[known], strict=True):
        ends = [c if np.isfinite(c) else b, d if np.isfinite(d) else b]
        panel.plot([a, a], ends, "_-", ms=5, lw=1.1, zorder=3, **style)
        if np.isposinf(d):
            panel.annotate("", (a, 1.0), (a, b), xycoords=("data", "axes fraction"), textcoords="data",
                           arrowprops={"arrowstyle": "->", "lw": 1.1, **style})  # fmt: skip
    for part, face in ((whole, class_colour(number)), (known & ~whole, "white")):
        panel.plot(at[part], y[part], class_mark(number), ms=4.5, markerfacecolor=face, zorder=4, **style)
    edge = np.full(int((~known).sum()), 0.965 - 0.05 * number)
    panel.plot(at[~known], edge, class_mark(number), ms=4.5, markerfacecolor="white", clip_on=False,
               transform=panel.get_xaxis_transform(), **style)  # fmt: skip
    mark = class_mark(number)
    panel.plot([], [], f"-{mark}" if x.numeric else mark, ms=4.5, lw=1.2, color=class_colour(number), label=label)


def _beside(x: Axis, place: np.ndarray, steps: float) -> np.ndarray:
    """Where values lie, a little sideways by line, so that intervals do not hide each other."""
    if not x.numeric:
        return place + 0.1 * steps
    v, (low, high) = np.asarray(x.values)[place], _ends(x)
    if x.logarithmic:
        return np.asarray(v * (high / low) ** (_BESIDE * steps))
    return np.asarray(v + (high - low) * _BESIDE * steps)


def _dress(panel: "Axes", x: Axis, title: str) -> None:
    """Scales, ticks and names of a panel."""
    from matplotlib.ticker import NullLocator

    if x.logarithmic:
        panel.set_xscale("log")
    if not x.numeric:
        long = max(len(x.shown(i)) for i in range(len(x.values))) * len(x.values) > 34
        names = [x.shown(i) for i in range(len(x.values))]
        panel.set_xticks(range(len(names)), names, rotation=30 if long else 0, ha="right" if long else "center")
        panel.set_xlim(-0.6, len(names) - 0.4)
    else:
        panel.set_xlim(*_ends(x))
        if len(x.values) <= 9 and x.apart > _APART:
            panel.set_xticks(x.values, [x.shown(i) for i in range(len(x.values))])
            panel.xaxis.set_minor_locator(NullLocator())
    panel.set(xlabel=x.title if x.field != "label" else "", title=title)
    panel.grid(axis="y", lw=0.4, color="0.88")
    panel.set_axisbelow(True)


def _ends(x: Axis) -> tuple[float, float]:
    """Of the axis, with a margin."""
    low, high = x.values[0], x.values[-1]
    if low == high:
        return low - 0.5, high + 0.5
    if x.logarithmic:
        return float(low * (low / high) ** _MARGIN), float(high * (high / low) ** _MARGIN)
    return float(low - _MARGIN * (high - low)), float(high + _MARGIN * (high - low))


def _finish(
    drawn: "Figure", places: "list[Axes]", outcome: str, middle: list[tuple[float, float, float]], lines: Axis
) -> None:
    """The common scale and its name, and who is who."""
    ends = np.array([v for m in middle for v in m if np.isfinite(v)])
    if len(ends) and ends.min() > 0 and ends.max() > 30 * ends.min():
        places[0].set_yscale("log")
    better = "lower" if lower_is_better(outcome) else "higher" if outcome.endswith(("accuracy", "r2")) else ""
    drawn.supylabel(said(outcome) + (f", {better} is better" if better else ""), fontsize=9)
    if len(lines.values) > 1:
        drawn.legend(*places[0].get_legend_handles_labels(), loc="outside right center", title=lines.title,
                     title_fontsize=8, handlelength=1.6)  # fmt: skip


def said(outcome: str) -> str:
    """An outcome in words, with its unit."""
    if outcome in _WORDS | NAMES:
        return (NAMES | _WORDS)[outcome]
    if outcome.startswith("average_") and outcome.removeprefix("average_") in NAMES:
        return f"{NAMES[outcome.removeprefix('average_')]} of the average"
    if outcome.startswith("steps_to_"):
        return f"steps to {outcome.removeprefix('steps_to_')} % test accuracy"
    return outcome.replace("_", " ")


def _title(study: xr.Dataset, found: list[Summary]) -> str:
    """What the picture shows, of how many runs."""
    attempted = sorted({s.attempted for s in found})
    runs = f"{attempted[0]}" if len(attempted) == 1 else f"{attempted[0]} to {attempted[-1]}"
    late, lost = any(s.end is not None and s.missing for s in found), any(s.missing for s in found)
    never = any(not math.isfinite(_interval(s)[0]) for s in found)
    what = "median" if late else "mean"
    marks = ("; open: runs are missing" if lost else "") + ("; on top: half never get there" if never and late else "")
    name = f"{study.attrs['name']}: " if study.attrs.get("name") else ""
    return f"{name}{what} of {runs} runs, 95 % interval{marks}"


def _row(axes: list[Axis], g: int, s: Summary, middle: tuple[float, float, float]) -> tuple[Any, ...]:
    numbers = (v if math.isfinite(v) else "" for v in middle)
    return (*(axis.shown(axis.place[g]) for axis in axes), s.attempted, s.count, *numbers)
