"""Priors of a network's parameters: energy, gradient and draws in array code, and C++, one record each (equations.md
section 12).

A prior adds (1/N) sum_i -log p(theta_i) to U, without constants: `factor` times a sum of terms, one a parameter.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .records import CONSTANTS, check_bodies, look_up

Array = Any
Constants = Mapping[str, float]


@dataclass(frozen=True)
class Code:
    """C++ bodies over `real`, a number or a vector of them. A constant NAME of the record is `c[NAME]`, a double.

    Attributes
    ----------
    term : one parameter's term of the energy, without the factor, from its value q. slope : d U / d q, from q and c.
    """

    term: str
    slope: str


@dataclass(frozen=True)
class Prior:
    """One prior; its scale s is an option of the model.

    Attributes
    ----------
    constants : (s, N) -> numbers by name, among them `factor`, which multiplies the sum of the terms.
    term : theta [R, P] -> terms [R, P]. slope : (theta [R, P], constants) -> d U / d theta [R, P].
    energy : (theta [R, P] float64, s, N) -> the prior's part of U [R], as recorded.
    draw : (standard normals [R, P], s) -> draws of the prior [R, P], for init = "prior".
    """

    name: str
    formula: str
    reference: str
    constants: Callable[[float, int], dict[str, float]]
    term: Callable[[Array], Array]
    slope: Callable[[Array, Constants], Array]
    energy: Callable[[Array, float, int], Array]
    draw: Callable[[Array, float], Array]
    code: Code

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


def _normal_constants(scale: float, points: int) -> dict[str, float]:
    precision = 1 / (scale**2 * points)
    return {"factor": precision / 2, "precision": precision}


PRIORS: dict[str, Prior] = {
    prior.name: prior
    for prior in (
        Prior(
            "normal", "theta^2 / (2 s^2), s the standard deviation", "equations.md section 1",
            constants=_normal_constants,
            term=lambda theta: theta * theta,
            slope=lambda theta, c: theta.dtype.type(c["precision"]) * theta,
            energy=lambda theta, scale, points: (theta * theta).sum(axis=-1) / (2 * scale**2 * points),
            draw=lambda noise, scale: noise * noise.dtype.type(scale),
            code=Code(term="return q * q;", slope="return scalar(c[PRECISION]) * q;"),
        ),
    )
}  # fmt: skip


def get_prior(name: str) -> Prior:
    """The prior of that name; SpecError says the nearest known one."""
    return look_up("prior", name, PRIORS)
