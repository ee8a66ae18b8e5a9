"""The letters of splitting words: what each does to (q, p, xi) = (theta, p, xi), in NumPy and in C++ (equations.md
section 2).

h is a letter's own length and G = -gradient. Coefficients are formed in float64, once for each stepsize.
"""

import numpy as np

from ..cost import Count
from .record import Array, Operation, Values

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
    call="drift(x.q, x.p, {0});", drifts=True, several=True, count=Count(1),
)  # fmt: skip

B = Operation(
    symbol="B", formula="p += h G", reference=LMV, act=kick, operands=("p", "g"),
    coefficients=lambda h, values: (h,), kinds="r",
    code=(
        "// B: p += h G\n"
        "HD void kick(real& p, real gradient, real h) { p -= h * gradient; }",
    ),
    call="kick(x.p, x.g, {0});", kicks=True, several=True, count=Count(1),
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


O = Operation(
    symbol="O", formula="p = a p + sqrt(v) R, a = exp(-gamma h), v = tau (1 - a^2)",
    reference="Leimkuhler & Matthews 2013",
    act=ornstein_uhlenbeck, operands=("p",), reads=("friction", "temperature"), coefficients=_friction, kinds="rr",
    code=(
        "// O: p = a p + sqrt(v) R\n"
        "HD void ornstein_uhlenbeck(real& p, real noise, real a, real root_v) { p = a * p + root_v * noise; }",
    ),
    call="ornstein_uhlenbeck(x.p, {n}, {0}, {1});", normals=1, count=Count(1, 1), apart="CDEF",
    because="O carries its own friction and noise. The literature's BADODAB (D = thermostat, O = exact step with"
    " friction xi) is BAEFEAB here.",
)  # fmt: skip


LETTERS: dict[str, Operation] = {letter.symbol: letter for letter in (A, B, C, D, E, F, O)}
"""Letters by symbol."""
