"""What a window of draws says while a run tunes itself: its tests, its errors, the bias of its stepsize (equations.md
section 14). Sums in, a line of the log out; what becomes of it is tuner.py's.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import ladder, rules
from .course import BURN_IN, SAMPLING, Course
from .statistics import (
    Bias,
    Estimate,
    mean_error,
    order_factor,
    stationarity,
    stepsize_bias,
    superchains,
    total_variance,
    variance_error,
    variance_ratio,
    virial,
)
from .windows import Window


@dataclass(frozen=True)
class Judge:
    """What does not change while a run tunes itself.

    Attributes
    ----------
    tolerance, max_steps : as the spec has them. parameters : P of each partition [K]. temperature : [K] tau.
    replicas : R, those that count; rows behind them are the group at h/2. outputs : probe outputs among the quantities,
    the energy is the last. settled : an output whose sd is not above this does not vary.
    braces : whether blocks are accepted or rejected. isokinetic, first_order : of the word. proper : whether the
    virial is known. stepsize, friction : those that the user gives, None where they are tuned (friction: of all
    partitions, or of one). masses : whether the run estimates them. seed : of the run. overdamped : of sgld, which has
    no momenta; its "friction" is the rate tau / variance at which positions forget.
    thermostat : whether a word keeps its temperature by one (C, D, E, F), which takes up the noise of gradients too.
    hottest : tau of the last rung of a ladder that is to be found, 0 without; swap : what its neighbours are to accept.
    rungs : of a given ladder. superchain : neighbours that share a start, 0 where each has its own.
    batches : whether the run finds the size of its minibatches.
    """

    tolerance: float
    max_steps: int
    parameters: tuple[int, ...]
    temperature: tuple[float, ...]
    replicas: int
    outputs: int
    settled: float
    braces: bool = False
    isokinetic: bool = False
    first_order: bool = False
    proper: bool = True
    stepsize: float | None = None
    friction: tuple[float | None, ...] | None = None
    masses: bool = False
    seed: int = 0
    overdamped: bool = False
    thermostat: bool = False
    hottest: float = 0.0
    swap: float = ladder.SWAP
    rungs: tuple[float, ...] = ()
    superchain: int = 0
    batches: bool = False

    @property
    def heat(self) -> float:
        """P tau / 2, by which the thermal energy exceeds that of the bottom of a well."""
        return sum(p * t for p, t in zip(self.parameters, self.temperature, strict=True)) / 2

    # -- verdicts on windows -------------------------------------------------------------------------------------------

    def judged(self, course: Course, step: int, window: Window) -> tuple[Course, bool, list[str], Bias | None]:
        """A window's tests: the course with a line of what they came to, whether all passed, those that failed, and the
        bias of the stepsize.
        """
        alive = window.finite()
        every = window.rows(alive)
        main = window.rows(np.flatnonzero(alive[: self.replicas]))
        p = stationarity(every.change(self.outputs), self.seed, step)
        mean, square = main.moments()
        moving = self.moving(mean, square)
        ratio = float(variance_ratio(mean, square)[moving].max(initial=0.0))
        tests = {"drift": p > rules.SIZE, "ratio": ratio < rules.RATIO}
        virials = self.virials(main)
        tests["virial"] = all(v.within(1, rules.VIRIAL) for v in virials)
        starts = self.starts(alive, mean, square)
        tests["starts"] = not starts.get("apart", False)
        failed = [name for name, good in tests.items() if not good]
        bias, lost = self.bias(window), self.lost(window)
        failed = ["lost"] if lost else failed  # the other tests are of what the lost ones spoil
        line = course.logged(
            p=p, ratio=ratio, virial=[v.value for v in virials], virial_error=[v.error for v in virials],
            acceptance=_number(main.mean_acceptance), friction=list(course.friction), block=course.lengths.block,
            error=self.error(mean, square), failed=failed, passed=not failed, again=False, lost=lost,
            **_bias_line(bias), **starts,
        )  # fmt: skip
        return line, not failed, failed, bias

    def sampled(self, course: Course, step: int, window: Window) -> Course:
        """The course with a line of what was sampled so far: its error, its bias, whether it drifts."""
        alive = window.finite()
        main = window.rows(np.flatnonzero(alive[: self.replicas]))
        mean, square = main.moments()
        error, moving, bias = self.error(mean, square), self.moving(mean, square), self.bias(window)
        total = total_variance(mean, square)[moving]
        spread = float((variance_error(mean, square)[moving] / total).max(initial=0.0))
        virials = self.virials(main)
        return course.logged(
            p=stationarity(main.change(self.outputs), self.seed, step), virial=[v.value for v in virials],
            virial_error=[v.error for v in virials], error=error, variance_error=spread, draws=window.draws,
            frozen=int((~alive[: self.replicas]).sum()), lost=self.lost(window),
            ratio=float(variance_ratio(mean, square)[moving].max(initial=0.0)), outputs=int(moving.sum()),
            acceptance=_number(main.mean_acceptance), **_bias_line(bias),
            excess=bool(bias is not None and bias.excess(self.tolerance)), **self.starts(alive, mean, square),
        )  # fmt: skip

    # -- what they are made of -----------------------------------------------------------------------------------------

    def part(self, course: Course, step: int, each: int = 1) -> int:
        """Part of the window that a draw after `step` belongs to: a quarter of a window of burn-in, or of the first
        segment of sampling, whose last one goes on; or, of each part, one of so many stretches.
        """
        if course.phase not in (BURN_IN, SAMPLING):
            return 0
        sampling = course.phase == SAMPLING
        since, whole = (course.origin, course.first) if sampling else (course.begun, 4 * course.lengths.quarter)
        return min(4 * each - 1, 4 * each * (step - since - 1) // whole)

    def moving(self, mean: np.ndarray, square: np.ndarray) -> np.ndarray:
        """[Q] which probe outputs vary at all."""
        varies = total_variance(mean, square) > self.settled**2
        varies[self.outputs :] = False
        return varies

    def error(self, mean: np.ndarray, square: np.ndarray) -> float:
        """The largest over probe outputs of the standard error of their means, in posterior sd."""
        moving = self.moving(mean, square)
        return float((mean_error(mean)[moving] / np.sqrt(total_variance(mean, square)[moving])).max(initial=0.0))

    def virials(self, main: Window) -> list[Estimate]:
        """Of each partition that moves at a temperature, where the density is proper."""
        pairs = zip(self.parameters, self.temperature, strict=True)
        free = [k for k, (count, tau) in enumerate(pairs) if count and tau > 0]
        return virial(main.virial()[:, free], np.array(self.temperature)[free]) if self.proper and free else []

    def starts(self, alive: np.ndarray, mean: np.ndarray, square: np.ndarray) -> dict[str, Any]:
        """What superchains say, for a line of the log: the largest nested R-hat over outputs, whether they are apart.
        {} where each replica has its own start. `alive` [R + B].
        """
        if not self.superchain:
            return {}
        moving = self.moving(mean, square)
        number = np.flatnonzero(alive[: self.replicas]) // self.superchain
        found = superchains(mean[:, moving], square[:, moving], number)
        return {"nested": _number(float(found.nested.max(initial=1.0))), "apart": found.apart}

    def bias(self, window: Window) -> Bias | None:
        """What the group at h/2 says of the means; None without such a group, or where nothing moves."""
        alive = window.finite()
        half = window.rows(self.replicas + np.flatnonzero(alive[self.replicas :]))
        if half.total.shape[1] < 3:
            return None
        main = window.rows(np.flatnonzero(alive[: self.replicas]))
        mean, square = main.moments()
        moving = self.moving(mean, square)
        if not moving.any():
            return None
        sd = np.sqrt(total_variance(mean, square)[moving])
        return stepsize_bias(mean[:, moving], half.moments()[0][:, moving], sd, order_factor(self.first_order))

    def lost(self, window: Window) -> int:
        """How many of the replicas that count a window of draws has seen far outside, or never moving."""
        return int(window.lost(self.outputs, self.heat, self.braces)[: self.replicas].sum())


def _number(value: float) -> float | None:
    """NaN has no place in JSON."""
    return None if math.isnan(value) else value


def _bias_line(bias: Bias | None) -> dict[str, Any]:
    if bias is None:
        return {"bias": None, "bias_error": None}
    return {"bias": bias.overall.value, "bias_error": bias.overall.error}
