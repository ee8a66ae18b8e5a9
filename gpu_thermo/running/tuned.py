"""The loop of a run that tunes itself: advance to the end of a stage, look, decide, go on (equations.md section 14).

What is decided is tuning/tuner.py's; here stands what the decisions are made from and what becomes of them: which
engine advances, sums over windows, restarts of a window, what a checkpoint keeps. The group at h/2 stands behind the
replicas that count, in the same launch, and is never seen outside.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..engines import Engine, Job
from ..engines.base import moment_bytes
from ..engines.work import STATISTICS as WORK
from ..spec.run import FALLING
from ..state import Hyper, Recorded, State
from ..tuning.course import BURN_IN, DESCENT, LADDER, SAMPLING, Course
from ..tuning.verdict import Verdict, judge
from ..tuning.windows import Window
from . import ordinary
from .agenda import TunedAgenda
from .budget import Budget
from .falling import Way
from .in_force import empty_window, in_force, job_of, kind_of, reopened, way_of
from .launch import Launch
from .loop import Loop, Moment, Progress, ring_slots
from .stage import Stage
from .standing import as_it_stands
from .subject import Observer, Setup
from .waiting import Waiting, waiting_bytes

_GROUP, _WINDOW, _WAITING, _TUNED, _HELD = "group/", "window/", "waiting/", "tuned_", "held"
"""Names in a checkpoint's `extra`: of the group at h/2, of sums, of draws that wait for their verdict, of what was
found, of where a window began."""
Engines = Callable[[Job], Engine]


@dataclass
class TunedLoop(Loop):
    """Advances one run that tunes itself. `state` has the rows of the whole launch; `saved` is what a store keeps.

    Attributes
    ----------
    first : what it set out with. launch : what is in force, with masses once they are there, or of the falling way.
    engines : who makes the engine of a job. watch : who makes the watcher of a launch: who sees all rows at the probes,
    of ladders those on the target; caller : who tells the energies of all rungs.
    course : what was decided. window : sums of the stage. held : [R + B, P], where the stage began, rung by rung.
    way : the falling way, where it may be gone. budget : what the run may still take.
    waiting : draws of the window of burn-in, until it is judged.
    """

    first: Launch = field(kw_only=True)
    launch: Launch = field(kw_only=True)
    engines: Engines = field(kw_only=True)
    watch: Callable[[Setup], Observer] = field(kw_only=True)
    watcher: Observer = field(kw_only=True)
    course: Course = field(kw_only=True)
    window: Window = field(kw_only=True)
    held: np.ndarray = field(kw_only=True)
    caller: Observer = field(kw_only=True)
    way: Way | None = field(kw_only=True)
    budget: Budget = field(kw_only=True)
    hyper: Hyper | None = None
    waiting: Waiting = field(default_factory=Waiting)

    @classmethod
    def begin(
        cls, launch: Launch, engines: Engines, moments: RunningMoments, threads: int | None, kept: State | None = None,
        said: dict[str, Any] | None = None, anew: bool = False,
    ) -> "TunedLoop":  # fmt: skip
        """A loop from its start, or from what a checkpoint `kept` and a commit `said`; `anew` without its draws, which
        were makeshift, or of a run whose burn-in has more time now.
        """
        way = way_of(launch)
        course = Course() if said is None else Course.of(said["tuning"]["course"])
        if not anew:
            course = reopened(course, launch)
        if said is None and way is not None and launch.ready.spec.run.path == FALLING:
            course = way.rules.begin(course, 0, "")
        now, ready = in_force(launch, way, course), launch.ready
        engine = engines(job_of(now, course))
        watch = lambda whole: whole.subject.observer(whole, whole.moments(), engine.device, threads)  # noqa: E731
        if kept is not None:
            state = _joined(kept)
        else:
            state = way.start(0) if course.path and way else now.start(engine)
        held = np.array(state.position) if kept is None else kept.extra[_HELD].copy()
        watcher = watch(now.flat)
        loop = cls(
            ready, engine, engine.load(state), moments, ready.subject.observer(ready, moments, engine.device, threads),
            first=launch, launch=now, engines=engines, watch=watch, watcher=watcher, course=course, held=held,
            window=empty_window(now, course), way=way, caller=watcher if now.exchange is None else watch(now.whole),
            budget=Budget.of(ready.spec.run, state.step),
        )  # fmt: skip
        if kept is not None:
            loop.window = Window.of({name: kept.extra[_WINDOW + name] for name in vars(loop.window)})
            named = {name.removeprefix(_WAITING): v for name, v in kept.extra.items() if name.startswith(_WAITING)}
            loop.waiting = Waiting.of(named)
        if anew:
            loop._drop_draws()
        return loop

    def _drop_draws(self) -> None:
        """Go on as if nothing had been drawn, with burn-in where that was given up."""
        course, step, launch = self.course, self.state.step, self.launch
        if not course.may_burn_on:
            self.course = replace(course.without_draws(), ended="")
            return
        rows = launch.rungs.ordered(self.state)
        position, frozen = np.array(self.state.position)[rows], np.asarray(self.state.status)[rows] != 0
        self.held = position if launch.exchange else launch.replaced(position, launch.lost(position) | frozen)
        self.course = launch.tuner.burn_on(course, step, launch.variances(self.held[:: launch.rungs.count]))
        self.state = self.engine.load(launch.fresh(self.held, step))
        self.window, self.waiting = empty_window(launch, self.course), Waiting()

    @property
    def agenda(self) -> TunedAgenda:
        """When the stage records."""
        return TunedAgenda(self.setup.spec.run, course=self.course)

    @property
    def finished(self) -> bool:
        """Whether it has stopped itself."""
        return bool(self.course.ended)

    @property
    def moment_bytes(self) -> int:
        """Bytes of one recorded moment of all rows."""
        return moment_bytes(self.launch.job)

    # -- advancing -----------------------------------------------------------------------------------------------------

    def segments(self) -> Iterator[list[Moment]]:
        """Moments recorded by each segment, draws among them once sampling has begun, until the run stops itself."""
        slots = ring_slots(self.moment_bytes, self.engine.device)
        while not self.finished and self.state.running:
            step, stop = self.state.step, self.course.stop
            segment = self.agenda.segment(step, min(step + self.pace.next(), stop, self._next_swap(step)), slots)
            begin = time.perf_counter()
            recorded = self.engine.advance(self.state, segment, self._in_force())
            self.pace.saw(segment.steps, time.perf_counter() - begin)
            self.budget.saw(segment.steps, time.perf_counter() - begin)
            moments = [m for i in range(len(recorded.steps)) if (m := self._look(recorded, i)) is not None]
            del recorded
            self._swap()
            if self.state.step >= stop:
                self._decide()
                moments = self._released() or moments
            self.rate = segment.steps / max(time.perf_counter() - begin, 1e-6)
            yield moments
            del moments

    def _in_force(self) -> Hyper:
        """Hyperparameters of the stage; the same object as long as they are the same."""
        if self.hyper is None:
            course, of_descent = self.course, self.launch.descent.hyper
            self.hyper = of_descent if course.phase == DESCENT else self.launch.hyper(course)
            if course.phase == DESCENT and self.falling is not None:
                self.hyper = self.falling.descending(course, of_descent)
            self.hyper = self.launch.rungs.hyper(self.hyper, self.state)
        return self.hyper

    @property
    def _swap_every(self) -> int:
        """Steps between attempts of the ladders: a block, or a draw's stride; 0 without ladders."""
        if self.launch.rungs.exchange is None:
            return 0
        return self.course.lengths.block if self.launch.tuner.braces else self.course.lengths.stride

    def _next_swap(self, step: int) -> int:
        """When neighbours try to swap."""
        every = self._swap_every
        return self.course.begun + ((step - self.course.begun) // every + 1) * every if every else self.course.stop

    def _swap(self) -> None:
        """Neighbours try to swap, where that is due; a look at a ladder counts from its middle on."""
        since = self.state.step - self.course.begun
        if self._swap_every and since % self._swap_every == 0:
            caller = self.caller
            self.launch.rungs.attempt(self.state, lambda number: caller.energies(caller.look_at(self.state), number))
            self.hyper = None
            if self.course.phase == LADDER and since == self.course.lengths.quarter:
                self.launch.rungs.forget(self.state)

    def _look(self, recorded: Recorded, i: int) -> Moment | None:
        """Add a moment to the window's sums; draws and the ends of stages are for others to see, too."""
        step, phase, rungs = recorded.steps[i], self.course.phase, self.launch.rungs
        rows = rungs.target(self.state)
        energy = np.asarray(recorded.energy[i], np.float64)[rows, None]
        if phase in (BURN_IN, SAMPLING):
            position = recorded.position[i][rows]
            there = None if recorded.there is None else self.watcher.some(recorded.there[i], rows)
            values = np.hstack([self.watcher.watch(position if there is None else there), energy])
            self._add_virial(step, position)
        else:
            values = energy
        self.window.add(self.launch.tuner.part(self.course, step), values)
        if recorded.acceptance is not None and recorded.proposals is not None:
            self.window.propose(*(rungs.by_ladder(a[i]) for a in (recorded.acceptance, recorded.proposals)))
        if phase == BURN_IN and waiting_bytes(self.setup.job):
            self.waiting.add(_head(recorded, i, self._rows, self.setup.job.counts_work, self.observer))
        if phase == SAMPLING or step == self.course.stop:
            head = _head(recorded, i, self._rows, self.setup.job.counts_work, self.observer)
            return self._moment(head if self.falling is None else self.falling.as_ready(head), 0)
        return None

    def _add_virial(self, step: int, position: np.ndarray) -> None:
        """A few times in each part of the window, the last time of sampling the latest."""
        c, tuner, each = self.course, self.launch.tuner, self.window.instants
        at = tuner.part(c, step, each)
        stride = c.kept if c.phase == SAMPLING else c.lengths.stride
        if step >= c.stop or tuner.part(c, step + stride, each) != at:
            self.window.product[at] = self.launch.virials(position)

    def _status(self, step: int) -> np.ndarray:
        """[R] int32, why replicas were frozen by `step`; 0 elsewhere."""
        rows, state = self._rows, self.state
        status, frozen_step = np.asarray(state.status)[rows], np.asarray(state.frozen_step)[rows]
        return np.where((frozen_step >= 0) & (frozen_step <= step), status, 0).astype(np.int32)

    @property
    def _rows(self) -> Any:
        """Rows [R] of the replicas that count, on the target."""
        rows = self.launch.rungs.target(self.state)
        return slice(self.launch.replicas) if isinstance(rows, slice) else rows[: self.launch.replicas]

    def _momentum(self, step: int) -> None:
        """Not seen: segments end where stages do."""

    # -- deciding ------------------------------------------------------------------------------------------------------

    @property
    def falling(self) -> Way | None:
        """The falling way, where it is gone; None on the ordinary one."""
        return self.way if self.course.path else None

    def _decide(self) -> None:
        """The stage is over: what comes next, from where, by whom, and with empty sums."""
        before, step = self.course, self.state.step
        facts = self.launch.rungs.facts(self.state, self.launch.replicas)
        if self.falling is not None:
            self.course, start = self.falling.after(self._stage(), self.budget)
        else:
            found, start = ordinary.after(self._stage(), self.budget)
            found = found.noted(facts)
            self.course = found if self.way is None else self.way.turned(found, step, self.budget)
        self.hyper = None
        if kind_of(before) != kind_of(self.course):
            self._take()
        if self.falling is not None and not before.path:
            self.state = self.engine.load(self.falling.start(step))
        elif start is not None:
            self.state = self.engine.load(self.launch.fresh(start, step))
        if self.course.phase != SAMPLING or self.course.origin > before.begun:
            self.window = empty_window(self.launch, self.course)
            self.launch.rungs.forget(self.state)
            self.held = np.array(self.state.position)[self.launch.rungs.ordered(self.state)]
        self.budget.stage(step)

    def _released(self) -> list[Moment]:
        """Draws of the window of burn-in that has ended: those of one that passed are the first that count, and a point
        of the learning curves stands at its end; others are dropped.
        """
        waiting, self.waiting, course = self.waiting, Waiting(), self.course
        if course.phase != SAMPLING or not waiting.draws or waiting.draws[0].steps[0] <= course.origin:
            return []
        last = waiting.draws[-1]
        return [replace(self._moment(draw, 0), traced=draw is last) for draw in waiting.draws]

    def _stage(self) -> Stage:
        """What the stage has come to."""
        course = self.course
        if course.path and course.phase == SAMPLING:
            course = self._sampled(course, self.state.step)
        return Stage(course, self.launch, self.state, self.window, self.held, len(self.waiting))

    def _take(self) -> None:
        """The launch, the engine and the watcher of the course in force."""
        rows, self.launch = self.launch.rungs.ladders, in_force(self.first, self.way, self.course)
        self.engine = self.engines(job_of(self.launch, self.course))
        if self.launch.rungs.ladders != rows:
            self.watcher = self.watch(self.launch.flat)
        self.caller = self.watcher if self.launch.exchange is None else self.watch(self.launch.whole)

    def _sampled(self, course: Course, step: int) -> Course:
        """The course with what was sampled so far."""
        if self.falling is not None:
            return self.falling.sampled(course, step, self.window, self.moments.variables())
        return self.launch.tuner.sampled(course, step, self.window)

    # -- what is kept and said -----------------------------------------------------------------------------------------

    def saved(self) -> State:
        """The state of the replicas that count; in `extra` the group at h/2, the sums, what was found."""
        count, state = self.launch.replicas, self.state
        mine, extra = {}, {_HELD: self.held}
        for name, value in state.arrays().items():
            mine[name] = value[:count]
            extra[_GROUP + name] = value[count:]
        extra |= {_WINDOW + name: value for name, value in self.window.arrays().items()}
        extra |= {_WAITING + name: value for name, value in self.waiting.arrays().items()}
        extra |= {_TUNED + name: value for name, value in self.launch.coordinates(self.course).items()}
        found = State.from_arrays(mine, state.step, state.evaluations)
        found.extra |= extra
        return found

    def said(self) -> dict[str, Any]:
        """The course so far, by what rules, and the verdict."""
        tuner = self.launch.tuner
        course = self.course.to_dict()
        return {"tuning": {"course": course, "rules": vars(tuner), "verdict": self.verdict.to_dict()}}

    @property
    def verdict(self) -> Verdict:
        """What the run is worth so far."""
        return judge(self.course, self.launch.tuner)

    def overdue(self, seconds: float) -> bool:
        """End the run where run.max_time has passed, with the error it has."""
        self.budget.took(seconds)
        most = self.budget.seconds
        if most is None or self.finished:
            return False
        if seconds < most:
            self._hurry()
            return False
        course = self.course
        if course.phase == SAMPLING and self.window.draws > 1 and not np.isnan(self.window.product[-1]).any():
            facts = self.launch.rungs.facts(self.state, self.launch.replicas)
            course = self._sampled(course, self.state.step).noted(facts)
        self.course = replace(course, ended="max_time")
        return True

    def _hurry(self) -> None:
        """Cut a window of burn-in short where half of the time is gone: better draws that no test has passed than
        none.
        """
        c = self.course
        if c.phase != BURN_IN or c.path or not self.budget.half_gone:
            return
        stop = self.agenda.next_stride(self.state.step)
        if stop < c.stop:
            self.course = replace(c, stop=stop, hurried=True)

    def last_resort(self) -> list[Moment]:
        """The replicas as they stand, where the run stops before its first draw; the course says so."""
        if self.agenda.draws_by(self.state.step) or not self.state.running:
            return []
        self.course = replace(self.course, makeshift=self.state.step)
        recorded = as_it_stands(self.state)
        head = _head(recorded, 0, self._rows, self.setup.job.counts_work, self.observer)
        return [replace(self._moment(head if self.falling is None else self.falling.as_ready(head), 0), traced=False)]

    def progress(self, moments: list[Moment], committed: int) -> Progress:
        """Where the run stands after a segment: its phase, its error against its tolerance, the time that is left."""
        shown, c, tuner = super().progress(moments, committed), self.course, self.launch.tuner
        error = float(c.latest(SAMPLING).get("error", np.nan))  # of what is kept: burn-in's own counts for nothing
        total = c.expected(tuner.tolerance, tuner.max_steps, self.state.step)
        left = float("inf") if total is None or not self.rate else max(total - self.state.step, 0) / self.rate
        most = float("nan") if c.phase == DESCENT else self.budget.seconds_left(self.state.step)
        return replace(
            shown, phase=c.phase, error=error, tolerance=tuner.tolerance, total_steps=total or tuner.max_steps,
            seconds_left=left, most_seconds_left=most,
            frozen=int((np.asarray(self.state.status)[self._rows] != 0).sum()),
        )  # fmt: skip


def _head(recorded: Recorded, i: int, rows: Any, counts_work: bool, observer: Observer) -> Recorded:
    """Some replicas of a ring's i-th moment, where they stand on the observer's device, too; work that the main
    dynamics count and the descent does not is NaN.
    """
    arrays: dict[str, Any] = {
        name: value[i : i + 1, rows] for name, value in vars(recorded).items() if isinstance(value, np.ndarray)
    }
    if counts_work and recorded.acceptance is None:
        arrays |= {name: np.full(arrays["energy"].shape, np.nan) for name in WORK}
    there = None if recorded.there is None else observer.some(recorded.there[i], rows)
    return replace(recorded, steps=recorded.steps[i : i + 1], **arrays, there=None if there is None else (there,))


def _joined(kept: State) -> State:
    """All rows of a launch, from what `saved` made."""
    arrays = {
        name: np.concatenate([value, kept.extra[_GROUP + name]])
        for name, value in kept.arrays().items()
        if _GROUP + name in kept.extra
    }
    return State.from_arrays(arrays, kept.step, kept.evaluations)


def launch_of(setup: Setup) -> Launch | None:
    """The launch of a run that tunes itself; None for others."""
    return Launch.of(setup) if setup.spec.run.tolerance is not None else None
