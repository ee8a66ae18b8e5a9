"""Draw the maps of `maps.uncertainty_map`: mean, epistemic and total uncertainty side by side, or a curve with bands.

Figures are made without pyplot: no window, no global state, the same on a machine without a display.
"""

import json
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gpu_thermo.data.tasks import TASKS
from gpu_thermo.errors import DataError, GpuThermoError
from gpu_thermo_analysis.style import (
    CURVE,
    RC,
    TWO_COLOURS,
    UNCERTAINTY,
    VALUE,
    class_colour,
    class_mark,
    probability_colours,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = (".png", ".svg", ".pdf")
_MOST_POINTS = 1000
_LEGEND_MARK = 26
SPREADS: dict[str, Any] = {
    "total": {"color": "0.45"},
    "aleatoric": {"color": "0.45", "linestyle": "--"},
    "epistemic": {"color": CURVE},
}
"""Curves of uncertainties."""


class NotWrittenError(GpuThermoError, OSError):
    """A picture, or the numbers of one, could not be written."""

    exit_code = 1


def draw_map(
    dataset: xr.Dataset | Callable[[], xr.Dataset], path: str | Path | None = None, output: int = 0,
    figure: "Callable[[xr.Dataset, int], Figure] | None" = None,
) -> xr.Dataset:  # fmt: skip
    """Draw a map to a file; `dataset` may be made on demand, after the file's suffix is known to be good. Returns the
    data set. `figure` makes the picture, `map_figure` by default.

    Raises
    ------
    DataError
        The suffix is not one of .png, .svg, .pdf.
    """
    if path is not None and Path(path).suffix.lower() not in FORMATS:
        raise DataError(f"'{path}' has no known suffix: use one of {', '.join(FORMATS)}.")
    found = dataset() if callable(dataset) else dataset
    if path is not None:
        made = (figure or map_figure)(found, output)
        try:
            _save(made, Path(path))
        except OSError as error:
            raise NotWrittenError(f"Cannot write {path}: {error.strerror or error}.") from None
    return found


def _save(figure: "Figure", path: Path) -> None:
    """The same bytes for the same figure: no dates."""
    import matplotlib as mpl

    dated = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}, ".png": {}}
    with mpl.rc_context(RC):
        figure.savefig(path, metadata=dated[path.suffix.lower()])


def map_figure(dataset: xr.Dataset, output: int = 0) -> "Figure":
    """The figure of a map, not yet saved. `output` chooses among several regression targets."""
    return framed(_draw_plane if "v" in dataset.dims else _draw_line, dataset, output)


def framed(draw: "Callable[[Figure, xr.Dataset, int], None]", dataset: xr.Dataset, output: int) -> "Figure":
    """A figure that `draw` fills, with the map's title and caption."""
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(RC):
        figure = Figure(layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure, dataset, output)
        _frame(figure, dataset)
    return figure


def _frame(figure: "Figure", dataset: xr.Dataset) -> None:
    """Title at the top left and caption at the bottom left, in room of their own."""
    width, height = figure.get_size_inches()
    points = dataset.sizes["train"]
    thinned = f" At most {_MOST_POINTS:,} of {points:,} training points are shown." if points > _MOST_POINTS else ""
    lines = textwrap.wrap(dataset.attrs["caption"] + thinned, int(width * 17))
    top, bottom = 0.34 / height, (0.14 + 0.15 * len(lines)) / height if lines else 0.0
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, bottom, 1, 1 - top - bottom))
    figure.text(0.08 / width, 1 - 0.1 / height, dataset.attrs["title"], fontsize=11, fontweight="bold", va="top")
    figure.text(0.08 / width, 0.06 / height, "\n".join(lines), fontsize=8, color="0.3", va="bottom")


# -- planes ------------------------------------------------------------------------------------------------------------


def _draw_plane(figure: "Figure", dataset: xr.Dataset, output: int) -> None:
    figure.set_size_inches(10.8, panel_height(dataset, 5.5) + 1.75)
    panels: Any = figure.subplots(1, 3, sharex=True, sharey=True)
    panels[0].set_ylabel(dataset["v"].attrs["long_name"])
    draw_panels(figure, panels, dataset, output)


def panel_height(dataset: xr.Dataset, most: float) -> float:
    """Inches that one of three panels beside each other is high."""
    u, v = dataset["u"].to_numpy(), dataset["v"].to_numpy()
    shape = (v[-1] - v[0]) / (u[-1] - u[0]) if dataset.attrs["equal_aspect"] else 1.0
    return float(np.clip(3.1 * shape, 1.8, most))


