"""Whole-step updates: gradient descent, its noisy and its heavy relatives (equations.md section 3), in NumPy and C++.

h is the learning rate and G = -gradient.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..cost import Count
from .record import Array, Operation

# -- descent and its noise ---------------------------------------------------------------------------------------------


def descend(theta: Array, gradient: Array, h: Array) -> None:
    """SGD: theta += h G."""
    theta -= h * gradient


def descend_noisily(theta: Array, gradient: Array, noise: Array, h: Array, scale: Array) -> None:
    """SGLD: theta += h G + scale R, scale = sqrt(2 h tau)."""
    theta -= h * gradient
    theta += scale * noise


DESCEND = """\
// SGD: theta += h G
HD void descend(real& theta, real gradient, real h) { theta -= h * gradient; }"""
PERTURB = """\
// SGLD's noise: theta += sqrt(2 h tau) R
HD void perturb(real& theta, real noise, real scale) { theta += scale * noise; }"""

SGD = Operation(
    symbol="sgd", formula="theta += h G", reference="Robbins & Monro 1951", summary="stochastic gradient descent",
    defaults={"stepsize": 0.1}, act=descend, operands=("q", "g"), coefficients=lambda h, values: (h,), kinds="r",
    code=(DESCEND,), call="descend(x.q, x.g, {0});", count=Count(1),
)  # fmt: skip

SGLD = Operation(
    symbol="sgld", formula="theta += h G + sqrt(2 h tau) R", reference="Welling & Teh 2011",
    summary="stochastic gradient Langevin dynamics", defaults={"stepsize": 0.1, "temperature": 5e-5},
    act=descend_noisily, operands=("q", "g"), reads=("temperature",),
    coefficients=lambda h, values: (h, np.sqrt(2 * h * values["temperature"])), kinds="rr",
    code=(DESCEND, PERTURB), call="descend(x.q, x.g, {0}); perturb(x.q, {n}, {1});", normals=1, count=Count(2),
)  # fmt: skip


# -- momentum ----------------------------------------------------------------------------------------------------------


def heavy_ball(theta: Array, v: Array, gradient: Array, keep: Array, gain: Array, rate: Array) -> None:
    """Every momentum update: v = keep v + gain G; theta += rate v."""
    v *= keep
    v -= gain * gradient
    theta += rate * v


HEAVY_BALL = """\
// Momentum I, II and CoolMomentum: v = keep v + gain G; theta += rate v
HD void heavy_ball(real& theta, real& v, real gradient, real keep, real gain, real rate) {
  v = keep * v - gain * gradient;
  theta += rate * v;
}"""
_HEAVY: Mapping[str, Any] = {
    "act": heavy_ball, "operands": ("q", "p", "g"), "reads": ("momentum",), "kinds": "rrr", "code": (HEAVY_BALL,),
    "call": "heavy_ball(x.q, x.p, x.g, {0}, {1}, {2});", "count": Count(2, 1),
}  # fmt: skip

MOMENTUM = Operation(
    symbol="momentum", formula="v = mu v + h G; theta += v", reference="Polyak 1964",
    summary="gradient descent with heavy-ball momentum", defaults={"stepsize": 0.05, "momentum": 0.9},
    coefficients=lambda h, values: (values["momentum"], h, np.ones_like(h)), **_HEAVY,
)  # fmt: skip

MOMENTUM2 = Operation(
    symbol="momentum2", formula="v = mu v + (1 - mu) G; theta += h v", reference="Polyak 1964",
    coefficients=lambda h, values: (values["momentum"], 1 - values["momentum"], h), **_HEAVY,
)  # fmt: skip

COOLMOMENTUM = Operation(
    symbol="coolmomentum", formula="v = rho v + h (1 + rho)/2 G; theta += v", reference="Borysenko & Byshkin 2021",
    summary="momentum that cools to zero over the run", defaults={"stepsize": 0.01, "momentum": 0.99},
    coefficients=lambda h, values: (values["momentum"], h * (1 + values["momentum"]) / 2, np.ones_like(h)), **_HEAVY,
)  # fmt: skip


def noisy_ball(theta: Array, v: Array, gradient: Array, noise: Array, keep: Array, gain: Array, scale: Array) -> None:
    """SGHMC: v = keep v + gain G + scale R; theta += v."""
    v *= keep
    v -= gain * gradient
    v += scale * noise
    theta += v


NOISY_BALL = """\
// SGHMC: v = keep v + gain G + scale R; theta += v
HD void noisy_ball(real& theta, real& v, real gradient, real noise, real keep, real gain, real scale) {
  v = keep * v - gain * gradient;
  v += scale * noise;
  theta += v;
}"""

SGHMC = Operation(
    symbol="sghmc", formula="v = (1 - a) v + h G + sqrt(2 a h tau) R; theta += v, a = 1 - mu",
    reference="Chen, Fox & Guestrin 2014", summary="stochastic gradient Hamiltonian Monte Carlo, as published",
    defaults={"stepsize": 0.01, "momentum": 0.9, "temperature": 5e-5}, act=noisy_ball, operands=("q", "p", "g"),
    reads=("momentum", "temperature"),
    coefficients=lambda h, values: (
        values["momentum"], h, np.sqrt(2 * (1 - values["momentum"]) * h * values["temperature"])
    ),
    kinds="rrr", code=(NOISY_BALL,), call="noisy_ball(x.q, x.p, x.g, {n}, {0}, {1}, {2});", normals=1,
    velocity=True, count=Count(3, 1),
)  # fmt: skip


# -- a mean of squares for each parameter -----------------------------------------------------------------------------

ALPHA, RMS_EPSILON, PSGLD_LAMBDA = 0.99, 1e-8, 1e-5


def rmsprop(theta: Array, v: Array, gradient: Array, h: Array) -> None:
    """RMSprop: v = alpha v + (1 - alpha) G^2; theta += h G / (sqrt(v) + epsilon)."""
    theta -= h * gradient * _preconditioner(v, gradient, RMS_EPSILON)


def precondition(theta: Array, v: Array, gradient: Array, noise: Array, h: Array, scale: Array) -> None:
    """pSGLD: v as RMSprop's, m = 1/(sqrt(v) + lambda); theta += h m G + scale sqrt(m) R, scale = sqrt(2 h tau)."""
    m = _preconditioner(v, gradient, PSGLD_LAMBDA)
    theta -= h * gradient * m
    theta += scale * np.sqrt(m) * noise


