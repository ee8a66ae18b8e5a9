"""Networks seen where they stand: on a GPU, all replicas at once beside the data; what is seen comes down, and no more.

Rings are not uploaded for it. Where positions are on the host only (a device short of memory, a run that tunes itself)
they travel in blocks, and everything else is the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..averages.moments import RunningMoments, add_densities, merge_densities, relative_weights
from ..engines.gpu import open_gpu
from ..engines.predict.arrays import Predictor
from ..moves.base import Energies
from ..moves.fold import Weigh
from ..state import State
from ..streams import Keys, make_keys
from .seeing import AT_ONCE, NetworkObserver
from .subject import BLOCK, Observation, Setup, blocks, counted

Array = Any
_TOGETHER = 64 * BLOCK
"""Replicas for whose temporaries the device has room at once."""


class ObserverThere(NetworkObserver):
    """A NetworkObserver beside the replicas.

    Parameters
    ----------
    device : where replicas and data stand. Others as of NetworkObserver.
    """

    _at_once = 8 * BLOCK

    def __init__(self, subject: Any, setup: Setup, moments: RunningMoments, predictor: Predictor, device: str) -> None:
        super().__init__(subject, setup, moments, predictor)
        self._xp, place = open_gpu(device)
        self._index, self._sums = int(place.id), True
        self._held: dict[int, tuple[np.ndarray, Array]] = {}
        self._cuts: dict[tuple[int, int], list[tuple[np.ndarray | slice, int]]] = {}
        self._known: dict[tuple[int, int], Keys] = {}
        self._masks: dict[tuple[int, int], tuple[np.ndarray, Array]] = {}

    @property
    def _place(self) -> Any:
        """The device, made anew for each call, because the choice is a thread's own."""
        return self._xp.cuda.Device(self._index)

    def __call__(
        self, position: np.ndarray, is_draw: bool, weigh: Weigh | None = None, there: Array | None = None
    ) -> Observation:
        """See NetworkObserver."""
        with self._place:
            return super().__call__(position, is_draw, weigh, there)

    def watch(self, position: Array) -> np.ndarray:
        """See NetworkObserver."""
        with self._place:
            return super().watch(position)

    def some(self, there: Array | None, rows: Any) -> Array | None:
        """See Observer."""
        if there is None:
            return None
        with self._place:
            return there[rows if isinstance(rows, slice) else self._xp.asarray(rows)]

    def look_at(self, state: State) -> Array:
        """Positions on the device, where the state is there alone."""
        return state.look("position")

    def energy(self, position: Array) -> np.ndarray:
        """See NetworkObserver."""
        with self._place:
            return super().energy(position)

    def energies(self, position: Array, attempt: int, batch: int | None = None) -> Energies:
        """See NetworkObserver."""
        with self._place:
            return super().energies(position if batch is None else self._xp.asarray(position), attempt, batch)

    # -- what differs --------------------------------------------------------------------------------------------------

    def _rows(self, replicas: int, there: Array | None) -> list[slice]:
        """All together where they are on the device."""
        return (
            blocks(replicas) if there is None or isinstance(there, np.ndarray) else blocks(replicas, max(replicas, 1))
        )

    def _here(self, array: Any) -> Any:
        """The copy on the device of what does not change, uploaded once."""
        if not isinstance(array, np.ndarray):
            return array
        if id(array) not in self._held:
            self._held[id(array)] = array, self._xp.asarray(array)
        return self._held[id(array)][1]

    def _keys(self, rows: slice) -> Keys:
        key = rows.start, rows.stop
        if key not in self._known:
            self._known[key] = make_keys(self._setup.job.seed[rows], self._setup.job.stream[rows], self._xp)
        return self._known[key]

    def _of(self, position: Array, mine: np.ndarray | slice) -> Array:
        on_host = isinstance(position, np.ndarray) or isinstance(mine, slice)
        return position[mine if on_host else self._here(mine)]

    def _pieces(self, rows: slice) -> Iterator[tuple[np.ndarray | slice, int]]:
        """The same arrays every time, so that they are uploaded once."""
        key = rows.start, rows.stop
        if key not in self._cuts:
            self._cuts[key] = list(super()._pieces(rows))
        yield from self._cuts[key]

    def _prior(self, position: Array) -> Any:
        if isinstance(position, np.ndarray):
            return super()._prior(position)
        model, points = self._subject.model, self._subject.data.points
        found = [model.prior_energy(position[r], points, self._xp) for r in blocks(len(position), _TOGETHER)]
        return 0.0 if isinstance(found[0], float) else np.concatenate([one.get() for one in found])

    def _log_likelihood(self, position: Array, rows: slice) -> np.ndarray:
        if isinstance(position, np.ndarray):
            position = self._xp.asarray(position)
        whole = super()._log_likelihood
        found = [whole(position[r], slice(rows.start + r.start, rows.start + r.stop)) for r in blocks(len(position))]
        return np.concatenate(found)

    def _add_sums(self, position: Array, rows: slice, log_weight: np.ndarray | None) -> None:
        for e, mine, there, noise in self._ensembles(position, rows, log_weight):
            self._moments.fold(e, mine, there, noise)

    def _ensembles(
        self, position: Array, rows: slice, log_weight: np.ndarray | None
    ) -> Iterator[tuple[int, np.ndarray, "_Ensemble", np.ndarray | None]]:
        """What RunningMoments.fold takes of each ensemble among the replicas."""
        position = self._xp.asarray(position)
        ensemble, alive = self._setup.ensemble[rows], self._alive(position)
        log_weight = np.zeros(len(alive)) if log_weight is None else counted(log_weight)
        assert log_weight is not None
        counts = alive & ~np.isnan(log_weight)
        for e in np.unique(ensemble[counts]):
            mine = counts & (ensemble == e)
            there = _Ensemble(self, position, rows, int(e))
            yield int(e), np.where(mine, log_weight, np.nan), there, self._noise(position, mine)

    def _noise(self, position: Array, mine: np.ndarray) -> np.ndarray | None:
        """[r, n] squares of learned noises, 0 of replicas that do not count."""
        found: Any = self._subject.model.noise_variance(position)
        return None if found is None else np.where(mine[:, None], found.get(), 0.0)

    def _alive(self, position: Array) -> np.ndarray:
        """[r] whether all parameters are finite."""
        xp = self._xp
        found = [xp.isfinite(position[r]).all(axis=-1).get() for r in blocks(len(position), _TOGETHER)]
        return np.concatenate(found)

    def _weight(self, e: int, rows: slice, weight: np.ndarray) -> Array | None:
        """Weights of an ensemble's replicas on the device; where they say only who counts, uploaded when those are
        others than before, and None where all do.
        """
        if weight.dtype != bool:
            return self._xp.asarray(weight)
        if weight.all():
            return None
        before = self._masks.get((e, rows.start))
        if before is None or not np.array_equal(before[0], weight):
            before = self._masks[e, rows.start] = weight, self._xp.asarray(weight).astype(np.float64)
        return before[1]

    def _log_densities(self, position: Array, dataset: int) -> Array:
        """[r, T] float64 log likelihood of the test targets under each replica."""
        model, xp = self._subject.model, self._xp
        x, y = (self._here(array)[dataset] for array in self._test)
        parts = []
        for start in range(0, len(x), AT_ONCE):
            at = slice(start, start + AT_ONCE)
            losses = model.losses(model.outputs_at(position, x[at], xp), y[None, at], xp, position)
            parts.append(-losses.astype(np.float64))
        return xp.concatenate(parts, axis=1)


