"""Maps of what a spec's prior says before any data: mean and spread of its predictions, and some single draws.

They lie where `uncertainty_map`'s do. The prior itself comes from the library (`gpu_thermo.running.prior`), so that
nothing here samples.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import xarray as xr

from gpu_thermo.data import Dataset
from gpu_thermo.data.tasks import TASKS
from gpu_thermo_analysis.drawing import (
    class_image,
    draw_map,
    draw_panels,
    few_ticks,
    frame_panel,
    framed,
    image,
    panel_height,
    regression_bands,
    train_points,
)
from gpu_thermo_analysis.maps import (
    MARGIN,
    RESOLUTION,
    check_extent,
    check_numbers,
    described,
    levels_of,
    on_grid,
    plane_of,
    save_numbers,
)
from gpu_thermo_analysis.style import CURVE, VALUE, class_colour, probability_colours

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS, _CURVES = 6, 30
"""Single draws that are shown, of a plane and of a line."""
_WILD = 100
"""Predictions so many times as large as all training answers are drawn on a scale that is logarithmic beyond these."""


class Prior(Protocol):
    """What predicts draws of a prior: `running.prior.PriorPredictive`."""

    @property
    def data(self) -> Dataset:
        """Units, classes, and the training points that are shown."""

    @property
    def position(self) -> np.ndarray:
        """[draw, P]."""

    @property
    def assumptions(self) -> tuple[str, ...]:
        """In words."""

    @property
    def label(self) -> str:
        """What titles call the data."""

    def predict(self, x: Any, quantiles: Sequence[float], singles: int | None) -> xr.Dataset:
        """As `predict_prior`, phi of the first `singles` draws."""


def prior_map(
    prior: Prior, features: Sequence[str | int] | None = None, resolution: int = RESOLUTION, margin: float = MARGIN
) -> xr.Dataset:
    """Predictions of draws from a prior on a grid of inputs.

    Parameters
    ----------
    prior : the draws. features, resolution, margin : as for `uncertainty_map`.

    Returns
    -------
    xarray.Dataset
        As of `uncertainty_map`, and prediction [single, .., output] of some single draws.

    Raises
    ------
    DataError
        As `uncertainty_map`.
    """
    check_extent(resolution, margin)
    plane = plane_of(prior.data, 0, features)
    axes = plane.axes(resolution, margin)
    found = prior.predict(plane.points(axes), levels_of(prior.data, axes), _CURVES if len(axes) == 1 else _PANELS)
    out = on_grid(found.assign(draws=len(prior.position)), prior.data, plane, axes)
    phi = found["phi"].to_numpy()
    out["prediction"] = (("single", *out["mean"].dims), phi.reshape(len(phi), *out["mean"].shape))
    out.attrs.pop("draws")
    title = f"{prior.label}: {len(prior.position):,} draws from the prior, before any data"
    return described(out, prior.data, plane, title, f"Assumed: {'; '.join(prior.assumptions)}.")


def save_prior_map(prior: Prior, path: str | Path, data_out: str | Path | None = None, **options: Any) -> xr.Dataset:
    """As `save_map`, of a prior; `options` are those of `prior_map`."""
    check_numbers(data_out)
    dataset = draw_map(lambda: prior_map(prior, **options), path, figure=prior_figure)
    if data_out is not None:
        save_numbers(dataset, Path(data_out))
    return dataset


def prior_figure(dataset: xr.Dataset, output: int = 0) -> "Figure":
    """The figure of a prior's map, not yet saved. `output` chooses among several regression targets."""
    return framed(_draw_plane if "v" in dataset.dims else _draw_line, dataset, output)


# -- planes ------------------------------------------------------------------------------------------------------------


def _draw_plane(figure: "Figure", dataset: xr.Dataset, output: int) -> None:
    """The three panels of a map, and below them single draws."""
    height = panel_height(dataset, 4.5)
    figure.set_size_inches(10.8, 1.5 * height + 2.5)
    singles = [f"draw {i + 1}" for i in range(dataset.sizes["single"])]
    each = len(singles) // 3 or 1
    top = [name for name in ("mean", "epistemic", "total") for _ in range(each)]
    rows: list[Any] = [top, (singles + ["."] * (3 * each))[: 3 * each]]
    panels: Any = figure.subplot_mosaic(rows, height_ratios=[2.4, 1])
    draw_panels(figure, [panels[name] for name in ("mean", "epistemic", "total")], dataset, output)
    panels["mean"].set_ylabel(dataset["v"].attrs["long_name"])
    for name in ("epistemic", "total"):
        panels[name].tick_params(labelleft=False)
    limits = _limits(dataset, output)
    for name, values in zip(singles, dataset["prediction"].to_numpy(), strict=True):
        _single_panel(panels[name], dataset, values, output, limits)
        panels[name].set_title(name, fontsize=8)


