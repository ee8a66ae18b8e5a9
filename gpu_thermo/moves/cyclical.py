"""Cyclical stepsizes with an exploration and a sampling stage, as schedules that any word obeys (equations.md section
5).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ..errors import SpecError
from ..method import schedules
from ..method.words import Program
from ..state import Hyper, Tabulated
from .options import Cyclical


@dataclass(frozen=True)
class Stages:
    """Which stage of which cycle a step k belongs to: r = (k mod L) / L explores below beta."""

    length: int
    explore: float

    @classmethod
    def make(cls, options: Cyclical, total: int) -> "Stages":
        """L is `period`, or ceil(S / cycles)."""
        length = schedules.cycle_length(total, options.cycles, options.period)
        if length < 2:
            raise SpecError(
                f"cycles = {options.cycles} in {total} steps leaves cycles of {length} step: use fewer cycles."
            )
        stages = cls(length, options.explore)
        if not stages.sampling(np.arange(length)).any():
            raise SpecError(
                f"explore = {options.explore} leaves no step of a cycle of {length} to sample in: lower it."
            )
        return stages

    def sampling(self, step: np.ndarray) -> np.ndarray:
        """Whether step k samples, for each of `step`."""
        return schedules.phase(step, self.length) >= self.explore

    def cycle(self, step: int) -> int:
        """Number of the cycle of step k, from 0."""
        return step // self.length


@dataclass(frozen=True)
class Exploring:
    """Schedule: `factor` while exploring, 1 while sampling."""

    options: Cyclical
    factor: float

    @property
    def spans_run(self) -> bool:
        """True by cycles, False by period."""
        return self.options.period is None

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """Factors [steps]."""
        sampling = Stages.make(self.options, total).sampling(np.arange(start, start + steps))
        return np.where(sampling, 1.0, self.factor)


@dataclass(frozen=True)
class LessGradientNoise:
    """Schedule of sgld's temperature that leaves 2 h tau - (h s)^2 to inject: the gradient noise of sd s brings the
    rest.
    """

    exploring: Exploring
    stepsize: Tabulated
    ratio: float
    """h_0 s^2 / (2 tau)."""

    @property
    def spans_run(self) -> bool:
        """True by cycles, False by period."""
        return self.exploring.spans_run

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """Factors [steps]; never below 0."""
        wanted = self.exploring.tabulate(start, steps, total)
        return np.maximum(wanted - self.ratio * self.stepsize.tabulate(start, steps, total), 0.0)


@dataclass(frozen=True)
class Product:
    """Two schedules of one hyperparameter."""

    first: Tabulated
    second: Tabulated

    @property
    def spans_run(self) -> bool:
        """Whether either does."""
        return self.first.spans_run or self.second.spans_run

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """Factors [steps]."""
        return self.first.tabulate(start, steps, total) * self.second.tabulate(start, steps, total)


def in_cycles(hyper: Hyper, program: Program, options: Cyclical) -> Hyper:
    """`hyper` with the stepsize in cycles, and temperature, sigma and thermostat as the exploring stage has them.

    Raises
    ------
    SpecError
        The stepsize has a schedule of its own; nothing to explore at another temperature; `gradient_noise_sd` without
        one h and tau.
    """
    if ("stepsize", 0) in hyper.schedules:
        raise SpecError("A cyclical move sets the stepsize's schedule: remove the one in method.stepsize.")
    used = [(name, k) for name in ("temperature", "sigma", "epsilon") for k in _used(hyper, name)]
    if not used:
        raise SpecError(
            "A cyclical move explores at another temperature, and this method has none: use sgld or a Langevin word."
        )
    stepsize = schedules.Cyclical(schedule="cyclical", cycles=options.cycles, period=options.period)
    factor = options.explore_temperature
    factors = {"temperature": factor, "sigma": math.sqrt(factor), "epsilon": float(factor > 0)}
    new: dict[tuple[str, int], Tabulated] = {("stepsize", 0): stepsize}
    for name, k in used:
        new[name, k] = _joined(hyper.schedules, (name, k), Exploring(options, factors[name]))
    if options.gradient_noise_sd:
        less = LessGradientNoise(
            Exploring(options, factor), stepsize, _noise_ratio(hyper, program, options.gradient_noise_sd)
        )
        new |= {("temperature", k): less for k in _used(hyper, "temperature")}
    return replace(hyper, schedules={**hyper.schedules, **new})


def _used(hyper: Hyper, name: str) -> list[int]:
    table = getattr(hyper, name)
    return [k for k in range(table.shape[1]) if not np.isnan(table[:, k]).all()]


def _joined(existing: Mapping[tuple[str, int], Tabulated], key: tuple[str, int], new: Tabulated) -> Tabulated:
    return Product(existing[key], new) if key in existing else new


def _noise_ratio(hyper: Hyper, program: Program, sd: float) -> float:
    h, tau = np.unique(hyper.stepsize), np.unique(hyper.temperature[:, _used(hyper, "temperature")])
    scheduled = any(name == "temperature" for name, _ in hyper.schedules)
    if len(h) != 1 or len(tau) != 1 or not tau[0] > 0 or scheduled or program.update != "sgld":
        raise SpecError(
            "gradient_noise_sd is for sgld with one stepsize and one temperature for all replicas: leave it out."
        )
    return float(h[0] * sd**2 / (2 * tau[0]))
