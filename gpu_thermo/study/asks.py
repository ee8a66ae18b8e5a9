"""What several runs ask of their engines, done in one launch.

Each run asks for the steps of a segment of a job of its own. Those whose jobs do the same at the step where they are,
but for hyperparameters and identities, are rows of one state while they go on, and have their own states back after
each piece; a segment may be done in several pieces, and what was recorded is the same, bit for bit.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from ..engines import Engine, Job, make_engine
from ..engines.base import cut, own_arrays
from ..state import Hyper, Recorded, Segment, State, Track
from ..targets.base import Target

Array = Any


@dataclass(frozen=True, eq=False)
class Stage:
    """One job of one run, for as long as it is in force, and which engine does it: its name, device and threads."""

    job: Job
    engine: str
    device: str
    threads: int | None = None

    def make(self, job: Job) -> Engine:
        """An engine as its own, of another job."""
        return make_engine(job, self.engine, self.device, self.threads)

    @cached_property
    def alone(self) -> Engine:
        """Who does its steps where no other goes with it."""
        return self.make(self.job)


@dataclass(eq=False)
class Ask:
    """Steps that a run wants done: those of `segment` from `state`, by `hyper`.

    Attributes
    ----------
    pieces : what was recorded so far. seconds : what that took, of a launch its share.
    """

    stage: Stage
    state: State
    segment: Segment
    hyper: Hyper
    pieces: list[Recorded] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def step(self) -> int:
        """Where it is."""
        return self.state.step

    @property
    def stop(self) -> int:
        """Where the segment ends."""
        return self.segment.start + self.segment.steps

    @property
    def recorded(self) -> Recorded:
        """All pieces as one. What stood on a device is there no more."""
        return self.pieces[0] if len(self.pieces) == 1 else Recorded.joined(self.pieces)

    def go_alone(self, stop: int) -> None:
        """To a step within the segment."""
        piece = cut(self.segment, self.step, stop - self.step)
        whole = piece == self.segment  # then nothing that is recorded later is put in its place before it is looked at
        found = self.stage.alone.advance(self.state, piece, self.hyper)
        self.pieces.append(found if whole else replace(found, there=None))

    def goes_with(self, other: "Ask") -> bool:
        """Whether the two can be rows of one state."""
        return not self._is_apart and not other._is_apart and self._what == other._what

    @property
    def _is_apart(self) -> bool:
        """Whether its steps know more than hyperparameters that stay."""
        job = self.stage.job
        return bool(job.hyper.schedules or self.hyper.schedules or job.clock or job.contour)

    @property
    def _what(self) -> tuple[Any, ...]:
        """What all rows of a state have in common."""
        stage, job, state = self.stage, self.stage.job, self.state
        does = job.program, job.batching, job.dtype, job.work, job.scale is None, self.hyper.power is None
        return stage.engine, stage.device, state.step, state.evaluations, *does


class Launches:
    """Carries out what is asked, in as few launches as can be; it knows those of the last time, and who did not go
    together.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[Stage, ...], Joined | None] = {}

    def advance(self, asks: Sequence[Ask], stop: int) -> None:
        """All of these, which stand at one step, to another within their segments."""
        last, self._last = self._last, {}
        for group in _grouped(asks):
            began = time.perf_counter()
            stages = tuple(ask.stage for ask in group)
            joined = self._last[stages] = last[stages] if stages in last else Joined.of(group)
            if joined is None:
                for ask in group:
                    ask.go_alone(stop)
            else:
                joined.advance(group, stop)
            each = (time.perf_counter() - began) / sum(ask.state.replicas for ask in group)
            for ask in group:
                ask.seconds += each * ask.state.replicas


def _grouped(asks: Sequence[Ask]) -> list[list[Ask]]:
    """Those that go together, in order of first appearance."""
    groups: list[list[Ask]] = []
    for ask in asks:
        group = next((some for some in groups if some[0].goes_with(ask)), None)
        if group is None:
            groups.append([ask])
        else:
            group.append(ask)
    return groups


class Joined:
    """Asks of several stages, done as those of one job.

    Parameters
    ----------
    asks : the first ones, each of another run. target : what all their replicas are about.
    """

    def __init__(self, asks: Sequence[Ask], target: Target) -> None:
        jobs = [ask.stage.job for ask in asks]
        sizes = [job.replicas for job in jobs]
        self._rows = [slice(*ends) for ends in pairwise(np.cumsum([0, *sizes]).tolist())]
        self._taken: list[Hyper] = []
        self._take([ask.hyper for ask in asks])
        seed, stream = (np.concatenate([getattr(job, name) for job in jobs]) for name in ("seed", "stream"))
        job = replace(jobs[0], target=target, hyper=self._hyper, seed=seed, stream=stream, scale=_scale(jobs))
        self._engine = asks[0].stage.make(job)
        self._ticks = any(record.ticks for record in job.program.records)

    @classmethod
    def of(cls, asks: Sequence[Ask]) -> "Joined | None":
        """Of two or more whose data allow it."""
        one, *others = (ask.stage.job.target for ask in asks)
        target = one.beside(others) if others else None
        return None if target is None else cls(asks, target)

    def advance(self, asks: Sequence[Ask], stop: int) -> None:
        """All of them, in the order of the stages, to one step within their segments."""
        self._take([ask.hyper for ask in asks])
        start = asks[0].step
        records = [cut(ask.segment, start, stop - start).record for ask in asks]
        state = self._engine.begin(lambda xp, rows: _joined([ask.state for ask in asks], xp))
        tracks = tuple(map(Track, self._rows, records))
        whole = Segment(start, stop - start, (), tracks)
        if self._ticks:  # coefficients that differ from step to step know one track
            whole = Segment(start, stop - start, tuple(sorted(set().union(*records))))
        recorded = self._engine.advance(state, whole, self._hyper)
        arrays = own_arrays(state)
        for ask, track in zip(asks, tracks, strict=True):
            mine = {name: value[track.rows] for name, value in arrays.items()}
            ask.state.put(mine, state.step, state.evaluations)
            ask.pieces.append(replace(recorded.of(track), there=None))

    def _take(self, hypers: Sequence[Hyper]) -> None:
        """Hyperparameters of all: another object where one of theirs is."""
        if len(self._taken) == len(hypers) and all(a is b for a, b in zip(self._taken, hypers, strict=True)):
            return
        self._taken, self._hyper = list(hypers), Hyper.joined(hypers)


def _joined(states: Sequence[State], xp: Any) -> State:
    """One state of them all, of what engines advance."""
    every = [own_arrays(state) for state in states]
    arrays = {name: xp.concatenate([own[name] for own in every]) for name in every[0]}
    return State.from_arrays(arrays, states[0].step, states[0].evaluations)


def _scale(jobs: Sequence[Job]) -> np.ndarray | None:
    """[R, P] of all masses."""
    if jobs[0].scale is None:
        return None
    whole = [np.broadcast_to(np.asarray(job.scale), (job.replicas, job.target.layout.size)) for job in jobs]
    return np.concatenate(whole)
