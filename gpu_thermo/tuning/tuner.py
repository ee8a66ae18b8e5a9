"""What a run that tunes itself decides: Course, Window and a few reductions in, the next Course out (equations.md
section 14). What a window says is judging.py's.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from ..errors import DivergedError
from . import batches, ladder, rules
from .course import ADAPTATION, BURN_IN, DESCENT, HURRIED, LADDER, SAMPLING, Course
from .judging import Judge
from .rules import Lengths
from .windows import Window


@dataclass(frozen=True)
class Tuner(Judge):
    """The decisions, by what does not change while a run tunes itself."""

    @property
    def allowed(self) -> float:
        """What the median energy may change while the stepsize stands: .1 P tau / 2, or what its own noise explains."""
        square = sum(p * t * t for p, t in zip(self.parameters, self.temperature, strict=True)) / 2
        return max(rules.FALL * self.heat, rules.NOISY * rules.OF_MEDIAN * math.sqrt(square / self.replicas))

    # -- descent and adaptation ----------------------------------------------------------------------------------------

    def descended(self, course: Course, step: int, energy: float, lost: bool = False) -> bool:
        """Whether the descent is over: the median energy stands. Who is `lost`, far outside, may be on the way yet."""
        if step >= min(rules.DESCENT_MOST, self.max_steps // 4):
            return True
        looks = rules.PATIENCE if lost else 1
        seen = [*(line["energy"] for line in course.log), energy][-1 - looks :]
        stands = [before - after < rules.DESCENDED * self.heat for before, after in pairwise(seen)]
        return len(stands) == looks and all(stands)

    def descend(self, course: Course, step: int, energy: float) -> Course:
        """On to the next look."""
        found = course.logged(energy=energy)
        return replace(found, window=course.window + 1, begun=step, stop=step + rules.DESCENT_STEPS)

    def adapt(self, course: Course, step: int, curvature: float, variance: Sequence[float]) -> Course:
        """From the descent to the first window of the adaptation."""
        tau = max(self.temperature)
        h = self.stepsize or self._first(curvature, tau)
        found = course.logged(energy=course.latest(DESCENT).get("energy"), curvature=curvature)
        return replace(
            found, phase=ADAPTATION, window=0, begun=step, stop=step + rules.window_steps(0), stepsize=h,
            friction=self._friction(variance, h), lengths=Lengths(1, rules.WINDOW // 5, rules.WINDOW),
        )  # fmt: skip

    def _friction(self, variance: Sequence[float], h: float) -> tuple[float, ...]:
        """gamma of each partition: the user's, or found."""
        given = self.friction or (None,) * len(self.temperature)
        rate = rules.relaxation if self.overdamped else rules.friction
        found = (rate(v, tau, h, self.isokinetic) for v, tau in zip(variance, self.temperature, strict=True))
        return tuple(f if g is None else g for g, f in zip(given, found, strict=True))

    def _first(self, curvature: float, temperature: float) -> float:
        """h_0."""
        h = rules.first_stepsize(curvature, temperature, self.isokinetic)
        return rules.overdamped(h) if self.overdamped else h

    def after_adaptation(
        self, course: Course, step: int, acceptance: float, energy: float, variance: Sequence[float], sound: bool,
        noise: float = 0.0,
    ) -> tuple[Course, bool]:  # fmt: skip
        """After a window of plain steps: the next course, and whether the window is done again from its start.

        acceptance : mean over steps of min(1, exp(-w/tau)). energy : median over replicas. sound : all is finite.
        noise : s^2 / tau of a minibatch's gradient in the noisiest partition.
        """
        self._check(course, step, sound)
        if not sound or (acceptance < rules.LEAST and not self.stepsize):
            return self._again(course, step, acceptance), True
        h = course.stepsize
        adapted = rules.overdamped_factor if self.overdamped else rules.adapted_factor
        factor = 1.0 if self.stepsize else adapted(acceptance)
        rho = self.share_of(course, noise)
        if rho and not self.stepsize:
            factor = max(min(factor, rules.QUIET / rho), 0.1)
        found = course.logged(
            acceptance=acceptance, energy=energy, factor=factor, friction=list(course.friction), again=False, rho=rho
        )
        good = _good(found)
        fewest = rules.WEIGHED if found.mass else rules.WARM if self.masses else rules.FEWEST
        if rules.is_adapted([line["factor"] for line in good], [line["energy"] for line in good], self.allowed, fewest):
            return self._burn(replace(found, window=-1), step, h * factor, variance, 0), False
        if len(good) >= rules.MOST or self._late(step):
            return self._burn(replace(found, window=-1), step, h * factor, variance, 0), False
        steps, h = rules.window_steps(len(good)), h * factor
        return replace(
            found, window=course.window + 1, begun=step, stop=step + steps, stepsize=h,
            friction=self._friction(variance, h), lengths=Lengths(1, steps // 5, steps),
        ), False  # fmt: skip

    def weighs(self, before: Course, after: Course, step: int) -> bool:
        """Whether masses are to be estimated now: once, where the adaptation would end, when the gradients are warm."""
        ends = (before.phase, after.phase) == (ADAPTATION, BURN_IN) and not self._late(step)
        return ends and self.masses and not before.mass

    def weigh(
        self, course: Course, step: int, mass: Mapping[str, float], curvature: float, variance: Sequence[float]
    ) -> Course:
        """The adaptation begins again with these masses; curvature and variances are of the coordinates theta/s."""
        line = course.log[-1] | {"mass": dict(mass), "curvature": curvature}
        found = replace(course, mass=dict(mass), log=(*course.log[:-1], line))
        h = self.stepsize or self._first(curvature, max(self.temperature))
        return replace(
            found, phase=ADAPTATION, window=line["window"] + 1, begun=step, stop=step + rules.window_steps(0),
            stepsize=h, friction=self._friction(variance, h), lengths=Lengths(1, rules.WINDOW // 5, rules.WINDOW),
        )  # fmt: skip

    # -- minibatches ---------------------------------------------------------------------------------------------------

    def chooses(self, before: Course, after: Course) -> bool:
        """Whether the size of minibatches is to be found now: once, when the adaptation is over."""
        return self.batches and (before.phase, after.phase) == (ADAPTATION, BURN_IN)

    def share_of(self, course: Course, noise: float) -> float:
        """rho at the stepsize and friction in force, of a noise s^2 / tau; momenta of fixed length take s^2 / tau^2."""
        gamma = 1.0 if self.overdamped else min(course.friction, default=0.0)
        noise = noise / max(self.temperature) if self.isokinetic else noise
        return rules.noise_share(course.stepsize, noise, gamma) if noise and 0 < gamma < math.inf else 0.0

    def choose(self, course: Course, step: int, shares: Mapping[int, float], variance: Sequence[float]) -> Course:
        """Burn-in by the smallest minibatches that leave variances right, by rho of each size, or by all points."""
        size = batches.smallest(shares)
        line = course.log[-1] | {"batches": [[b, rho] for b, rho in shares.items()], "batch": size}
        line |= {"rho": shares[size]} if size else {}
        found = replace(course, log=(*course.log[:-1], line))
        if not size:
            return found
        plain = replace(self, braces=False)
        return plain._burn(replace(found, batch=size, window=-1), step, found.stepsize, variance, 0)

    # -- the ladder ----------------------------------------------------------------------------------------------------

    def climbs(self, before: Course, after: Course) -> bool:
        """Whether replicas become ladders now, as the adaptation is over."""
        has_one = bool(self.hottest or self.rungs)
        return has_one and before.phase == ADAPTATION != after.phase and not before.temperatures

    def climb(self, course: Course, step: int) -> Course:
        """Ladders from here on: the given one, or a first guess that is then looked at."""
        if self.rungs:
            return replace(course, temperatures=self.rungs)
        target = max(self.temperature)
        count = ladder.first_count(target, self.hottest, sum(self.parameters), self.swap)
        found = ladder.geometric(target, self.hottest, count)
        return replace(course, temperatures=found) if course.phase == SAMPLING else self._look(course, step, 0, found)

    def _look(self, course: Course, step: int, window: int, temperatures: tuple[float, ...]) -> Course:
        """A look at these rungs: swaps are counted over its second half."""
        stop = step + 2 * course.lengths.quarter
        return replace(course, phase=LADDER, window=window, begun=step, stop=stop, temperatures=temperatures)

    def after_ladder(
        self, course: Course, step: int, accepted: Sequence[int], attempts: Sequence[int], variance: Sequence[float],
        sound: bool,
    ) -> tuple[Course, bool]:  # fmt: skip
        """After a look at the ladder: the next course, and whether it is done again from where it began."""
        self._check(course, step, sound)
        if not sound:
            entry = replace(course.logged(again=True), stepsize=course.stepsize / 2)
            return self._look(entry, step, course.window + 1, course.temperatures), True
        share = ladder.shares(accepted, attempts)
        found = course.logged(again=False, swaps=share)
        done = course.window + 1 >= ladder.MOST_LOOKS or self._late(step)
        if done or ladder.settled(course.temperatures, share, self.swap):
            return self._burn(replace(found, window=-1), step, course.stepsize, variance, 0), False
        spaced = ladder.spaced(course.temperatures, share, self.swap)
        return self._look(found, step, course.window + 1, spaced), False

    def _check(self, course: Course, step: int, sound: bool) -> None:
        """RunError where a given stepsize is too large, and where none is small enough."""
        if sound:
            return
        if self.stepsize:
            raise DivergedError(
                f"Positions became infinite by step {step} at the given method.stepsize = {self.stepsize:g}: give a"
                ' smaller one, or "auto".'
            )
        if course.window >= rules.MOST:
            raise DivergedError(
                f"Positions still become infinite at stepsize {course.stepsize:.3g}, after {course.window} windows: the"
                " density has no smooth top there, or is none (a model without a prior?)."
            )

    def _again(self, course: Course, step: int, acceptance: float) -> Course:
        """The window once more, from where it began, at half the stepsize."""
        steps = course.stop - course.begun
        shown = None if math.isnan(acceptance) else acceptance
        found = course.logged(acceptance=shown, again=True, friction=list(course.friction))
        return replace(
            found, window=course.window + 1, begun=step, stop=step + steps,
            stepsize=course.stepsize / 2, friction=tuple(min(g, 1 / course.stepsize) for g in course.friction),
        )  # fmt: skip

    def _late(self, step: int) -> bool:
        """Whether half of the steps are gone."""
        return step >= self.max_steps // 2

    def limit(self, step: int, left: int) -> str:
        """What ends a run that has so many steps left after `step`."""
        return "max_time" if left < self.max_steps - step else "max_steps"

    # -- burn-in -------------------------------------------------------------------------------------------------------

    def _burn(self, course: Course, step: int, h: float, variance: Sequence[float], doubled: int) -> Course:
        """The next window of burn-in, or sampling where there is no time for one."""
        gamma = self._friction(variance, h)
        rates = gamma if all(map(math.isfinite, gamma)) else (0.5 / h,)
        lengths = Lengths.of(h, float(np.mean(rates)), self.braces, doubled)
        found = replace(course, stepsize=h, friction=gamma, lengths=lengths, doubled=doubled)
        room = self.max_steps // 2 - step
        if room <= 0 or (course.phase == BURN_IN and room < lengths.quarter):
            return self._sample(found, step, math.inf)
        found = replace(found, lengths=lengths.within(room))
        steps = 4 * found.lengths.quarter
        return replace(found, phase=BURN_IN, window=course.window + 1, begun=step, stop=step + steps)

    def after_burn_in(
        self, course: Course, step: int, window: Window, variance: Sequence[float], sound: bool, waiting: bool = False
    ) -> tuple[Course, bool]:
        """After a window of burn-in: the next course, and whether the window is done again. Where its draws are
        `waiting` for it they count once it has passed; else it is discarded, as one is that has not.
        """
        self._check(course, step, sound)
        if not sound:
            entry = course.logged(again=True, passed=False)
            h = course.stepsize / 2
            return self._burn(entry, step, h, variance, course.doubled), True
        found, passed, failed, bias = self.judged(course, step, window)
        stuck = course.stuck + ("ratio" in failed and "drift" not in failed)
        found = replace(found, stuck=stuck)
        factor = rules.block_factor(window.mean_acceptance) if self.braces and not self.stepsize else 1.0
        if passed and bias is not None and bias.excess(self.tolerance) and not course.lowered and not self.stepsize:
            worst = float(abs(bias.by_quantity).max())
            h = rules.lowered(course.stepsize, worst, self.tolerance, self.first_order)
            return self._burn(replace(found, lowered=True), step, h, variance, course.doubled), False
        if passed and waiting and self._counts(found, step):
            return self._counted(found, step, window), False
        if passed or course.window + 1 >= rules.MOST_WINDOWS or self._late(step):
            return self._sample(replace(found, burned=passed), step, found.log[-1]["error"]), False
        doubled = course.doubled + bool({"drift", "ratio", "starts"} & set(failed))
        return self._burn(found, step, course.stepsize * factor, variance, doubled), False

    def hurry(self, course: Course, step: int, left: int) -> Course:
        """Sampling from here on, whatever burn-in has come to: half of the time is gone, which leaves so many steps."""
        found = course.logged(failed=[HURRIED], passed=False, again=False, friction=list(course.friction))
        within = replace(self, max_steps=min(self.max_steps, step + left))
        return within._sample(found, step, math.inf, self.limit(step, left))

    def burn_on(self, course: Course, step: int, variance: Sequence[float]) -> Course:
        """Burn-in again, of a run that had given it up and has more time; it has no draws yet."""
        found = replace(course.without_draws(), window=-1, origin=0, first=0, hurried=False, ended="")
        return self._burn(found, step, course.stepsize, variance, course.doubled)

    # -- sampling ------------------------------------------------------------------------------------------------------

    def _counts(self, course: Course, step: int) -> bool:
        """Whether draws of the window that has passed may be the first: those that follow will be as dense, and no
        window has failed, so that the tests are of draws that were not chosen by them.
        """
        if any(line["phase"] == BURN_IN for line in course.log[:-1]):
            return False
        steps, error = step - course.begun, course.log[-1]["error"]
        wanted = min(steps * (error / self.tolerance) ** 2 * rules.MARGIN, self.max_steps - course.begun)
        return rules.kept_stride(course.lengths.stride, int(wanted)) == course.lengths.stride

    def _counted(self, course: Course, step: int, window: Window) -> Course:
        """Sampling that began with the window which has passed, everything fixed from there on."""
        found = replace(
            course.noted({"counted": True}), phase=SAMPLING, window=0, kept=course.lengths.stride, origin=course.begun,
            first=step - course.begun, burned=True, ended="",
        )  # fmt: skip
        return self.go_on(self.sampled(found, step, window), step)

    def _sample(self, course: Course, step: int, error: float, limit: str = "max_steps") -> Course:
        """Sampling, everything fixed from here on; `limit` ends it where there is no time for a draw."""
        left = self.max_steps - step
        lengths = course.lengths.within(left)
        n, stride = lengths.quarter, lengths.stride
        if 4 * stride > left:
            return replace(course, phase=SAMPLING, window=0, begun=step, stop=step, origin=step, ended=limit)
        wanted = 4 * n * (error / self.tolerance) ** 2 * rules.MARGIN if math.isfinite(error) else 4 * n
        stride = rules.kept_stride(stride, int(min(wanted, left)))
        first = stride * min(math.ceil(min(max(wanted, 2 * n), 4 * n) / stride), left // stride)
        found = replace(
            course, phase=SAMPLING, window=0, begun=step, kept=stride, origin=step, first=first, lengths=lengths,
            ended="",
        )  # fmt: skip
        return replace(found, stop=self._until(found, step, first))

    def _until(self, course: Course, step: int, steps: int) -> int:
        """The stop after so many more steps, or what max_steps leaves, on the grid of draws."""
        left = max(self.max_steps - step, 0) // course.kept * course.kept
        return step + min(steps, left)

    def after_sampling(self, course: Course, step: int, window: Window) -> Course:
        """After a segment of sampling: the error so far, and on, unless it will do."""
        return self.go_on(self.sampled(course, step, window), step)

    def go_on(self, course: Course, step: int) -> Course:
        """The next segment, or the end: also for a tolerance or a number of steps that came later."""
        if not course.latest(SAMPLING):  # it had no step left for a draw
            return self._sample(course, step, math.inf)
        error, done = course.latest(SAMPLING)["error"], step - course.origin
        if error <= self.tolerance:
            return replace(course, ended="tolerance")
        more = rules.next_segment(done, error, self.tolerance, course.lengths.quarter, course.kept)
        stop = self._until(course, step, more)
        if stop <= step:
            return replace(course, ended="max_steps")
        return replace(course, phase=SAMPLING, window=course.window + 1, begun=step, stop=stop, ended="")


def _good(course: Course) -> list[dict[str, Any]]:
    """Windows of the adaptation that stand, since the masses are what they are."""
    lines: list[dict[str, Any]] = []
    for line in course.log:
        if line["phase"] == ADAPTATION and not line["again"]:
            lines.append(line)
        if "mass" in line:
            lines = []
    return lines
