"""Schedules: step -> factor on a hyperparameter's value, tabulated in float64 per segment (equations.md section 4).

Step k runs from 0; S is the number of steps of the run. Every schedule is one table for all replicas.
"""

import math
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Schedule(BaseModel):
    """Base of all schedules; `spans_run` says whether the factors depend on S, and so forbid extending the run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @property
    def spans_run(self) -> bool:
        """Whether a longer run would have had other factors from the start."""
        return True

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """Factors [steps] of steps start, start + 1, ...; `total` is S."""
        raise TypeError("use one of the schedules below")  # pragma: no cover


class Annealing(Schedule):
    """Base of what goes from 1 to `final` over the run, r = k / S, or `restarts` times: r = (k mod L) / L, L = ceil(S /
    restarts).
    """

    restarts: Annotated[int, Field(ge=1)] | None = None

    def _progress(self, start: int, steps: int, total: int) -> np.ndarray:
        """r [steps]."""
        k = _steps(start, steps)
        return k / total if self.restarts is None else phase(k, cycle_length(total, self.restarts))


class Linear(Annealing):
    """From 1 to `final`: 1 + (final - 1) r."""

    schedule: Literal["linear"]
    final: NonNegative = 0.0

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """1 + (final - 1) r."""
        return 1 + (self.final - 1) * self._progress(start, steps, total)


class Exponential(Annealing):
    """From 1 to `final`: final^r."""

    schedule: Literal["exponential"]
    final: Positive = 0.01

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """final^r."""
        return self.final ** self._progress(start, steps, total)


class Cosine(Annealing):
    """From 1 to `final` along half a cosine."""

    schedule: Literal["cosine"]
    final: NonNegative = 0.0

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """final + (1 - final) (1 + cos(pi r)) / 2."""
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * self._progress(start, steps, total))) / 2


class Cyclical(Schedule):
    """(1 + cos(pi r)) / 2, r = (k mod L) / L: `cycles` in the run, L = ceil(S / cycles), or a `period` L of its own."""

    schedule: Literal["cyclical"]
    cycles: Annotated[int, Field(ge=1)] | None = None
    period: Annotated[int, Field(ge=1)] | None = None

    @model_validator(mode="after")
    def _one_length(self) -> "Cyclical":
        if (self.cycles is None) == (self.period is None):
            raise ValueError("give either cycles (of the whole run) or period (in steps)")
        return self

    @property
    def spans_run(self) -> bool:
        """True by cycles, False by period."""
        return self.period is None

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """(1 + cos(pi r)) / 2."""
        length = cycle_length(total, self.cycles, self.period)
        return (1 + np.cos(np.pi * phase(_steps(start, steps), length))) / 2


class Polynomial(Schedule):
    """a (k + b)^-c."""

    schedule: Literal["polynomial"]
    a: Positive = 1.0
    b: Positive = 1.0
    c: NonNegative = 0.55

    @property
    def spans_run(self) -> bool:
        """False."""
        return False

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """a (k + b)^-c."""
        return self.a * (_steps(start, steps) + self.b) ** -self.c


class Piecewise(Schedule):
    """factors[i] from step boundaries[i-1] up to boundaries[i]; one more factor than boundaries."""

    schedule: Literal["piecewise"]
    boundaries: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=1)]
    factors: Annotated[list[NonNegative], Field(min_length=2)]

    @model_validator(mode="after")
    def _matching(self) -> "Piecewise":
        if len(self.factors) != len(self.boundaries) + 1:
            raise ValueError(
                f"{len(self.boundaries)} boundaries need {len(self.boundaries) + 1} factors, not {len(self.factors)}"
            )
        if any(b <= a for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(f"boundaries {self.boundaries} do not increase")
        return self

    @property
    def spans_run(self) -> bool:
        """False."""
        return False

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """The factor of the piece each step falls in."""
        piece = np.searchsorted(self.boundaries, _steps(start, steps), side="right")
        return np.asarray(self.factors, dtype=np.float64)[piece]


class Table(Schedule):
    """`factors` given one by one, each held for `every` steps; the last one holds to the end, and `repeat` starts over
    instead.
    """

    schedule: Literal["table"]
    factors: Annotated[list[NonNegative], Field(min_length=1)]
    every: Annotated[int, Field(ge=1)] = 1
    repeat: bool = False

    @property
    def spans_run(self) -> bool:
        """False: what a longer run does after the table is fixed by the table."""
        return False

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """factors[k // every], held at the end or repeated."""
        index = (_steps(start, steps) // self.every).astype(np.int64)
        index = index % len(self.factors) if self.repeat else np.minimum(index, len(self.factors) - 1)
        return np.asarray(self.factors, dtype=np.float64)[index]


class Cooling(Schedule):
    """CoolMomentum's rho_k / rho_0 at update k = step + 1 (equations.md section 3); not for specs, made from a method's
    keys.

    `law`: "published" max(0, 1 - (1 - rho_0) / alpha^k), "exponential" (exactly exponential temperature), or "linear".
    """

    schedule: Literal["cooling"] = "cooling"
    law: Literal["published", "exponential", "linear"]
    rho: Annotated[float, Field(gt=0, lt=1)]

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """rho_k / rho_0, k = 1 .. S."""
        rho, k = self.rho, _steps(start + 1, steps)
        if self.law == "published":
            rho_k = np.maximum(0.0, 1 - (1 - rho) / (1 - rho) ** (k / total))
            rho_k[k == total] = 0.0  # exact by definition, rounding aside
        elif self.law == "exponential":
            temperature = (1 - rho) / (1 + rho) * ((1 + rho) / (1 - rho)) ** (k / total)
            rho_k = (1 - temperature) / (1 + temperature)
            rho_k[k == total] = 0.0
        else:
            rho_k = rho * (1 - k / total) / (1 - rho * k / total)
        return rho_k / rho


class Every(Schedule):
    """Multirate: a partition rests, and in the last of every `period` steps moves by as many at once; not for specs,
    made from method.every.
    """

    schedule: Literal["every"] = "every"
    period: Annotated[int, Field(ge=2)]

    @property
    def spans_run(self) -> bool:
        """False."""
        return False

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """m where k mod m = m - 1, else 0."""
        last = (start + np.arange(steps)) % self.period == self.period - 1
        return np.where(last, float(self.period), 0.0)


AnySchedule = Annotated[
    Linear | Exponential | Cosine | Cyclical | Polynomial | Piecewise | Table, Field(discriminator="schedule")
]
SCHEDULES = ("constant", "linear", "exponential", "cosine", "cyclical", "polynomial", "piecewise", "table")


def cycle_length(total: int, cycles: int | None, period: int | None = None) -> int:
    """L: `period`, or ceil(S / cycles)."""
    return period or math.ceil(total / (cycles or 1))


def phase(step: np.ndarray, length: int) -> np.ndarray:
    """r = (k mod L) / L."""
    return step % length / length


def _steps(start: int, steps: int) -> np.ndarray:
    return np.arange(start, start + steps, dtype=np.float64)
