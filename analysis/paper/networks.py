"""Figures about the networks themselves: classifiers over the plane, and the loss along a line and over a plane of
parameters.

They need studies that kept their parameters: w1, b1, w2, b2 of every draw, and of the initial state.
"""

import json
from functools import lru_cache

import numpy as np
import xarray as xr

from gpu_thermo.data import Dataset
from gpu_thermo.study import StudySpec
from gpu_thermo.study.statistics import summarise
from gpu_thermo.targets.likelihoods import get_likelihood
from gpu_thermo_analysis.paper.rows import Claim, Row
from gpu_thermo_analysis.study_figures import Drawn, panels, styled
from gpu_thermo_analysis.style import TWO_COLOURS, VALUE, class_colour, probability_colours

TENSORS = ("w1", "b1", "w2", "b2")
Weights = tuple[np.ndarray, ...]
_GRID = 120


@lru_cache(maxsize=16)
def _data(study: str, cell: int, seed: int) -> Dataset:
    options = StudySpec.from_json(study).cells()[cell].spec.data
    return options.model_validate(options.model_dump() | {options.seed_field: seed}).build()


def data_of(study: xr.Dataset, row: int) -> Dataset:
    """The data that one run was trained on."""
    return _data(study.attrs["study"], int(study["cell"][row]), int(study["data_seed"][row]))


def weights(study: xr.Dataset, row: int, initial: bool = False) -> Weights:
    """w1 [D, d, m], b1 [D, d], w2 [D, n, d], b2 [D, n] of one run's draws, or of its initial state (D = 1), without
    padding.
    """
    data = data_of(study, row)
    label = StudySpec.from_json(study.attrs["study"]).cells()[int(study["cell"][row])].spec
    d, m, n = label.model.hidden, data.inputs, data.outputs
    cuts = {"w1": (d, m), "b1": (d,), "w2": (n, d), "b2": (n,)}
    out = []
    for name in TENSORS:
        values = study[f"initial_{name}" if initial else name][row].to_numpy()
        values = values[None] if initial else values
        out.append(values[(slice(None), *(slice(k) for k in cuts[name]))].astype(np.float64))
    return tuple(out)


def outputs(w: Weights, x: np.ndarray) -> np.ndarray:
    """Raw outputs [D, B, n] of relu networks at inputs [B, m]."""
    w1, b1, w2, b2 = w
    hidden = np.maximum(x @ w1.swapaxes(-1, -2) + b1[:, None, :], 0)
    return hidden @ w2.swapaxes(-1, -2) + b2[:, None, :]


def loss(w: Weights, data: Dataset) -> np.ndarray:
    """Mean training loss [D]."""
    out, y = outputs(w, data.x_train[0]), data.y_train[0]
    likelihood = get_likelihood(data.task)
    losses = likelihood.losses(out, np.broadcast_to(y, (len(out), *y.shape)), likelihood.constants({}), np)
    return losses.mean(axis=1)


def mixed(parts: list[Weights], shares: np.ndarray) -> Weights:
    """Linear combinations [S] of networks, `shares` [S, part]; the first draw of each part counts."""
    return tuple(np.einsum("sp,p...->s...", shares, np.stack([part[i][-1] for part in parts])) for i in range(4))


# -- classifiers -------------------------------------------------------------------------------------------------------


@styled
def classifiers(study: xr.Dataset, seeds: int = 2) -> Drawn:
    """Probability of class 1 over the plane, averaged over a run's kept draws, for the first seeds of each cell."""
    cells = json.loads(study.attrs["cells"])
    rows = [int(np.flatnonzero(study["cell"].to_numpy() == i)[k]) for i in range(len(cells)) for k in range(seeds)]
    figure, axes = panels(len(rows), 2.5, 2.75)
    numbers = []
    for panel, row in zip(axes, rows, strict=True):
        data = data_of(study, row)
        x, y = data.x_train[0], data.y_train[0]
        edge = 1.08 * np.abs(x).max()
        axis = np.linspace(-edge, edge, _GRID)
        grid = np.stack([g.ravel() for g in np.meshgrid(axis, axis)], axis=1)
        p = (
            (1 / (1 + np.exp(-np.clip(outputs(weights(study, row), grid)[..., 0], -500, 500))))
            .mean(axis=0)
            .reshape(_GRID, _GRID)
        )
        panel.imshow(p, origin="lower", extent=(-edge, edge, -edge, edge), cmap=probability_colours(), vmin=0, vmax=1)
        for k in (0, 1):
            panel.scatter(x[y == k, 0], x[y == k, 1], s=1.5, color=TWO_COLOURS[k], lw=0)
        score = float(study["average_accuracy"][row])
        panel.set_title(
            f"{cells[int(study['cell'][row])]}\nseed {int(study['seed_index'][row])}, test {score:.1%}", fontsize=8
        )
        panel.set(xticks=[], yticks=[])
        numbers.append((cells[int(study["cell"][row])], int(study["seed_index"][row]), score))
    return Drawn(figure, ("group", "seed_index", "test_accuracy"), numbers)


# -- losses between networks -------------------------------------------------------------------------------------------


def along(study: xr.Dataset, row: int, alpha: np.ndarray) -> np.ndarray:
    """Training loss at (1 - alpha) theta_0 + alpha theta_f."""
    parts = [weights(study, row, initial=True), weights(study, row)]
    return loss(mixed(parts, np.stack([1 - alpha, alpha], axis=1)), data_of(study, row))


