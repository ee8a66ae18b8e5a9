"""Priors of a network's parameters: energy, gradient and draws in array code, and C++, one record each (equations.md
section 12).

A prior adds (1/N) sum_i -log p(theta_i) to U, without constants: the sum of `factor` times a term, one a parameter. Its
scale is a number for all parameters, or one of each [P]; constants are then arrays [P] too.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .records import CONSTANTS, check_bodies, look_up

Array = Any
Constants = Mapping[str, Any]
DOF = 3.0
"""Degrees of freedom of the prior student_t: the heaviest tails of a whole number that still have a variance."""


@dataclass(frozen=True)
class Code:
    """C++ bodies over `real`, a number or a vector of them. A constant NAME of the record is `c[NAME]`, a double.

    Attributes
    ----------
    term : one parameter's term of the energy, without the factor, from its value q and c; 0 at 0.
    slope : d U / d q, from q and c; 0 at 0.
    """

    term: str
    slope: str


@dataclass(frozen=True)
class Prior:
    """One prior; its scale b is an option of the model.

    Attributes
    ----------
    constants : (b, N) -> numbers by name, among them `factor`, which multiplies the terms.
    term : (theta [R, P], constants) -> terms [R, P]. slope : (theta [R, P], constants) -> d U / d theta [R, P].
    code : C++ bodies, or None where array code alone carries it out, on the batched engine.
    normals : standard normals that a draw takes. draw : (those, each [R, P]) -> draws of scale 1.
    total : (theta, b, N) -> the sum of the terms with their factors [R], where it has a rounding of its own.
    """

    name: str
    formula: str
    reference: str
    constants: Callable[[Any, int], dict[str, Any]]
    term: Callable[[Array, Constants], Array]
    slope: Callable[[Array, Constants], Array]
    normals: int
    draw: Callable[[Sequence[Array]], Array]
    code: Code | None
    total: Callable[[Array, Any, int], Array] | None = None

    def __post_init__(self) -> None:
        """Refuse what one of the engines could not carry out."""
        check_bodies(f"prior '{self.name}'", self.code)
        names = self.constant_names
        if "factor" not in names or len(names) > CONSTANTS:
            raise ValueError(
                f"prior '{self.name}' has the constants {names}: factor is missing, or {CONSTANTS} passed."
            )

    @property
    def constant_names(self) -> tuple[str, ...]:
        """Names of the constants, in the order in which kernels are given them."""
        return tuple(self.constants(1.0, 1))

    def energy(self, theta: Array, scale: Any, points: int) -> Array:
        """The prior's part of U [R] at theta [R, P] float64."""
        if self.total is not None:
            return self.total(theta, scale, points)
        c = self.constants(scale, points)
        return (c["factor"] * self.term(theta, c)).sum(axis=-1)


def _like(theta: Array, value: Any) -> Any:
    """A constant in the precision of theta."""
    return value.astype(theta.dtype) if hasattr(value, "astype") else theta.dtype.type(value)


def _normal_constants(scale: Any, points: int) -> dict[str, Any]:
    precision = 1 / (scale**2 * points)
    return {"factor": precision / 2, "precision": precision}


def _normal_total(theta: Array, scale: Any, points: int) -> Array:
    if getattr(scale, "ndim", 0):
        return (theta * theta / (2 * scale**2 * points)).sum(axis=-1)
    return (theta * theta).sum(axis=-1) / (2 * scale**2 * points)


def _laplace_draw(n: Sequence[Array]) -> Array:
    """The difference of two exponential numbers, each half a sum of two squares."""
    return (n[0] * n[0] + n[1] * n[1] - n[2] * n[2] - n[3] * n[3]) / 2


def _student_constants(scale: Any, points: int) -> dict[str, Any]:
    return {"factor": (DOF + 1) / (2 * points) + 0 * scale, "square": DOF * scale**2}


def _student_slope(theta: Array, c: Constants) -> Array:
    return _like(theta, 2 * c["factor"]) * theta / (theta * theta + _like(theta, c["square"]))


def _student_draw(n: Sequence[Array]) -> Array:
    """A normal number over the root mean square of three others: DOF = 3."""
    square = (n[1] * n[1] + n[2] * n[2] + n[3] * n[3]) / n[0].dtype.type(DOF)
    return n[0] / square ** n[0].dtype.type(0.5)


PRIORS: dict[str, Prior] = {
    prior.name: prior
    for prior in (
        Prior(
            "normal", "theta^2 / (2 s^2), s the standard deviation", "equations.md section 1",
            constants=_normal_constants,
            term=lambda theta, c: theta * theta,
            slope=lambda theta, c: _like(theta, c["precision"]) * theta,
            normals=1, draw=lambda n: n[0],
            code=Code(term="return q * q;", slope="return scalar(c[PRECISION]) * q;"),
            total=_normal_total,
        ),
        Prior(
            "laplace", "|theta| / b, b the scale, sd b sqrt(2)", "Williams 1995",
            constants=lambda scale, points: {"factor": 1 / (scale * points)},
            term=lambda theta, c: abs(theta),
            slope=lambda theta, c: _like(theta, c["factor"]) * np.sign(theta),
            normals=4, draw=_laplace_draw,
            code=Code(
                term="return magnitude(q);",
                slope="return select(q == zero(), zero(), with_sign(splat(scalar(c[FACTOR])), q));",
            ),
        ),
        Prior(
            "student_t", "2 log(1 + theta^2 / (3 b^2)): t of 3 degrees of freedom, b the scale, sd b sqrt(3)",
            "Neal 1996, chapter 2",
            constants=_student_constants,
            term=lambda theta, c: np.log1p(theta * theta / _like(theta, c["square"])),
            slope=_student_slope,
            normals=4, draw=_student_draw,
            code=Code(
                term="return log1p_of(q * q / scalar(c[SQUARE]));",
                slope="return scalar(2 * c[FACTOR]) * q / (q * q + scalar(c[SQUARE]));",
            ),
        ),
    )
}  # fmt: skip


def get_prior(name: str) -> Prior:
    """The prior of that name; SpecError says the nearest known one."""
    return look_up("prior", name, PRIORS)


Scale = float | str | Mapping[str, float | str] | None
"""Scale of a prior as a spec says it: a number, "fan_in", one of them for each layer, or None for no prior."""
FAN_IN = "fan_in"
AUTO = "auto"
"""In a spec: chosen by the data (`wide.py`); no network is made of it."""


def scale_of(given: float | str, fan_in: int, bias: bool) -> float:
    """The scale of one tensor: a number is itself; "fan_in" is 1 / sqrt(fan_in) of weights and 1 of biases."""
    if given == FAN_IN:
        return 1.0 if bias else 1 / math.sqrt(fan_in)
    return float(given)
