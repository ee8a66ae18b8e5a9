"""Rules of a run that tunes itself, each at known numbers, and together on what they are for."""

import math

import numpy as np
import pytest

from gpu_thermo.tuning import rules
from gpu_thermo.tuning.rules import Lengths


def test_first_stepsize():
    assert rules.first_stepsize(4.0, 0.01, False) == pytest.approx(0.15)
    assert rules.first_stepsize(4.0, 0.01, True) == pytest.approx(0.015)


def test_friction():
    """The frequency of a well is sqrt(tau/Var), whatever tau; never more than .5/h."""
    for tau in (1.0, 0.01):
        assert rules.friction(tau / 9, tau, 0.1, False) == pytest.approx(3)
    assert rules.friction(1 / 900, 1.0, 0.1, False) == 5
    assert rules.friction(0.04, 0.01, 0.01, True) == pytest.approx(5)
    assert rules.friction(0.0, 1.0, 0.1, False) == 5


def test_factors():
    assert rules.adapted_factor(0.965) == pytest.approx(1)
    assert rules.adapted_factor(1.0) == 2
    assert rules.adapted_factor(0.5) == 0.5
    assert rules.block_factor(0.95) == rules.block_factor(0.94) == 1
    assert rules.block_factor(0.7) == 0.7
    assert rules.block_factor(0.999) == 1.2


def test_share_of_the_noise():
    """A gradient noise s^2 makes O's bath of 2 gamma tau h one of h (2 gamma tau + h s^2)."""
    h, tau, gamma, s2 = 0.1, 0.02, 0.7, 0.05
    assert rules.noise_share(h, s2 / tau, gamma) == pytest.approx(h * s2 / (2 * gamma * tau))


@pytest.mark.parametrize("h", [0.05, 3.0])
def test_the_factor_finds_its_aim(h):
    """Where 1 - a = c h^2, from far below and far above, within 20 windows."""
    for _ in range(20):
        h *= rules.adapted_factor(max(1 - 0.05 * h**2, 0.0))
    assert 0.05 * h**2 == pytest.approx(rules.AIM, rel=0.01)


def test_windows_double():
    assert [rules.window_steps(i) for i in (0, 5, 6, 12, 18, 24, 40)] == [25, 25, 50, 100, 200, 400, 400]


def test_adapted():
    steady = [1.0, 1.0, 1.0]
    assert rules.is_adapted([1.6] * 2 + [1.05, 0.95], steady, 0.1)
    assert not rules.is_adapted([1.05] * 3, steady, 0.1)
    assert not rules.is_adapted([1.0] * 5 + [1.1], steady, 0.1)
    assert not rules.is_adapted([1.0] * 6, [1.0, 1.1, 1.2], 0.1)


@pytest.mark.parametrize(("h", "gamma"), [(0.5, 0.1), (0.3, 0.01), (1.0, 0.5), (0.01, 1e-4)])
@pytest.mark.parametrize("braces", [False, True])
@pytest.mark.parametrize("doubled", [0, 2])
def test_lengths(h, gamma, braces, doubled):
    """n is the larger of 64 and 4/(gamma h), or the whole number of draws at block ends that is nearest to it."""
    found = Lengths.of(h, gamma, braces, doubled)
    wanted = max(64, 4 / (gamma * h)) * 2**doubled
    assert found.block == (max(1, round(0.3 / (gamma * h))) if braces else 1)
    assert found.stride % found.block == 0
    assert found.quarter == rules.DRAWS * found.stride
    assert abs(found.quarter - wanted) <= rules.DRAWS * found.block / 2 or found.stride == found.block


def test_lengths_of_sampling():
    """The square of the error falls with the steps: half of it takes four times as many, and 5 % more."""
    assert rules.more_steps(400, 0.1, 0.05) == pytest.approx(400 * (4 * 1.05 - 1))
    assert rules.next_segment(400, 0.1, 0.05, 100, 7) == 7 * math.ceil(800 / 7)
    assert rules.next_segment(400, 0.0501, 0.05, 100, 5) == 50
    assert rules.next_segment(4000, 0.051, 0.05, 100, 8) == pytest.approx(4000 * (1.02**2 * 1.05 - 1), abs=8)


def test_kept_draws_are_bounded():
    assert rules.kept_stride(10, 1000) == 10
    assert rules.kept_stride(10, 10 * 512 * 7) == 70


def test_lowered():
    """A bias that falls as h^2, or as h, comes to half the tolerance."""
    assert rules.lowered(1.0, 0.2, 0.1, False) == pytest.approx(0.5)
    assert rules.lowered(1.0, 0.1, 0.1, True) == pytest.approx(0.5)
    assert rules.lowered(1.0, 100.0, 0.1, True) == 0.25
    assert np.isclose(rules.lowered(1.0, 0.01, 0.1, False), 0.8)


@pytest.mark.parametrize(("block", "stride"), [(1, 1), (1, 40), (7, 14), (265, 265)])
@pytest.mark.parametrize("steps", [20, 32, 250, 2_000, 10_000])
def test_lengths_that_fit(block, stride, steps):
    """A window of four quarters fits, blocks divide what stands between draws, and what fits already stays."""
    lengths = Lengths(block, stride, rules.DRAWS * stride)
    found = lengths.within(steps)
    assert 4 * found.quarter <= max(steps, 4 * rules.DRAWS)
    assert found.stride % found.block == 0
    assert found.quarter == rules.DRAWS * found.stride
    assert (found == lengths) == (4 * lengths.quarter <= steps or stride == 1)
