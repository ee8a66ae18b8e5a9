"""What an entry is judged by: distance to the exact density, modes, effective draws; for networks, test scores.

Every measure is taken in each group (one independent experiment) from its weighted draws, and reported as mean and
standard error over the groups. Draws are weighted by ``exp(log_weight)``: on a ladder only those of the target rung
count.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from ..targets.analytic.grid import Grid, mode_of
from ..targets.base import Potential
from ..targets.likelihoods import SCORES

FOUND = 3.0
"""A mode is found by a draw within so many sd of it."""
FINE = {1: 100, 2: 10}
"""Points of the exact density in each cell, by axis."""


@dataclass(frozen=True)
class Draws:
    """Draws of an entry in chains that go on in time; a ladder is one chain, its target rung.

    Attributes
    ----------
    position : [chain, draw, P] float64. weight : [chain, draw] float64, 0 where a draw does not count; the largest is
    1.
    group : [chain] the group of each chain, 0, 0, .., 1, 1, ..
    """

    position: np.ndarray
    weight: np.ndarray
    group: np.ndarray

    @property
    def groups(self) -> int:
        """Number of groups."""
        return int(self.group[-1]) + 1

    def of(self, group: int) -> "Draws":
        """The draws of one group."""
        mine = self.group == group
        return Draws(self.position[mine], self.weight[mine], np.zeros(int(mine.sum()), int))


def read_draws(run: xr.DataTree, groups: int, rungs: int = 1) -> Draws:
    """Draws of an opened run on a potential; with `rungs`, each ladder's target rung as one chain."""
    posterior, stats = run["posterior"].to_dataset(), run["sample_stats"].to_dataset()
    names = list(posterior.data_vars)
    parts = [posterior[n].transpose("chain", "draw", ...).to_numpy() for n in names]
    position = np.concatenate([p.reshape(*p.shape[:2], -1) for p in parts], axis=-1).astype(np.float64)
    log_w = (
        stats["log_weight"].transpose("chain", "draw").to_numpy()
        if "log_weight" in stats
        else np.zeros(position.shape[:2])
    )
    bad = ~np.isfinite(position).all(axis=-1) | np.isnan(log_w)
    log_w = np.where(bad, -np.inf, log_w)
    top = log_w.max() if np.isfinite(log_w).any() else 0.0
    weight, position = np.exp(log_w - top), np.where(bad[..., None], 0.0, position)
    if rungs > 1 and "log_weight" in stats:  # of stores of before, whose chains are replicas
        position, weight = _target_rung(position, weight, rungs)
    return Draws(position, weight, np.repeat(np.arange(groups), len(position) // groups))


def _target_rung(position: np.ndarray, weight: np.ndarray, rungs: int) -> tuple[np.ndarray, np.ndarray]:
    """Of each ladder, whoever is on the target rung at each draw."""
    _, draws, size = position.shape
    w = weight.reshape(-1, rungs, draws)
    who = w.argmax(axis=1)
    at = position.reshape(-1, rungs, draws, size)
    chosen = np.take_along_axis(at, who[:, None, :, None], axis=1)[:, 0]
    return chosen, np.take_along_axis(w, who[:, None], axis=1)[:, 0]


# -- the exact answer --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exact:
    """The density exp(-U/tau) of a potential in one or two dimensions, on cells.

    Attributes
    ----------
    grid : the density on many more cells than `cells`, by axis, that distances are taken on. modes : [M, P], deepest
    first; mode_sd : [M].
    """

    grid: Grid
    cells: int
    modes: np.ndarray
    mode_sd: np.ndarray

    @cached_property
    def edges(self) -> tuple[np.ndarray, ...]:
        """Edges of the cells of each axis."""
        return tuple(np.linspace(e[0], e[-1], self.cells + 1) for e in self.grid.edges)

    @cached_property
    def probability(self) -> np.ndarray:
        """Probability of each cell."""
        return self.grid.coarse(self.cells)

    @cached_property
    def mode_weight(self) -> np.ndarray:
        """[M] probability of the points nearest to each mode."""
        return self.grid.mode_weights(self.modes)

    @property
    def variance(self) -> np.ndarray:
        """[P] of the coordinates."""
        return np.diag(self.grid.covariance)


def exact_density(potential: Potential, tau: float, low: float, high: float, cells: int) -> Exact:
    """`potential` at temperature `tau` on the box [low, high]^P, P 1 or 2."""
    fine = FINE[potential.layout.size]
    grid = Grid.of(potential, (low, high), cells * fine, tau)
    return Exact(grid, cells, *_modes(grid))


def _modes(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Minima of the energy inside the grid, deepest first, and the sd of the harmonic well about each (mean over
    axes).
    """
    energy, size = grid.energy, grid.energy.ndim
    lowest, curvature = np.ones(energy.shape, bool), np.zeros(energy.shape)
    for axis, edges in enumerate(grid.edges):
        up, down = np.roll(energy, -1, axis), np.roll(energy, 1, axis)
        inner = np.arange(energy.shape[axis]) % (energy.shape[axis] - 1) > 0
        lowest &= (energy < up) & (energy <= down) & inner.reshape([-1 if a == axis else 1 for a in range(size)])
        curvature += (up + down - 2 * energy) / ((edges[1] - edges[0]) ** 2 * size)
    order = np.argsort(energy[lowest], kind="stable")
    places, sd = grid.points[lowest][order], np.sqrt(grid.temperature / curvature[lowest][order])
    kept: list[int] = []
    for i, place in enumerate(places):  # one that falls between points of the grid is seen at several of them
        if all(np.abs(place - places[j]).max() > 2.5 * (grid.edges[0][1] - grid.edges[0][0]) for j in kept):
            kept.append(i)
    return places[kept], sd[kept]


# -- measures on a potential -------------------------------------------------------------------------------------------


def density_of(draws: Draws, edges: Sequence[np.ndarray]) -> np.ndarray:
    """Weight of the draws in each cell, of all their weight; what lies outside the box is missing from the sum. NaN
    without weight.
    """
    flat, w = draws.position.reshape(-1, draws.position.shape[-1]), draws.weight.ravel()
    total = w.sum()
    counts = np.histogramdd(flat, bins=list(edges), weights=w)[0]
    return counts / total if total > 0 else np.full(counts.shape, np.nan)


def total_variation(found: np.ndarray, exact: np.ndarray) -> float:
    """Half the sum of |found - exact| over cells, found mass outside the box included."""
    return float((np.abs(found - exact).sum() + max(0.0, 1 - found.sum())) / 2)


def independent_distance(exact: np.ndarray, draws: float) -> float:
    """Total variation that so many independent draws from the exact density would have on average (normal
    approximation).
    """
    return float(np.sqrt(2 * exact * (1 - exact) / (math.pi * draws)).sum() / 2) if draws > 0 else math.nan


def effective_draws(values: np.ndarray, weight: np.ndarray) -> float:
    """Effective sample size of the weighted mean of `values` [chain, draw].

    With weights of mean 1, the error of the self-normalised mean m is that of the mean of ``z = w (f - m)``: ESS(z) as
    of unweighted chains (arviz-stats, between-chain variance included) times Var f / Var z. Without weights it is the
    usual ESS.
    """
    from arviz_stats.base import array_stats

    if values.shape[1] < 4 or weight.sum() <= 0:
        return math.nan
    w = weight / weight.mean()
    mean = (w * values).mean()
    z = w * (values - mean)
    spread = z.var()
    if not spread > 0:
        return math.nan
    with np.errstate(all="ignore"):
        ess = float(array_stats.ess(z, method="mean"))
    return ess * float((w * (values - mean) ** 2).mean() / spread)


def modes_found(draws: Draws, exact: Exact) -> np.ndarray:
    """[M] bool, whether a draw that counts is within FOUND sd of each mode."""
    counted = draws.position[draws.weight > 0]
    nearest = mode_of(counted, exact.modes)
    close = ((counted - exact.modes[nearest]) ** 2).sum(axis=-1) <= (FOUND * exact.mode_sd[nearest]) ** 2
    return np.bincount(nearest[close], minlength=len(exact.modes)) > 0


def mode_changes(draws: Draws, exact: Exact) -> float:
    """How often a chain was in another mode than at its draw before, mean over chains; draws that do not count are
    passed over.
    """
    changes = 0
    for position, weight in zip(draws.position, draws.weight, strict=True):
        place = mode_of(position[weight > 0], exact.modes)
        changes += int((place[1:] != place[:-1]).sum())
    return changes / len(draws.position)


def on_potential(draws: Draws, exact: Exact) -> dict[str, Any]:
    """Measures of an entry: name -> [group] numbers, and under "all" those of all groups' draws together.

    tv : total variation on the cells. wasserstein : W_1 (one dimension). mode_error : total variation of the weights of
    the modes.
    modes : modes found. mode_changes : see there. mean_error : squared error of the mean in exact variances, of the
    worst coordinate; its inverse is the number of independent draws that would do as well.
    """
    parts = [draws.of(g) for g in range(draws.groups)]
    each = [_measures(part, exact) for part in parts]
    out: dict[str, Any] = {name: np.array([m[name] for m in each]) for name in each[0]}
    error = np.stack([(_mean(part) - exact.grid.mean) ** 2 for part in parts]) / exact.variance
    worst = int(error.mean(axis=0).argmax())
    out["mean_error"] = error[:, worst]
    w = draws.weight
    ess = [effective_draws(draws.position[..., k], w) for k in range(draws.position.shape[-1])]
    together = _measures(draws, exact)
    together["ess"] = min(ess)
    together["weight_ess"] = float(w.sum() ** 2 / (w**2).sum()) if w.any() else 0.0
    together["draws"] = int((w > 0).sum())
    together["tv_independent"] = independent_distance(exact.probability, together["draws"] / draws.groups)
    raw = Draws(draws.position, (w > 0).astype(np.float64), draws.group)
    return out | {"all": together, "weighted": density_of(draws, exact.edges), "raw": density_of(raw, exact.edges)}


def _measures(draws: Draws, exact: Exact) -> dict[str, float]:
    found, counted = density_of(draws, exact.edges), draws.weight > 0
    share = np.bincount(
        mode_of(draws.position[counted], exact.modes), weights=draws.weight[counted], minlength=len(exact.modes)
    )
    out = {"tv": total_variation(found, exact.probability)}
    if len(exact.edges) == 1:
        out["wasserstein"] = (
            exact.grid.wasserstein(draws.position[counted], np.log(draws.weight[counted]))
            if counted.any()
            else math.nan
        )
    total = share.sum()
    out["mode_error"] = float(np.abs(share / total - exact.mode_weight).sum() / 2) if total > 0 else math.nan
    return out | {"modes": float(modes_found(draws, exact).sum()), "mode_changes": mode_changes(draws, exact)}


def _mean(draws: Draws) -> np.ndarray:
    """[P] weighted mean, NaN without weight."""
    w = draws.weight[..., None]
    total = w.sum()
    return (w * draws.position).sum(axis=(0, 1)) / total if total > 0 else np.full(draws.position.shape[-1], np.nan)


# -- measures on networks ----------------------------------------------------------------------------------------------


def on_networks(run: xr.DataTree, groups: int) -> dict[str, Any]:
    """Test scores of an entry, name -> [group]: of single draws (mean over those that count), and of each group's
    averaged prediction.

    Averages need stored parameters. `last` is of the last draw of every chain that counts.
    """
    stats = run["sample_stats"].to_dataset()
    shape = stats["energy"].transpose("chain", "draw").shape
    log_w = stats["log_weight"].transpose("chain", "draw").to_numpy() if "log_weight" in stats else np.zeros(shape)
    log_w = np.where(np.isfinite(stats["energy"].transpose("chain", "draw").to_numpy()), log_w, -np.inf)
    w = np.exp(log_w - (log_w.max() if np.isfinite(log_w).any() else 0.0))
    by_group = w.reshape(groups, -1)
    out: dict[str, Any] = {}
    for name, label in (
        *((f"test_{score}", score) for score in (*SCORES, "nll")),
        ("energy", "energy"),
    ):
        if name not in stats:
            continue
        values = stats[name].transpose("chain", "draw").to_numpy()
        out[f"{label}_single"] = _weighted(values.reshape(groups, -1), by_group)
        out[f"{label}_last"] = _weighted(values[:, -1].reshape(groups, -1), w[:, -1].reshape(groups, -1))
    return out | _average_scores(run, w.reshape(groups, -1, shape[1])) | {"all": {"draws": int((w > 0).sum())}}


def _weighted(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted mean over the last axis; NaN where nothing counts."""
    total = weight.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(weight > 0, values * weight, 0.0).sum(axis=1) / np.where(total > 0, total, np.nan)


def _average_scores(run: xr.DataTree, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Scores of the prediction averaged over the draws of each group; `weight` [group, chain of the group, draw]."""
    from ..averages.predictive import model_of, restored_data
    from ..averages.scores import scores

    if "posterior" not in run.children:
        return {}
    model, data = model_of(run), restored_data(run)
    posterior = run["posterior"].to_dataset()
    tensors = {name: posterior[name].transpose("chain", "draw", ...).to_numpy() for name in model.layout.tensors}
    position = model.layout.join(tensors)
    dataset = run["sample_stats"]["dataset"].to_numpy()
    groups, size, _ = weight.shape
    found = []
    for g in range(groups):
        d = int(dataset[g * size])
        total, y = 0.0, data.y_test[d]
        mean = np.zeros((len(y), model.outputs))
        for c in range(size):
            counted = weight[g, c] > 0
            if counted.any():
                phi = model.predict(position[g * size + c, counted], data.x_test[d].astype(position.dtype))
                mean += np.tensordot(weight[g, c, counted], phi, axes=1)
                total += float(weight[g, c].sum())
        found.append(scores(model.task, model.location(mean / total), y) if total > 0 and len(y) else {})
    names = next((list(f) for f in found if f), [])
    return {f"{name}_average": np.array([f.get(name, math.nan) for f in found]) for name in names}
