"""The falling way (tuning/falling.py) of a run: its launches, with an isokinetic word in place of the run's own, which
samples the same density; who may go that way; and what its decisions are made from.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..averages.scores import in_own_unit, scores
from ..engines import initial_state
from ..method.updates import BETA1, BETA2
from ..spec.method import AUTO, MethodSpec
from ..spec.run import RunSpec
from ..state import Recorded, State
from ..tuning.course import DESCENT, SAMPLING, Course
from ..tuning.falling import STAGES, Falling
from .launch import GROUP, Launch, make_tuner
from .setup import make_setup
from .subject import Setup

FEWEST_HALF = 16
"""Replicas of the group at half the stepsize, at least: it is there for the draws only, and begins where they do."""
FINE = 3e-4
"""Points between which curvatures are taken, in units of |theta|: within the width of the stiffest direction."""
SPENT = 0.95
"""Of run.max_time that is laid out: clocks are not exact, and a last commit takes its time."""
METHOD = "mclmc"
"""Whose word is taken: KASAK."""


def why_not(ready: Setup) -> str:
    """Why a run cannot go this way, for people, or "" where it can."""
    job, spec, method = ready.job, ready.spec, ready.spec.method
    tau = job.hyper.temperature[0]
    if ready.subject.potential is not None:
        return "it is for networks, and this run is of a potential"
    if job.program.update is not None:
        return f"it takes the place of a splitting word, and '{job.program.update}' is none"
    if spec.moves:
        return "it has no ladders: leave out moves"
    if any(text is None for text in job.program.texts):
        return "it moves all parameters, and some are frozen (method.freeze)"
    if not job.program.has_work:
        return "its word has thermostats: use method langevin or mclmc"
    if not (tau > 0).all() or np.ptp(tau):
        return "it takes one temperature above 0 for all parameters"
    if job.batching.mode != "full":
        return f'it takes all points at once, and this run has minibatch = "{spec.run.minibatch}"'
    if method.stepsize not in (None, AUTO) or method.friction not in (None, AUTO):
        return "it finds stepsize and friction itself, and they are given: leave them out"
    if method.mass not in (None, AUTO):
        return "it finds masses itself, and they are given: leave them out"
    if job.target.layout.size < 2 or not ready.subject.proper:
        return "it needs a prior (model.prior_sd) and two parameters at least"
    return ""


@dataclass(frozen=True)
class Way:
    """The falling way of a run made ready."""

    ready: Setup

    @cached_property
    def rules(self) -> Falling:
        """By which it decides."""
        return Falling(self.fall.tuner)

    @cached_property
    def fall(self) -> Launch:
        """Of R replicas: descent and fall."""
        return self._launch(0)

    @cached_property
    def held(self) -> Launch:
        """With the group at half the stepsize behind them: the draws."""
        return self._launch(max(FEWEST_HALF, self.ready.job.replicas // GROUP))

    def _launch(self, group: int) -> Launch:
        spec, replicas = _spec(self.ready, group), self.ready.job.replicas
        whole = make_setup(spec, self.ready.subject.with_replicas(spec))
        starts = self.ready.starts
        whole = replace(whole, starts=None if starts is None else starts.repeated(replicas + group))
        return Launch(self.ready, whole, replace(make_tuner(whole, spec, False), replicas=replicas))

    def start(self, step: int) -> State:
        """Where the descent begins, at this step: moments of Adam as they would be after as many steps at one place."""
        launch = self.fall
        state = initial_state(launch.descent, launch.whole.initial_state().position)
        energy, gradient = launch.full_gradient(state.position, np.arange(launch.job.replicas))
        state.energy[...], state.gradient[...] = energy, gradient
        state.extra["adam_mean"][...] = (1 - BETA1**step) * gradient
        state.extra["adam_square"][...] = (1 - BETA2**step) * np.square(gradient)
        state.step = state.evaluations = step
        return state

    def with_group(self, position: np.ndarray) -> np.ndarray:
        """[R + B, P] the group beginning where the first replicas are."""
        count = self.held.job.replicas - len(position)
        return np.concatenate([position, position[np.arange(count) % len(position)]])

    def as_ready(self, recorded: Recorded) -> Recorded:
        """What was recorded, with the partitions of the run's own word, which have no temperature and no thermostat."""
        shape = *recorded.energy.shape, len(self.ready.program.texts)
        return replace(recorded, thermostat=np.zeros(shape), kinetic_temperature=np.full(shape, np.nan))


def _spec(ready: Setup, group: int) -> RunSpec:
    """The run's spec with the word of this way; networks that would all start near 0 start as He has it."""
    spec = ready.spec
    tau = float(ready.job.hyper.temperature[0, 0])
    method = MethodSpec.model_validate({"name": METHOD, "temperature": tau, "mass": AUTO})
    changes: dict[str, Any] = {
        "method": method, "run": spec.run.model_copy(update={"replicas": spec.run.replicas + group}),
    }  # fmt: skip
    if spec.model.init == "normal" and spec.model.network is None:
        changes["model"] = spec.model.model_copy(update={"init": "he"})
    return spec.model_copy(update=changes)


