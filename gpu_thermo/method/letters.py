"""The letters of splitting words: what each does to (q, p, xi) = (theta, p, xi), in NumPy and in C++ (equations.md
section 2).

h is a letter's own length and G = -gradient. Coefficients are formed in float64, once for each stepsize.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..cost import Count
from .record import Array, Operation, Values, Work

LMV = "Leimkuhler, Matthews & Vlaar 2019"


# -- A, B: flight and force --------------------------------------------------------------------------------------------


def drift(theta: Array, p: Array, h: Array) -> None:
    """A: theta += h p."""
    theta += h * p


def kick(p: Array, gradient: Array, h: Array) -> None:
    """B: p += h G, G = -gradient."""
    p -= h * gradient


A = Operation(
    symbol="A", formula="theta += h p", reference=LMV, act=drift, operands=("q", "p"),
    coefficients=lambda h, values: (h,), kinds="r",
    code=(
        "// A: theta += h p\n"
        "HD void drift(real& theta, real p, real h) { theta += h * p; }",
    ),
    call="drift(x.q, x.p, {0});", drifts=True, several=True, work=Work(potential=True), count=Count(1),
)  # fmt: skip

B = Operation(
    symbol="B", formula="p += h G", reference=LMV, act=kick, operands=("p", "g"),
    coefficients=lambda h, values: (h,), kinds="r",
    code=(
        "// B: p += h G\n"
        "HD void kick(real& p, real gradient, real h) { p -= h * gradient; }",
    ),
    call="kick(x.p, x.g, {0});", kicks=True, several=True, work=Work(kinetic=True), count=Count(1),
)  # fmt: skip


# -- C, D, E: the thermostat, part by part -----------------------------------------------------------------------------


def damp(p: Array, xi: Array, h: Array) -> None:
    """C: p *= exp(-h xi); the exponent is formed in float64 and rounded once."""
    p *= np.exp((-h * xi).astype(p.dtype))


def diffuse(p: Array, noise: Array, scale: Array) -> None:
    """D: p += scale R, scale = sigma sqrt(h)."""
    p += scale * noise


def regulate(xi: Array, p: Array, rate: Array, target: Array) -> None:
    """E: xi += rate (p.p - target), rate = h epsilon, target = n tau; xi is float64 so that small steps are not
    lost.
    """
    xi += rate * (square_sum(p)[:, None] - target)


def square_sum(p: Array) -> Array:
    """p.p of each replica [R], summed in float64 whatever the dtype of p."""
    return (p * p).sum(axis=-1, dtype=np.float64)


DAMP = """\
// C: p *= exp(-h xi); the exponent is formed in float64 and rounded once
HD real damp_factor(wide h, wide xi) { return exp_of(narrow(-(h * xi))); }
HD void damp(real& p, real factor) { p *= factor; }"""

C = Operation(
    symbol="C", formula="p *= exp(-h xi)", reference=LMV, act=damp, operands=("p", "xi"),
    coefficients=lambda h, values: (h,), kinds="w",
    code=(DAMP,), factors=("damp_factor({0}, {xi})",), call="damp(x.p, {f0});",
    thermostat=True, count=Count(0, 1),
)  # fmt: skip

D = Operation(
    symbol="D", formula="p += sigma sqrt(h) R", reference=LMV, act=diffuse, operands=("p",), reads=("sigma",),
    coefficients=lambda h, values: (values["sigma"] * np.sqrt(h),), kinds="r",
    code=(
        "// D: p += scale R, scale = sigma sqrt(h)\n"
        "HD void diffuse(real& p, real noise, real scale) { p += scale * noise; }",
    ),
    call="diffuse(x.p, {n}, {0});", normals=1, count=Count(1),
)  # fmt: skip

E = Operation(
    symbol="E", formula="xi += h epsilon (p.p - n tau)", reference=LMV, act=regulate, operands=("xi", "p"),
    reads=("epsilon", "temperature"),
    coefficients=lambda h, values: (h * values["epsilon"], values["count"] * values["temperature"]), kinds="ww",
    code=(
        "// E: xi += rate (p.p - target), rate = h epsilon, target = n tau\n"
        "HD void regulate(wide& xi, wide square_sum, wide rate, wide target) { xi += rate * (square_sum - target); }",
    ),
    sums=("p.p",), settle="regulate({xi}, {s0}, {0}, {1});", thermostat=True, count=Count(1),
)  # fmt: skip


# -- F: C and D together, solved exactly -------------------------------------------------------------------------------


def thermostat_exact(p: Array, xi: Array, noise: Array, h: Array, scale: Array) -> None:
    """F: p = exp(-xi h) p + scale sqrt(phi(2 xi h)) R, scale = sigma sqrt(h): C and D together, solved exactly."""
    exponent = xi * h
    p *= np.exp(-exponent).astype(p.dtype)
    p += (scale * np.sqrt(phi(2 * exponent))).astype(p.dtype) * noise


def phi(x: Array) -> Array:
    """phi(x) = -expm1(-x) / x, by its series 1 - x/2 + x^2/6 for abs(x) < 1e-3."""
    small = abs(x) < 1e-3
    safe = np.where(small, 1.0, x)
    return np.where(small, 1 - x / 2 + x * x / 6, -np.expm1(-safe) / safe)


EXACT = """\
// F: p = exp(-xi h) p + scale sqrt(phi(2 xi h)) R, scale = sigma sqrt(h), phi(x) = -expm1(-x)/x
HD real phi(real x) {
  const mask small = magnitude(x) < splat(scalar(1e-3));
  const real safe = select(small, splat(scalar(1)), x);
  return select(small, scalar(1) - x * scalar(0.5) + x * x * scalar(1.0 / 6), -expm1_of(-safe) / safe);
}
HD real exact_scale(wide h, wide xi, real scale) { return scale * root(phi(narrow(h * xi) * scalar(2))); }
HD void thermostat_exact(real& p, real noise, real factor, real scale) { p = factor * p + scale * noise; }"""

F = Operation(
    symbol="F", formula="p = exp(-xi h) p + sigma sqrt(h phi(2 xi h)) R", reference="equations.md section 2",
    act=thermostat_exact, operands=("p", "xi"), reads=("sigma",),
    coefficients=lambda h, values: (h, values["sigma"] * np.sqrt(h)), kinds="wr",
    code=(DAMP, EXACT), factors=("damp_factor({0}, {xi})", "exact_scale({0}, {xi}, {1})"),
    call="thermostat_exact(x.p, {n}, {f0}, {f1});", normals=1, thermostat=True, count=Count(1, 1),
)  # fmt: skip


# -- O: friction and noise at one temperature --------------------------------------------------------------------------


def ornstein_uhlenbeck(p: Array, noise: Array, a: Array, root_v: Array) -> None:
    """O: p = a p + sqrt(v) R."""
    p *= a
    p += root_v * noise


def _friction(h: Array, values: Values) -> tuple[Array, Array]:
    """a = exp(-gamma h) and sqrt(v), v = -tau expm1(-2 gamma h); gamma = inf gives a = 0, v = tau."""
    rate = np.where(np.isinf(values["friction"]), np.inf, values["friction"] * h)
    return np.exp(-rate), np.sqrt(-values["temperature"] * np.expm1(-2 * rate))


ORNSTEIN_UHLENBECK = """\
// O: p = a p + sqrt(v) R
HD void ornstein_uhlenbeck(real& p, real noise, real a, real root_v) { p = a * p + root_v * noise; }"""

O = Operation(
    symbol="O", formula="p = a p + sqrt(v) R, a = exp(-gamma h), v = tau (1 - a^2)",
    reference="Leimkuhler & Matthews 2013",
    act=ornstein_uhlenbeck, operands=("p",), reads=("friction", "temperature"), coefficients=_friction, kinds="rr",
    code=(ORNSTEIN_UHLENBECK,),
    call="ornstein_uhlenbeck(x.p, {n}, {0}, {1});", normals=1, work=Work(), count=Count(1, 1), apart="CDEF",
    because="O carries its own friction and noise. The literature's BADODAB (D = thermostat, O = exact step with"
    " friction xi) is BAEFEAB here.",
)  # fmt: skip


# -- U: A and O together, solved exactly ------------------------------------------------------------------------------


def fly_with_friction(
    theta: Array, p: Array, noise: Array, other: Array, reach: Array, eta: Array, b: Array, c: Array, d: Array
) -> None:
    """U: theta += reach p + r1, p = eta p + r2, with r2 = b R and r1 = c R + d R', so that R is as O's."""
    theta += reach * p
    theta += c * noise + d * other
    p *= eta
    p += b * noise


def _fly_with_friction(h: Array, values: Values) -> tuple[Array, ...]:
    """With x = gamma h, eta = exp(-x) and t = tanh(x/2) = (1 - eta)/(1 + eta): reach = (1 - eta)/gamma, b^2 = Var r2 =
    tau (1 - eta^2), c = Cov/b = reach sqrt(tau t), and d^2 = Var r1 - c^2 = tau/gamma^2 (2 x - 4 t).

    gamma = 0 is A; gamma = inf leaves theta alone. d by its series below x = .01, where the terms cancel.
    """
    x = np.where(np.isinf(values["friction"]), np.inf, values["friction"] * h)
    tau, small, some = values["temperature"], x < 1e-2, np.isfinite(x) & (x > 0)
    safe = np.where(some, x, 1.0)
    t = np.tanh(x / 2)
    reach = h * np.where(some, -np.expm1(-safe) / safe, np.where(x > 0, 0.0, 1.0))
    series = x / 6 * (1 - x**2 / 10 + 17 * x**4 / 1680) if small.any() else 0.0
    rest = np.where(small, series, np.where(some, (2 * safe - 4 * np.tanh(safe / 2)) / safe**2, 0.0))
    return reach, np.exp(-x), np.sqrt(-tau * np.expm1(-2 * x)), reach * np.sqrt(tau * t), h * np.sqrt(tau * rest)


FLY_WITH_FRICTION = """\
// U: theta += reach p + c R + d R', p = eta p + b R
HD void fly_with_friction(real& theta, real& p, real noise, real other, real reach, real eta, real b, real c, real d) {
  theta += reach * p;
  theta += c * noise + d * other;
  p = eta * p + b * noise;
}"""

U = Operation(
    symbol="U", formula="d theta = p dt, dp = -gamma p dt + sqrt(2 gamma tau) dW, solved for h",
    reference="Skeel & Izaguirre 2002; Sanz-Serna & Zygalakis 2021",
    act=fly_with_friction, operands=("q", "p"), reads=("friction", "temperature"), coefficients=_fly_with_friction,
    kinds="rrrrr", code=(FLY_WITH_FRICTION,),
    call="fly_with_friction(x.q, x.p, {n0}, {n1}, {0}, {1}, {2}, {3}, {4});", normals=2, drifts=True,
    work=Work(potential=True), count=Count(4, 2), apart="ACDEF",
    because="U is A and O solved together, with O's friction and noise. UBU is whole.",
)  # fmt: skip


# -- K, S: force and friction on a momentum of one length --------------------------------------------------------------


def turn(p: Array, gradient: Array, rate: Array, length: Array) -> None:
    """K: u = p/|p| turns towards e = G/|G| for delta = rate |G|, and |p| = length; G = 0 leaves u as it is."""
    gg, gp, pp = ((a * b).sum(axis=-1, keepdims=True, dtype=np.float64) for a, b in
                  ((gradient, gradient), (gradient, p), (p, p)))  # fmt: skip
    keep, pull = turning(gg, gp, pp, rate, length, 16 * np.finfo(p.dtype).eps)
    p *= keep.astype(p.dtype)
    p -= pull.astype(p.dtype) * gradient


def turning(gg: Array, gp: Array, pp: Array, rate: Array, length: Array, least: float) -> tuple[Array, Array]:
    """Factors of p and of -gradient in K's map, from the sums g.g, g.p and p.p.

    u' = (u + e (sinh delta + c (cosh delta - 1))) / (cosh delta + c sinh delta), c = e.u, with both parts multiplied by
    2 z, z = exp(-delta), so that nothing overflows. 1 + c is held above `least`, below which it is rounding: |p| would
    come out too long where u points against e and delta is large.
    """
    some = np.where(gg > 0, gg, 1.0)
    gap = np.maximum(1 - gp / np.sqrt(some * pp), least)  # 1 + c
    gone = -np.expm1(-rate * np.sqrt(gg))  # 1 - z
    z = 1 - gone
    whole = gap + (2 - gap) * z * z
    return length / np.sqrt(pp) * 2 * z / whole, length / np.sqrt(some) * gone * (2 * z + gap * gone) / whole


def turning_work(p: Array, gradient: Array, rate: Array, length: Array) -> Array:
    """Work of K in units of tau, [R]: (n - 1) log(cosh delta + c sinh delta), c = e.u, n = length^2: minus the
    logarithm of how it changes volumes on the sphere.
    """
    gg, gp, pp = ((a * b).sum(axis=-1, keepdims=True, dtype=np.float64) for a, b in
                  ((gradient, gradient), (gradient, p), (p, p)))  # fmt: skip
    rate, length = (np.float64(1) * c.reshape(-1, 1) for c in (rate, length))
    gap = np.maximum(1 - gp / np.sqrt(np.where(gg > 0, gg, 1.0) * pp), 16 * np.finfo(p.dtype).eps)  # 1 + c
    delta = rate * np.sqrt(gg)
    return ((length * length - 1) * (delta + np.log1p((2 - gap) * np.expm1(-2 * delta) / 2)))[:, 0]


def refresh(p: Array, noise: Array, a: Array, b: Array, length: Array) -> None:
    """S: u = (u + nu R)/|u + nu R|, as p = a p + b R and then |p| = length."""
    p *= a
    p += b * noise
    p *= (length / np.sqrt(square_sum(p))[:, None]).astype(p.dtype)


def _length(h: Array, values: Values) -> Array:
    return np.full_like(h, np.sqrt(values["count"]))


def _turn(h: Array, values: Values) -> tuple[Array, Array]:
    """delta / |grad U| = h sqrt(n) / ((n - 1) tau), and |p| = sqrt(n)."""
    n = values["count"]
    return h * np.sqrt(n) / ((n - 1) * values["temperature"]), _length(h, values)


def _refresh(h: Array, values: Values) -> tuple[Array, Array, Array]:
    """a = exp(-gamma h) and b = sqrt(1 - a^2): nu = sqrt((exp(2 gamma h) - 1)/n) on p = sqrt(n) u, times a."""
    a, b = _friction(h, {**values, "temperature": 1.0})
    return a, b, _length(h, values)


TURN = """\
// K: factors of p and of -gradient from g.g, g.p and p.p; see `turning` of method/letters.py
struct Turning {
  real keep, pull;
};
HD Turning turning(wide gg, wide gp, wide pp, real rate, real length) {
  const real one = splat(scalar(1)), least = splat(scalar(IS_DOUBLE ? 3.6e-15 : 1.9e-6));
  const real g2 = narrow(gg), p2 = narrow(pp);
  const real along = root(select(g2 > zero(), g2, one)), size = root(p2), one_and_c = one - narrow(gp) / (along * size);
  const real gap = select(one_and_c < least, least, one_and_c);  // NaN stays
  const real gone = -expm1_of(-(rate * root(g2))), z = one - gone;
  const real whole = gap + (scalar(2) - gap) * z * z;
  return {length / size * (z * scalar(2)) / whole, length / along * gone * (z * scalar(2) + gap * gone) / whole};
}
HD void turn(real& p, real gradient, real keep, real pull) { p = keep * p - pull * gradient; }
// (n - 1) log(cosh delta + c sinh delta), n = length^2; see `turning_work`
HD wide turning_work(wide gg, wide gp, wide pp, real rate, real length) {
  const real one = splat(scalar(1)), least = splat(scalar(IS_DOUBLE ? 3.6e-15 : 1.9e-6));
  const real g2 = narrow(gg), one_and_c = one - narrow(gp) / (root(select(g2 > zero(), g2, one)) * root(narrow(pp)));
  const real gap = select(one_and_c < least, least, one_and_c), delta = rate * root(g2);
  const real grown = log1p_of((scalar(2) - gap) * expm1_of(delta * scalar(-2)) * scalar(0.5));
  return widen(length * length - one) * widen(delta + grown);
}"""
TO_LENGTH = """\
// S: what makes |p| = length
HD real to_length(wide square_sum, real length) { return length / root(narrow(square_sum)); }"""

_KEEPS_LENGTH = "K and S keep the length of p, which B, C, D, E, F, O and U change. KASAK is a whole word."
_SPHERE: Mapping[str, Any] = {
    "reference": "Robnik & Seljak 2023", "fixed_length": True, "apart": "BCDEFOU", "because": _KEEPS_LENGTH,
}  # fmt: skip

K = Operation(
    symbol="K",
    formula="u = p/|p| turns towards G: du/dt = (1 - u u^T) G sqrt(n)/((n - 1) tau), |p| = sqrt(n)",
    act=turn, operands=("p", "g"), reads=("temperature",), positive=("temperature",), coefficients=_turn, kinds="rr",
    code=(TURN,),
    factors=("turning({s0}, {s1}, {s2}, {0}, {1}).keep", "turning({s0}, {s1}, {s2}, {0}, {1}).pull"),
    sums=("g.g", "g.p", "p.p"), finish="turn(x.p, x.g, {f0}, {f1});", kicks=True,
    work=Work(act=turning_work, code="turning_work({s0}, {s1}, {s2}, {0}, {1})"), count=Count(4, 1), **_SPHERE,
)  # fmt: skip

S = Operation(
    symbol="S", formula="u = (u + nu R)/|u + nu R|, nu = sqrt((exp(2 gamma h) - 1)/n)",
    act=refresh, operands=("p",), reads=("friction",), coefficients=_refresh, kinds="rrr",
    code=(ORNSTEIN_UHLENBECK, TO_LENGTH),
    call="ornstein_uhlenbeck(x.p, {n}, {0}, {1});", sums=("p.p",), factors=("to_length({s0}, {2})",),
    finish="x.p *= {f0};", normals=1, work=Work(), count=Count(2, 2), **_SPHERE,
)  # fmt: skip


LETTERS: dict[str, Operation] = {letter.symbol: letter for letter in (A, B, C, D, E, F, K, O, S, U)}
"""Letters by symbol."""
