"""When a run records: its draws, and the points of its learning curves."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from ..clock import Clock
from ..errors import SpecError
from ..moves.base import Recording
from ..spec.duration import clock_of
from ..spec.run import RunSection, RunSpec
from ..spec.values import Scheduled
from ..state import Segment
from ..tuning.course import DESCENT, SAMPLING, Course

MOST_DRAWS = 10**8


@dataclass(frozen=True)
class Agenda:
    """Draws stand on the thinning grid after burn-in; where a move has sampling stages, only those whose step belongs
    to one.
    """

    run: RunSection
    stages: tuple[Recording, ...] = ()

    @property
    def traced(self) -> int:
        """Points of the learning curves of the whole run."""
        return self.run.steps // self.run.trace

    @classmethod
    def of(cls, spec: RunSpec) -> "Agenda":
        """The agenda of a run from its spec alone."""
        if spec.run.tolerance is not None:
            return TunedAgenda(spec.run)
        if (clock := _clock(spec)) is not None:
            return TimedAgenda(spec.run, clock=clock)
        found = (move.recording(spec.run.steps) for move in spec.moves)
        return cls(spec.run, tuple(stages for stages in found if stages is not None))

    @cached_property
    def draw_steps(self) -> np.ndarray:
        """[draws] int64, the steps after which a draw is recorded.

        Raises
        ------
        SpecError
            If no step of the grid is in a sampling stage.
        """
        run = self.run
        if run.draws > MOST_DRAWS:
            raise SpecError(
                f"(steps - burn_in) / thin makes {run.draws:.3g} draws, more than {MOST_DRAWS:.0e}: raise run.thin."
            )
        grid = np.arange(run.burn_in + run.thin, run.steps + 1, run.thin)
        for stages in self.stages:
            kept = grid[stages.sampling(grid - 1)]
            if not len(kept):
                raise SpecError(
                    f"None of the {len(grid)} draws (run.thin = {run.thin}) falls into a sampling stage of"
                    f" {stages.about}: lower run.thin."
                )
            grid = kept
        return grid

    @property
    def draws(self) -> int:
        """Draws of the whole run."""
        return len(self.draw_steps)

    def draws_by(self, step: int) -> int:
        """Draws recorded after the first `step` steps."""
        return int(np.searchsorted(self.draw_steps, step, side="right"))

    def index(self, step: np.ndarray) -> np.ndarray:
        """Number of the draw recorded after `step`, from 0."""
        return np.searchsorted(self.draw_steps, step)

    def is_traced(self, step: int) -> bool:
        """Whether the learning curves have a point after `step`."""
        return step % self.run.trace == 0

    def is_draw(self, step: int) -> bool:
        """Whether a draw is recorded after `step`."""
        place = self.draws_by(step)
        return place > 0 and self.draw_steps[place - 1] == step

    def next_draw(self, step: int) -> int:
        """The first draw's step after `step`; the run's last step where there is none."""
        place = self.draws_by(step)
        return int(self.draw_steps[place]) if place < self.draws else self.run.steps

    def next_record(self, step: int) -> int:
        """The first step after `step` after which anything is recorded; the run's last one where there is none."""
        trace = (step // self.run.trace + 1) * self.run.trace
        return min(self.next_draw(step), trace, self.run.steps)

    def record_steps(self, start: int, stop: int) -> tuple[int, ...]:
        """Steps in (start, stop] after which something is recorded, in order."""
        draws = self.draw_steps[self.draws_by(start) : self.draws_by(stop)]
        trace = self.run.trace
        return tuple(sorted({*draws.tolist(), *range((start // trace + 1) * trace, stop + 1, trace)}))

    def segment(self, start: int, stop: int, ring: int) -> Segment:
        """The segment from `start` to at most `stop` that fills at most `ring` slots."""
        stop = min(stop, self.run.steps)
        record = self.record_steps(start, stop)
        if len(record) > ring:
            record = record[:ring]
            stop = record[-1]
        return Segment(start, stop - start, record)


def _clock(spec: RunSpec) -> Clock | None:
    """Of all stepsizes that the spec has, whichever replicas are here."""
    given = spec.method.stepsize
    return clock_of(spec, np.array(given.value)) if isinstance(given, Scheduled) and spec.run.equal_times else None


@dataclass(frozen=True)
class TimedAgenda(Agenda):
    """Of replicas that keep one time: learning curves have their points where all have just done a step, about
    `run.trace` steps apart.
    """

    clock: Clock = field(kw_only=True)

    @cached_property
    def _traced(self) -> np.ndarray:
        every = max(1, round(self.run.trace / self.run.thin))
        return self.clock.meetings(self.run.steps)[every - 1 :: every]

    @property
    def traced(self) -> int:
        """Points of the learning curves of the whole run."""
        return len(self._traced)

    def is_traced(self, step: int) -> bool:
        """Whether the learning curves have a point after `step`."""
        place = int(np.searchsorted(self._traced, step))
        return place < self.traced and bool(self._traced[place] == step)

    def next_record(self, step: int) -> int:
        """As Agenda has it."""
        place = int(np.searchsorted(self._traced, step, side="right"))
        return min(self.next_draw(step), int(self._traced[place]) if place < self.traced else self.run.steps)

    def record_steps(self, start: int, stop: int) -> tuple[int, ...]:
        """Steps in (start, stop] after which something is recorded, in order."""
        draws = self.draw_steps[self.draws_by(start) : self.draws_by(stop)]
        traced = self._traced[(self._traced > start) & (self._traced <= stop)]
        return tuple(sorted({*draws.tolist(), *traced.tolist()}))


EXPECTED = 64
"""Draws, and points of the learning curves, that a run which stops itself is laid out for."""


@dataclass(frozen=True)
class TunedAgenda(Agenda):
    """Of a run that tunes itself: draws stand on a grid from where sampling began, which its course says; learning
    curves have a point at the end of each stage.
    """

    course: Course = field(default_factory=Course)

    @property
    def draws(self) -> int:
        """So many as are expected: nobody knows before."""
        return EXPECTED

    @property
    def traced(self) -> int:
        """As `draws`."""
        return EXPECTED

    @property
    def _samples(self) -> bool:
        return self.course.phase == SAMPLING

    def draws_by(self, step: int) -> int:
        """Draws recorded after the first `step` steps."""
        if self.course.makeshift:
            return int(step >= self.course.makeshift)
        return max(0, (step - self.course.origin) // self.course.kept) if self._samples else 0

    def index(self, step: np.ndarray) -> np.ndarray:
        """Number of the draw recorded after `step`, from 0."""
        return 0 * step if self.course.makeshift else (step - self.course.origin) // self.course.kept - 1

    def is_draw(self, step: int) -> bool:
        """Whether a draw is recorded after `step`."""
        c = self.course
        if c.makeshift:
            return step == c.makeshift
        return self._samples and step > c.origin and (step - c.origin) % c.kept == 0

    def is_traced(self, step: int) -> bool:
        """Whether a stage ends with `step`."""
        return step == self.course.stop

    def record_steps(self, start: int, stop: int) -> tuple[int, ...]:
        """Steps in (start, stop] after which something is recorded: every stride from where the stage began, and its
        end.
        """
        c = self.course
        every = range(self.next_stride(start), stop + 1, self._stride)
        return tuple(sorted({*every, *((c.stop,) if start < c.stop <= stop else ())}))

    @property
    def _stride(self) -> int:
        """Steps between what the stage records."""
        c = self.course
        return c.kept if c.phase == SAMPLING else c.stop - c.begun if c.phase == DESCENT else c.lengths.stride

    def next_stride(self, step: int) -> int:
        """The first step after `step` at which the stage records."""
        begun, stride = self.course.begun, self._stride
        return begun + ((step - begun) // stride + 1) * stride