def _limits(dataset: xr.Dataset, output: int) -> tuple[float, float]:
    """Common colours of the single draws of numbers: all but the outermost hundredth, and what is wild."""
    values = dataset["prediction"].to_numpy()[..., output]
    most = _WILD * (np.abs(dataset["train_y"].to_numpy()[..., output]).max() or 1.0)
    values = np.clip(values[~np.isnan(values)], -most, most)
    low, high = np.percentile(values, [1, 99]) if len(values) else (0.0, 1.0)
    return (float(low), float(high)) if high > low else (float(low) - 1, float(low) + 1)


def _single_panel(
    axes: "Axes", dataset: xr.Dataset, values: np.ndarray, output: int, limits: tuple[float, float]
) -> None:
    """One draw's prediction [v, u, output], without labels."""
    task = dataset.attrs["task"]
    if TASKS[task].numeric:
        image(axes, dataset, values[..., output], VALUE, limits)
    elif task == "binary":
        image(axes, dataset, values[..., 0], probability_colours(), (0.0, 1.0))
    else:
        class_image(axes, dataset, values)
    frame_panel(axes, dataset)
    axes.set(xticks=[], yticks=[])


# -- lines -------------------------------------------------------------------------------------------------------------


def _draw_line(figure: "Figure", dataset: xr.Dataset, output: int) -> None:
    """Curves of single draws over the intervals of all."""
    figure.set_size_inches(6.4, 4.2)
    axes = figure.subplots()
    u, numeric = dataset["u"].to_numpy(), TASKS[dataset.attrs["task"]].numeric
    if numeric:
        regression_bands(axes, dataset, output)
    for c in [output] if numeric else range(dataset.sizes["output"]):
        several = not numeric and dataset.sizes["output"] > 1
        colour = class_colour(c) if several else CURVE
        curves = dataset["prediction"].to_numpy()[..., c].T
        axes.plot(u, curves, color=colour, linewidth=0.6, alpha=0.25 if several else 0.5)
        label = f"mean of {dataset['output'].to_numpy()[c]}" if several else "mean"
        axes.plot(u, dataset["mean"].to_numpy()[:, c], color=colour, linewidth=1.8, label=label)
    axes.plot([], [], color="0.5", linewidth=0.6, label=f"{dataset.sizes['single']} single draws")
    axes.set(xlabel=dataset["u"].attrs["long_name"], xlim=(u[0], u[-1]))
    axes.xaxis.set_major_locator(few_ticks())
    axes.spines[["top", "right"]].set_visible(False)
    if numeric:
        train_points(axes, dataset, output)
        low, high = _range(dataset, output)
        size = np.abs(dataset["train_y"].to_numpy()[..., output]).max()
        if max(-low, high) > _WILD * size > 0:  # such as rates of counts
            axes.set_yscale("symlog", linthresh=size)
            low = low if (dataset["answer_low"].to_numpy()[:, output] < 0).any() else -size / 2
        axes.set_ylim(low, high)
        axes.set_ylabel(str(dataset["output"].to_numpy()[output]))
        axes.legend(loc="best")
    else:
        axes.set(ylim=(-0.03, 1.03), ylabel="probability" if dataset.sizes["output"] > 1 else _probability(dataset))
        axes.legend(loc="best")


def _probability(dataset: xr.Dataset) -> str:
    return str(dataset["output"].to_numpy()[0])


def _range(dataset: xr.Dataset, output: int) -> tuple[float, float]:
    """Of the ordinate: intervals and training answers, with room for curves that leave them."""
    ends = [dataset[name].to_numpy()[..., output] for name in ("answer_low", "answer_high", "train_y")]
    values = np.concatenate([e[np.isfinite(e)] for e in ends])
    low, high = float(values.min(initial=0)), float(values.max(initial=1))
    return low - 0.15 * (high - low), high + 0.15 * (high - low)
