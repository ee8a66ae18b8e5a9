"""Networks seen where they stand, on several devices: each looks at its own replicas, all at once.

Statistics are taken by all devices at a time, and so are sums over blocks of 256 replicas, which are added here in the
order of replicas, so that bits are those of one device. A block that two shares have part of is brought together on the
first of them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..engines.predict.arrays import Predictor
from ..engines.predict.pooled import PooledPredictor
from ..engines.sharded import ShardedState, Spread
from ..moves.base import Energies
from ..moves.fold import Weigh
from ..state import State
from .seeing import NetworkObserver
from .seeing_there import ObserverThere
from .subject import BLOCK, Observation, Setup, blocks

Array = Any


class ObserverOfShares(NetworkObserver):
    """A NetworkObserver beside replicas that are shared out.

    Parameters
    ----------
    predictors, devices : of each share, in order. Others as of NetworkObserver.
    """

    def __init__(
        self, subject: Any, setup: Setup, moments: RunningMoments, predictors: Sequence[Predictor],
        devices: Sequence[str],
    ) -> None:  # fmt: skip
        super().__init__(subject, setup, moments, PooledPredictor(predictors))
        self._sums = True
        self._parts = [
            ObserverThere(subject, setup, moments, predictor, device)
            for predictor, device in zip(predictors, devices, strict=True)
        ]
        self._shares: tuple[slice, ...] = ()
        self._due: list[tuple[Array, slice, np.ndarray | None]] = []

    def __call__(
        self, position: np.ndarray, is_draw: bool, weigh: Weigh | None = None, there: Any = None
    ) -> Observation:
        """See NetworkObserver."""
        self._due = []
        seen = super().__call__(position, is_draw, weigh, there)
        assert self._pool is not None
        for found in self._pool.map(lambda due: self._taken(*due), self._due):
            for given in found:
                self._moments.fold(*given)
        self._due = []
        return seen

    def look_at(self, state: State) -> Array:
        """Positions where they stand."""
        found = state.spread("position") if isinstance(state, ShardedState) else None
        return state.position if found is None else found

    def some(self, there: Spread | None, rows: Any) -> Spread | None:
        """See Observer; None of rows that are scattered, as those on the target of ladders are."""
        neighbours = isinstance(rows, slice) and not rows.start and rows.step in (None, 1)
        if there is None or not neighbours:
            return None
        return there if rows.stop is None else there.head(rows.stop)

    def watch(self, position: Array) -> np.ndarray:
        """See NetworkObserver."""
        if isinstance(position, Spread):
            self._shares = position.rows
        return super().watch(position)

    def energies(self, position: Array, attempt: int, batch: int | None = None) -> Energies:
        """See NetworkObserver."""
        rows = self._rows(len(position), position)
        if batch is not None:
            size = self._parts[0]._at_once
            rows = [slice(r.start + b.start, r.start + b.stop) for r in rows for b in blocks(r.stop - r.start, size)]

        def one(r: slice) -> tuple[np.ndarray, ...]:
            """Of neighbours on one device."""
            part, few = self._part(r), position[r]
            with part._place, np.errstate(all="ignore"):
                there = part._xp.asarray(few)
                if batch is not None:
                    return part._noisy(there, r, attempt, batch)
                seen = part._energies_of(there, r)
            return seen["energy"], np.zeros(len(few)), seen["energy_prior"]

        found = self._ahead(one, rows)
        return Energies(*(np.concatenate(column) for column in zip(*found, strict=True)))

    # -- what differs --------------------------------------------------------------------------------------------------

    def _rows(self, replicas: int, there: Array | None) -> list[slice]:
        """All whole blocks of a share together, and alone those that two shares have part of."""
        if not isinstance(there, Spread):
            return blocks(replicas)
        self._shares, out, at = there.rows, [], 0
        for share in (*there.rows, slice(replicas, replicas)):
            first = min(-(-share.start // BLOCK) * BLOCK, replicas)
            last = share.stop if share.stop == replicas else share.stop // BLOCK * BLOCK
            if first < last or share.start == replicas:
                out += [slice(at + b.start, at + b.stop) for b in blocks(max(first - at, 0))]
                out += [slice(first, last)] * (first < last)
                at = last
        return out

    def _part(self, rows: slice) -> ObserverThere:
        """The device that has the first of these replicas; where they are on the host only, each takes its turn."""
        turn = next((i for i, s in enumerate(self._shares) if s.start <= rows.start < s.stop), rows.start // BLOCK)
        return self._parts[turn % len(self._parts)]

    def _block(self, position: Array, rows: slice, is_draw: bool) -> Any:
        part = self._part(rows)
        with part._place:
            return part._block(part._xp.asarray(position), rows, is_draw)

    def _add_sums(self, position: Array, rows: slice, log_weight: np.ndarray | None) -> None:
        self._due.append((position, rows, log_weight))

    def _taken(self, position: Array, rows: slice, log_weight: np.ndarray | None) -> list[Any]:
        """Sums over the blocks of some replicas, ensemble by ensemble."""
        part = self._part(rows)
        with part._place, np.errstate(all="ignore"):
            found = part._ensembles(position, rows, log_weight)
            return [(e, mine, there.taken(mine), noise) for e, mine, there, noise in found]

    def _phi(self, position: Array, rows: slice, x: Array) -> np.ndarray:
        part = self._part(rows)
        with part._place:
            return part._phi(position, rows, x)

    def _energies_of(self, position: Array, rows: slice) -> dict[str, np.ndarray]:
        part = self._part(rows)
        with part._place:
            return part._energies_of(part._xp.asarray(position), rows)
