"""The falling way (tuning/falling.py) of a run: its launches, with an isokinetic word in place of the run's own, which
samples the same density; who may go that way; and what the loop asks of it.
"""

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
from ..state import Hyper, Recorded, State
from ..tuning.course import DESCENT, SAMPLING, Course
from ..tuning.falling import STAGES, Falling
from ..tuning.windows import Window
from .budget import Budget
from .gradients import Gradients
from .launch import GROUP, Launch, with_rows
from .rules import make_tuner
from .stage import Stage
from .subject import Setup

FEWEST_HALF = 16
"""Replicas of the group at half the stepsize, at least: it is there for the draws only, and begins where they do."""
FINE = 3e-4
"""Points between which curvatures are taken, in units of |theta|: within the width of the stiffest direction."""
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
    if job.batching.mode != "full" and spec.run.path is None:
        return f'it takes all points unless it is asked for, and this run has minibatch = "{spec.run.minibatch}"'
    if method.stepsize not in (None, AUTO) or method.friction not in (None, AUTO):
        return "it finds stepsize and friction itself, and they are given: leave them out"
    if method.mass not in (None, AUTO):
        return "it finds masses itself, and they are given: leave them out"
    if job.target.layout.size < 2 or not ready.subject.proper:
        return "it needs a prior (model.prior_sd) and two parameters at least"
    return ""


@dataclass(frozen=True)
class Way:
    """The falling way of a run made ready; `kernel` gives its gradients on all points, where there is one."""

    ready: Setup
    kernel: Gradients | None = None

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
        whole = with_rows(self.ready, _spec(self.ready, group))
        tuner = replace(make_tuner(whole, False), replicas=self.ready.job.replicas)
        return Launch(self.ready, whole, tuner, kernel=self.kernel)

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

    # -- what the loop asks --------------------------------------------------------------------------------------------

    def launch(self, course: Course) -> Launch:
        """What goes on in this stage."""
        return (self.held if course.phase == SAMPLING else self.fall).with_masses(course.mass)

    def descending(self, course: Course, hyper: Hyper) -> Hyper:
        """Hyperparameters of the descent with the learning rate of this window."""
        return replace(hyper, stepsize=np.full(hyper.replicas, self.rules.rate(course)))

    def turned(self, found: Course, step: int, budget: Budget) -> Course:
        """The course that an ordinary one turns into, itself unless it has to be given up."""
        if self.ready.spec.run.path is not None:
            return found
        why = self.rules.why(found, step, budget.within(step, budget.fastest), budget.spent)
        return self.rules.begin(found, step, why) if why else found

    def after(self, seen: Stage, budget: Budget) -> tuple[Course, np.ndarray | None]:
        """After a stage of this way: the next course, and the positions from which it begins anew, where it does."""
        course, step, rules = seen.course, seen.step, self.rules
        if course.phase == SAMPLING:
            left = budget.left(step)
            return rules.go_on(course, step, left, rules.tuner.limit(step, left)), None
        if course.phase == DESCENT:
            return self._after_descent(seen, budget.left(step))
        if not seen.sound:
            return rules.again(course, step), seen.held
        position = seen.mended
        if course.window == 0:
            mass = seen.launch.masses(position)
            curvature = seen.launch.with_masses(mass).curvature(seen.held, FINE)
            found = rules.fall(course, step, seen.energy, mass, curvature, budget.left(step))
            return found.replacing(seen.lost), position
        last, timed = course.window == STAGES, budget.seconds is not None
        share = len(seen.position) / self.held.job.replicas if last and timed else 1.0
        noise = seen.launch.noise(position, step) if last else 0.0
        found = rules.fallen(course, step, seen.energy, seen.acceptance(), budget.left(step, share), noise)
        found = found.replacing(seen.lost)
        if found.phase == SAMPLING:
            return found, self.with_group(position)
        return found, position if seen.lost.any() else None

    def _after_descent(self, seen: Stage, left: int) -> tuple[Course, np.ndarray | None]:
        course, step = seen.course, seen.step
        if not self.rules.descended(course):
            return self.rules.descend(course, step, seen.energy, left), None
        position = seen.mended
        curvature = seen.launch.curvature(position, FINE)
        return self.rules.warm(course, step, seen.energy, curvature, left).replacing(seen.lost), position

    def sampled(self, course: Course, step: int, window: Window, found: Mapping[str, np.ndarray]) -> Course:
        """The course with what was sampled so far; `found` are the averages of its draws."""
        return self.rules.sampled(course, step, window, held_out(self.ready, found))

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