def draw_panels(figure: "Figure", panels: "Sequence[Axes]", dataset: xr.Dataset, output: int) -> None:
    """Mean, epistemic and total uncertainty on three axes."""
    if TASKS[dataset.attrs["task"]].numeric:
        _regression_panels(figure, panels, dataset, output)
    else:
        names = json.loads(dataset.attrs["classes"])
        {"binary": _binary_mean, "multiclass": _multiclass_mean}[dataset.attrs["task"]](figure, panels[0], dataset)
        for axes, name, what, limits in (
            (panels[1], "epistemic", "mutual information", None),
            (panels[2], "total", "entropy", (0, np.log(len(names)))),
        ):
            title = f"{name.capitalize()} uncertainty"
            _image(figure, axes, dataset, name, title, f"{what} (nats)", UNCERTAINTY, limits)
        for axes in panels:
            _class_points(axes, dataset, names)
        legend(figure, panels[0], (_LEGEND_MARK / _mark_size(dataset.sizes["train"])) ** 0.5)
    for axes in panels:
        frame_panel(axes, dataset)
        axes.set_xlabel(dataset["u"].attrs["long_name"])


def frame_panel(axes: "Axes", dataset: xr.Dataset) -> None:
    """The grid's extent, and its aspect."""
    u, v = dataset["u"].to_numpy(), dataset["v"].to_numpy()
    axes.xaxis.set_major_locator(few_ticks())
    axes.set(xlim=(u[0], u[-1]), ylim=(v[0], v[-1]))
    axes.set_aspect("equal") if dataset.attrs["equal_aspect"] else axes.set_box_aspect(1)


def legend(figure: "Figure", axes: "Axes", scale: float = 1.0) -> None:
    """All marks of `axes` in one row beside the title."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="upper right",
        ncols=10,
        handletextpad=0.1,
        columnspacing=0.9,
        borderaxespad=0.3,
        markerscale=scale,
    )


def _image(
    figure: "Figure", axes: "Axes", dataset: xr.Dataset, name: str, title: str, label: str, colours: Any,
    limits: Any = None,
    values: np.ndarray | None = None,
) -> None:  # fmt: skip
    """One panel: an image of a variable [v, u], its title and its colour bar."""
    shown = dataset[name].to_numpy() if values is None else values
    low, high = limits or (0.0, float(np.nanmax(shown)) or 1.0)
    shown_image = image(axes, dataset, shown, colours, (low, high))
    axes.set_title(title)
    bar = figure.colorbar(shown_image, ax=axes, location="bottom", shrink=0.86, aspect=32, pad=0.03)
    bar.set_label(label)
    bar.outline.set_linewidth(0.4)
    bar.locator = few_ticks()
    bar.update_ticks()


def image(axes: "Axes", dataset: xr.Dataset, values: np.ndarray, colours: Any, limits: tuple[float, float]) -> Any:
    """An image of values [v, u] over the grid."""
    return axes.imshow(
        values,
        origin="lower",
        extent=extent(dataset),
        cmap=colours,
        vmin=limits[0],
        vmax=limits[1],
        aspect="auto",
        interpolation="bilinear",
    )


def few_ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(6)


def extent(dataset: xr.Dataset) -> tuple[float, float, float, float]:
    """Edges of the pixels, whose centres are the grid."""
    (u0, u1), (v0, v1) = (_edges(dataset[name].to_numpy()) for name in ("u", "v"))
    return u0, u1, v0, v1


def _edges(axis: np.ndarray) -> tuple[float, float]:
    half = (axis[-1] - axis[0]) / (len(axis) - 1) / 2
    return float(axis[0] - half), float(axis[-1] + half)


def _binary_mean(figure: "Figure", axes: "Axes", dataset: xr.Dataset) -> None:
    name = json.loads(dataset.attrs["classes"])[1]
    p = dataset["mean"].to_numpy()[..., 0]
    label = f"probability of {_class_label(name)}"
    _image(figure, axes, dataset, "mean", "Mean prediction", label, probability_colours(), (0.0, 1.0), p)
    axes.contour(dataset["u"].to_numpy(), dataset["v"].to_numpy(), p, [0.5], colors="0.15", linewidths=0.7)


def _multiclass_mean(figure: "Figure", axes: "Axes", dataset: xr.Dataset) -> None:
    """The most probable class as hue, its probability as saturation; lines where the class changes."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    class_image(axes, dataset, dataset["mean"].to_numpy())
    classes = dataset.sizes["output"]
    axes.set_title("Mean prediction")
    greys = ScalarMappable(Normalize(1 / classes, 1), LinearSegmentedColormap.from_list("greys", ["white", "0.35"]))
    bar = figure.colorbar(greys, ax=axes, location="bottom", shrink=0.86, aspect=32, pad=0.03)
    bar.set_label("probability of the most probable class")
    bar.outline.set_linewidth(0.4)