class _Ensemble:
    """Sums over the replicas `rows` of one ensemble, which stand on the device at `position`: see
    averages.moments.Folded.
    """

    def __init__(self, observer: ObserverThere, position: Array, rows: slice, ensemble: int) -> None:
        self._observer, self._position, self._rows, self._ensemble = observer, position, rows, ensemble
        self._dataset = int(observer._setup.ensemble_dataset[ensemble])

    def sums(self, weight: np.ndarray, scale: float, sums: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """See Folded."""
        o, predictor = self._observer, cast(Any, self._observer._predictor)
        w = o._weight(self._ensemble, self._rows, weight)
        x = o._here(o._points)[self._dataset]
        return dict(predictor.fold(self._position, x, w, scale, sums))

    def densities(
        self, log_weight: np.ndarray, total: np.ndarray, exponent: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See Folded."""
        xp = self._observer._xp
        found: tuple[Array, Array] = xp.asarray(total), xp.asarray(exponent)
        for term in self._terms(log_weight):
            found = add_densities(*found, term, xp)
        return found[0].get(), found[1].get()

    def _terms(self, log_weight: np.ndarray) -> Iterator[Array]:
        """Logarithms of weighted likelihoods [256, T], block by block; -inf of who does not count."""
        o, xp, mine = self._observer, self._observer._xp, ~np.isnan(log_weight)
        counts = o._weight(self._ensemble, self._rows, mine)
        more = xp.asarray(log_weight) if log_weight[mine].any() else None
        for r in blocks(len(log_weight)):
            term = o._log_densities(self._position[r], self._dataset)
            term = term if more is None else term + more[r, None]
            yield term if counts is None else xp.where(counts[r, None] != 0, term, -np.inf)

    def taken(self, log_weight: np.ndarray) -> "Taken":
        """The same, with all that takes long done: sums of each block, for weights up to a power of 2."""
        o, xp, predictor = self._observer, self._observer._xp, cast(Any, self._observer._predictor)
        weight = relative_weights(log_weight)
        w = o._weight(self._ensemble, self._rows, weight)
        sums = predictor.block_sums(self._position, o._here(o._points)[self._dataset], w)
        densities = []
        if o._moments.has_density:
            zero = xp.zeros(len(o._test[0][self._dataset])), xp.zeros(len(o._test[0][self._dataset]), np.int64)
            for term in self._terms(log_weight):
                total, exponent = add_densities(*zero, term, xp)
                densities.append((total.get(), exponent.get()))
        return Taken(weight, sums, densities)


@dataclass(frozen=True)
class Taken:
    """Sums of an ensemble's blocks, ready to be added on the host: see averages.moments.Folded.

    Attributes
    ----------
    weight : [R], who counts (bool), or how much, up to a power of 2. blocks : by name, [blocks, T, n] and [blocks, T].
    likelihoods : sum and exponent [T] of each block.
    """

    weight: np.ndarray
    blocks: Mapping[str, np.ndarray]
    likelihoods: Sequence[tuple[np.ndarray, np.ndarray]]

    def sums(self, weight: np.ndarray, scale: float, sums: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Each block times what its weights lack: a power of 2, so that nothing is rounded twice."""
        if self.weight.dtype != bool:
            largest = int(np.argmax(self.weight))
            scale = float(weight[largest] / self.weight[largest])
        out = {name: np.array(value) for name, value in sums.items()}
        for name, total in out.items():
            for block in self.blocks[name]:
                total += scale * block
        return out

    def densities(
        self, log_weight: np.ndarray, total: np.ndarray, exponent: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """In order, exponents exact."""
        for more, own in self.likelihoods:
            total, exponent = merge_densities(total, exponent, more, own)
        return total, exponent