class Decisions:
    """What a loop does that goes the falling way; the rest of it is tuned.py's.

    Attributes
    ----------
    way : where it may be gone. clock : seconds that the run had taken, and when that was (perf_counter). paced : step
    and time at which the stage began. fastest : steps a second of the fastest segment so far.
    """

    way: Way | None
    clock: tuple[float, float]
    paced: tuple[int, float]
    fastest: float
    setup: Setup
    launch: Launch
    course: Course
    window: Any
    held: np.ndarray
    state: State
    moments: Any

    def _left(self, step: int, share: float = 1.0) -> int:
        """Steps that the budget still allows, each of which costs 1/share of those of the stage that has ended."""
        rate = (step - self.paced[0]) / max(time.perf_counter() - self.paced[1], 1e-9)
        return self._within(step, rate * share)

    def _within(self, step: int, rate: float) -> int:
        """Steps that max_steps leaves, and max_time at this rate a second."""
        run = self.setup.spec.run
        left = int(run.max_steps or run.steps) - step
        if run.max_time is not None:
            left = min(left, int((SPENT * run.max_time - self._elapsed()) * rate))
        return max(0, left)

    def _elapsed(self) -> float:
        """Seconds that the run has taken."""
        return self.clock[0] + time.perf_counter() - self.clock[1]

    def _turned(self, found: Course, step: int) -> Course:
        """The course that an ordinary one turns into, itself unless it has to be given up. What time allows is foretold
        from the fastest segment, since the first ones are short and slow; but a share of time that is gone is gone.
        """
        if self.way is None or self.setup.spec.run.path is not None:
            return found
        most = self.setup.spec.run.max_time
        spent = 0.0 if most is None else self._elapsed() / most
        why = self.way.rules.why(found, step, self._within(step, self.fastest), spent)
        return self.way.rules.begin(found, step, why) if why else found

    def _fallen(self, course: Course, step: int) -> tuple[Course, np.ndarray | None]:
        """After a stage of this way: the next course, and the positions from which it begins anew, where it does."""
        assert self.way is not None
        rules, position = self.way.rules, np.array(self.state.position)
        energy = self._median(np.asarray(self.state.energy, np.float64))
        if course.phase == DESCENT:
            left = self._left(step)
            if not rules.descended(course):
                return rules.descend(course, step, energy, left), None
            position = self._mended(position)
            return rules.warm(course, step, energy, self.launch.curvature(position, FINE), left), position
        if course.phase == SAMPLING:
            return self._kept_on(self._sampled(course, step), step), None
        if not self._sound():
            return rules.again(course, step), self.held
        if course.window == 0:
            mass = self.launch.masses(position)
            curvature = self.launch.with_masses(mass).curvature(self.held, FINE)
            return rules.fall(course, step, energy, mass, curvature, self._left(step)), position
        rows = len(position) / self.way.held.job.replicas if self.setup.spec.run.max_time is not None else 1.0
        last = course.window == STAGES
        found = rules.fallen(course, step, energy, self._acceptance(), self._left(step, rows if last else 1.0))
        return found, self.way.with_group(position) if found.phase == SAMPLING else None

    def _kept_on(self, course: Course, step: int) -> Course:
        """On with the draws, as far as the budget goes."""
        assert self.way is not None
        left, run = self._left(step), self.setup.spec.run
        limit = "max_time" if left < int(run.max_steps or run.steps) - step else "max_steps"
        return self.way.rules.go_on(course, step, left, limit)

    def _mended(self, position: np.ndarray) -> np.ndarray:
        """Positions after the descent; whoever it lost is where the stage began."""
        lost = ~np.isfinite(position).all(axis=1)
        position[lost] = self.held[lost]
        return position

    def _median(self, values: np.ndarray) -> float:
        raise NotImplementedError

    def _sampled(self, course: Course, step: int) -> Course:
        raise NotImplementedError

    def _acceptance(self) -> float:
        raise NotImplementedError

    def _sound(self) -> bool:
        raise NotImplementedError


def held_out(ready: Setup, found: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Scores of the averages so far on the test part, in the targets' units; {} where there is none."""
    data: Any = getattr(ready.subject, "data", None)
    if data is None or not data.test_points or not np.isfinite(found["mean"]).all():
        return {}
    density, scales = found.get("log_density"), data.standardisation
    units = (None, None) if scales is None else (scales.target_mean, scales.target_sd)
    mean, y, density = in_own_unit(
        found["mean"][0], data.y_test[0], None if density is None else density[0],
        *(None if a is None else a[0] for a in units),
    )  # fmt: skip
    return {name: value for name, value in scores(data.task, mean, y, density).items() if np.isfinite(value)}