def _preconditioner(v: Array, gradient: Array, least: float) -> Array:
    """1/(sqrt(v) + least), v brought up to date."""
    one, keep, least = (v.dtype.type(x) for x in (1, ALPHA, least))
    v *= keep
    v += (one - keep) * gradient * gradient
    return one / (np.sqrt(v) + least)


PRECONDITIONER = f"""\
// RMSprop's mean of squares v, and 1/(sqrt(v) + least)
HD real preconditioner(real& v, real gradient, scalar least) {{
  const scalar keep = scalar({ALPHA});
  v = v * keep + gradient * (1 - keep) * gradient;
  return scalar(1) / (root(v) + least);
}}"""
RMSPROP_STEP = f"""\
// RMSprop: theta += h G / (sqrt(v) + epsilon)
HD void rmsprop(real& theta, real& v, real gradient, real h) {{
  theta -= h * gradient * preconditioner(v, gradient, scalar({RMS_EPSILON}));
}}"""
PSGLD_STEP = f"""\
// pSGLD: theta += h m G + sqrt(2 h tau m) R, m = 1/(sqrt(v) + lambda)
HD void precondition(real& theta, real& v, real gradient, real noise, real h, real scale) {{
  const real m = preconditioner(v, gradient, scalar({PSGLD_LAMBDA}));
  theta -= h * gradient * m;
  theta += scale * root(m) * noise;
}}"""

