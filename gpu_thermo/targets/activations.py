"""Activations: value and slope in array code and in C++, one record each (equations.md section 12).

To add one, add its record to ACTIVATIONS; spec, engines, kernels, operation counts and checks all go by the table.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cost import Count
from .functions import sigmoid, softplus
from .records import check_bodies, look_up

Array = Any
ONE = Count(0, 1)
"""One operation that is no multiply-add."""


@dataclass(frozen=True)
class Code:
    """C++ bodies over `real`, a number or a vector of them, with the functions of kernels/math.h.

    Attributes
    ----------
    value : act(z), from z. slope : act'(z), from z and value.
    product : act'(z) r, from z, value, slope and r; for those that need no multiplication.
    by_value : act'(z) r from value and r alone. Empty: slopes are computed with the values and kept.
    """

    value: str
    slope: str
    product: str = "return slope * r;"
    by_value: str = ""


@dataclass(frozen=True)
class Activation:
    """One activation.

    Attributes
    ----------
    code : C++ bodies, or None where array code alone carries it out, on the batched engine.
    value : (z, xp) -> act(z); may write over z unless `slope` reads it.
    slope : (z, value, xp) -> act'(z), a mask where it is 0 or 1; None where it is 1 everywhere.
    count, slope_count : arithmetic of one value, and of one slope when the value is known.
    homogeneous : whether act(z) = act'(z) z, which saves a sum where there is one output. odd : act(-z) = -act(z).
    kept : whether a value is expensive enough to be kept from the forward to the backward pass.
    """

    name: str
    formula: str
    reference: str
    value: Callable[[Array, Any], Array]
    slope: Callable[[Array, Array, Any], Array] | None
    code: Code | None
    count: Count
    slope_count: Count = ONE
    homogeneous: bool = False
    odd: bool = False
    kept: bool = False

    def __post_init__(self) -> None:
        """Refuse what one of the engines could not carry out."""
        check_bodies(f"activation '{self.name}'", self.code, ("by_value",))

    @property
    def by_sign(self) -> bool:
        """Whether act'(z) says no more than z > 0: of a homogeneous one with a kink, whose slope at 0 is that below."""
        if not self.homogeneous or self.slope is None:
            return False
        z = np.array([-1.0, 0.0])
        below, at = self.slope(z, self.value(z.copy(), np), np)
        return bool(below == at)


def _silu_slope(z: Array, value: Array, xp: Any) -> Array:
    """s + z s (1 - s), s the logistic function of z."""
    s = sigmoid(z, xp)
    return s + value * (1 - s)


GELU, GELU_CUBIC = 0.7978845608028654, 0.044715
"""sqrt(2 / pi), and the factor of z^3."""


def _gelu(z: Array, xp: Any) -> Array:
    """z/2 (1 + tanh(sqrt(2/pi) (z + .044715 z^3)))."""
    t = xp.tanh(z * z.dtype.type(GELU) * (1 + z * z * z.dtype.type(GELU_CUBIC)))
    return z * z.dtype.type(0.5) * (1 + t)


def _gelu_slope(z: Array, value: Array, xp: Any) -> Array:
    """(1 + t)/2 + z/2 (1 - t^2) sqrt(2/pi) (1 + 3 x .044715 z^2), t the hyperbolic tangent in the value."""
    one, q = z.dtype.type(1), z * z * z.dtype.type(GELU_CUBIC)
    t = xp.tanh(z * z.dtype.type(GELU) * (one + q))
    return z.dtype.type(0.5) * (one + t + z * (one - t * t) * z.dtype.type(GELU) * (one + 3 * q))


TURNS = """
    const real shifted = z * scalar(0.15915494309189535) + scalar(ROUNDER), n = shifted - scalar(ROUNDER);
    const real low = n * scalar(IS_DOUBLE ? 2.9774189921946493e-12 : 0.0019353071795864769);
    const real rest = (z - n * scalar(IS_DOUBLE ? 6.283185307176609 : 6.28125)) - low;
    real sine, cosine;
    sincos_turns(rest * scalar(0.15915494309189535), sine, cosine);
"""
"""C++: sine and cosine of z, whole turns n taken off in two parts, the first of few enough bits to be exact."""


