"""Cyclical stepsizes with an exploration and a sampling stage, as schedules that any word obeys (equations.md section
5).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ..errors import SpecError
from ..method import schedules
from ..method.words import Program
from ..state import Hyper, State, Tabulated
from .base import Context, Move, MoveOptions, NonNegative, kind_of
from .report import Report


class CyclicalOptions(MoveOptions):
    """Stepsize in cycles, each an exploration at another temperature and then sampling (Zhang et al. 2020); draws while
    sampling only.
    """

    order: ClassVar[int] = 0  # ladders rest on hyperparameters in their cycles

    kind: Literal["cyclical"]
    cycles: int | None = Field(None, ge=1, description="cycles in the run")
    period: int | None = Field(
        None, ge=2, description="steps of a cycle, instead of cycles: such a run can be extended"
    )
    explore: float = Field(0.5, ge=0, lt=1, description="beta, the part of each cycle that explores")
    explore_temperature: NonNegative = Field(
        0.0, description="factor on the temperature while exploring; 0 is plain descent, 1 the sampling temperature"
    )
    gradient_noise_sd: NonNegative | None = Field(
        None, description="known sd of the gradient noise, taken off sgld's own noise: 2 h tau - (h sd)^2"
    )

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.cycles is None) == (self.period is None):
            raise ValueError("give either cycles (of the whole run) or period (in steps)")
        return self

    def make(self, hyper: Hyper, context: Context) -> "tuple[Cyclical, Hyper]":
        """The cycles of a run, and its hyperparameters in them."""
        if not context.alone:
            _require_one_temperature(self)
        hyper = in_cycles(hyper, context.program, self)
        return Cyclical(Stages.make(self, context.steps)), hyper

    def recording(self, steps: int) -> "Stages":
        """Draws stand in sampling stages."""
        return Stages.make(self, steps)

    @classmethod
    def report(cls, facts: Mapping[str, Any], warnings: Sequence[str]) -> Report:
        """`facts`: length, explore."""
        line = f"of {facts['length']:,} steps, the first {facts['explore']:.0%} exploring"
        return Report(kind_of(cls), facts, {"cycles": line}, (), tuple(warnings))


def _require_one_temperature(options: CyclicalOptions) -> None:
    """Other moves go by the temperature in force, which must be that of what is sampled."""
    if options.explore_temperature == 0:
        raise SpecError(
            "A cyclical move with explore_temperature = 0 goes with no other move: give it a value above 0, such as 1."
        )
    if options.gradient_noise_sd:
        raise SpecError(
            "gradient_noise_sd of a cyclical move lowers the temperature that other moves go by: leave it out beside"
            " them."
        )


@dataclass(frozen=True)
class Stages:
    """Which stage of which cycle a step k belongs to: r = (k mod L) / L explores below beta."""

    length: int
    explore: float

    @classmethod
    def make(cls, options: CyclicalOptions, total: int) -> "Stages":
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

    @property
    def about(self) -> str:
        """What to call them."""
        return f"the cycles of {self.length} steps"


@dataclass(frozen=True)
class Cyclical(Move):
    """Cycles as a move: the schedules do it all, and draws tell which cycle they are of."""

    options: ClassVar[type[MoveOptions]] = CyclicalOptions
    names: ClassVar[tuple[str, ...]] = ("cycle",)
    about: ClassVar[Mapping[str, tuple[str, str]]] = {"cycle": ("1", "number of the cycle")}

    stages: Stages

    def statistics(self, state: State, step: int) -> dict[str, np.ndarray]:
        """The cycle of each replica [R] float64."""
        return {"cycle": np.full(state.replicas, float(self.stages.cycle(step - 1)))}

    def facts(self, state: State) -> dict[str, Any]:
        """Steps of a cycle, and the part of it that explores."""
        return {"length": self.stages.length, "explore": self.stages.explore}


@dataclass(frozen=True)
class Exploring:
    """Schedule: `factor` while exploring, 1 while sampling."""

    options: CyclicalOptions
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


def in_cycles(hyper: Hyper, program: Program, options: CyclicalOptions) -> Hyper:
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