RMSPROP = Operation(
    symbol="rmsprop", formula=f"v = {ALPHA} v + {1 - ALPHA:g} G^2; theta += h G / (sqrt(v) + {RMS_EPSILON})",
    reference="Tieleman & Hinton 2012", summary="descent by gradients over their root mean square",
    defaults={"stepsize": 0.001}, act=rmsprop, operands=("q", "mean_square", "g"), keeps=("mean_square",),
    coefficients=lambda h, values: (h,), kinds="r", code=(PRECONDITIONER, RMSPROP_STEP),
    call="rmsprop(x.q, {mean_square}, x.g, {0});", count=Count(2, 6),
)  # fmt: skip

PSGLD = Operation(
    symbol="psgld",
    formula=f"v = {ALPHA} v + {1 - ALPHA:g} G^2, m = 1/(sqrt(v) + {PSGLD_LAMBDA}); theta += h m G + sqrt(2 h tau m) R",
    reference="Li, Chen, Carlson & Carin 2016",
    summary="SGLD preconditioned as RMSprop, without the curvature term: its law is biased (equations.md section 16)",
    defaults={"stepsize": 0.001, "temperature": 5e-5}, act=precondition, operands=("q", "mean_square", "g"),
    keeps=("mean_square",), reads=("temperature",),
    coefficients=lambda h, values: (h, np.sqrt(2 * h * values["temperature"])), kinds="rr",
    code=(PRECONDITIONER, PSGLD_STEP), call="precondition(x.q, {mean_square}, x.g, {n}, {0}, {1});", normals=1,
    count=Count(3, 8),
)  # fmt: skip


# -- Adam --------------------------------------------------------------------------------------------------------------

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def adam(theta: Array, m: Array, v: Array, gradient: Array, rate: Array, correct1: Array, correct2: Array) -> None:
    """Bias-corrected Adam: m and v are means of G and its square, corrected by 1 - beta^k at update k."""
    one, b1, b2, epsilon = (theta.dtype.type(x) for x in (1, BETA1, BETA2, EPSILON))
    m *= b1
    m += (one - b1) * gradient
    v *= b2
    v += (one - b2) * gradient * gradient
    theta -= rate * (m / correct1) / (np.sqrt(v / correct2) + epsilon)


ADAM_STEP = f"""\
// Adam, bias-corrected: correct1 = 1 - {BETA1}^k, correct2 = 1 - {BETA2}^k at update k
HD void adam(real& theta, real& m, real& v, real gradient, real rate, real correct1, real correct2) {{
  const scalar b1 = scalar({BETA1}), b2 = scalar({BETA2});
  m = m * b1 + gradient * (1 - b1);
  v = v * b2 + gradient * (1 - b2) * gradient;
  theta -= rate * (m / correct1) / (root(v / correct2) + scalar({EPSILON}));
}}"""

ADAM = Operation(
    symbol="adam",
    formula=f"m, v = means of G, G^2; theta += h m/(1 - {BETA1}^k) / (sqrt(v/(1 - {BETA2}^k)) + {EPSILON})",
    reference="Kingma & Ba 2015", summary="bias-corrected adaptive moments", defaults={"stepsize": 0.005},
    act=adam, operands=("q", "adam_mean", "adam_square", "g"), keeps=("adam_mean", "adam_square"),
    coefficients=lambda h, values: (h,), kinds="r",
    of_step=lambda step: (1 - BETA1 ** (step + 1.0), 1 - BETA2 ** (step + 1.0)), code=(ADAM_STEP,),
    call="adam(x.q, {adam_mean}, {adam_square}, x.g, {0}, {t0}, {t1});", count=Count(4, 7),
)  # fmt: skip


UPDATES: dict[str, Operation] = {
    update.symbol: update for update in (SGD, SGLD, MOMENTUM, MOMENTUM2, ADAM, RMSPROP, COOLMOMENTUM, SGHMC, PSGLD)
}
"""Whole-step updates by name; `momentum2` is the type II convention of `momentum`."""