@styled
def lines(study: xr.Dataset) -> Drawn:
    """Loss from the initial state to the final one, a line for each run."""
    cells = json.loads(study.attrs["cells"])
    figure, axes = panels(len(cells), 2.9, 2.5, sharey=False, across=3)
    alpha = np.linspace(0, 1.2, 61)
    numbers = []
    for i, panel in enumerate(axes):
        for row in np.flatnonzero((study["cell"].to_numpy() == i) & (study["status"].to_numpy() == 0)):
            values = along(study, int(row), alpha)
            panel.plot(alpha, values, color=class_colour(i % 3), alpha=0.6, lw=0.9)
            numbers += [
                (cells[i], int(study["seed_index"][row]), float(a), float(v))
                for a, v in zip(alpha, values, strict=True)
            ]
        panel.set(title=cells[i], xlabel="alpha")
        panel.axvline(1, color="0.6", lw=0.7, ls=":")
    for panel in axes[::3]:
        panel.set_ylabel("training loss (nats)")
    return Drawn(figure, ("group", "seed_index", "alpha", "loss"), numbers)


@styled
def planes(study: xr.Dataset) -> Drawn:
    """Loss over beta F1 + (1 - beta) F2, F_i = theta_0 + alpha (theta_fi - theta_0), for the first two runs of each
    cell.
    """
    cells = json.loads(study.attrs["cells"])
    figure, axes = panels(len(cells), 3.1, 2.5, across=3)
    alpha = np.linspace(0, 1, 41)
    a, b = (g.ravel() for g in np.meshgrid(alpha, alpha))
    shares = np.stack([1 - a, a * b, a * (1 - b)], axis=1)
    numbers = []
    for i, panel in enumerate(axes):
        one, two = (int(r) for r in np.flatnonzero(study["cell"].to_numpy() == i)[:2])
        parts = [weights(study, one, initial=True), weights(study, one), weights(study, two)]
        values = loss(mixed(parts, shares), data_of(study, one))
        image = panel.imshow(values.reshape(41, 41), origin="lower", extent=(0, 1, 0, 1), cmap=VALUE, aspect="auto")
        panel.contour(alpha, alpha, values.reshape(41, 41), 8, colors="white", linewidths=0.4)
        figure.colorbar(image, ax=panel)
        panel.set(title=cells[i], xlabel="alpha")
        numbers += [(cells[i], float(x), float(y), float(v)) for x, y, v in zip(a, b, values, strict=True)]
    for panel in axes[::3]:
        panel.set_ylabel("beta")
    return Drawn(figure, ("group", "alpha", "beta", "loss"), numbers)


def barriers(study: xr.Dataset, minima: bool = False) -> dict[str, np.ndarray]:
    """By how much the loss on a line rises above the higher of its ends, over the initial loss, for each run of each
    cell.

    The line is that from the initial state to the end of the run, or with `minima` that from the end of the first run
    to the end of each other one.
    """
    out = {}
    alpha = np.linspace(0, 1, 51)
    shares = np.stack([1 - alpha, alpha], axis=1)
    for i, label in enumerate(json.loads(study.attrs["cells"])):
        rows = [int(r) for r in np.flatnonzero((study["cell"].to_numpy() == i) & (study["status"].to_numpy() == 0))]
        first = weights(study, rows[0]) if minima else ()
        lines = [
            loss(mixed([first, weights(study, r)], shares), data_of(study, r)) if minima else along(study, r, alpha)
            for r in (rows[1:] if minima else rows)
        ]
        values = np.array(lines)
        start = loss(weights(study, rows[0], initial=True), data_of(study, rows[0]))[0]
        out[label] = (values.max(axis=1) - np.maximum(values[:, 0], values[:, -1])) / start
    return out


def attempted(study: xr.Dataset, minima: bool = False) -> dict[str, int]:
    """Lines that each cell would have if no run had failed."""
    cell, done = study["cell"].to_numpy(), study["status"].to_numpy() >= 0
    count = np.bincount(cell[done], minlength=int(cell.max()) + 1)
    return {label: int(n) - minima for label, n in zip(json.loads(study.attrs["cells"]), count, strict=True)}


def barrier_rows(study: xr.Dataset, minima: bool = False) -> list[Row]:
    """Mean height of the barrier over the initial loss."""
    lines = attempted(study, minima)
    out = []
    for label, v in barriers(study, minima).items():
        s = summarise(v)
        what = f"{label}: barrier / initial loss"
        out.append(Row(what, None, s.mean, s.error, s.sd, s.count, attempted=lines[label]))
    return out


def barrier_claims(study: xr.Dataset, minima: bool = False) -> list[Claim]:
    """A barrier for more than one turn, none for images; each as the share of lines that rise by a tenth of the initial
    loss. Open where half lies within the 95 % interval of the share, which has failed runs on either side.
    """
    found, lines = barriers(study, minima), attempted(study, minima)
    where = "between minima" if minima else "on the way to the minimum"
    out = []
    for init in ("he", "normal"):
        for name, text, wanted in (
            ("spirals b 2", f"a barrier {where} for two turns, from init {init}", True),
            ("digits", f"none {where} for images, from init {init}", False),
        ):
            label = f"init {init}, {name}"
            high, count, total = int((found[label] > 0.1).sum()), len(found[label]), lines[label]
            lost = "" if count == total else f", {count} of {total} runs finished"
            low, up = _share(high, total)[0], _share(high + total - count, total)[1]
            holds = wanted if low > 0.5 else not wanted if up < 0.5 else None
            out.append(Claim(text, f"{high} of {count} lines{lost}", holds))
    return out


def _share(high: int, total: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson)."""
    from scipy.stats import binomtest

    interval = binomtest(high, total).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
