"""The run loop: plan segments, advance, observe. It knows nothing of stores and signals; run.py does."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..engines import Engine
from ..engines.base import moment_bytes
from ..engines.work import STATISTICS as WORK
from ..moves import fold
from ..moves.base import Energies
from ..state import Recorded, Snapshot, State
from .agenda import Agenda
from .pace import Pace
from .subject import Observer, Setup

RING_BYTES = {"cpu": 4 * 2**20, "cuda": 64 * 2**20}
"""What a segment may record: the host holds it several times over; a GPU's state travels once a segment."""
MOST_MOMENTS = 256
"""Recorded moments of a segment: looking at each takes time, in which no signal is answered."""


@dataclass(frozen=True)
class Progress:
    """Where a run stands; `kinetic_temperature` maps partition to its mean over replicas and the last recorded
    moments. Of a run that tunes itself: its phase, its error so far against its tolerance, in posterior sd, and how
    many seconds are left at most, by what it may take.
    """

    step: int
    total_steps: int
    replicas: int
    steps_per_second: float
    seconds_left: float
    energy: float
    kinetic_temperature: Mapping[str, float]
    frozen: int
    draws: int
    committed_draws: int
    phase: str = ""
    error: float = float("nan")
    tolerance: float = float("nan")
    most_seconds_left: float = float("nan")

    @property
    def replica_steps_per_second(self) -> float:
        """Steps per second times replicas."""
        return self.steps_per_second * self.replicas


