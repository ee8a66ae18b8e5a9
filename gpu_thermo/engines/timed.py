"""Replicas of different stepsizes that keep one time: an engine for each number of steps, one after another.

Each does what it does alone, at its own steps: minibatches, noise and schedules know the replica's own count only.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np

from ..state import Hyper, Recorded, Segment, State
from ..targets.base import Batch
from .base import Engine, Job, Needs, Start, empty_record, own_arrays

Array = Any


class TimedEngine:
    """Advances a job that has a clock.

    Parameters
    ----------
    job : what to compute. make : the engine of a job without one.
    """

    def __init__(self, job: Job, make: Callable[[Job], Engine]) -> None:
        assert job.clock is not None
        self.job, self._clock = job, job.clock
        self._rows = self._clock.groups()
        self._clocks = self._clock.take(np.array([rows[0] for rows in self._rows]))
        self._engines = [make(taken(job, rows)) for rows in self._rows]
        self.name, self.device = self._engines[0].name, self._engines[0].device

    @staticmethod
    def needs(job: Job, device: str, threads: int | None, of: Callable[[Job], Needs]) -> Needs:
        """What all its engines would take, of which `of` knows each, and a copy of a group's state."""
        assert job.clock is not None
        each = [of(taken(job, rows)) for rows in job.clock.groups()]
        return Needs(sum(n.host for n in each), sum(n.device for n in each))

    def load(self, state: State) -> State:
        """The state itself: each group travels to its engine and back."""
        return state

    def begin(self, make: Start) -> State:
        """On the host, likewise."""
        return make(np, slice(0, self.job.replicas))

    def advance(self, state: State, segment: Segment, hyper: Hyper | None = None) -> Recorded:
        """See Engine; steps are the run's, and those that replicas freeze at, too."""
        assert hyper is None, "a clock goes with no move"
        recorded, end = empty_record(state, segment), segment.start + segment.steps
        stops = np.array([self._clocks.own(s) for s in (segment.start, *segment.record, end)])  # [1 + D + 1, G]
        for g, (rows, engine) in enumerate(zip(self._rows, self._engines, strict=True)):
            first, *record, last = stops[:, g].tolist()
            if last > first:
                self._advance(state, engine, rows, Segment(first, last - first, tuple(record)), recorded, segment)
        state.step, state.evaluations = end, self.job.program.gradients_before(end)
        return recorded

    def _advance(
        self, state: State, engine: Engine, rows: np.ndarray, own: Segment, recorded: Recorded, segment: Segment
    ) -> None:
        arrays = own_arrays(state)
        local = {name: np.ascontiguousarray(value[rows]) for name, value in arrays.items()}
        ordinal = self.job.program.gradients_before(own.start) if own.start else 0
        part = State.from_arrays(local, own.start, ordinal)
        stood = part.status == 0
        ring = engine.advance(part, own)
        for f in fields(ring):
            if f.name not in ("steps", "there") and (values := getattr(ring, f.name)) is not None:
                getattr(recorded, f.name)[:, rows] = values
        fresh = np.flatnonzero(stood & (part.status != 0))
        for i in fresh.tolist():
            part.frozen_step[i] = self._clock.at(
                int(rows[i]), int(part.frozen_step[i]), segment.start, segment.start + segment.steps
            )
        for name, value in part.arrays().items():
            arrays[name][rows] = value


def taken(job: Job, rows: np.ndarray) -> Job:
    """The job of some replicas with one number of steps, without a clock."""
    assert job.clock is not None
    total, mine = int(job.clock.take(rows[:1]).own(job.hyper.total)[0]), job.pick(rows)
    return replace(
        mine, target=_Taken(job.target, job.first + rows), hyper=replace(mine.hyper, total=max(1, total)), clock=None,
        first=0,
    )  # fmt: skip


class _Taken:
    """A target as some of a run's replicas see it: their places in its own arrays are those of the run."""

    def __init__(self, target: Any, rows: Array) -> None:
        self._target, self._rows = target, rows
        if hasattr(target, "dataset") and isinstance(rows, np.ndarray):
            self.dataset = target.dataset[rows]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._target, name)

    def to(self, xp: Any) -> "_Taken":
        """See Target."""
        return _Taken(self._target.to(xp), xp.asarray(self._rows))

    def _all(self, batch: Batch) -> Batch:
        return replace(batch, replica=self._rows[batch.replica])

    def energy_and_gradient(self, position: Array, batch: Batch, **more: Any) -> tuple[Array, Array]:
        """See Target."""
        energy, gradient = self._target.energy_and_gradient(position, self._all(batch), **more)
        return energy, gradient

    def energy_on(self, position: Array, batch: Batch) -> Array:
        """See Target."""
        return self._target.energy_on(position, self._all(batch))