def class_image(axes: "Axes", dataset: xr.Dataset, p: np.ndarray) -> None:
    """Probabilities [v, u, class]: the most probable class as hue, its probability as saturation."""
    from matplotlib.colors import to_rgb

    classes = p.shape[-1]
    hue = np.array([to_rgb(class_colour(c)) for c in range(classes)])[p.argmax(axis=-1)]
    depth = 0.62 * ((p.max(axis=-1) - 1 / classes) / (1 - 1 / classes))[..., None]
    axes.imshow(1 - depth * (1 - hue), origin="lower", extent=extent(dataset), aspect="auto", interpolation="nearest")
    for c in range(classes):
        rest = np.delete(p, c, axis=-1).max(axis=-1)
        if (p[..., c] > rest).any() and (p[..., c] < rest).any():
            axes.contour(
                dataset["u"].to_numpy(), dataset["v"].to_numpy(), p[..., c] - rest, [0.0], colors="0.25", linewidths=0.6
            )


def _class_points(axes: "Axes", dataset: xr.Dataset, names: list[str]) -> None:
    """Training points, each class with its colour and mark."""
    y = dataset["train_y"].to_numpy()
    binary = len(names) == 2
    size = _mark_size(len(y))
    for c, name in enumerate(names):
        mine = _some(np.flatnonzero(y == c), max(1, _MOST_POINTS // len(names)))
        axes.scatter(
            dataset["train_u"].to_numpy()[mine],
            dataset["train_v"].to_numpy()[mine],
            s=size,
            marker=class_mark(c),
            c=TWO_COLOURS[c] if binary else class_colour(c),
            edgecolors="white",
            linewidths=0.25,
            label=_class_label(name),
            zorder=3,
        )


def _mark_size(points: int) -> float:
    return float(np.clip(5000 / max(1, points), 6, _LEGEND_MARK))


def _class_label(name: str) -> str:
    return f"class {name}" if name.isdigit() else name


def _some(rows: np.ndarray, most: int = _MOST_POINTS) -> np.ndarray:
    """At most `most` of the rows, evenly chosen: more only make a picture dark and its file large."""
    return rows if len(rows) <= most else rows[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def _regression_panels(figure: "Figure", panels: Any, dataset: xr.Dataset, output: int) -> None:
    target = json.loads(dataset.attrs["targets"])[output]
    mean, epistemic, total = (dataset[name].to_numpy()[..., output] for name in ("mean", "epistemic", "total"))
    y = dataset["train_y"].to_numpy()[..., output]
    limits = (-_largest(-mean, -y), _largest(mean, y))
    _image(figure, panels[0], dataset, "mean", "Mean prediction", target, VALUE, limits, mean)
    label = f"standard deviation (units of {target})"
    endless = not np.isfinite(total).any()
    both = (0.0, _largest(epistemic if endless else total) or 1.0)
    _image(figure, panels[1], dataset, "epistemic", "Epistemic uncertainty", label, UNCERTAINTY, both, epistemic)
    title = f"Total uncertainty{' (infinite)' * endless}"
    _image(figure, panels[2], dataset, "total", title, label, UNCERTAINTY, both, np.minimum(total, both[1]))
    some = _some(np.arange(len(y)))
    u, v = dataset["train_u"].to_numpy()[some], dataset["train_v"].to_numpy()[some]
    panels[0].scatter(
        u, v, c=y[some], cmap=VALUE, vmin=limits[0], vmax=limits[1], s=16, edgecolors="white", linewidths=0.5
    )
    for axes in panels[1:]:
        axes.scatter(u, v, c="none", s=12, edgecolors="white", linewidths=0.5)


def _largest(*values: np.ndarray) -> float:
    """The largest finite value."""
    flat = np.concatenate([v.ravel() for v in values])
    return float(flat[np.isfinite(flat)].max(initial=-np.inf)) if np.isfinite(flat).any() else 0.0


# -- lines -------------------------------------------------------------------------------------------------------------


def _draw_line(figure: "Figure", dataset: xr.Dataset, output: int) -> None:
    figure.set_size_inches(6.4, 5.4)
    axes, lower = figure.subplots(2, 1, sharex=True, height_ratios=[2, 1])
    if TASKS[dataset.attrs["task"]].numeric:
        _regression_line(axes, dataset, output)
        _spread_line(lower, dataset, output)
    else:
        _class_line(axes, dataset)
        _information_line(lower, dataset)
        legend(figure, axes)
    lower.set_xlabel(dataset["u"].attrs["long_name"])
    for a in (axes, lower):
        a.spines[["top", "right"]].set_visible(False)


def _regression_line(axes: "Axes", dataset: xr.Dataset, output: int) -> None:
    """The mean, the interval that it is in (epistemic) and the wider one that answers fall in."""
    u, mean = dataset["u"].to_numpy(), dataset["mean"].to_numpy()[:, output]
    regression_bands(axes, dataset, output)
    axes.plot(u, mean, color=CURVE, linewidth=1.6, label="mean")
    train_points(axes, dataset, output)
    axes.set(ylabel=json.loads(dataset.attrs["targets"])[output], xlim=(u[0], u[-1]))
    axes.legend(loc="best")


def regression_bands(axes: "Axes", dataset: xr.Dataset, output: int) -> None:
    """The two intervals over a line."""
    u = dataset["u"].to_numpy()
    for name, alpha, what in (("answer", 0.16, "of an answer"), ("mean", 0.34, "of its mean (epistemic)")):
        low, high = (dataset[f"{name}_{end}"].to_numpy()[:, output] for end in ("low", "high"))
        axes.fill_between(u, low, high, color=CURVE, alpha=alpha, linewidth=0, label=f"90 % interval {what}")


def train_points(axes: "Axes", dataset: xr.Dataset, output: int) -> None:
    """Training answers over a line."""
    rows = _some(np.arange(dataset.sizes["train"]))
    axes.scatter(
        dataset["train_u"].to_numpy()[rows],
        dataset["train_y"].to_numpy()[rows, output],
        s=9,
        color="0.1",
        linewidths=0,
        alpha=0.75,
        label="training data",
        zorder=3,
    )


def _spread_line(lower: "Axes", dataset: xr.Dataset, output: int) -> None:
    """Standard deviations: of an answer, and its two parts."""
    u = dataset["u"].to_numpy()
    for name, style in SPREADS.items():
        sd = dataset[name].to_numpy()[:, output]
        infinite = "" if np.isfinite(sd).all() else " (infinite)"
        lower.plot(u, np.where(np.isfinite(sd), sd, np.nan), label=f"{name}{infinite}", linewidth=1.2, **style)
    lower.set(ylabel="standard deviation", ylim=(0, None))
    lower.legend(loc="best", ncols=3)


def _class_line(axes: "Axes", dataset: xr.Dataset) -> None:
    u, names = dataset["u"].to_numpy(), json.loads(dataset.attrs["classes"])
    mean, sd = dataset["mean"].to_numpy(), dataset["sd"].to_numpy()
    binary = len(names) == 2
    y, x = dataset["train_y"].to_numpy(), dataset["train_u"].to_numpy()
    for c, name in enumerate(names):
        colour = TWO_COLOURS[c] if binary else class_colour(c)
        if not binary or c == 1:
            p, s = mean[:, c - binary], sd[:, c - binary]
            if binary:  # more bands than one would hide each other
                axes.fill_between(u, np.clip(p - s, 0, 1), np.clip(p + s, 0, 1), color=colour, alpha=0.25, linewidth=0)
            axes.plot(u, p, color=colour, linewidth=1.6)
        mine = _some(np.flatnonzero(y == c))
        level = 1.04 if c or not binary else -0.04
        height = np.full(len(mine), level + 0.03 * c * (not binary))
        axes.scatter(x[mine], height, s=9, marker=class_mark(c), color=colour, label=_class_label(name), linewidths=0)
    axes.set(ylabel=f"probability of {_class_label(names[1])}" if binary else "probability", xlim=(u[0], u[-1]))


def _information_line(lower: "Axes", dataset: xr.Dataset) -> None:
    """Entropy, and its part that more data would settle."""
    u = dataset["u"].to_numpy()
    for name, what in (("total", "entropy"), ("epistemic", "mutual information")):
        lower.plot(u, dataset[name].to_numpy(), label=f"{name}: {what}", **SPREADS[name])
    lower.set(ylabel="nats", ylim=(0, None))
    lower.legend(loc="best")
