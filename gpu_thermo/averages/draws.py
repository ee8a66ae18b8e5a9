"""The stored draws of a run, read in bounded memory, and the mixtures that they make at points.

One chunk of draws is held at a time; mixtures need the predictions of all draws at some points at once, so that points
go in tiles and the draws are read once for each.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from ..errors import SpecError, StoreError
from ..spec.run import RunSpec
from ..targets.base import Layout
from ..targets.networks import MlpModel
from .mixtures import Mixture
from .moments import BLOCK

Array = Any
_TILE_POINTS = 512
Evaluate = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(positions [r, P], inputs [t, m] as the network sees them) -> Phi [r, t, outputs]."""


@dataclass(frozen=True)
class Scales:
    """Standardisation of each data set, all arrays [D, ...] or None."""

    feature_mean: np.ndarray | None
    feature_sd: np.ndarray | None
    target_mean: np.ndarray | None
    target_sd: np.ndarray | None

    @classmethod
    def of(cls, tree: xr.DataTree) -> "Scales":
        constant = tree["constant_data"].to_dataset()
        names = ("feature_mean", "feature_sd", "target_mean", "target_sd")
        return cls(*(constant[name].to_numpy() if name in constant else None for name in names))

    def target_unit(self, dataset: int) -> np.ndarray | float:
        """Standard deviation [n] that targets were divided by, in their own units; 1 where they were not."""
        return 1.0 if self.target_sd is None else self.target_sd[dataset]

    def inputs(self, x: np.ndarray, dataset: int) -> np.ndarray:
        """Points as the network sees them; missing values (NaN) as the mean, 0."""
        if self.feature_mean is None or self.feature_sd is None:
            return x
        out = (x - self.feature_mean[dataset]) / self.feature_sd[dataset]
        absent = np.isnan(x)
        return np.where(absent, 0.0, out) if absent.any() else out


@dataclass(frozen=True)
class Chunk:
    """Draws of some chains: position [rows, P], the place of each row's ensemble among those asked for, its data set
    and log weight.
    """

    position: np.ndarray
    ensemble: np.ndarray
    dataset: np.ndarray
    log_weight: np.ndarray | None