def ring_slots(moment: int, device: str) -> int:
    """How many moments of so many bytes a segment records at most."""
    return max(1, min(MOST_MOMENTS, RING_BYTES[device.partition(":")[0]] // max(1, moment)))


# -- the loop ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """One recorded moment: the snapshot, and what only the store wants: the draw's number, or -1; whether the learning
    curves have a point here.
    """

    snapshot: Snapshot
    predictions: np.ndarray | None
    log_likelihood: np.ndarray | None = None
    draw: int = -1
    traced: bool = False


@dataclass
class Loop:
    """Advances one run. `state` and `moments` are all that changes, and all that a checkpoint needs.

    Momenta are seen where segments end: at every draw of a run that keeps them, with `stops` at every recorded moment.
    """

    setup: Setup
    engine: Engine
    state: State
    moments: RunningMoments
    observer: Observer
    pace: Pace = field(default_factory=Pace)
    rate: float = 0.0
    last: Progress | None = None
    stops: bool = False

    @classmethod
    def make(
        cls, setup: Setup, engine: Engine, state: State, moments: RunningMoments, threads: int | None = None,
        stops: bool = False,
    ) -> "Loop":  # fmt: skip
        """A loop over `setup` from `state`."""
        state = engine.load(state)
        observer = setup.subject.observer(setup, moments, engine.device, threads)
        return cls(setup, engine, state, moments, observer, stops=stops)

    @cached_property
    def _direction(self) -> np.ndarray:
        """[K] whether a partition's momentum is a direction, whose p.p says nothing."""
        program = self.setup.program
        return np.array([program.has_fixed_length(k) for k in range(len(program.partition.names))])

    @cached_property
    def moment_bytes(self) -> int:
        """Bytes of one recorded moment, as it leaves the engine."""
        return moment_bytes(self.setup.job)

    @property
    def agenda(self) -> Agenda:
        """When the run records."""
        return self.setup.agenda

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        return self.state.step >= self.setup.spec.run.steps

    def saved(self) -> State:
        """The state as a checkpoint keeps it."""
        return self.state

    def said(self) -> dict[str, Any]:
        """What else a commit is to say, as plain data."""
        moves = fold.reports(self.setup.moves, self.state)
        return {"moves": moves} if moves else {}

    def last_resort(self) -> list[Moment]:
        """What to keep where a run stops before its first draw, as of now."""
        return []

    def overdue(self, seconds: float) -> bool:
        """Whether the run ends because it has taken so long."""
        return False

    def segments(self) -> Iterator[list[Moment]]:
        """Moments recorded by each segment, until the run is complete or every replica is frozen."""
        agenda, moves, state = self.agenda, self.setup.moves, self.state
        slots = ring_slots(self.moment_bytes, self.engine.device)
        while state.step < agenda.run.steps and state.running:
            due = min(self._next_stop(state.step), fold.next_stop(moves, state.step, agenda.next_draw(state.step)))
            stop = min(state.step + self.pace.next(), due)
            segment = agenda.segment(state.step, stop, slots)
            begin = time.perf_counter()
            recorded = self.engine.advance(state, segment, fold.hyper(moves, state))
            self.pace.saw(segment.steps, time.perf_counter() - begin)
            self.rate = self.rate or segment.steps / max(time.perf_counter() - begin, 1e-6)
            moments = self.see(recorded)
            del recorded  # the moments look into it: with the last of them it is gone, before the next is made
            fold.act(moves, state, self._energies)
            yield moments
            del moments
            self.rate = 0.7 * self.rate + 0.3 * segment.steps / max(
                time.perf_counter() - begin, 1e-6
            )  # moves, averages, writing included

    def see(self, recorded: Recorded) -> list[Moment]:
        """What was recorded, looked at, as draws and points of the learning curves."""
        return [self._moment(recorded, i) for i in range(len(recorded.steps))]

    def _next_stop(self, step: int) -> int:
        """Where a segment has to end for the sake of momenta."""
        agenda = self.setup.agenda
        if self.stops:
            return agenda.next_record(step)
        return agenda.next_draw(step) if "momenta" in agenda.run.keep else agenda.run.steps

    def _momentum(self, step: int) -> np.ndarray | None:
        """[R, P] momenta after `step`, where the segment ended there; NaN where frozen."""
        if step != self.state.step or not (self.stops or "momenta" in self.setup.spec.run.keep):
            return None
        momentum = np.array(self.state.momentum)
        momentum[self._status(step) != 0] = np.nan
        return momentum

    def _energies(self, attempt: int, batch: int | None = None) -> Energies:
        """Energies of the replicas where they are, for a move that asks."""
        return self.observer.energies(self.observer.look_at(self.state), attempt, batch)

    def _status(self, step: int) -> np.ndarray:
        """[R] int32, why replicas were frozen by `step`; 0 elsewhere."""
        state = self.state
        if state.running == state.replicas:
            return np.zeros(state.replicas, np.int32)
        frozen = (state.frozen_step >= 0) & (state.frozen_step <= step)
        return np.where(frozen, state.status, 0).astype(np.int32)

    def _moment(self, recorded: Recorded, i: int) -> Moment:
        step, position, moves = recorded.steps[i], recorded.position[i], self.setup.moves
        draw = self.agenda.is_draw(step)
        there = None if recorded.there is None else recorded.there[i]
        seen = self.observer(position, draw, fold.weigh(moves, self.state) if draw else None, there)
        of_moves = fold.statistics(moves, self.state, step)
        of_work = {name: getattr(recorded, name)[i] for name in WORK} if self.setup.job.counts_work else {}
        statistics = dict(seen.statistics) | of_moves | self.setup.method_statistics(step) | of_work
        return Moment(
            Snapshot(
                step=step,
                is_draw=draw,
                position=position,
                thermostat=recorded.thermostat[i],
                kinetic_temperature=np.where(self._direction, np.nan, recorded.kinetic_temperature[i]),
                energy=statistics.pop("energy"),
                status=self._status(step),
                statistics=statistics,
                momentum=self._momentum(step),
            ),
            seen.predictions,
            seen.log_likelihood,
            int(self.agenda.index(np.asarray(step))) if draw else -1,
            self.agenda.is_traced(step),
        )

    def progress(self, moments: list[Moment], committed: int) -> Progress:
        """Where the run stands after a segment."""
        run, last = self.setup.spec.run, self.last
        energy, kinetic = (last.energy, dict(last.kinetic_temperature)) if last else (float("nan"), {})
        if moments:
            snapshot = moments[-1].snapshot
            alive = snapshot.status == 0
            names = self.setup.program.partition.names
            if alive.any():
                energy = float(snapshot.energy[alive].mean())
                kinetic = {
                    name: float(snapshot.kinetic_temperature[alive, k].mean())
                    for k, name in enumerate(names)
                    if not self._direction[k]
                }
        elif not last:
            energy = float(np.nanmean(self.state.energy)) if np.isfinite(self.state.energy).any() else energy
        self.last = Progress(
            step=self.state.step, total_steps=run.steps, replicas=run.replicas, steps_per_second=self.rate,
            seconds_left=(run.steps - self.state.step) / self.rate if self.rate else float("inf"), energy=energy,
            kinetic_temperature=kinetic, frozen=run.replicas - self.state.running,
            draws=self.agenda.draws_by(self.state.step), committed_draws=committed,
        )  # fmt: skip
        return self.last
