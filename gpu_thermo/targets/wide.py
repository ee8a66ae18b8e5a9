"""Scales of a normal prior chosen by the data: those under which a network of endlessly many units explains the answers
best (equations.md section 12, *Scales by the data*).

With its hidden layers as the prior draws them and its output layer free, a wide network is linear regression on random
features, or logistic regression for classes: its evidence is a closed form, or one up to Laplace's approximation, and
costs less than a second. What is chosen are two numbers, the sd of what a hidden unit sums of inputs of size 1, and
that of what an output sums of activations of size 1; a broad law about CENTRE decides where the data say little.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from .activations import get_activation

Array = Any
NUMBERS, NOISY, COUNTS, CLASSES = "numbers", "noisy", "counts", "classes"
"""What answers are: standardised numbers; the same where log noises are outputs, too; counts with log rates; numbers of
classes."""
CENTRE = {NUMBERS: (2.0, 1.0), NOISY: (2.0, 1.0), COUNTS: (2.0, 1.0), CLASSES: (3.0, 3.0)}
"""Medians of the unit's and the output's sd a priori: good for most tables (`bench.defaults`)."""
MOST = {NUMBERS: 10.0, NOISY: 2.0, COUNTS: 4.0, CLASSES: 20.0}
"""sd of an output over the rows under the prior, at most: a log noise or log rate that is free beyond it is none."""
SPREAD = 1.0
"""sd of the logarithm of either a priori: a factor e."""
STEP = math.sqrt(2)
UNITS = tuple(STEP**k for k in range(-6, 7))
OUTPUTS = tuple(STEP**k for k in range(-6, 13))
"""Values among which each is chosen."""
NOISES = np.geomspace(0.01, 2.0, 40)
"""sds of the noise among which the best is taken, in those of the answers."""
ROWS, FEATURES = 1_000, 256
"""Rows looked at, evenly spread over those given, and hidden units drawn."""
_NEWTON, _SETTLED = 20, 1e-3
"""Steps of Newton's method, and the decrease of its energy, in nats, below which it ends."""


Evidence = Callable[[float, float], float]


class Chosen(NamedTuple):
    """The sds chosen, and by how many nats the evidence is larger than at CENTRE."""

    unit: float
    output: float
    gain: float


def choose(
    x: Array, y: Array, kind: str, layers: Sequence[int], activation: str, weight: Array | None = None
) -> Chosen:
    """The sds under which a wide network of these layers explains the answers best.

    Parameters
    ----------
    x : [N, m] inputs, standardised. y : [N, n] numbers or counts, or [N] classes 0 .. C-1. kind : of answers.
    layers, activation : of the network. weight : [N] of the points, mean 1.
    """
    rows = np.unique(np.linspace(0, len(x) - 1, min(len(x), ROWS)).round().astype(int))
    x, y = np.asarray(x, np.float64)[rows], np.asarray(y)[rows]
    w = np.ones(len(rows)) if weight is None else weight[rows] / np.mean(weight[rows])
    features = _Features(x, layers, activation)
    if kind == CLASSES:
        evidence = _Classes(y, w, features).evidence
    else:
        values = np.log(y + 0.5) if kind == COUNTS else y.astype(np.float64)
        evidence = _Numbers(values, w, features).evidence
    with _one_thread():
        return _climb(_bounded(evidence, features, MOST[kind]), CENTRE[kind])


def _one_thread() -> Any:
    """Matrices this small take longer by many threads, most of all where others are at work."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    return threadpool_limits(1, user_api="blas")


def _bounded(evidence: Evidence, features: "_Features", most: float) -> Evidence:
    """The same, and nothing beyond so large an output."""
    sizes = {unit: float(np.sqrt((features.at(unit) ** 2).sum(axis=1).mean())) for unit in UNITS}
    return lambda u, s: evidence(u, s) if s * sizes[u] <= most else -math.inf


def by_layer(chosen: tuple[float, float], inputs: int, layers: Sequence[int]) -> dict[str, float]:
    """Scale of the prior of each layer, biases included: the sd of a sum over the root of how many it sums."""
    unit, output = chosen
    names = ["hidden"] if len(layers) == 1 else [f"hidden{i + 1}" for i in range(len(layers))]
    fans = (inputs, *layers)
    return {name: unit / math.sqrt(max(fan, 1)) for name, fan in zip(names, fans, strict=False)} | {
        "output": output / math.sqrt(max(layers[-1], 1))
    }


class _Features:
    """Activations [N, F + 1] of the last hidden layer of a wide network, whose output weights are N(0, s^2 / units)."""

    def __init__(self, x: Array, layers: Sequence[int], activation: str) -> None:
        rng = np.random.default_rng(12)
        self.x, self.layers, self.act = x, layers, get_activation(activation).value
        fans = (x.shape[1], *(FEATURES for _ in layers[1:]))
        self.drawn = [rng.standard_normal((fan + 1, FEATURES)) for fan in fans]

    def at(self, unit: float) -> Array:
        """Of this sd; the sum of squares over a row is the variance of an output of sd 1."""
        value, width = self.x, self.x.shape[1]
        for drawn, units in zip(self.drawn, self.layers, strict=True):
            scale = unit / math.sqrt(max(width, 1))  # of the network's own weights and biases
            spread = math.sqrt(width / max(value.shape[1], 1))
            value = self.act(scale * (spread * value @ drawn[:-1] + drawn[-1]), np)
            width = units
        return np.hstack([value / math.sqrt(FEATURES), np.full((len(value), 1), 1 / math.sqrt(width))])


class _Numbers:
    """Evidence of numbers [N, n] with normal noise, whose sd is the best of NOISES for each target."""

    def __init__(self, y: Array, weight: Array, features: _Features) -> None:
        self.features, self.root = features, np.sqrt(weight)[:, None]
        self.y = y * self.root
        self.known: dict[float, tuple[Array, Array, Array]] = {}

    def evidence(self, unit: float, output: float) -> float:
        """Its logarithm, without what does not depend on the sds."""
        size, along, left = self._seen(unit)
        noise = NOISES[:, None] ** 2
        law = output**2 * size + noise  # [noise, direction]
        fit = (along[:, None] ** 2 / law).sum(axis=-1) + left[:, None] / noise[:, 0]  # [target, noise]
        norm = np.log(law).sum(axis=-1) + (len(self.y) - len(size)) * np.log(noise[:, 0])
        return float((-(fit + norm) / 2).max(axis=-1).sum())

    def _seen(self, unit: float) -> tuple[Array, Array, Array]:
        """Squared sizes of the features' directions, the answers along each [n, .], and the square of the rest [n]."""
        if unit not in self.known:
            u, s, _ = np.linalg.svd(self.features.at(unit) * self.root, full_matrices=False)
            along = self.y.T @ u
            self.known[unit] = s**2, along, np.maximum((self.y**2).sum(axis=0) - (along**2).sum(axis=1), 0.0)
        return self.known[unit]