ACTIVATIONS: dict[str, Activation] = {
    activation.name: activation
    for activation in (
        Activation(
            "relu", "max(z, 0), slope 0 at 0", "Nair and Hinton 2010",
            value=lambda z, xp: xp.maximum(z, 0, out=z),
            slope=lambda z, value, xp: value > 0,
            code=Code(
                value="return positive_part(z);",  # NaN passes
                slope="return select(z > zero(), splat(scalar(1)), zero());",
                product="return select(z > zero(), r, zero());",
                by_value="return select(value > zero(), r, zero());",
            ),
            count=ONE, homogeneous=True,
        ),
        Activation(
            "tanh", "tanh z", "LeCun, Bottou, Orr and Mueller 1998",
            value=lambda z, xp: xp.tanh(z, out=z),
            slope=lambda z, value, xp: 1 - value * value,
            code=Code(
                value="return tanh_of(z);",
                slope="return scalar(1) - value * value;",
                by_value="return r - r * value * value;",
            ),
            count=Count(9, 12), kept=True, odd=True,
        ),
        Activation(
            "softplus", "log(1 + exp z), slope 1 - exp(-value)", "Dugas, Bengio, Belisle, Nadeau and Garcia 2001",
            value=softplus,
            slope=lambda z, value, xp: -xp.expm1(-value),
            code=Code(
                value="return softplus_of(z);",
                slope="""
    const real e = exp_of(-magnitude(z)), inverse = scalar(1) / (e + scalar(1));
    return select(z > zero(), inverse, e * inverse);""",
                by_value="return -expm1_of(-value) * r;",
            ),
            count=Count(18, 20), kept=True,
        ),
        Activation(
            "identity", "z: a linear network, whose posterior is known exactly", "equations.md section 1",
            value=lambda z, xp: z,
            slope=None,
            code=Code(
                value="return z;", slope="return splat(scalar(1));", product="return r;", by_value="return r;"
            ),
            count=Count(), homogeneous=True, odd=True,
        ),
        Activation(
            "silu", "z s(z), s the logistic function", "Elfwing, Uchibe and Doya 2018",
            value=lambda z, xp: z * sigmoid(z, xp),
            slope=_silu_slope,
            code=Code(
                value="return z * sigmoid_of(z);",
                slope="""
    const real s = sigmoid_of(z);
    return s + value * (scalar(1) - s);""",
            ),
            count=Count(9, 9), slope_count=Count(1, 1), kept=True,
        ),
        Activation(
            "gelu", "z/2 (1 + tanh(sqrt(2/pi) (z + .044715 z^3))): the tanh form", "Hendrycks and Gimpel 2016",
            value=_gelu,
            slope=_gelu_slope,
            code=Code(
                value=f"""
    const real t = tanh_of(z * scalar({GELU}) * (scalar(1) + z * z * scalar({GELU_CUBIC})));
    return z * scalar(0.5) * (scalar(1) + t);""",
                slope=f"""
    const real q = z * z * scalar({GELU_CUBIC}), t = tanh_of(z * scalar({GELU}) * (scalar(1) + q));
    const real inner = scalar({GELU}) * (scalar(1) + q * scalar(3));
    return scalar(0.5) * (scalar(1) + t + z * (scalar(1) - t * t) * inner);""",
            ),
            count=Count(10, 17), slope_count=Count(3, 6), kept=True,
        ),
        Activation(
            "sine", "sin z", "Sitzmann et al. 2020",
            value=lambda z, xp: xp.sin(z),
            slope=lambda z, value, xp: xp.cos(z),
            code=Code(value=f"{TURNS}    return sine;", slope=f"{TURNS}    return cosine;"),
            count=Count(14, 12), slope_count=Count(7, 3), kept=True, odd=True,
        ),
        Activation(
            "leaky_relu", "z, and .01 z below 0", "Maas, Hannun and Ng 2013",
            value=lambda z, xp: xp.where(z > 0, z, z * z.dtype.type(0.01)),
            slope=lambda z, value, xp: xp.where(value > 0, z.dtype.type(1), z.dtype.type(0.01)),
            code=Code(
                value="return select(z > zero(), z, z * scalar(0.01));",
                slope="return select(z > zero(), splat(scalar(1)), splat(scalar(0.01)));",
                by_value="return select(value > zero(), r, r * scalar(0.01));",
            ),
            count=Count(0, 2), homogeneous=True,
        ),
    )
}  # fmt: skip


def get_activation(name: str) -> Activation:
    """The activation of that name; SpecError says the nearest known one."""
    return look_up("activation", name, ACTIVATIONS)