@dataclass(frozen=True)
class Source:
    """The stored draws of the chosen ensembles."""

    tensors: Sequence[xr.DataArray]
    log_weight: xr.DataArray | None
    weighted: bool
    chain_ensemble: np.ndarray
    chain_dataset: np.ndarray
    ensembles: np.ndarray

    @classmethod
    def of(cls, tree: xr.DataTree, layout: Layout, ensemble: int | None) -> "Source":
        """The draws of one ensemble or of all, their tensors in the order of a position; refuses what has none."""
        if "posterior" not in tree.children:
            raise StoreError(
                'The run has no stored parameters to predict with: sample it with keep = ["parameters"] in [run].'
            )
        posterior = tree["posterior"].to_dataset()
        tensors = [posterior[name].transpose("chain", "draw", ...) for name in layout.tensors]
        if tensors[0].sizes["draw"] == 0:
            raise StoreError("The run has no draws yet: it is still in its burn-in. Resume it, or wait.")
        chains = tensors[0].sizes["chain"]
        coordinate = lambda name: posterior[name].to_numpy() if name in posterior.coords else np.zeros(chains, np.int64)  # noqa: E731
        known = np.unique(coordinate("ensemble"))
        if ensemble is not None and ensemble not in known:
            shown = ", ".join(map(str, known)) if len(known) <= 10 else f"{known[0]} to {known[-1]}"
            raise SpecError(f"There is no ensemble {ensemble} in the run. Ensembles: {shown}.")
        stats: Any = tree["sample_stats"] if "sample_stats" in tree.children else {}
        weights = stats["log_weight"].transpose("chain", "draw") if "log_weight" in stats else None
        chosen = known if ensemble is None else np.array([ensemble])
        moves = RunSpec.from_json(tree.attrs["spec"]).moves
        weighted = weights is not None and any(move.weighted for move in moves)  # else draws count fully or not at all
        return cls(tensors, weights, weighted, coordinate("ensemble"), coordinate("dataset"), chosen)

    @property
    def dtype(self) -> np.dtype:
        return self.tensors[0].dtype

    @property
    def most(self) -> int:
        """Draws of the largest chosen ensemble, frozen ones included."""
        chains = np.isin(self.chain_ensemble, self.ensembles)
        return int(np.unique(self.chain_ensemble[chains], return_counts=True)[1].max()) * self.tensors[0].sizes["draw"]

    def every(self, draws: int | None) -> int:
        """One of how many draws is taken, so that no ensemble has more than `draws`."""
        return 1 if draws is None else max(1, -(-self.most // draws))

    @property
    def total(self) -> int:
        """Draws of all chosen ensembles, frozen ones included."""
        return int(np.isin(self.chain_ensemble, self.ensembles).sum()) * self.tensors[0].sizes["draw"]

    @property
    def ensemble_dataset(self) -> np.ndarray:
        """[E] the data set of each chosen ensemble."""
        return np.array([self.chain_dataset[np.flatnonzero(self.chain_ensemble == e)[0]] for e in self.ensembles])

    def chunks(self, memory: int) -> Iterator[Chunk]:
        """All draws of the chosen chains in blocks of at most 256 chains and about `memory` bytes."""
        draws, per_draw = self.tensors[0].sizes["draw"], self._bytes
        for start in range(0, len(self.chain_ensemble), BLOCK):
            chains = start + np.flatnonzero(np.isin(self.chain_ensemble[start : start + BLOCK], self.ensembles))
            if len(chains) == 0:
                continue
            many = max(1, memory // (2 * per_draw))
            for few in np.array_split(chains, -(-len(chains) // many)):
                step = self._aligned(max(1, many // len(few)))
                for first in range(0, draws, step):
                    yield self._read(few, slice(first, first + step))

    def held(self, memory: int) -> Callable[[], Iterable[Chunk]]:
        """`chunks` for who goes through all draws again and again: read once where they fit into half of the memory."""
        if 2 * self.total * self._bytes > memory:
            return lambda: self.chunks(memory)
        kept = list(self.chunks(memory))
        return lambda: kept

    @property
    def _bytes(self) -> int:
        """Of a draw."""
        return sum(int(np.prod(t.shape[2:])) for t in self.tensors) * self.dtype.itemsize

    def _aligned(self, step: int) -> int:
        """Draws to read at once: whole stored chunks where `step` allows, so that none is read twice."""
        stored = self.tensors[0].encoding.get("preferred_chunks", {}).get("draw", 1)
        return max(step // stored * stored, 1) if step >= stored else step

    def _read(self, chains: np.ndarray, draws: slice) -> Chunk:
        span = slice(int(chains[0]), int(chains[-1]) + 1)
        rows = chains - chains[0]
        pick = lambda a: a.isel(chain=span, draw=draws).to_numpy()[rows]  # noqa: E731
        parts = [pick(t).reshape(len(chains), -1, int(np.prod(t.shape[2:]))) for t in self.tensors]
        position = np.concatenate(parts, axis=-1)
        count = position.shape[1]
        place = np.searchsorted(self.ensembles, self.chain_ensemble[chains])
        weights = None if self.log_weight is None else pick(self.log_weight).reshape(-1)
        flat = position.reshape(len(chains) * count, -1)
        alive = np.isfinite(flat).all(axis=1)
        if weights is not None:
            alive &= weights > -np.inf
        chunk = Chunk(flat, np.repeat(place, count), np.repeat(self.chain_dataset[chains], count), weights)
        return chunk if alive.all() else Chunk(*(None if v is None else v[alive] for v in vars(chunk).values()))  # type: ignore[arg-type]


def mixtures(
    source: Source, model: MlpModel, evaluate: Evaluate, networks: Mapping[int, np.ndarray], points: int,
    memory: int, every: int = 1,
) -> Iterator[tuple[slice, int, Mixture]]:  # fmt: skip
    """The mixture of each ensemble's draws, at tile after tile of `points` points: (tile, place of the ensemble, it).

    Parameters
    ----------
    source : the draws. model : the network, whose answers are numbers. evaluate : its predictions. networks : inputs as
    it sees them, by data set. memory : bytes of the predictions of all ensembles held at once, those of one point at
    least. every : one of so many draws is taken.
    """
    each = -(-source.total // every) * model.outputs * 8
    chunks = source.held(memory)
    width = int(np.clip(memory // (3 * max(1, each)), 1, _TILE_POINTS))
    for start in range(0, points, width):
        tile = slice(start, min(start + width, points))
        held: list[list[tuple[np.ndarray, ...]]] = [[] for _ in source.ensembles]
        seen = 0
        for chunk in chunks():
            for e in np.unique(chunk.ensemble):
                mine = np.flatnonzero(chunk.ensemble == e)
                mine = mine[(seen + mine) % every == 0]
                if len(mine):
                    inputs = networks[int(chunk.dataset[mine[0]])][tile]
                    held[e].append(_laws(chunk, mine, model, evaluate, inputs))
            seen += len(chunk.position)
        for e, parts in enumerate(held):
            if parts:
                yield tile, e, _mixture(model, *(np.concatenate(p) for p in zip(*parts, strict=True)))


def _laws(
    chunk: Chunk, mine: np.ndarray, model: MlpModel, evaluate: Evaluate, inputs: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Locations and scales [r, t, n], and log weights [r], of some rows of a chunk."""
    values = model.likelihood.values
    assert values is not None
    locations, scales = [], []
    for start in range(0, len(mine), BLOCK):
        position = chunk.position[mine[start : start + BLOCK]]
        phi = evaluate(position, inputs).astype(np.float64)
        locations.append(values.location(phi))
        scales.append(np.broadcast_to(values.scale(phi, model.noise(position)), locations[-1].shape))
    log_w = np.zeros(len(mine)) if chunk.log_weight is None else chunk.log_weight[mine]
    return np.concatenate(locations), np.concatenate(scales), log_w


def _mixture(model: MlpModel, location: np.ndarray, scale: np.ndarray, log_weight: np.ndarray) -> Mixture:
    values = model.likelihood.values
    assert values is not None
    return Mixture.of(values.law, model.settings, location, scale, log_weight)
