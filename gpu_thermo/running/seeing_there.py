"""Networks seen where they stand: on a GPU, all replicas at once beside the data; what is seen comes down, and no more.

Rings are not uploaded for it. Where positions are on the host only (a device short of memory, a run that tunes itself)
they travel in blocks, and everything else is the same.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..engines.gpu import open_gpu
from ..engines.predict.arrays import Predictor
from ..moves.base import Energies
from ..moves.fold import Weigh
from ..state import State
from ..streams import Keys, make_keys
from .seeing import NetworkObserver
from .subject import BLOCK, Observation, Setup, blocks

Array = Any
_TOGETHER = 64 * BLOCK
"""Replicas whose predictions come down at once; the device has room for the temporaries of as many."""


class ObserverThere(NetworkObserver):
    """A NetworkObserver beside the replicas.

    Parameters
    ----------
    device : where replicas and data stand. Others as of NetworkObserver.
    """

    _at_once = 8 * BLOCK

    def __init__(self, subject: Any, setup: Setup, moments: RunningMoments, predictor: Predictor, device: str) -> None:
        super().__init__(subject, setup, moments, predictor)
        self._xp, self._place = open_gpu(device)
        self._held: dict[int, tuple[np.ndarray, Array]] = {}
        self._cuts: dict[tuple[int, int], list[tuple[np.ndarray | slice, int]]] = {}
        self._known: dict[tuple[int, int], Keys] = {}
        self._masks: dict[tuple[int, int], tuple[np.ndarray, Array]] = {}

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
        """All together where they are on the device, but for predictions that come down."""
        if there is None or isinstance(there, np.ndarray):
            return blocks(replicas)
        return blocks(replicas, max(replicas, 1) if self._sums else _TOGETHER)

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
        if isinstance(position, np.ndarray):
            super()._add_sums(position, rows, log_weight)
            return
        ensemble, alive = self._setup.ensemble[rows], self._alive(position)
        if log_weight is not None:
            alive &= log_weight == 0
        for e in np.unique(ensemble[alive]):
            mine = alive & (ensemble == e)
            x = self._here(self._points)[self._setup.ensemble_dataset[e]]
            predictor: Any = self._predictor
            fold = partial(predictor.fold, position, x, self._weight(int(e), rows, mine))
            self._moments.fold(int(e), int(mine.sum()), fold, self._noise(position, mine))

    def _noise(self, position: Array, mine: np.ndarray) -> np.ndarray | None:
        """[r, n] squares of learned noises, 0 of replicas that do not count."""
        found: Any = self._subject.model.noise_variance(position)
        return None if found is None else np.where(mine[:, None], found.get(), 0)

    def _alive(self, position: Array) -> np.ndarray:
        """[r] whether all parameters are finite."""
        xp = self._xp
        found = [xp.isfinite(position[r]).all(axis=-1).get() for r in blocks(len(position), _TOGETHER)]
        return np.concatenate(found)

    def _weight(self, e: int, rows: slice, mine: np.ndarray) -> Array | None:
        """Weights 1 and 0 of an ensemble on the device, uploaded where they are others than before; None for all 1."""
        if mine.all():
            return None
        before = self._masks.get((e, rows.start))
        if before is None or not np.array_equal(before[0], mine):
            before = self._masks[e, rows.start] = mine, self._xp.asarray(mine).astype(np.float64)
        return before[1]
