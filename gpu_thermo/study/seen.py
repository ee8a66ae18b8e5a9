"""Who speaks for each run of a shard at a recorded moment: its one replica, or whichever is on the target rung."""

from dataclasses import dataclass, replace

import numpy as np

from ..moves import fold
from ..running.subject import Setup
from ..state import Snapshot

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Seen:
    """A moment by runs [n], after `step`.

    Attributes
    ----------
    position : [n, P]. kinetic_temperature : [n, K]. energy, statistics : [n]. whole : [n] bool, whether all replicas
    have a finite energy. there : [n] bool, whether the moment says something of the run, which it does not where nobody
    is on the target and the run goes on; None where it always does. A run that has stopped, or with nobody there, has
    NaN. who : [n] the replicas that speak; None for all.
    """

    step: int
    is_draw: bool
    position: np.ndarray
    energy: np.ndarray
    kinetic_temperature: np.ndarray
    statistics: Arrays
    whole: np.ndarray
    there: np.ndarray | None = None
    who: np.ndarray | None = None

    def after(self, before: "Seen | None") -> "Seen":
        """The last that is known of each run: this, or what was known `before` of runs with nobody there."""
        if self.there is None or before is None or self.there.all():
            return self
        old, there = before.statistics, self.there
        return replace(
            self, position=_pick(there, self.position, before.position),
            energy=_pick(there, self.energy, before.energy),
            kinetic_temperature=_pick(there, self.kinetic_temperature, before.kinetic_temperature),
            statistics={name: _pick(there, value, old.get(name, value)) for name, value in self.statistics.items()},
        )  # fmt: skip


def _pick(there: np.ndarray, new: np.ndarray, old: np.ndarray) -> np.ndarray:
    """[n, ..] `new` of runs that are there, `old` of others."""
    return np.asarray(np.where(there if new.ndim == 1 else there[:, None], new, old))


class Speakers:
    """Takes the replicas of a launch to its `runs`, a ladder's by whoever is on its target rung."""

    def __init__(self, ready: Setup, runs: int) -> None:
        self._tied, self._wander = ready.job.replicas // runs, fold.wander(ready.moves)
        self._start = np.arange(runs) * self._tied

    def __call__(self, snapshot: Snapshot) -> Seen:
        """A moment by runs."""
        s, statistics = snapshot, dict(snapshot.statistics)
        whole = np.isfinite(s.energy).reshape(-1, self._tied).all(axis=1)
        if not self._wander:
            return Seen(s.step, s.is_draw, s.position, s.energy, s.kinetic_temperature, statistics, whole)
        alive = (s.status == 0).reshape(-1, self._tied).all(axis=1)
        on = (statistics["rung"] == 0).reshape(-1, self._tied)
        if self._tied > 1:  # of a ladder somebody always counts
            statistics.pop("log_weight", None)
        who, there = self._start + on.argmax(axis=1), on.any(axis=1) & alive
        take = lambda a: np.where(there if a.ndim == 1 else there[:, None], a[who], np.nan)  # noqa: E731
        return Seen(
            s.step, s.is_draw, take(s.position), take(s.energy), take(s.kinetic_temperature),
            {name: take(value) for name, value in statistics.items()}, whole, there | ~alive, who,
        )  # fmt: skip

    @property
    def tied(self) -> int:
        """Replicas of a run."""
        return self._tied

    def pick(self, values: np.ndarray, seen: Seen) -> np.ndarray:
        """[n, ..] of numbers of the replicas [R, ..] at the moment `seen`."""
        return values if seen.who is None else values[seen.who]

    def status(self, status: np.ndarray, frozen_step: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of each run [n]: a ladder has stopped where one of its replicas has, with the first one's cause and step."""
        found, steps = status.reshape(-1, self._tied), frozen_step.reshape(-1, self._tied)
        first = np.where(found != 0, steps, np.iinfo(steps.dtype).max).argmin(axis=1)
        rows = np.arange(len(found))
        return found[rows, first], steps[rows, first]

    def first(self, values: np.ndarray) -> np.ndarray:
        """[n] of what the replicas of a run have in common [R]."""
        return values[self._start]
