"""Likelihoods: how a network's outputs answer a task, in array code and in C++, one record each (equations.md sections
1, 9 and 12).

Axes: R replicas, T points, n outputs, C classes. Outputs f are [R, T, n], labels [R, T] or [T], targets [.., T, n].
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..cost import Count
from ..errors import SpecError
from .functions import sigmoid, softmax, softplus
from .records import CONSTANTS, check_bodies, look_up

Array = Any
Constants = Mapping[str, float]
_TINY = float(np.finfo(np.float64).tiny)
"""The logarithm of anything smaller is slow."""


@dataclass(frozen=True)
class Code:
    """C++ bodies over `real`, a number or a vector of them: `out[OUTPUTS]` of one point, its answer `y[TARGETS]`.

    A constant NAME of the record is `c[NAME]`, a double.

    Attributes
    ----------
    loss : minus the log likelihood of the point. residual : writes share d loss / d out over `out`.
    respond : writes Phi over `out` and returns its entropy (anything where Phi is no probability).
    right : 1 where the guess is right, or the squared error; what Score.of sums.
    """

    loss: str
    residual: str
    respond: str
    right: str


@dataclass(frozen=True)
class Score:
    """What says in one number how good a network is.

    Attributes
    ----------
    name, label : in stores (test_NAME) and for people. lower_is_better : as it says.
    sums : (outputs, answers, xp) -> each replica's sum over points [R].
    of : (those sums, points, outputs, mean NLL [R]) -> the score [R].
    """

    name: str
    label: str
    lower_is_better: bool
    sums: Callable[[Array, Array, Any], Array]
    of: Callable[[Array, int, int, Array], Array]


@dataclass(frozen=True)
class Classes:
    """What holds where Phi is probabilities of classes.

    Attributes
    ----------
    probabilities : Phi [.., n] -> of all classes [.., C]. entropy : Phi float64 -> nats [..]; 0 log 0 = 0.
    brier : the classes whose squared errors the Brier score sums.
    """

    probabilities: Callable[[np.ndarray], np.ndarray]
    entropy: Callable[[np.ndarray], np.ndarray]
    brier: slice


@dataclass(frozen=True)
class Likelihood:
    """One likelihood.

    Attributes
    ----------
    task : the task it serves; the first of a task is its default. settings : options of the model it reads.
    constants : settings by name -> numbers by name that losses and residuals take.
    targets : values of a point's answer, from the number of outputs. labels : dtype of labels, None for the network's.
    losses : (outputs, answers, constants, xp) -> minus log likelihood of each point [R, T], all constants included.
    residual : the same arguments -> d loss / d outputs. respond : (outputs, xp) -> Phi, what is averaged over draws.
    score, classes : see there; `classes` is None where Phi is a value.
    scatter : settings -> variance of an answer about Phi. log_density : (Phi, answers, constants) -> [R, T], where the
    likelihood itself is averaged too; None where the average of Phi says it all. top : number of outputs -> an energy
    that is rarely exceeded, None where there is none.
    axis, names : (classes, targets) -> names of the outputs in a store, and of Phi for people.
    count : arithmetic of the residual of one output of one point.
    """

    name: str
    task: str
    formula: str
    reference: str
    settings: tuple[str, ...]
    constants: Callable[[Mapping[str, float]], dict[str, float]]
    targets: Callable[[int], int]
    labels: Any
    losses: Callable[[Array, Array, Constants, Any], Array]
    residual: Callable[[Array, Array, Constants, Any], Array]
    respond: Callable[[Array, Any], Array]
    score: Score
    classes: Classes | None
    scatter: Callable[[Mapping[str, float]], float] | None
    log_density: Callable[[Array, Array, Constants], Array] | None
    top: Callable[[int], float] | None
    axis: Callable[[Sequence[str], Sequence[str]], tuple[str, ...]]
    names: Callable[[Sequence[str], Sequence[str]], tuple[str, ...]]
    code: Code
    count: Count

    def __post_init__(self) -> None:
        """Refuse what one of the engines could not carry out."""
        check_bodies(f"likelihood '{self.name}'", self.code)
        if len(names := self.constant_names) > CONSTANTS:
            raise ValueError(f"likelihood '{self.name}' has the constants {names}: {CONSTANTS} at most.")

    @property
    def constant_names(self) -> tuple[str, ...]:
        """Names of the constants, in the order in which kernels are given them."""
        return tuple(self.constants(dict.fromkeys(self.settings, 1.0)))


def _accuracy(guess: Callable[[Array], Array]) -> Score:
    """Share of points whose guess is the label; NaN for a replica whose losses are not finite."""
    return Score(
        "accuracy", "accuracy", False,
        lambda out, y, xp: (guess(out) == y).sum(axis=-1),
        lambda right, points, outputs, nll: np.where(np.isfinite(nll), right / points, np.nan),
    )  # fmt: skip


# -- bernoulli ---------------------------------------------------------------------------------------------------------


def _binary_entropy(p: np.ndarray) -> np.ndarray:
    p = p[..., 0]
    return -(p * np.log(np.maximum(p, _TINY)) + (1 - p) * np.log(np.maximum(1 - p, _TINY)))


_BERNOULLI = Likelihood(
    "bernoulli", "binary", "softplus(f) - y f; Phi = 1 / (1 + exp(-f)), of class 1", "equations.md section 1",
    settings=(), constants=lambda settings: {}, targets=lambda outputs: 1, labels=None,
    losses=lambda out, y, c, xp: softplus(out[..., 0], xp) - y * out[..., 0],
    residual=lambda out, y, c, xp: sigmoid(out, xp) - y[..., None],
    respond=sigmoid,
    score=_accuracy(lambda out: out[..., 0] > 0),
    classes=Classes(lambda phi: np.concatenate([1 - phi, phi], axis=-1), _binary_entropy, slice(1, 2)),
    scatter=None, log_density=None, top=lambda outputs: 1.5 * math.log(2),
    axis=lambda classes, targets: ("probability",),
    names=lambda classes, targets: (f"P({classes[-1]})",) if classes else (),
    count=Count(8, 9),
    code=Code(
        loss="return softplus_of(out[0]) - y[0] * out[0];",
        residual="out[0] = (sigmoid_of(out[0]) - y[0]) * share;",
        # H = log(1 + e) + |f| e / (1 + e), e = exp(-|f|), cancels nowhere
        respond="""
    const real size = clamp(magnitude(out[0]), scalar(0), scalar(1e4)), e = exp_of(-size);
    out[0] = sigmoid_of(out[0]);
    return log1p_of(e) + size * (e / (e + scalar(1)));""",
        right="""
    const real one = splat(scalar(1));
    return select(select(out[0] > zero(), one, zero()) == y[0], one, zero());""",
    ),
)  # fmt: skip


# -- categorical -------------------------------------------------------------------------------------------------------


def _categorical_losses(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    top = out.max(axis=-1, keepdims=True)
    log_norm = xp.log(xp.exp(out - top).sum(axis=-1)) + top[..., 0]
    return log_norm - xp.take_along_axis(out, y[..., None], axis=-1)[..., 0]


def _categorical_residual(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    p = softmax(out, xp)
    p -= y[..., None] == xp.arange(out.shape[-1])
    return p


_CATEGORICAL = Likelihood(
    "categorical", "multiclass", "log sum_k exp(f_k) - f_y; Phi = softmax(f)", "equations.md section 1",
    settings=(), constants=lambda settings: {}, targets=lambda outputs: 1, labels=np.int64,
    losses=_categorical_losses,
    residual=_categorical_residual,
    respond=softmax,
    score=_accuracy(lambda out: out.argmax(axis=-1)),
    classes=Classes(lambda phi: phi, lambda p: -(p * np.log(np.maximum(p, _TINY))).sum(axis=-1), slice(None)),
    scatter=None, log_density=None, top=lambda outputs: 1.5 * math.log(max(outputs, 2)),
    axis=lambda classes, targets: tuple(classes),
    names=lambda classes, targets: tuple(classes),
    count=Count(8, 11),
    code=Code(
        loss="""
    real top = out[0], sum = zero(), own = zero();
    for (int o = 1; o < OUTPUTS; ++o) top = select(top > out[o], top, out[o]);
    for (int o = 0; o < OUTPUTS; ++o) {
      sum += exp_of(out[o] - top);
      own = select(y[0] == splat(scalar(o)), out[o], own);
    }
    return log_of(sum) + top - own;""",
        residual="""
    real top = out[0], sum = zero();
    for (int o = 1; o < OUTPUTS; ++o) top = select(top > out[o], top, out[o]);
    for (int o = 0; o < OUTPUTS; ++o) sum += out[o] = exp_of(out[o] - top);
    for (int o = 0; o < OUTPUTS; ++o) out[o] = out[o] / sum;
    for (int o = 0; o < OUTPUTS; ++o) out[o] = select(y[0] == splat(scalar(o)), out[o] - scalar(1), out[o]) * share;""",
        respond="""
    real top = out[0], sum = zero(), mean = zero();
    for (int o = 1; o < OUTPUTS; ++o) top = select(top > out[o], top, out[o]);
    for (int o = 0; o < OUTPUTS; ++o) {
      const real gap = clamp(out[o] - top, scalar(-1e4), scalar(0)), e = exp_of(gap);
      sum += e;
      mean += e * gap;
      out[o] = e;
    }
    for (int o = 0; o < OUTPUTS; ++o) out[o] = out[o] / sum;
    return log_of(sum) - mean / sum;""",
        # the first of equals
        right="""
    const real one = splat(scalar(1));
    real top = out[0], best = zero();
    for (int o = 1; o < OUTPUTS; ++o) {
      best = select(out[o] > top, splat(scalar(o)), best);
      top = select(out[o] > top, out[o], top);
    }
    return select(best == y[0], one, zero());""",
    ),
)  # fmt: skip


# -- gaussian ----------------------------------------------------------------------------------------------------------


def _gaussian_constants(settings: Mapping[str, float]) -> dict[str, float]:
    sd = settings["noise_sd"]
    return {"noise_sd": sd, "log_norm": math.log(sd) + math.log(2 * math.pi) / 2}


def _gaussian_losses(out: Array, y: Array, c: Constants, xp: Any) -> Array:
    scaled = (out - y) / out.dtype.type(c["noise_sd"])
    return (scaled * scaled / 2 + out.dtype.type(c["log_norm"])).sum(axis=-1)


_GAUSSIAN = Likelihood(
    "gaussian", "regression", "(f - y)^2 / (2 s^2) + log s + log(2 pi)/2; Phi = f", "equations.md section 1",
    settings=("noise_sd",), constants=_gaussian_constants, targets=lambda outputs: outputs, labels=None,
    losses=_gaussian_losses,
    residual=lambda out, y, c, xp: (out - y) / out.dtype.type(c["noise_sd"] ** 2),
    respond=lambda out, xp: out,
    score=Score(
        "rmse", "RMSE", True,
        lambda out, y, xp: ((out - y) ** 2).sum(axis=(1, 2), dtype=np.float64),
        lambda squares, points, outputs, nll: np.sqrt(squares / (points * outputs)),
    ),
    classes=None,
    scatter=lambda settings: settings["noise_sd"] ** 2,
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


LIKELIHOODS: dict[str, Likelihood] = {record.name: record for record in (_BERNOULLI, _CATEGORICAL, _GAUSSIAN)}
DEFAULTS: dict[str, Likelihood] = {}
"""The default likelihood of each task."""
for _record in LIKELIHOODS.values():
    DEFAULTS.setdefault(_record.task, _record)
SCORES: dict[str, Score] = {record.score.name: record.score for record in LIKELIHOODS.values()}


def classes_of(name: str) -> Classes:
    """What holds of a likelihood's or task's classes; SpecError where there are none."""
    classes = get_likelihood(name).classes
    if classes is None:
        raise SpecError(f"'{name}' has no classes: its predictions are values.")
    return classes


def get_likelihood(name: str) -> Likelihood:
    """The likelihood of that name, or a task's default; SpecError says the nearest known one."""
    return look_up("likelihood or task", name, DEFAULTS | LIKELIHOODS)
