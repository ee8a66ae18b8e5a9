"""Pictures of studies: learning curves with bands, distributions, spread with intervals, heat maps; each with its
numbers.

Every function takes an opened study and returns a `Drawn`; `save` writes it as PNG and SVG, and its numbers as CSV
beside them.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr

from gpu_thermo.errors import DataError
from gpu_thermo.study.statistics import Summary, summarise
from gpu_thermo.study.tables import TIMES, ends, grouped, lower_is_better
from gpu_thermo.targets.likelihoods import SCORES
from gpu_thermo_analysis.drawing import NotWrittenError
from gpu_thermo_analysis.style import RC, VALUE, class_colour

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {
    **{name: f"test {score.label}" for name, score in SCORES.items()},
    "nll": "test loss (nats)", "loss": "training loss (nats)", "ece": "calibration error",
}  # fmt: skip
BAND = (0.1, 0.9)
"""Quantiles over runs that bound a band."""
_ROWS = 65536


@dataclass(frozen=True)
class Drawn:
    """A figure and its numbers: `columns` and `rows` of the CSV file."""

    figure: "Figure"
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]


def save(drawn: Drawn, path: Path) -> list[Path]:
    """Write PATH.png, PATH.svg and PATH.csv; the same bytes for the same study."""
    import matplotlib as mpl

    out = [path.with_name(f"{path.name}{suffix}") for suffix in (".png", ".svg", ".csv")]
    try:
        with mpl.rc_context(RC):
            drawn.figure.savefig(out[0])
            drawn.figure.savefig(out[1], metadata={"Date": None})
        with open(out[2], "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(drawn.columns)
            writer.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in drawn.rows)
    except OSError as error:
        raise NotWrittenError(f"Cannot write {path}: {error.strerror or error}.") from None
    return out


def panels(
    count: int, width: float = 3.4, height: float = 2.7, sharey: Literal["row"] | bool = True, across: int = 4
) -> tuple["Figure", list["Axes"]]:
    """A figure of `count` panels, at most `across` in a row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(count, across)
    down = -(-count // across)
    figure = Figure(figsize=(width * across + 0.4, height * down + 0.3), layout="constrained")
    FigureCanvasAgg(figure)
    grid: Any = figure.subplots(down, across, squeeze=False, sharey=sharey)
    flat = list(grid.ravel())
    for axes in flat[count:]:
        axes.remove()
    return figure, flat[:count]


def styled(draw: Callable[..., Drawn]) -> Callable[..., Drawn]:
    """Draw in the house's type and colours."""
    from functools import wraps

    @wraps(draw)
    def inner(*given: Any, **options: Any) -> Drawn:
        """The picture, with the house's settings in force while it is drawn."""
        import matplotlib as mpl

        with mpl.rc_context(RC):
            return draw(*given, **options)

    return inner


# -- learning curves ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Band:
    """A learning curve over many runs: mean, median and the quantiles of BAND at each step, without the steps that were
    not recorded.

    Runs that failed before a step have no value there: the mean is of the `finished` others, in median and quantiles
    they are beyond the bad end, where the curve is NaN.
    """

    steps: np.ndarray
    mean: np.ndarray
    median: np.ndarray
    low: np.ndarray
    high: np.ndarray
    runs: int
    finished: np.ndarray


def band(study: xr.Dataset, cell: int, name: str) -> Band:
    """The curve of one cell; at most 65,536 of its runs are read."""
    key = f"curve_{name}"
    if key not in study.data_vars:
        known = sorted(str(n).removeprefix("curve_") for n in study.data_vars if str(n).startswith("curve_"))
        raise DataError(f"There is no learning curve of '{name}'. Known: {', '.join(known)}.")
    rows = np.flatnonzero((study["cell"].to_numpy() == cell) & (study["status"].to_numpy() >= 0))[:_ROWS]
    values = study[key][slice(rows[0], rows[-1] + 1) if len(rows) else slice(0)].to_numpy().astype(np.float64)
    known_at = np.isfinite(values).any(axis=0) if len(values) else np.zeros(0, bool)
    values, steps = values[:, known_at], study["step"].to_numpy()[known_at]
    there = np.isfinite(values)
    bad = np.inf if lower_is_better(name) else -np.inf
    method: Any = "linear" if there.all() else "inverted_cdf"
    ranked = np.quantile(np.where(there, values, bad), [0.5, *BAND], axis=0, method=method)
    median, low, high = np.where(np.isfinite(ranked), ranked, np.nan)
    mean = np.where(there, values, 0).sum(axis=0) / there.sum(axis=0)
    return Band(steps, mean, median, low, high, len(rows), there.sum(axis=0))


def curves(
    study: xr.Dataset, name: str = "accuracy", split: Sequence[tuple[str, Sequence[str]]] | None = None,
    logarithmic: bool = False,
    log_values: bool = False, reference: float | None = None,
) -> Drawn:  # fmt: skip
    """Learning curves with bands: median of the runs, and between which values 80 % of them lie.

    Parameters
    ----------
    split : panels, each with its title and the labels of its cells; one panel of all cells by default.
    """
    cells = json.loads(study.attrs["cells"])
    bands = {label: band(study, cells.index(label), name) for _, some in split or [("", cells)] for label in some}
    return draw_bands(bands, split, NAMES.get(name, name), logarithmic, log_values, reference)


@styled
def draw_bands(
    bands: Mapping[str, Band], split: Sequence[tuple[str, Sequence[str]]] | None = None, what: str = "",
    logarithmic: bool = False, log_values: bool = False, reference: float | None = None,
) -> Drawn:  # fmt: skip
    """`curves` of bands by label. The one who is in all of several panels is what the others are compared with: black,
    on top, named at its line; the others by what the panel's title does not say.
    """
    chosen = split or [("", list(bands))]
    common = set.intersection(*(set(labels) for _, labels in chosen))
    common = common if len(chosen) > 1 and len(common) == 1 else set()
    figure, axes = panels(len(chosen), 4.6 if len(chosen) == 1 else 3.2, 3.0 if len(chosen) == 1 else 3.4)
    rows: list[tuple[Any, ...]] = []
    for panel, (title, labels) in zip(axes, chosen, strict=True):
        for i, label in enumerate(labels):
            b, over = bands[label], label in common
            colour, named = "black" if over else class_colour(i), _named(label.removeprefix(title).strip() or label, b)
            panel.plot(
                b.steps, b.median, color=colour, lw=1.9 if over else 1.3, label="_" * over + named, zorder=2 + over
            )
            panel.fill_between(b.steps, b.low, b.high, color=colour, alpha=0.18, lw=0)
            if over and len(b.steps):
                top = np.nanmax(b.high[-len(b.high) // 3 :])
                panel.annotate(named, (b.steps[-1], top), (0, 2), ha="right", textcoords="offset points")
                panel.margins(y=0.1)
            rows += [
                (label, b.runs, int(n), int(s), *map(float, v))
                for n, s, *v in zip(b.finished, b.steps, b.mean, b.median, b.low, b.high, strict=True)
            ]
        panel.set(
            title=title,
            xlabel="steps",
            xscale="log" if logarithmic else "linear",
            yscale="log" if log_values else "linear",
        )
        if reference is not None:
            panel.axhline(reference, color="0.6", lw=0.7, ls=":")
        if not logarithmic:
            panel.locator_params(axis="x", nbins=5)
        below = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.18), "ncols": 2, "columnspacing": 1.0}
        panel.legend(handlelength=1.2, **(below if len(chosen) > 1 else {"loc": "best"}))
    axes[0].set_ylabel(what)
    return Drawn(
        figure,
        ("group", "runs", "finished", "step", "mean", "median", "quantile_10", "quantile_90"),
        list(dict.fromkeys(rows)),
    )


def _named(label: str, b: Band) -> str:
    """A label that says how many of its runs got to the end, where some did not."""
    last = int(b.finished[-1]) if len(b.finished) else 0
    return label if last == b.runs else f"{label} ({last} of {b.runs} runs)"


def _counted(label: str, s: Summary) -> str:
    """A label that says of how many runs its numbers are, where some have none."""
    return f"{label}, {s.count} of {s.attempted}" if s.missing else label


def _cell(value: float) -> Any:
    """A number of a table: nothing where it is beyond the bad end."""
    return value if np.isfinite(value) else ""


# -- one number for each run -------------------------------------------------------------------------------------------


@styled
def distributions(
    study: xr.Dataset, outcome: str = "accuracy", published: Mapping[str, float] | None = None, unit: float = 1.0
) -> Drawn:
    """Every run as a dot in its group's column, with the mean and its 95 % interval, and the published value as a
    line.
    """
    groups = grouped(study, outcome)
    figure, (axes,) = panels(1, 1.0 + 0.9 * len(groups), 3.2)
    random = np.random.default_rng(0)
    rows: list[tuple[Any, ...]] = []
    names: list[str] = []
    for i, (label, values) in enumerate(groups.items()):
        good = values[np.isfinite(values)] * unit
        s = summarise(values * unit, lower_is_better=lower_is_better(outcome), end=_end(study, outcome))
        names.append(_counted(label, s))
        axes.scatter(i + _spread(good, random), good, s=7, color=class_colour(i), alpha=0.45, lw=0)
        axes.errorbar(
            i, s.mean, [[s.mean - s.mean_low], [s.mean_high - s.mean]], fmt="_", color="black", ms=16, capsize=4, lw=1.1
        )
        target = (published or {}).get(label)
        if target is not None:
            axes.hlines(target, i - 0.38, i + 0.38, color="0.35", lw=1.2, ls="--", label="published" if i == 0 else "_")
        rows.append(
            (
                label,
                s.attempted,
                s.count,
                s.mean,
                s.mean_low,
                s.mean_high,
                s.sd,
                _cell(s.worst),
                _cell(s.median),
                "" if target is None else target,
            )
        )
    axes.set_xticks(range(len(groups)), [label.replace(", ", "\n") for label in names])
    axes.set_ylabel(NAMES.get(outcome, outcome) + (" (%)" if unit == 100 else ""))
    if published:
        axes.legend(loc="lower right")
    columns = ("group", "runs", "finished", "mean", "mean_low", "mean_high", "sd", "worst", "median", "published")
    return Drawn(figure, columns, rows)


def _end(study: xr.Dataset, outcome: str) -> float | None:
    """Until when runs were watched, of an outcome that says when."""
    return float(ends(study).min()) if outcome.startswith(TIMES) else None


def _spread(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Sideways shifts that are wide where values are dense."""
    if len(values) < 2:
        return np.zeros(len(values))
    counts, edges = np.histogram(values, bins=30)
    density = counts[np.clip(np.digitize(values, edges) - 1, 0, 29)] / counts.max()
    return random.uniform(-0.34, 0.34, len(values)) * density


@styled
def spreads(study: xr.Dataset, outcome: str = "accuracy", unit: float = 1.0) -> Drawn:
    """Bars of the mean and of the standard deviation over seeds, with their 95 % intervals."""
    groups = grouped(study, outcome)
    figure, axes = panels(2, 1.6 + 0.55 * len(groups), 3.4, sharey=False)
    found = [(label, summarise(values * unit, end=_end(study, outcome))) for label, values in groups.items()]
    rows = [
        (label, s.attempted, s.count, s.mean, s.mean_low, s.mean_high, s.sd, s.sd_low, s.sd_high, s.variance)
        for label, s in found
    ]
    shown = (("mean", "mean"), ("sd", "standard deviation over seeds"))
    for panel, (name, title) in zip(axes, shown, strict=True):
        for i, (_, s) in enumerate(found):
            value = getattr(s, name)
            panel.bar(i, value, color=class_colour(i), width=0.7)
            panel.errorbar(
                i,
                value,
                [[value - getattr(s, f"{name}_low")], [getattr(s, f"{name}_high") - value]],
                color="black",
                capsize=3,
                lw=1,
            )
        panel.set_xticks(range(len(found)), [_counted(label, s) for label, s in found], rotation=30, ha="right")
        panel.set_title(title)
    if unit == 100 and outcome.endswith("accuracy"):
        axes[0].set_ylim(min(50.0, *(s.mean - 5 for _, s in found if s.count)), 100)
    axes[0].set_ylabel(NAMES.get(outcome, outcome) + (" (%)" if unit == 100 else ""))
    return Drawn(
        figure,
        ("group", "runs", "finished", "mean", "mean_low", "mean_high", "sd", "sd_low", "sd_high", "variance"),
        rows,
    )


@styled
def densities(study: xr.Dataset, outcome: str = "accuracy", unit: float = 1.0, bins: int = 80) -> Drawn:
    """Of very many runs: the density of each group, and the share of its runs that lie below, logarithmic for the sake
    of the worst. Runs without a value are beyond the bad end, and have no density.
    """
    found = grouped(study, outcome)
    groups = {label: np.sort(values[np.isfinite(values)]) * unit for label, values in found.items()}
    figure, axes = panels(2, 3.9, 3.0, sharey=False)
    edges = np.histogram_bin_edges(np.concatenate(list(groups.values())), bins)
    rows: list[tuple[Any, ...]] = []
    for i, (label, values) in enumerate(groups.items()):
        runs = len(found[label])
        first = 0 if lower_is_better(outcome) else runs - len(values)  # runs below all that have a value
        density = np.histogram(values, edges, density=True)[0] if len(values) else np.full(bins, np.nan)
        below = (first + np.searchsorted(values, edges)) / max(1, runs)
        shown = label if len(values) == runs else f"{label}, {len(values)} of {runs}"
        axes[0].stairs(density, edges, color=class_colour(i), fill=True, alpha=0.2)
        axes[0].stairs(density, edges, color=class_colour(i), lw=1.1, label=shown)
        shares = (first + np.arange(1, len(values) + 1)) / max(1, runs)
        axes[1].step(values, shares, color=class_colour(i), lw=1.2, where="post")
        rows += [
            (label, runs, len(values), float(x), float(d), float(b))
            for x, d, b in zip(edges, density, below, strict=False)
        ]
    name = NAMES.get(outcome, outcome) + (" (%)" if unit == 100 else "")
    axes[0].set(xlabel=name, ylabel="density over seeds")
    axes[1].set(xlabel=name, ylabel="share of runs below", yscale="log")
    axes[0].legend(loc="best", handlelength=1.2)
    return Drawn(figure, ("group", "runs", "finished", outcome, "density", "share_below"), rows)


@styled
def heat_map(
    study: xr.Dataset, x: str, y: str, outcome: str = "accuracy", labels: tuple[str, str] | None = None
) -> Drawn:
    """Mean of an outcome over two varied fields, each value a tile of equal size, with its number, and where runs have
    no value of how many it is.
    """
    values = study[outcome].to_numpy().astype(np.float64)
    across, column = np.unique(study[x].to_numpy(), return_inverse=True)
    up, row = np.unique(study[y].to_numpy(), return_inverse=True)
    good, done = np.isfinite(values), study["status"].to_numpy() >= 0
    slot = row * len(across) + column
    attempted, count = (
        np.bincount(slot[which], minlength=len(up) * len(across)).reshape(len(up), -1) for which in (done, good)
    )
    slot = slot[good]
    total = np.bincount(slot, weights=values[good], minlength=count.size).reshape(count.shape)
    mean = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    figure, (axes,) = panels(1, 1.8 + 0.55 * len(across), 1.2 + 0.4 * len(up))
    image = axes.imshow(mean, origin="lower", cmap=VALUE, aspect="auto")
    middle = (np.nanmin(mean) + np.nanmax(mean)) / 2
    for (i, j), value in np.ndenumerate(mean):
        of = "" if count[i, j] == attempted[i, j] else f"\n{count[i, j]} of {attempted[i, j]}"
        colour = "black" if value > middle or np.isnan(value) else "white"
        axes.text(j, i, f"{value:.2f}{of}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(across)), [f"{v:g}" for v in across])
    axes.set_yticks(range(len(up)), [f"{v:g}" for v in up])
    axes.set(xlabel=(labels or (x, y))[0], ylabel=(labels or (x, y))[1])
    figure.colorbar(image, ax=axes, label=f"mean {NAMES.get(outcome, outcome)}")
    rows = [
        (float(a), float(b), int(attempted[i, j]), int(count[i, j]), float(mean[i, j]))
        for i, b in enumerate(up)
        for j, a in enumerate(across)
    ]
    return Drawn(figure, (x, y, "runs", "finished", f"mean_{outcome}"), rows)


def markdown(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    lines = [list(columns), *([str(cell) for cell in row] for row in rows)]
    body = ["| " + " | ".join(line) + " |" for line in lines]
    return "\n".join([body[0], "|" + "---|" * len(lines[0]), *body[1:]])
