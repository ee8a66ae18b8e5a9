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
from ..tuning.course import ADAPTATION, BURN_IN, DESCENT, LADDER, SAMPLING, Course
from ..tuning.ladder import hot_enough
from ..tuning.verdict import Verdict, judge
from ..tuning.windows import Window
from .agenda import TunedAgenda
from .budget import Budget
from .falling import Way
from .in_force import empty_window, in_force, job_of, kind_of, reopened, way_of
from .launch import Launch
from .loop import Loop, Moment, Progress, ring_slots
from .rungs import spread
from .stage import Stage
from .subject import Observer, Setup

_GROUP, _WINDOW, _TUNED, _HELD = "group/", "window/", "tuned_", "held"
"""Names in a checkpoint's `extra`: of the group at h/2, of sums, of what was found, of where a window began."""
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

    @classmethod
    def begin(
        cls, launch: Launch, engines: Engines, moments: RunningMoments, threads: int | None, kept: State | None = None,
        said: dict[str, Any] | None = None,
    ) -> "TunedLoop":  # fmt: skip
        """A loop from its start, or from what a checkpoint `kept` and a commit `said`."""
        way = way_of(launch)
        course = Course() if said is None else reopened(Course.of(said["tuning"]["course"]), launch)
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
        return loop

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
        if phase == SAMPLING or step == self.course.stop:
            head = _head(recorded, i, self._rows, self.setup.job.counts_work, self.observer)
            return self._moment(head if self.falling is None else self.falling.as_ready(head), 0)
        return None

    def _add_virial(self, step: int, position: np.ndarray) -> None:
        """At the ends of the window's parts, the last of sampling the latest."""
        c, tuner = self.course, self.launch.tuner
        part = tuner.part(c, step)
        stride = c.kept if c.phase == SAMPLING else c.lengths.stride
        if step >= c.stop or tuner.part(c, step + stride) != part:
            self.window.product[part] = self.launch.virials(position)

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
            found, start = self._ordinary(before, step)
            found = found.noted(facts)
            self.course = found if self.way is None else self.way.turned(found, step, self.budget)
        self.hyper = None
        if kind_of(before) != kind_of(self.course):
            self._take()
        if self.falling is not None and not before.path:
            self.state = self.engine.load(self.falling.start(step))
        elif start is not None:
            self.state = self.engine.load(self.launch.fresh(start, step))
        if before.phase != SAMPLING or self.course.phase != SAMPLING:
            self.window = empty_window(self.launch, self.course)
            self.launch.rungs.forget(self.state)
            self.held = np.array(self.state.position)[self.launch.rungs.ordered(self.state)]
        self.budget.stage(step)

    def _stage(self) -> Stage:
        """What the stage has come to."""
        state, course = self.state, self.course
        return Stage(
            self._sampled(course, state.step) if course.phase == SAMPLING else course, state.step, self.launch,
            np.array(state.position), self.held, self._median(np.asarray(state.energy, np.float64)), self._sound(),
            self._acceptance, self._lost(),
        )  # fmt: skip

    def _ordinary(self, before: Course, step: int) -> tuple[Course, np.ndarray | None]:
        """The next course by the ordinary rules, and the positions from which it begins anew, where it does."""
        decide = {
            DESCENT: self._after_descent, ADAPTATION: self._after_adaptation, LADDER: self._after_ladder,
            BURN_IN: self._after_burn_in, SAMPLING: self._after_sampling,
        }[before.phase]  # fmt: skip
        return decide(before, step)

    def _take(self) -> None:
        """The launch, the engine and the watcher of the course in force."""
        rows, self.launch = self.launch.rungs.ladders, in_force(self.first, self.way, self.course)
        self.engine = self.engines(job_of(self.launch, self.course))
        if self.launch.rungs.ladders != rows:
            self.watcher = self.watch(self.launch.flat)
        self.caller = self.watcher if self.launch.exchange is None else self.watch(self.launch.whole)

    def _after_descent(self, course: Course, step: int) -> tuple[Course, np.ndarray | None]:
        tuner, seen = self.launch.tuner, self._stage()
        if not tuner.descended(course, step, seen.energy):
            return tuner.descend(course, step, seen.energy), None
        position, found = seen.mended, tuner.descend(course, step, seen.energy)
        found = tuner.adapt(found, step, self.launch.curvature(position), self.launch.variances(position))
        return found.replacing(seen.lost), position

    def _after_adaptation(self, course: Course, step: int) -> tuple[Course, np.ndarray | None]:
        tuner, lost = self.launch.tuner, self._lost()
        position = self.launch.replaced(np.array(self.state.position), lost)
        found, again = tuner.after_adaptation(
            course, step, self._acceptance(lost), self._median(self.window.part_mean(0)),
            self.launch.variances(position), self._sound(), self.launch.noise(position, self.state.evaluations),
        )  # fmt: skip
        if again:
            lost = self.launch.lost(self.held)
            return found.replacing(lost), self.launch.replaced(self.held, lost)
        found = found.replacing(lost)
        if tuner.weighs(course, found, step):
            return self._weighed(found, step, position), position
        if tuner.chooses(course, found):
            return self._chosen(found, step, position)
        if tuner.climbs(course, found):
            found = tuner.climb(found, step)
            return found, spread(position, (max(tuner.temperature),), found.temperatures)
        return found, position if lost.any() else None

    def _after_ladder(self, course: Course, step: int) -> tuple[Course, np.ndarray | None]:
        rungs, state = self.launch.rungs, self.state
        position = np.array(state.position)[rungs.ordered(state)]
        facts, variances = rungs.facts(state, rungs.ladders), self.launch.variances(position[:: rungs.count])
        found, again = self.launch.tuner.after_ladder(
            course, step, facts["accepted"], facts["attempts"], variances, self._sound()
        )
        if found.temperatures != course.temperatures:
            return found, spread(position, course.temperatures, found.temperatures)
        return found, self.held if again else None

    def _weighed(self, course: Course, step: int, position: np.ndarray) -> Course:
        """The course with masses."""
        mass = self.launch.masses(position)
        launch = self.launch.with_masses(mass)
        curvature, variances = launch.curvature(position), launch.variances(position)
        return launch.tuner.weigh(course, step, mass, curvature, variances)

    def _chosen(self, course: Course, step: int, position: np.ndarray) -> tuple[Course, np.ndarray | None]:
        """The course by minibatches where these will do, and where it begins then."""
        shares = self.launch.shares(course, position, self.state.evaluations)
        found = self.launch.tuner.choose(course, step, shares, self.launch.variances(position))
        return found, self.launch.in_batches(found.batch).filled(position) if found.batch else None

    def _acceptance(self, lost: np.ndarray | None = None) -> float:
        """Of single steps, of the replicas that count and are not lost: over the window where the engine counts work,
        else from where they are now.
        """
        mine = slice(self.launch.replicas) if lost is None else np.flatnonzero(~lost[: self.launch.replicas])
        seen = self.window.rows(mine).mean_acceptance
        if not np.isnan(seen):
            return seen
        return self.launch.acceptance(np.array(self.state.position), self.state.step, self.course.stepsize)

    def _after_burn_in(self, course: Course, step: int) -> tuple[Course, np.ndarray | None]:
        lost = self._lost()
        position = self.launch.replaced(np.array(self.state.position)[self.launch.rungs.target(self.state)], lost)
        variances = self.launch.variances(position)
        found, again = self.launch.tuner.after_burn_in(course, step, self.window, variances, self._sound())
        if {"ratio", "starts"} & set(found.log[-1].get("failed", ())) and found.phase == SAMPLING:
            found = self._barred(found)
        if again or not lost.any() or self.launch.exchange is not None:
            return found, self.held if again else None
        return found.replacing(lost), position

    def _barred(self, course: Course) -> Course:
        """The course, which says how hot a ladder would have to be for replicas to cross what is between them."""
        if self.launch.exchange is not None or course.path:
            return course
        tau = max(self.launch.tuner.temperature)
        return course.noted({"hottest": hot_enough(tau, self.launch.barrier(np.array(self.state.position)))})

    def _after_sampling(self, course: Course, step: int) -> tuple[Course, None]:
        found = self.launch.tuner.after_sampling(course, step, self.window)
        return self._barred(found) if found.ended and found.log[-1].get("apart") else found, None

    def _sampled(self, course: Course, step: int) -> Course:
        """The course with what was sampled so far."""
        if self.falling is not None:
            return self.falling.sampled(course, step, self.window, self.moments.variables())
        return self.launch.tuner.sampled(course, step, self.window)

    def _lost(self) -> np.ndarray:
        """[R + B] who ran away in this stage, or stayed where it was; nobody where nobody is sound."""
        tuner, full = self.launch.tuner, self.course.phase in (BURN_IN, SAMPLING)
        lost = self.window.lost(tuner.outputs if full else 0, tuner.heat, tuner.braces and full)
        return lost & ~lost[: self.launch.replicas].all()

    def _sound(self) -> bool:
        """Whether no row was frozen, and all that was seen is finite."""
        return self.state.running == self.state.replicas and bool(self.window.finite().all())

    def _median(self, values: np.ndarray) -> float:
        """Over the replicas that count and are finite; infinite where none is."""
        mine = values[: self.launch.replicas]
        mine = mine[np.isfinite(mine)]
        return float(np.median(mine)) if len(mine) else float("inf")

    # -- what is kept and said -----------------------------------------------------------------------------------------

    def saved(self) -> State:
        """The state of the replicas that count; in `extra` the group at h/2, the sums, what was found."""
        count, state = self.launch.replicas, self.state
        mine, extra = {}, {_HELD: self.held}
        for name, value in state.arrays().items():
            mine[name] = value[:count]
            extra[_GROUP + name] = value[count:]
        extra |= {_WINDOW + name: value for name, value in self.window.arrays().items()}
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
        if most is None or seconds < most or self.finished:
            return False
        course = self.course
        if course.phase == SAMPLING and self.window.draws > 1 and not np.isnan(self.window.product).any():
            facts = self.launch.rungs.facts(self.state, self.launch.replicas)
            course = self._sampled(course, self.state.step).noted(facts)
        self.course = replace(course, ended="max_time")
        return True

    def progress(self, moments: list[Moment], committed: int) -> Progress:
        """Where the run stands after a segment: its phase, its error against its tolerance, the time that is left."""
        shown, c, tuner = super().progress(moments, committed), self.course, self.launch.tuner
        error = float(c.latest(SAMPLING).get("error", c.latest(BURN_IN).get("error", np.nan)))
        total = c.expected(tuner.tolerance, tuner.max_steps, self.state.step)
        left = float("inf") if total is None or not self.rate else max(total - self.state.step, 0) / self.rate
        return replace(
            shown, phase=c.phase, error=error, tolerance=tuner.tolerance, total_steps=total or tuner.max_steps,
            seconds_left=left,
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
