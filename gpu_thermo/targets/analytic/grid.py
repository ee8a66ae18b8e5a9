"""Exact answers in one or two dimensions: exp(-U/tau) on a grid, and how far weighted samples are from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from scipy import stats

from ...errors import DataError, SpecError
from ..base import Array, Potential

CELLS = {1: 100_000, 2: 1_000}
MAX_CELLS = 2**26
_BLOCK = 2**16


@dataclass(frozen=True)
class Grid:
    """The density exp(-U/tau) on equal cells, U taken at their centres (midpoint rule).

    Attributes
    ----------
    edges : for each axis, [cells + 1] float64. energy : [cells] or [cells, cells] float64, axes in order. temperature :
    tau.
    coordinates : names of the axes.
    """

    edges: tuple[np.ndarray, ...]
    energy: np.ndarray
    temperature: float = 1.0
    coordinates: tuple[str, ...] = ()

    @classmethod
    def of(cls, potential: Potential, extent: Any = None, cells: int | None = None, temperature: float = 1.0) -> Self:
        """The grid of a potential in one or two dimensions.

        Parameters
        ----------
        extent : (low, high) of all axes, or one pair for each; the potential's box by default. cells : per axis. Of a
        potential with values
            for each replica, replica 0 counts.

        Raises
        ------
        SpecError
            If the potential has more than two coordinates, or the grid cannot be made.
        """
        size = potential.layout.size
        if size not in CELLS:
            raise SpecError(f"The potential has {size} coordinates: grids are for 1 or 2.")
        cells = CELLS[size] if cells is None else cells
        if not 1 <= cells**size <= MAX_CELLS:
            raise SpecError(f"cells = {cells} makes {cells**size} cells: use at most {MAX_CELLS} in all.")
        if extent is None and potential.bounds is None:
            raise SpecError("The potential has no box: give the grid's extent = (low, high).")
        edges = tuple(np.linspace(low, high, cells + 1) for low, high in _extents(extent or potential.bounds, size))
        points = np.stack(np.meshgrid(*map(_centres, edges), indexing="ij"), axis=-1).reshape(-1, size)
        blocks = (points[i : i + _BLOCK] for i in range(0, len(points), _BLOCK))
        energies = [potential.energy(block, np.zeros(len(block), np.int64)) for block in blocks]
        return cls(edges, np.concatenate(energies).reshape((cells,) * size), _tau(temperature), potential.coordinates)

    def at(self, temperature: float) -> "Grid":
        """The same energies at another temperature."""
        return replace(self, temperature=_tau(temperature))

    @property
    def axes(self) -> tuple[np.ndarray, ...]:
        """Centres of the cells along each axis."""
        return tuple(map(_centres, self.edges))

    @property
    def points(self) -> np.ndarray:
        """Centres of all cells, [cells..., P]."""
        return np.stack(np.meshgrid(*self.axes, indexing="ij"), axis=-1)

    @cached_property
    def _scaled(self) -> tuple[np.ndarray, float]:
        """exp(-(U - min U)/tau), and the log of its sum."""
        weight = np.exp(-(self.energy - self.energy.min()) / self.temperature)
        return weight, float(np.log(weight.sum()))

    @cached_property
    def probability(self) -> np.ndarray:
        """Probability of every cell, sum 1."""
        weight, log_sum = self._scaled
        return weight * np.exp(-log_sum)

    @property
    def cell(self) -> float:
        """Length or area of a cell."""
        return float(np.prod([e[1] - e[0] for e in self.edges]))

    @property
    def density(self) -> np.ndarray:
        """Probability density at the cell centres."""
        return self.probability / self.cell

    @property
    def log_partition(self) -> float:
        """log of the integral of exp(-U/tau) over the grid."""
        return self._scaled[1] - float(self.energy.min()) / self.temperature + float(np.log(self.cell))

    def expectation(self, values: np.ndarray | Callable[[np.ndarray], np.ndarray]) -> Any:
        """Mean of `values` [cells..., ...], or of a function of positions [n, P] -> [n, ...]."""
        p = self.probability.reshape(-1)
        if callable(values):
            return np.tensordot(p, np.asarray(values(self.points.reshape(len(p), -1))), axes=1)
        return np.tensordot(p, np.asarray(values).reshape(len(p), *np.shape(values)[self.energy.ndim :]), axes=1)

    @cached_property
    def mean(self) -> np.ndarray:
        """Mean position [P]."""
        return np.asarray(self.expectation(self.points))

    @cached_property
    def covariance(self) -> np.ndarray:
        """Covariance of the position [P, P]."""
        centred = self.points.reshape(-1, len(self.edges)) - self.mean
        return (centred * self.probability.reshape(-1, 1)).T @ centred

    def mode_weights(self, modes: Any) -> np.ndarray:
        """Probability of every basin; `modes` as for `mode_of`."""
        return mode_weights(
            self.points.reshape(-1, len(self.edges)), modes, np.log(np.maximum(self.probability.reshape(-1), 1e-300))
        )

    def energy_bins(self, lowest: float, width: float, bins: int) -> np.ndarray:
        """P(bin i) [bins] of bin J = clamp(floor((U - lowest)/width), 0, bins - 1): equations.md section 5, contour
        SGLD.
        """
        index = np.clip(np.floor((self.energy.reshape(-1) - lowest) / width), 0, bins - 1).astype(np.int64)
        return np.bincount(index, self.probability.reshape(-1), minlength=bins)

    def coarse(self, bins: int) -> np.ndarray:
        """Probabilities summed to `bins` equal cells per axis."""
        coarse = self.probability
        for axis, edges in enumerate(self.edges):
            cells = len(edges) - 1
            if bins < 1 or cells % bins:
                raise SpecError(f"bins = {bins} does not divide the grid's {cells} cells: use a divisor.")
            coarse = np.add.reduceat(coarse, np.arange(0, cells, cells // bins), axis=axis)
        return coarse

    def total_variation(self, position: Array, log_weight: Array | None = None, bins: int = 50) -> float:
        """Total variation distance, in [0, 1], of weighted samples from the density, both on `bins` equal cells per
        axis.

        Parameters
        ----------
        position : [..., P]. log_weight : [...], logarithms of weights, equal by default. Samples beyond the grid count
        in full.
        """
        x, w = _samples(position, log_weight, len(self.edges))
        coarse = self.coarse(bins)
        edges = [np.linspace(e[0], e[-1], bins + 1) for e in self.edges]
        counts, _ = np.histogramdd(x, edges, weights=w)
        return float((abs(counts - coarse).sum() + max(0.0, 1 - counts.sum())) / 2)

    def wasserstein(self, position: Array, log_weight: Array | None = None, axis: int = 0) -> float:
        """1-Wasserstein distance between the marginals along `axis`: the area between the two distribution functions.

        The grid's own part is exact to a quarter of a cell.
        """
        x, w = _samples(position, log_weight, len(self.edges))
        marginal = self.probability.sum(axis=tuple(i for i in range(self.energy.ndim) if i != axis))
        return float(stats.wasserstein_distance(x[:, axis], self.axes[axis], w, marginal))


def mode_of(position: Array, modes: Any) -> np.ndarray:
    """Basin [...] of positions [..., P]: the nearest of `modes` [M, P] (or [M] where P is 1); for a number, 0 left of
    it and 1 right.
    """
    x = np.asarray(position, np.float64)
    centres = np.asarray(modes, np.float64)
    if centres.ndim == 0:
        if x.shape[-1] != 1:
            raise SpecError(
                f"modes = {float(centres):g} is a boundary on one coordinate, but positions have {x.shape[-1]}: give"
                " means."
            )
        return (x[..., 0] > centres).astype(np.int64)
    centres = centres[:, None] if centres.ndim == 1 else centres
    if centres.shape[1] != x.shape[-1]:
        raise SpecError(f"modes have {centres.shape[1]} coordinates and positions {x.shape[-1]}: give the same number.")
    flat = x.reshape(-1, x.shape[-1])
    blocks = (flat[i : i + _BLOCK, None, :] - centres for i in range(0, len(flat), _BLOCK))
    nearest = [(b * b).sum(axis=-1).argmin(axis=1) for b in blocks]
    return np.concatenate(nearest or [np.zeros(0, np.int64)]).reshape(x.shape[:-1])


def mode_weights(position: Array, modes: Any, log_weight: Array | None = None) -> np.ndarray:
    """Weight of every basin among samples [..., P], of sum 1; `modes` as for `mode_of`, `log_weight` [...] equal by
    default.
    """
    x, w = _samples(position, log_weight, np.shape(position)[-1])
    return np.bincount(mode_of(x, modes), w, minlength=2 if np.ndim(modes) == 0 else len(modes))


def _samples(position: Array, log_weight: Array | None, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples [n, P], and weights [n] of sum 1."""
    x = np.asarray(position, np.float64)
    if x.ndim == 0 or x.shape[-1] != size or not x.size:
        raise DataError(f"Samples have shape {x.shape}: give [..., {size}], at least one.")
    log_w = np.zeros(x.shape[:-1]) if log_weight is None else np.asarray(log_weight, np.float64)
    if log_w.shape != x.shape[:-1]:
        raise DataError(f"log_weight has shape {log_w.shape} for samples of shape {x.shape}: give one for each sample.")
    x, log_w = x.reshape(-1, size), log_w.reshape(-1)
    if not np.isfinite(x).all() or np.isnan(log_w).any() or not np.isfinite(log_w.max()):
        raise DataError(
            "Samples or weights are not finite: leave out the draws of frozen replicas, and give some sample a weight."
        )
    w = np.exp(log_w - log_w.max())
    return x, w / w.sum()


def _extents(extent: Any, size: int) -> Sequence[tuple[float, float]]:
    pairs = np.asarray((-extent, extent) if np.ndim(extent) == 0 else extent, np.float64)
    pairs = np.broadcast_to(pairs, (size, 2)) if pairs.shape == (2,) else pairs
    if pairs.shape != (size, 2) or not (np.isfinite(pairs).all() and (pairs[:, 0] < pairs[:, 1]).all()):
        raise SpecError(f"extent = {extent} is not (low, high) for all axes or each of {size}: give low below high.")
    return [(float(low), float(high)) for low, high in pairs]


def _centres(edges: np.ndarray) -> np.ndarray:
    return (edges[1:] + edges[:-1]) / 2


def _tau(temperature: float) -> float:
    if not 0 < temperature < np.inf:
        raise SpecError(f"temperature = {temperature} gives no density: use a positive number.")
    return float(temperature)
