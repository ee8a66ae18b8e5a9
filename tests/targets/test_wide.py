"""Scales of a prior by the evidence of a wide network: it is exact, and what made the answers is found again."""

import numpy as np
import pytest

from gpu_thermo.targets import wide

LAYERS, ACTIVATION = (16,), "silu"


class Fixed:
    """Features that do not depend on the scale."""

    def __init__(self, phi):
        self.phi = phi

    def at(self, unit):
        return self.phi


def test_the_evidence_of_numbers_is_that_of_a_normal_law():
    """The best over noises of log N(y; 0, s^2 phi phi^T + sd^2 / w), of each target, but for a constant."""
    g = np.random.default_rng(0)
    phi, y, w = g.normal(size=(12, 5)), g.normal(size=(12, 2)), g.uniform(0.5, 1.5, 12)
    w /= w.mean()
    stats = pytest.importorskip("scipy.stats")

    def dense(output):
        laws = [output**2 * phi @ phi.T + np.diag(noise**2 / w) for noise in wide.NOISES]
        return sum(max(stats.multivariate_normal.logpdf(t, cov=law) for law in laws) for t in y.T)

    ours = [wide._Numbers(y, w, Fixed(phi)).evidence(1.0, s) for s in (0.3, 3.0)]
    theirs = [dense(s) for s in (0.3, 3.0)]
    assert ours[0] - ours[1] == pytest.approx(theirs[0] - theirs[1], abs=1e-9)
    unweighted = [wide._Numbers(y, np.ones(12), Fixed(phi)).evidence(1.0, s) for s in (0.3, 3.0)]
    assert abs((unweighted[0] - unweighted[1]) - (theirs[0] - theirs[1])) > 0.1


@pytest.mark.parametrize(("many", "scale"), [(2, 1.0), (2, 4.0), (3, 2.0)])
def test_the_evidence_of_classes_is_nearly_the_integral(many, scale):
    """Laplace's approximation in one dimension, against the sum over a fine grid; without its last term it is off."""
    g = np.random.default_rng(1)
    phi, y = g.normal(size=(40, 1)), g.integers(0, many, 40)
    spread = scale * (1.0 if many == 2 else np.sqrt(1.5))
    offset, b = (0.0 if many == 2 else -np.log(2)), np.linspace(-9, 9, 20_001)
    exact, bare = 0.0, 0.0
    for label in (1,) if many == 2 else range(3):
        sign = np.where(y == label, 1, -1)[:, None]
        log = -np.logaddexp(0, -sign * (offset + spread * phi * b)).sum(axis=0) - b**2 / 2 - np.log(2 * np.pi) / 2
        exact, bare = exact + np.log(np.exp(log).sum() * (b[1] - b[0])), bare + log.max()
    found = wide._Classes(y, np.ones(40), Fixed(phi)).evidence(1.0, scale)
    assert found == pytest.approx(exact, abs=0.08)
    assert abs(bare - exact) > 0.15


@pytest.mark.parametrize("layers", [(16,), (8, 8)])
def test_what_made_numbers_is_found_again(layers):
    """Answers of networks drawn from the prior: the unit's sd on average within its error (of one hidden layer; of two
    the last layer's own sums are not of size 1), and another one is told.
    """
    of = {unit: [chosen(seed, layers, unit).unit for seed in range(12)] for unit in (1.0, 4.0)}
    logs = {unit: np.log(found) for unit, found in of.items()}
    for unit, found in logs.items():
        error = max(found.std(ddof=1), np.log(wide.STEP) / 2) / np.sqrt(len(found))
        assert len(layers) > 1 or abs(found.mean() - np.log(unit)) < 4 * error + 0.35  # .35: the law about 2
    assert logs[4.0].mean() - logs[1.0].mean() > 0.5


def chosen(seed, layers, unit):
    """From 300 answers of a wide network of this unit's sd, with a little noise."""
    g = np.random.default_rng(seed)
    x, width = g.normal(size=(300, 3)), 3
    value = x
    for _ in layers:
        w, b = g.normal(size=(value.shape[1], 300)) / np.sqrt(value.shape[1]), g.normal(size=300) / np.sqrt(width)
        z = unit * (value @ w + b)
        value, width = z / (1 + np.exp(-z)), 8
    y = value @ g.normal(size=300) / np.sqrt(300)
    y = (y - y.mean()) / y.std() + 0.05 * g.normal(size=300)
    return wide.choose(x, y[:, None], wide.NUMBERS, layers, ACTIVATION)


def test_straight_lines_want_small_units_and_noise_small_outputs():
    g = np.random.default_rng(2)
    x = g.normal(size=(150, 10))
    line = x @ g.normal(size=10)
    straight = wide.choose(x, (line / line.std())[:, None], wide.NUMBERS, LAYERS, ACTIVATION)
    assert straight.unit <= 0.5
    assert straight.gain > 10
    nothing = wide.choose(x, g.normal(size=(150, 1)), wide.NUMBERS, LAYERS, ACTIVATION)
    assert nothing.output < 0.6


def test_outputs_that_are_log_noises_are_not_free():
    """A wave asks for outputs that vary by much; where the same prior is a noise's, they may by a factor e^2."""
    g = np.random.default_rng(4)
    x = g.uniform(-2, 2, (600, 2))
    y = np.sin(3 * x[:, :1]) * 1.4 + 0.1 * g.normal(size=(600, 1))
    size = lambda c: c.output * np.sqrt((features.at(c.unit) ** 2).sum(axis=1).mean())  # noqa: E731
    features = wide._Features(x, LAYERS, ACTIVATION)
    free, bound = (wide.choose(x, y, kind, LAYERS, ACTIVATION) for kind in (wide.NUMBERS, wide.NOISY))
    assert size(free) > 3
    assert 1 < size(bound) <= 2


def test_classes_and_counts():
    """Classes that a line parts, and counts; at most ROWS are looked at."""
    g = np.random.default_rng(3)
    x = g.normal(size=(1_500, 2))
    parted = wide.choose(x, (x[:, 0] > 0).astype(int), wide.CLASSES, LAYERS, ACTIVATION)
    mixed = wide.choose(x, g.integers(0, 3, 1_500), wide.CLASSES, LAYERS, ACTIVATION)
    assert parted.output * parted.unit > 4 * mixed.output * mixed.unit
    counts = g.poisson(np.exp(1 + x[:, :1]))
    found = wide.choose(x, counts, wide.COUNTS, LAYERS, ACTIVATION)
    assert found == wide.choose(x, counts, wide.COUNTS, LAYERS, ACTIVATION)
    assert found.gain > 0


def test_scales_by_layer():
    assert wide.by_layer((2.0, 1.0), 4, [16]) == {"hidden": 1.0, "output": 0.25}
    assert wide.by_layer((3.0, 2.0), 9, [16, 25]) == {"hidden1": 1.0, "hidden2": 0.75, "output": 0.4}
