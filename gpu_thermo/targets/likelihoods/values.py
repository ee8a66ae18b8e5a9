"""Likelihoods of numbers: gaussian, student_t, heteroscedastic and poisson (equations.md sections 1 and 12).

The heteroscedastic network has 2n outputs: f, the means, and then g, of which comes the logarithm of the noise sd.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ...cost import Count
from ..functions import log_factorial, sigmoid, softplus
from .base import Answers, Array, Code, Constants, Likelihood, Own, Score, Values
from .laws import NORMAL, student_t_norm
from .laws import POISSON as POISSON_LAW
from .laws import STUDENT_T as STUDENT_LAW

HALF_LOG_2PI = math.log(2 * math.pi) / 2
ETA_BOUNDS = (-7.0, 3.0)
"""Of the logarithm of a heteroscedastic noise sd, in target sds: beyond them g is bent back."""
MOST_COUNTED = 10**9
"""Largest count: beyond it float32 no longer tells rates from their neighbours."""


# -- gaussian ----------------------------------------------------------------------------------------------------------


def _gaussian_constants(settings: Mapping[str, float]) -> dict[str, float]:
    sd = settings["noise_sd"]
    return {"noise_sd": sd, "log_norm": math.log(sd) + HALF_LOG_2PI}


def _gaussian_losses(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    scaled = (out - y) / out.dtype.type(c["noise_sd"])
    return (scaled * scaled / 2 + out.dtype.type(c["log_norm"])).sum(axis=-1)


GAUSSIAN = Likelihood(
    "gaussian", "regression", "(f - y)^2 / (2 s^2) + log s + log(2 pi)/2; Phi = f", "equations.md section 1",
    settings=("noise_sd",), constants=_gaussian_constants,
    outputs=lambda n: n, targets=lambda outputs: outputs, labels=None,
    losses=_gaussian_losses,
    residual=lambda out, y, c, xp: (out - y) / out.dtype.type(c["noise_sd"] ** 2),
    respond=lambda out, xp: out,
    score=Score(
        "rmse", "RMSE", True,
        lambda out, y, xp: ((out - y) ** 2).sum(axis=(1, 2), dtype=np.float64),
        lambda squares, points, targets, nll: np.sqrt(squares / (points * targets)),
    ),
    classes=None,
    values=Values(NORMAL, lambda phi: phi, lambda phi, sd: sd),
    log_density=lambda phi, y, c: -_gaussian_losses(phi, y, c, np),
    top=None,
    axis=lambda classes, targets: tuple(targets),
    names=lambda classes, targets: tuple(targets),
    count=Count(0, 3),
    code=Code(
        loss="""
    const scalar noise_sd = scalar(c[NOISE_SD]), log_norm = scalar(c[LOG_NORM]);
    real sum = zero();
    for (int o = 0; o < OUTPUTS; ++o) {
      const real scaled = (out[o] - y[o]) / noise_sd;
      sum += scaled * scaled * scalar(0.5) + log_norm;
    }
    return sum;""",
        residual="""
    const scalar variance = scalar(c[NOISE_SD] * c[NOISE_SD]);
    for (int o = 0; o < OUTPUTS; ++o) out[o] = (out[o] - y[o]) / variance * share;""",
        respond="return zero();",
        right="""
    real sum = zero();
    for (int o = 0; o < OUTPUTS; ++o) sum += (out[o] - y[o]) * (out[o] - y[o]);
    return sum;""",
    ),
)  # fmt: skip


assert GAUSSIAN.code is not None  # it is what others take over


# -- student_t ---------------------------------------------------------------------------------------------------------


def _student_constants(settings: Mapping[str, float]) -> dict[str, float]:
    scale, dof = settings["noise_sd"], settings["dof"]
    return {"noise_sd": scale, "dof": dof, "log_norm": math.log(scale) + student_t_norm(dof)}


def _student_losses(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    real = out.dtype.type
    scaled = (out - y) / real(c["noise_sd"])
    log = xp.log1p(scaled * scaled / real(c["dof"]))
    return (log * real((c["dof"] + 1) / 2) + real(c["log_norm"])).sum(axis=-1)


def _student_residual(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    real = out.dtype.type
    scaled = (out - y) / real(c["noise_sd"])
    return scaled * real((c["dof"] + 1) / c["noise_sd"]) / (scaled * scaled + real(c["dof"]))


STUDENT_T = replace(
    GAUSSIAN,
    name="student_t",
    formula="(nu + 1)/2 log(1 + (f - y)^2 / (nu s^2)) + log s + log(sqrt(nu pi) G(nu/2) / G((nu + 1)/2)); Phi = f",
    reference="Lange, Little and Taylor 1989",
    settings=("noise_sd", "dof"), constants=_student_constants,
    losses=_student_losses,
    residual=_student_residual,
    values=Values(STUDENT_LAW, lambda phi: phi, lambda phi, sd: sd),
    log_density=lambda phi, y, c: -_student_losses(phi, y, c, np),
    count=Count(1, 8),
    code=replace(
        GAUSSIAN.code,
        loss="""
    const scalar scale = scalar(c[NOISE_SD]), dof = scalar(c[DOF]), log_norm = scalar(c[LOG_NORM]);
    real sum = zero();
    for (int o = 0; o < OUTPUTS; ++o) {
      const real scaled = (out[o] - y[o]) / scale, e = scaled * scaled / dof;
      sum += log1p_of(e) * scalar((c[DOF] + 1) / 2) + log_norm;
    }
    return sum;""",
        residual="""
    const scalar scale = scalar(c[NOISE_SD]), dof = scalar(c[DOF]), factor = scalar((c[DOF] + 1) / c[NOISE_SD]);
    for (int o = 0; o < OUTPUTS; ++o) {
      const real scaled = (out[o] - y[o]) / scale;
      out[o] = scaled * factor / (scaled * scaled + dof) * share;
    }""",
    ),
)  # fmt: skip


# -- learned noise -----------------------------------------------------------------------------------------------------


def _learned_gaussian_losses(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    eta = c["log_noise"]
    scaled = (out - y) * xp.exp(-eta)
    return (scaled * scaled / 2 + eta + out.dtype.type(HALF_LOG_2PI)).sum(axis=-1)


def _learned_gaussian_own(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    scaled = (out - y) * xp.exp(-c["log_noise"])
    return 1 - scaled * scaled


GAUSSIAN_LEARNED = replace(
    GAUSSIAN,
    name="gaussian_learned",
    formula="(f - y)^2 exp(-2 eta)/2 + eta + log(2 pi)/2, eta a parameter for each target; Phi = f",
    reference="equations.md section 12",
    settings=(), constants=lambda settings: {},
    losses=_learned_gaussian_losses,
    residual=lambda out, y, c, xp: (out - y) * xp.exp(-2 * c["log_noise"]),
    log_density=lambda phi, y, c: -_learned_gaussian_losses(phi, y, c, np),
    own=Own(_learned_gaussian_own, "gaussian"),
    count=Count(1, 5),
    code=replace(
        GAUSSIAN.code,
        loss=f"""
    real sum = zero();
    for (int o = 0; o < OUTPUTS; ++o) {{
      const real scaled = (out[o] - y[o]) * noise[OWN + o];
      sum += scaled * scaled * scalar(0.5) + noise[o] + scalar({HALF_LOG_2PI!r});
    }}
    return sum;""",
        residual="""
    for (int o = 0; o < OUTPUTS; ++o) {
      const real scaled = (out[o] - y[o]) * noise[OWN + o];
      out[o] = scaled * noise[OWN + o] * share;
      back[o] += (scalar(1) - scaled * scaled) * share;
    }""",
    ),
)  # fmt: skip


def _learned_student_losses(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    real, eta = out.dtype.type, c["log_noise"]
    scaled = (out - y) * xp.exp(-eta)
    log = xp.log1p(scaled * scaled / real(c["dof"]))
    return (log * real((c["dof"] + 1) / 2) + eta + real(c["log_norm"])).sum(axis=-1)


def _learned_student_residual(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    real, inverse = out.dtype.type, xp.exp(-c["log_noise"])
    scaled = (out - y) * inverse
    return scaled * inverse * real(c["dof"] + 1) / (scaled * scaled + real(c["dof"]))


def _learned_student_own(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    real, square = out.dtype.type, ((out - y) * xp.exp(-c["log_noise"])) ** 2
    return 1 - square * real(c["dof"] + 1) / (square + real(c["dof"]))


STUDENT_T_LEARNED = replace(
    GAUSSIAN_LEARNED,
    name="student_t_learned",
    formula="(nu + 1)/2 log(1 + (f - y)^2 exp(-2 eta)/nu) + eta + log(sqrt(nu pi) G(nu/2) / G((nu + 1)/2)),"
    " eta a parameter for each target; Phi = f",
    settings=("dof",), constants=lambda settings: {"dof": settings["dof"], "log_norm": student_t_norm(settings["dof"])},
    losses=_learned_student_losses,
    residual=_learned_student_residual,
    values=STUDENT_T.values,
    log_density=lambda phi, y, c: -_learned_student_losses(phi, y, c, np),
    own=Own(_learned_student_own, "student_t"),
    count=Count(1, 9),
    code=replace(
        GAUSSIAN.code,
        loss="""
    const scalar dof = scalar(c[DOF]), log_norm = scalar(c[LOG_NORM]);
    real sum = zero();
    for (int o = 0; o < OUTPUTS; ++o) {
      const real scaled = (out[o] - y[o]) * noise[OWN + o];
      sum += log1p_of(scaled * scaled / dof) * scalar((c[DOF] + 1) / 2) + noise[o] + log_norm;
    }
    return sum;""",
        residual="""
    const scalar dof = scalar(c[DOF]), more = scalar(c[DOF] + 1);
    for (int o = 0; o < OUTPUTS; ++o) {
      const real scaled = (out[o] - y[o]) * noise[OWN + o], square = scaled * scaled;
      out[o] = scaled * noise[OWN + o] * more / (square + dof) * share;
      back[o] += (scalar(1) - square * more / (square + dof)) * share;
    }""",
    ),
)  # fmt: skip


# -- heteroscedastic ---------------------------------------------------------------------------------------------------


def halves(out: Array) -> tuple[Array, Array]:
    """The two halves of the last axis: f and g of outputs, mean and variance of Phi."""
    n = out.shape[-1] // 2
    return out[..., :n], out[..., n:]


def log_noise(g: Array, xp: Any) -> Array:
    """eta = -7 + softplus(g + 7) - softplus(g - 3): g itself between -7 and 3, and bent to stay there."""
    return softplus(g + 7, xp) - softplus(g - 3, xp) - 7


def _hetero_losses(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    f, g = halves(out)
    eta = log_noise(g, xp)
    scaled = (f - y) * xp.exp(-eta)
    return (scaled * scaled / 2 + eta + out.dtype.type(HALF_LOG_2PI)).sum(axis=-1)


def _hetero_residual(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    f, g = halves(out)
    precision = xp.exp(-2 * log_noise(g, xp))
    gap = f - y
    slope = sigmoid(g + 7, xp) - sigmoid(g - 3, xp)
    return xp.concatenate([gap * precision, (1 - gap * gap * precision) * slope], axis=-1)


def _hetero_respond(out: Array, xp: Any) -> Array:
    f, g = halves(out)
    return xp.concatenate([f, xp.exp(2 * log_noise(g, xp))], axis=-1)


def _hetero_log_density(phi: Array, y: Array, c: Constants) -> Array:
    f, variance = (part.astype(np.float64) for part in halves(phi))
    return NORMAL.log_density(y, f, np.sqrt(variance), {}).sum(axis=-1)


def _square_sum(gap: Array) -> Array:
    return (gap * gap).sum(axis=(1, 2), dtype=np.float64)


_ETA = "softplus_of(out[TARGETS + o] + scalar(7)) - softplus_of(out[TARGETS + o] - scalar(3)) - scalar(7)"
HETEROSCEDASTIC = replace(
    GAUSSIAN,
    name="heteroscedastic",
    formula="(f - y)^2 exp(-2 eta)/2 + eta + log(2 pi)/2, eta = -7 + softplus(g + 7) - softplus(g - 3);"
    " Phi = f, exp(2 eta)",
    reference="Nix and Weigend 1994; equations.md section 12",
    settings=(), constants=lambda settings: {},
    outputs=lambda n: 2 * n, targets=lambda outputs: outputs // 2,
    losses=_hetero_losses,
    residual=_hetero_residual,
    respond=_hetero_respond,
    score=replace(GAUSSIAN.score, sums=lambda out, y, xp: _square_sum(halves(out)[0] - y)),
    values=Values(NORMAL, lambda phi: halves(phi)[0], lambda phi, sd: np.sqrt(halves(phi)[1])),
    log_density=_hetero_log_density,
    axis=lambda classes, targets: (*targets, *(f"{target} noise variance" for target in targets)),
    count=Count(8, 20),
    code=Code(
        loss=f"""
    real sum = zero();
    for (int o = 0; o < TARGETS; ++o) {{
      const real eta = {_ETA}, scaled = (out[o] - y[o]) * exp_of(-eta);
      sum += scaled * scaled * scalar(0.5) + eta + scalar({HALF_LOG_2PI!r});
    }}
    return sum;""",
        residual=f"""
    for (int o = 0; o < TARGETS; ++o) {{
      const real eta = {_ETA}, precision = exp_of(eta * scalar(-2)), gap = out[o] - y[o], g = out[TARGETS + o];
      const real slope = sigmoid_of(g + scalar(7)) - sigmoid_of(g - scalar(3));
      out[o] = gap * precision * share;
      out[TARGETS + o] = (scalar(1) - gap * gap * precision) * slope * share;
    }}""",
        respond=f"""
    for (int o = 0; o < TARGETS; ++o) {{
      const real eta = {_ETA};
      out[TARGETS + o] = exp_of(eta * scalar(2));
    }}
    return zero();""",
        right="""
    real sum = zero();
    for (int o = 0; o < TARGETS; ++o) sum += (out[o] - y[o]) * (out[o] - y[o]);
    return sum;""",
    ),
)  # fmt: skip


# -- poisson -----------------------------------------------------------------------------------------------------------


def _poisson_losses(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    with np.errstate(over="ignore"):
        return (xp.exp(out) - y * out + log_factorial(y, xp)).sum(axis=-1)


def _poisson_residual(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    with np.errstate(over="ignore"):
        return xp.exp(out) - y


def _poisson_respond(out: Array, xp: Any) -> Array:
    with np.errstate(over="ignore"):
        return xp.exp(out)


POISSON = replace(
    GAUSSIAN,
    name="poisson",
    formula="exp(f) - y f + log y!; Phi = exp(f), the rate",
    reference="McCullagh and Nelder 1989",
    settings=(), constants=lambda settings: {},
    losses=_poisson_losses,
    residual=_poisson_residual,
    respond=_poisson_respond,
    score=replace(GAUSSIAN.score, sums=lambda out, y, xp: _square_sum(_poisson_respond(out, xp) - y)),
    values=Values(POISSON_LAW, lambda phi: phi, lambda phi, sd: 1.0),
    log_density=lambda phi, y, c: POISSON_LAW.log_density(y, phi.astype(np.float64), 1.0, {}).sum(axis=-1),
    answers=Answers(
        lambda y: (y >= 0) & (y <= MOST_COUNTED) & (y == np.floor(y)), f"whole numbers from 0 to {MOST_COUNTED:,}"
    ),
    count=Count(7, 4),
    code=Code(
        loss="""
    real sum = zero();
    for (int o = 0; o < OUTPUTS; ++o) sum += exp_of(out[o]) - y[o] * out[o] + log_factorial_of(y[o]);
    return sum;""",
        residual="for (int o = 0; o < OUTPUTS; ++o) out[o] = (exp_of(out[o]) - y[o]) * share;",
        respond="""
    for (int o = 0; o < OUTPUTS; ++o) out[o] = exp_of(out[o]);
    return zero();""",
        right="""
    real sum = zero();
    for (int o = 0; o < OUTPUTS; ++o) {
      const real gap = exp_of(out[o]) - y[o];
      sum += gap * gap;
    }
    return sum;""",
    ),
)  # fmt: skip
