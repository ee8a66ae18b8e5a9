"""The run loop: plan segments, advance, observe. It knows nothing of stores and signals; run.py does."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from .build import Setup
from .engines import Engine, make_predictor
from .engines.batched import cores
from .moments import RunningMoments
from .observe import Observer
from .spec import RunSection
from .state import Recorded, Segment, Snapshot, State

SEGMENT_SECONDS = 0.25
"""Longest wait for a signal to be answered."""
_RING_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Progress:
    """Where a run stands; `kinetic_temperature` maps partition to its mean over replicas and the last recorded moments."""

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

    @property
    def replica_steps_per_second(self) -> float:
        """Steps per second times replicas."""
        return self.steps_per_second * self.replicas


# -- segments ---------------------------------------------------------------------------------------------------------------------------


def record_steps(run: RunSection, start: int, stop: int) -> tuple[int, ...]:
    """Steps in (start, stop] after which something is recorded: draws and points of the learning curves, in order."""
    draws = range(run.burn_in + run.thin, run.steps + 1, run.thin)
    traces = range(run.trace, run.steps + 1, run.trace)
    return tuple(sorted({s for grid in (draws, traces) for s in _between(grid, start, stop)}))


def _between(grid: range, start: int, stop: int) -> range:
    first = max(0, -(-(start + 1 - grid.start) // grid.step))
    last = max(first, (stop - grid.start) // grid.step + 1) if stop >= grid.start else first
    return grid[first:last]


def plan_segment(run: RunSection, start: int, length: int, ring: int) -> Segment:
    """The segment from `start` of about `length` steps that fills at most `ring` slots."""
    stop = min(start + max(1, length), run.steps)
    record = record_steps(run, start, stop)
    if len(record) > ring:
        record = record[:ring]
        stop = record[-1]
    return Segment(start, stop - start, record)


def is_draw(run: RunSection, step: int) -> bool:
    """Whether a draw is recorded after `step`."""
    return step > run.burn_in and (step - run.burn_in) % run.thin == 0


# -- the loop ---------------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """One recorded moment: the snapshot, and what only the store wants."""

    snapshot: Snapshot
    predictions: np.ndarray | None


@dataclass
class Loop:
    """Advances one run. `state` and `moments` are all that changes, and all that a checkpoint needs."""

    setup: Setup
    engine: Engine
    state: State
    moments: RunningMoments
    observer: Observer
    length: int = 8
    rate: float = 0.0
    last: Progress | None = None

    @classmethod
    def make(cls, setup: Setup, engine: Engine, state: State, moments: RunningMoments, threads: int | None = None) -> "Loop":
        """A loop over `setup` from `state`."""
        predictor = make_predictor(setup.model, setup.job.dtype, engine.device, threads)
        return cls(setup, engine, state, moments, Observer(setup, moments, predictor, threads or cores()))

    def segments(self) -> Iterator[list[Moment]]:
        """Moments recorded by each segment, until the run is complete or every replica is frozen."""
        run = self.setup.spec.run
        ring = max(1, _RING_BYTES // self.state.position.nbytes)
        while self.state.step < run.steps and (self.state.status == 0).any():
            segment = plan_segment(run, self.state.step, self.length, ring)
            begin = time.perf_counter()
            recorded = self.engine.advance(self.state, segment)
            self._adapt(segment.steps, time.perf_counter() - begin)
            yield [self._moment(recorded, i) for i in range(len(recorded.steps))]

    def _adapt(self, steps: int, seconds: float) -> None:
        """Aim the next segment at SEGMENT_SECONDS; lengths change no number."""
        rate = steps / max(seconds, 1e-6)
        self.rate = rate if not self.rate else 0.7 * self.rate + 0.3 * rate
        self.length = max(1, min(int(rate * SEGMENT_SECONDS), 4 * self.length))

    def _moment(self, recorded: Recorded, i: int) -> Moment:
        step, position = recorded.steps[i], recorded.position[i]
        draw = is_draw(self.setup.spec.run, step)
        seen = self.observer(position, draw)
        statistics = dict(seen.statistics)
        status = np.where((self.state.frozen_step >= 0) & (self.state.frozen_step <= step), self.state.status, 0).astype(np.int32)
        return Moment(
            Snapshot(
                step=step, is_draw=draw, position=position, thermostat=recorded.thermostat[i],
                kinetic_temperature=recorded.kinetic_temperature[i], energy=statistics.pop("energy"), status=status, statistics=statistics,
            ),
            seen.predictions,
        )  # fmt: skip

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
                kinetic = {name: float(snapshot.kinetic_temperature[alive, k].mean()) for k, name in enumerate(names)}
        elif not last:
            energy = float(np.nanmean(self.state.energy)) if np.isfinite(self.state.energy).any() else energy
        self.last = Progress(
            step=self.state.step, total_steps=run.steps, replicas=run.replicas, steps_per_second=self.rate,
            seconds_left=(run.steps - self.state.step) / self.rate if self.rate else float("inf"), energy=energy,
            kinetic_temperature=kinetic, frozen=int((self.state.status != 0).sum()),
            draws=max(0, (self.state.step - run.burn_in) // run.thin), committed_draws=committed,
        )  # fmt: skip
        return self.last
