"""Coefficients of a program's operations in float64, formed once for both engines from the records of method/."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..method.operations import operation
from ..method.words import InForce, Program, Substep
from ..state import Hyper

Array = Any


class Coefficients:
    """Values of hyperparameters and operations in `steps` steps from `start`, for the G columns of `hyper`: replicas,
    or groups of replicas alike.

    Every array is float64 and broadcasts to [T, G]: T is `steps`, or 1 where `at` names one of them (0 is `start`).
    """

    def __init__(self, program: Program, hyper: Hyper, start: int, steps: int) -> None:
        self._program, self._hyper, self._start, self._steps = program, hyper, start, steps
        self._factors: Mapping[tuple[str, int], np.ndarray] = hyper.factors(start, steps)

    def in_force(self, name: str, k: int, at: int | None = None) -> Array:
        """Hyperparameter `name` of partition k: base x schedule."""
        base = self._hyper.stepsize if name == "stepsize" else getattr(self._hyper, name)[:, k]
        factor = self._factors.get((name, k))
        if factor is None:
            return base[None]
        return base[None] * (factor[:, None] if at is None else factor[at])

    def temperature(self, at: int | None = None) -> Array:
        """The temperature of all partitions that read one; NaN where they have not one above 0, or none reads it."""
        program = self._program
        ks = [k for k in range(len(program.partition.names)) if "temperature" in program.reads(k)]
        if not ks:
            return np.full((1, self._hyper.replicas), np.nan)
        first, *others = (self.in_force("temperature", k, at) for k in ks)
        for other in others:
            first = np.where(other == first, first, np.nan)
        return np.where(first > 0, first, np.nan)

    def values(self, what: Substep | InForce, at: int | None = None) -> tuple[Array, ...]:
        """Coefficients of a substep, as its record forms them; a hyperparameter is its own."""
        if isinstance(what, InForce):
            return (self.temperature(at) if what.k is None else self.in_force(what.name, what.k, at),)
        record, k = operation(what.operation), what.partitions[0]
        h = self.in_force("stepsize", 0, at) * self._pace(k, at) * what.fraction.numerator / what.fraction.denominator
        h = h if what.ratio == 1 else h * what.ratio
        read = {name: self.in_force(name, k, at) for name in record.reads}
        return record.coefficients(h, read | {"count": self._program.partition.counts[k]})

    def _pace(self, k: int, at: int | None) -> Array:
        """How many stepsizes partition k moves by, where that is not one in every step."""
        factor = self._factors.get(("every", k))
        if factor is None:
            return 1
        return factor[:, None] if at is None else factor[at]

    def of_step(self, what: Substep | InForce) -> tuple[Array, ...]:
        """Further coefficients of a substep, [T, 1], that depend on the number of the step alone."""
        steps = np.arange(self._start, self._start + self._steps)[:, None]
        return operation(what.operation).of_step(steps) if isinstance(what, Substep) else ()
