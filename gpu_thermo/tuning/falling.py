"""The other way of a run that tunes itself, for stiff networks whose burn-in does not end (docs/tuning.md): a short
descent, masses by tensor, an isokinetic word whose stepsize falls from far above what is stable to a last one that
stays, and draws of that last part only.

It always has an answer within its budget, and may be trusted only where its draws pass every test of a burn-in and the
group at half the stepsize agrees. Decisions are of the same kind as in tuner.py, and stand in the same Course.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..errors import RunError
from . import rules
from .course import ADAPTATION, BURN_IN, FALL, SAMPLING, Course
from .rules import Lengths
from .statistics import order_factor, total_variance
from .tuner import Tuner
from .windows import Window

NAME = "falling"
"""Of this way in a course and a spec."""
SHARE = 0.25
"""Of the budget in which burn-in must have ended by the ordinary rules, before this way is taken."""
STIFF = 150.0
"""Steps in which the softest motion forgets, 1/(gamma h), from which a network is stiff: budgets do not say it."""
FAILED = 3
"""Windows of burn-in of any other network that must have failed before it is given up."""
GROWTH = 3.0
"""By how much the adaptation may still raise h_0, where burn-in is foretold from it; later it is from h as it is."""
DESCENT_STEPS, DESCENT_SHARE, FEWEST, MOST = 50, 0.01, 4, 40
"""Steps of a window of the descent, its share of the budget, and its windows at least and at most."""
RATES = 0.02, 0.005
"""Learning rates at its beginning and its end."""
FRICTION = 0.1
WARM, HOT, COLD = 6.0, 8.0, 2.0
"""Stepsizes in 1 / sqrt(largest curvature of U/tau): while gradients warm up for the masses, where the fall begins, and
where it ends."""
WARM_SHARE, WARM_LEAST = 0.02, 200
"""Of the budget, for the warming, and its steps at least, where the budget has eight times as many."""
FALL_SHARE, STAGES = 0.4, 16
"""Of the budget that is left for the fall, and its geometric steps."""
AGAIN = 8
"""How often stages may be done again at half the stepsize."""


@dataclass(frozen=True)
class Falling:
    """The decisions of this way by the rules of a Tuner; `left` is always how many steps the budget still allows."""

    tuner: Tuner

    # -- whether to take it --------------------------------------------------------------------------------------------

    def why(self, course: Course, step: int, left: int, spent: float = 0.0) -> str:
        """Why an ordinary course that has come to this stage has to be given up for this way, for people; "" where it
        has not. `spent` is the share of its time that is gone.
        """
        share = SHARE * (step + left)
        if course.phase == SAMPLING and not course.burned and course.stuck < rules.MODES:
            failed = sum(line["phase"] == BURN_IN for line in course.log)
            known = self.forgets(course) >= STIFF or failed >= FAILED
            return "burn-in did not end by its own rules" if known else ""
        if course.phase not in (ADAPTATION, BURN_IN) or self.forgets(course) < STIFF:
            return ""
        if spent > SHARE:
            return f"burn-in has not ended within {SHARE:.0%} of the time"
        if course.phase == BURN_IN:
            late = course.stop > share
            return f"burn-in would not end within {SHARE:.0%} of the budget" if late else ""
        if step > share:
            return f"the adaptation did not end within {SHARE:.0%} of the budget"
        first = course.window == 0
        foretold = 4 * Lengths.of(course.stepsize * (GROWTH if first else 1.0), min(course.friction), False).quarter
        if (first or course.window >= rules.FEWEST) and step + foretold > share:
            return f"burn-in would take {foretold:,} steps, more than {SHARE:.0%} of the budget"
        return ""

    @staticmethod
    def forgets(course: Course) -> float:
        """Steps in which the softest motion forgets where it was: 1/(gamma h), h as far as the adaptation may still
        raise it. 0 where it is not known.
        """
        gamma = min(course.friction, default=0.0)
        if not (0 < gamma < math.inf and course.stepsize):
            return 0.0
        early = course.phase == ADAPTATION and course.window < rules.FEWEST
        return 1 / (gamma * course.stepsize * (GROWTH if early else 1.0))

    def begin(self, course: Course, step: int, why: str) -> Course:
        """From the beginning, at this step; the stage that is given up says why."""
        given_up = replace(course, phase=BURN_IN) if course.phase == SAMPLING else course  # nothing was sampled yet
        found = given_up.logged(turned=why) if why else course
        return Course(path=NAME, begun=step, stop=step + DESCENT_STEPS, plan=FEWEST, log=found.log)

    # -- descent and warming -------------------------------------------------------------------------------------------

    def rate(self, course: Course) -> float:
        """Learning rate of this window of the descent."""
        first, last = RATES
        return first * (last / first) ** (course.window / max(course.plan - 1, 1))

    def descended(self, course: Course) -> bool:
        """Whether the descent is over."""
        return course.window + 1 >= course.plan

    def descend(self, course: Course, step: int, energy: float, left: int) -> Course:
        """On to the next window; how many there are is laid down after the first."""
        plan = course.plan
        if course.window == 0:
            plan = min(max(FEWEST, round(DESCENT_SHARE * left / DESCENT_STEPS)), MOST)
        found = course.logged(energy=energy, rate=self.rate(course))
        return replace(
            found, window=course.window + 1, begun=step, stop=step + DESCENT_STEPS, plan=plan
        )  # fmt: skip

    def warm(self, course: Course, step: int, energy: float, curvature: float, left: int) -> Course:
        """From the descent to the stage in which gradients warm up, with masses 1; the curvature is that of U."""
        found = course.logged(energy=energy, rate=self.rate(course), curvature=curvature)
        steps = max(min(WARM_LEAST, left // 8), round(WARM_SHARE * left), 1)
        return self._stage(replace(found, fall=(self._unit(curvature) * WARM,) * 2), 0, step, steps)

    def _unit(self, curvature: float) -> float:
        """1 / sqrt(curvature of U/tau)."""
        return math.sqrt(max(self.tuner.temperature) / curvature)

    # -- the fall ------------------------------------------------------------------------------------------------------

    def fall(self, course: Course, step: int, energy: float, mass: Mapping[str, float], curvature: float,
             left: int) -> Course:  # fmt: skip
        """From the warming to the fall: masses, and the curvature in them where the descent ended."""
        found = course.logged(energy=energy, mass=dict(mass), curvature=curvature, again=False)
        unit = self._unit(curvature)
        return self._next(replace(found, mass=dict(mass), fall=(HOT * unit, COLD * unit)), step, left)

    def fallen(
        self, course: Course, step: int, energy: float, acceptance: float, left: int, noise: float = 0.0
    ) -> Course:
        """After a stage of the fall: the next, or, behind the last, the draws; with s^2 / tau of minibatches."""
        shown = None if math.isnan(acceptance) else acceptance
        rho = {"rho": self.tuner.share_of(course, noise)} if noise else {}
        found = course.logged(energy=energy, acceptance=shown, again=False, **rho)
        return self._next(found, step, left) if course.window < STAGES else self._sample(found, step, left)

    def again(self, course: Course, step: int) -> Course:
        """A stage in which replicas were lost, once more and all that follow at half the stepsize; RunError where that
        was done too often.
        """
        if sum(bool(line.get("again")) for line in course.log if line["phase"] == FALL) >= AGAIN:
            raise RunError(
                f"Positions still become infinite at stepsize {course.stepsize:.3g}, after {AGAIN} halvings: the"
                " density has no smooth top there, or is none (a model without a prior?)."
            )
        found = course.logged(again=True)
        hot, cold = course.fall
        return self._stage(replace(found, fall=(hot / 2, cold / 2)), course.window, step, course.stop - course.begun)

    def _next(self, course: Course, step: int, left: int) -> Course:
        """The stage behind this one, so long that all of them take FALL_SHARE of what there was when they began."""
        done = course.window
        steps = round(FALL_SHARE * left / (STAGES - FALL_SHARE * done))
        return self._stage(course, done + 1, step, max(steps, 1))

    def _stage(self, course: Course, window: int, step: int, steps: int) -> Course:
        hot, cold = course.fall
        h = hot * (cold / hot) ** (max(window - 1, 0) / (STAGES - 1))
        return replace(
            course, phase=FALL, window=window, begun=step, stop=step + steps, stepsize=h, friction=(FRICTION,),
            lengths=Lengths(1, max(1, steps // 5), steps),
        )  # fmt: skip

    # -- the draws -----------------------------------------------------------------------------------------------------

    def _sample(self, course: Course, step: int, left: int) -> Course:
        """The last stepsize stays, and everything is kept from here on: first a quarter of what is left."""
        stride = max(1, math.ceil(left / rules.MOST_DRAWS))
        first = max(left // (16 * stride), 2) * 4 * stride
        found = replace(
            course, phase=SAMPLING, window=0, begun=step, stepsize=course.fall[1], kept=stride, origin=step,
            first=first, lengths=Lengths(1, stride, first // 4),
        )  # fmt: skip
        return replace(found, stop=step + first)

    def sampled(self, course: Course, step: int, window: Window, scores: Mapping[str, float]) -> Course:
        """The course with a line of what was sampled so far; whether its draws pass as a burn-in would, and the group
        at half the stepsize agrees.
        """
        found = self.tuner.sampled(course, step, window)
        line = found.log[-1] | self._heat(window)
        failed = [*self._failed(line), *(["bias"] if biased(line, self.tuner.tolerance) else [])]
        line = line | {"failed": failed, "passed": not failed, "scores": dict(scores)}
        return replace(found, log=(*found.log[:-1], line), burned=not failed)

    def _heat(self, window: Window) -> dict[str, Any]:
        """By how much U, a point, lies above that of the group at half the stepsize, its error, whether it is seen."""
        alive, count = window.finite(), self.tuner.replicas
        main, half = window.rows(np.flatnonzero(alive[:count])), window.rows(count + np.flatnonzero(alive[count:]))
        u = self.tuner.outputs
        mean, square = main.moments()
        a, b = mean[:, u], half.moments()[0][:, u]
        if min(len(a), len(b)) < 2:
            return {}
        error = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
        d, sd = float(a.mean() - b.mean()), math.sqrt(total_variance(mean, square)[u])
        c = order_factor(self.tuner.first_order)
        seen = bool(c * (abs(d) - rules.VIRIAL * error) > self.tuner.tolerance * sd)
        return {"heat": d, "heat_error": error, "heat_excess": seen}

    @staticmethod
    def _failed(line: Mapping[str, Any]) -> list[str]:
        """Tests of a burn-in that a line of the sampling fails."""
        pairs = zip(line["virial"], line["virial_error"], strict=True)
        good = {
            "drift": line["p"] > rules.SIZE, "ratio": line["ratio"] < rules.RATIO,
            "virial": all(abs(v - 1) <= rules.VIRIAL * e for v, e in pairs), "lost": not line.get("lost"),
        }  # fmt: skip
        return [name for name, passed in good.items() if not passed]

    def go_on(self, course: Course, step: int, left: int, limit: str) -> Course:
        """The next segment, or the end: the tolerance is reached only where nothing failed; `limit` is what ends it
        else, max_steps or max_time.
        """
        error = course.latest(SAMPLING)["error"]
        if error <= self.tuner.tolerance and course.burned:
            return replace(course, ended="tolerance")
        done, kept = step - course.origin, course.kept
        wanted = rules.next_segment(done, error, self.tuner.tolerance, course.lengths.quarter, kept)
        more = min(wanted if course.burned else max(wanted, done // kept * kept), left // kept * kept)
        if more < kept:
            return replace(course, ended=limit)
        return replace(course, window=course.window + 1, begun=step, stop=step + more, ended="")


def biased(line: Mapping[str, Any], tolerance: float) -> bool:
    """Whether the group at half the stepsize disagrees, beyond the errors of both."""
    seen = line["bias"] is not None and line["bias"] - 2 * line["bias_error"] > tolerance
    return bool(line["excess"] or line.get("heat_excess") or seen)
