"""Data made from formulas: every function maps raw noise of the points (`addresses.PointNoise`) to features, and
nothing else is random.

In two-class sets even points are class 0 and odd points class 1 (the reason is in `addresses`).
"""

from collections.abc import Callable, Sequence

import numpy as np

from .addresses import PointNoise, Stream, point_noise
from .dataset import Dataset, Floats, Part, Schema, stack

TWO_CLASSES = ("0", "1")


def spirals(draw: PointNoise, turns: float, radius: float, exponent: float, noise: float) -> Floats:
    """Two-armed spiral, features [points, 2] (Leimkuhler, Matthews, Vlaar 2019; equations.md section 11).

    Radius `radius t^exponent` and angle `2 pi turns t^exponent`, t uniform on (0, 1). Class 1 is the negation of class
    0 with the same t; the noise on both coordinates is each point's own.
    """
    t = np.repeat(draw.uniform[::2, 0], 2)
    fraction = t**exponent
    angle = 2 * np.pi * turns * fraction
    side = np.where(np.arange(len(t)) % 2 == 0, 1.0, -1.0)
    arm = (side * radius * fraction)[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return arm + noise * draw.normal


def trig(draw: PointNoise, length: float, frequency: float, noise: float, form: str) -> Floats:
    """Points near a cosine (class 0) and a sine (class 1), features [points, 2] (LMV eq. 17; equations.md section 11).

    `x1 = length t`, t uniform and each point's own; the angle is `frequency pi x1` (form "x1"), or `frequency pi t`
    (form "printed", as the paper prints it). Noise on x2 only.
    """
    t = draw.uniform[:, 0]
    x1 = length * t
    angle = frequency * np.pi * (x1 if form == "x1" else t)
    x2 = np.where(_second_class(t), np.sin(angle), np.cos(angle)) + noise * draw.normal[:, 0]
    return np.stack([x1, x2], axis=1)


def moons(draw: PointNoise, noise: float) -> Floats:
    """Two interleaved half circles, features [points, 2]: `(cos pi t, sin pi t)` and `(1 - cos pi t, 1/2 - sin pi t)`,
    noise on both coordinates.

    The shapes of scikit-learn's `make_moons`, with uniform t from our own addresses.
    """
    angle = np.pi * draw.uniform[:, 0]
    second = _second_class(angle)
    x1 = np.where(second, 1 - np.cos(angle), np.cos(angle))
    x2 = np.where(second, 0.5 - np.sin(angle), np.sin(angle))
    return np.stack([x1, x2], axis=1) + noise * draw.normal


def circles(draw: PointNoise, factor: float, noise: float) -> Floats:
    """Circle of radius 1 (class 0) around one of radius `factor` (class 1), features [points, 2]: uniform angles, noise
    on both.
    """
    angle = 2 * np.pi * draw.uniform[:, 0]
    radius = np.where(_second_class(angle), factor, 1.0)
    return radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1) + noise * draw.normal


def gap_function(x: Floats) -> Floats:
    """True regression function of the data set `gap`: `f(x) = sin 2x + x/2`."""
    return np.sin(2 * x) + x / 2


def gap_inputs(draw: PointNoise, extent: float, gap: float) -> Floats:
    """Inputs [points, 1], uniform on [-extent, extent] without the open interval (-gap/2, gap/2)."""
    u = draw.uniform[:, :1]
    return (2 * extent - gap) * u - extent + np.where(u < 0.5, 0.0, gap)


def two_class(name: str, seeds: Sequence[int], train: int, test: int, shape: Callable[[PointNoise], Floats]) -> Dataset:
    """A binary `Dataset` with one set for each seed, its features x1, x2 given by `shape`."""

    def points(seed: int, stream: Stream, count: int) -> tuple[Floats, np.ndarray]:
        x = shape(point_noise(seed, stream, count))
        return x, np.arange(count, dtype=np.int64) % 2

    parts = [Part(*points(seed, Stream.TRAIN, train), *points(seed, Stream.TEST, test)) for seed in seeds]
    return stack(Schema(name, "binary", ("x1", "x2"), classes=TWO_CLASSES), parts)


def gap_regression(
    name: str, seeds: Sequence[int], train: int, test: int, extent: float, gap: float, noise: float
) -> Dataset:
    """A regression `Dataset` of `gap_function` with Gaussian noise, one set for each seed.

    Training inputs leave out the gap; test inputs cover the whole interval.
    """

    def points(seed: int, stream: Stream, count: int, hole: float) -> tuple[Floats, Floats]:
        draw = point_noise(seed, stream, count)
        x = gap_inputs(draw, extent, hole)
        return x, gap_function(x) + noise * draw.normal[:, :1]

    parts = [Part(*points(seed, Stream.TRAIN, train, gap), *points(seed, Stream.TEST, test, 0.0)) for seed in seeds]
    return stack(Schema(name, "regression", ("x",), targets=("y",)), parts)


def _second_class(values: Floats) -> np.ndarray:
    """True at the odd points, [points]."""
    return np.arange(len(values)) % 2 == 1
