"""Weak order of accuracy, measured: the error of <q^2> on a quartic well against quadrature, as a power of h.

U = c q^2 / 2 + q^4 / 4 at tau = 1. Palindromes have order 2, OBA and SGLD order 1.
Errors are over independent replicas; the slope of log |error| over log h comes with the error bar that follows from
them.
"""

from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import pytest
from linear_maps import job_of
from scipy.integrate import quad

from gpu_thermo.engines import BatchedEngine, initial_state
from gpu_thermo.method.words import Substep
from gpu_thermo.state import Segment
from gpu_thermo.targets.base import Layout, Target

REPLICAS, SIZE = 64, 256


class Quartic(Target):
    """U = sum_i c q_i^2 / 2 + q_i^4 / 4."""

    points = 0

    def __init__(self, c, size=SIZE):
        self.c, self.layout = c, Layout({"position": (size,)}, {"all": ("position",)}, np.arange(size))

    def energy_and_gradient(self, position, batch):
        """U [R] and its gradient [R, P]."""
        square = position * position
        return (square * (self.c / 2 + square / 4)).sum(axis=1), position * (self.c + square)

    def to(self, xp):
        """NumPy only."""
        return self

    @property
    def mean_square(self):
        """<q^2> under exp(-U)."""
        over = [
            quad(lambda q, n=n: q**n * np.exp(-self.c * q * q / 2 - q**4 / 4), -9, 9, epsabs=1e-13)[0] for n in (0, 2)
        ]
        return over[1] / over[0]


@dataclass(frozen=True)
class Case:
    """Where the error of a word is large enough to measure and small enough to be its leading term; `length` in units
    of time.
    """

    c: float
    friction: float
    stepsizes: tuple[float, ...]
    length: float


CASES = {
    "OBABO": (2, Case(1.0, 1.0, (0.165, 0.33), 300)),
    "OABAO": (2, Case(1.0, 1.0, (0.14, 0.28), 200)),
    "ABOBA": (2, Case(-1.0, 1.0, (0.16, 0.32), 240)),
    "OBA": (1, Case(1.0, 2.0, (0.03, 0.06), 60)),
    "sgld": (1, Case(1.0, 0.0, (0.025, 0.05), 60)),
}
LONG = {
    "BAOAB": (2, Case(-1.0, 1.0, (0.17, 0.34), 4500)),
    "OBABO": (2, Case(1.0, 1.0, (0.13, 0.26), 900)),
    "ABOBA": (2, Case(-1.0, 1.0, (0.13, 0.26), 900)),
    "OBA": (1, Case(1.0, 2.0, (0.02, 0.04), 150)),
    "sgld": (1, Case(1.0, 0.0, (0.0125, 0.025), 150)),
}


def errors(word, case, change=lambda job: job, seed=0):
    """(error of <q^2>, its standard error) at each stepsize."""
    out, exact = [], Quartic(case.c).mean_square
    for i, h in enumerate(case.stepsizes):
        job = change(
            job_of(word, Quartic(case.c), h, REPLICAS, temperature=1.0, friction=case.friction, seed=2 * seed + i + 1)
        )
        draw = (
            np.random.default_rng(2 * seed + i).normal(size=(2, REPLICAS, SIZE)) * 0.5
        )  # farther out a quartic force overflows
        state, engine, steps = initial_state(job, *draw), BatchedEngine(job), round(case.length / h / 2)
        engine.advance(state, Segment(0, round(8 / h)))
        square = np.zeros(REPLICAS)
        for _ in range(steps):
            engine.advance(state, Segment(state.step, 2))
            square += (state.position**2).mean(axis=1) / steps
        assert (state.status == 0).all()
        out.append((square.mean() - exact, square.std(ddof=1) / np.sqrt(REPLICAS)))
    return np.array(out).T


def order(word, case, **options):
    """Slope of log |error| over log h between two stepsizes, its standard error, and the significance of the smaller
    error.
    """
    error, sd = errors(word, case, **options)
    span = np.log(case.stepsizes[1] / case.stepsizes[0])
    slope = np.log(error[1] / error[0]) / span if error[1] / error[0] > 0 else np.nan
    return slope, np.hypot(*(sd / error)) / span, abs(error[0] / sd[0])


def check(word, expected, case):
    """The slope is the order within 0.15 (the next power of h) and three error bars, of at most 0.12: about half an
    order in all.
    """
    slope, sd, _ = order(word, case)
    assert sd < 0.12
    assert abs(slope - expected) < 0.15 + 3 * sd


@pytest.mark.parametrize("word", CASES)
def test_order(word):
    check(word, *CASES[word])


@pytest.mark.slow
@pytest.mark.parametrize("word", LONG)
def test_order_on_longer_runs(word):
    """The words of smallest error, and smaller stepsizes."""
    check(word, *LONG[word])


# -- power: one mistake, and the order is lost -------------------------------------------------------------------------


def lopsided(job):
    """The second drift takes three quarters of the step, the first one quarter: no palindrome any more."""
    parts = iter((Fraction(1, 2), Fraction(3, 2)))
    substeps = [
        replace(s, fraction=s.fraction * next(parts)) if isinstance(s, Substep) and s.operation == "A" else s
        for s in job.program.substeps
    ]
    return replace(job, program=replace(job.program, substeps=tuple(substeps)))


def warmer(job):
    """tau 10 % too high: the error does not go away with h."""
    return replace(job, hyper=replace(job.hyper, temperature=1.1 * job.hyper.temperature))


@pytest.mark.parametrize(("word", "change"), [("OABAO", lopsided), ("OBABO", warmer), ("sgld", warmer)])
def test_power(word, change):
    expected, case = CASES[word]
    slope, _, seen = order(word, replace(case, length=case.length / 4), change=change)
    assert seen > 8  # there is an error
    assert slope < expected - 0.5