class _Classes:
    """Evidence of classes [N] by logistic regression, each class against all others, with Laplace's approximation."""

    def __init__(self, y: Array, weight: Array, features: _Features) -> None:
        self.weight, self.features = weight, features
        labels = np.unique(y)
        self.many = len(labels)
        self.is_one = [y == label for label in (labels[1:] if len(labels) == 2 else labels)]
        self.start: list[Array] = [None] * len(self.is_one)

    def evidence(self, unit: float, output: float) -> float:
        """Its logarithm. Of C > 2 classes an output against the others' varies C/(C-1) times as much as an output."""
        phi = self.features.at(unit)
        wider = math.sqrt(self.many / (self.many - 1)) if self.many > 2 else 1.0
        offset = -math.log(self.many - 1) if self.many > 2 else 0.0
        return sum(self._of_class(i, phi * output * wider, offset) for i in range(len(self.is_one)))

    def _of_class(self, i: int, phi: Array, offset: float) -> float:
        sign = np.where(self.is_one[i], 1.0, -1.0)

        def energy(b: Array) -> tuple[float, Array]:
            g = offset + phi @ b
            return float((self.weight * np.logaddexp(0, -sign * g)).sum() + b @ b / 2), g

        b = self.start[i] if self.start[i] is not None else np.zeros(phi.shape[1])
        now, g = energy(b)
        for _ in range(_NEWTON):
            p = 0.5 * (1 + np.tanh(g / 2))
            slope = phi.T @ (self.weight * (p - self.is_one[i])) + b
            curvature = phi.T * (self.weight * p * (1 - p)) @ phi + np.eye(len(b))
            step, size = np.linalg.solve(curvature, slope), 1.0
            while (tried := energy(b - size * step))[0] > now and size > 1e-3:
                size /= 2
            fell, (now, g), b = now - tried[0], tried, b - size * step
            if fell < _SETTLED:
                break
        self.start[i] = b
        return -now - float(np.linalg.slogdet(curvature)[1]) / 2


def _climb(evidence: Evidence, centre: tuple[float, float]) -> Chosen:
    """The best of UNITS x OUTPUTS by evidence and the law about `centre`, from there on to the best neighbour, with
    wide strides first.
    """
    known: dict[tuple[int, int], float] = {}
    i, j = (int(np.argmin(abs(np.log(of) - math.log(c)))) for of, c in zip((UNITS, OUTPUTS), centre, strict=True))

    def worth(i: int, j: int) -> float:
        """What is to be largest, asked once of each."""
        if (i, j) not in known:
            off = (math.log(UNITS[i] / centre[0]) ** 2 + math.log(OUTPUTS[j] / centre[1]) ** 2) / (2 * SPREAD**2)
            known[i, j] = evidence(UNITS[i], OUTPUTS[j]) - off
        return known[i, j]

    begin = best = (i, j)
    for stride in (4, 2, 1):
        while (found := max(_near(*best, stride), key=lambda place: worth(*place))) != best:
            best = found
    return Chosen(UNITS[best[0]], OUTPUTS[best[1]], worth(*best) - worth(*begin))


def _near(i: int, j: int, stride: int) -> Iterator[tuple[int, int]]:
    """A place first, then its neighbours."""
    for a, b in ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1), (1, -1), (-1, 1), (1, 1), (-1, -1)):
        if 0 <= i + a * stride < len(UNITS) and 0 <= j + b * stride < len(OUTPUTS):
            yield i + a * stride, j + b * stride
