"""What a run that tunes itself may still take, by a clock that is set by hand."""

import math
import time

import pytest

from gpu_thermo.running import budget
from gpu_thermo.running.budget import Budget
from gpu_thermo.spec.run import RunSection


@pytest.fixture
def clock(monkeypatch):
    """Seconds, set by the test."""
    at = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: at[0])
    return at


def test_of_steps_alone(clock):
    found = Budget.of(RunSection(tolerance=0.1, max_steps=5_000), 1_000)
    clock[0] += 1e6
    assert found.left(2_000) == 3_000
    assert found.left(6_000) == 0
    assert found.spent == 0


def test_seconds_by_what_binds_first(clock):
    steps, time = RunSection(tolerance=0.1, max_steps=5_000), RunSection(tolerance=0.1, max_steps=10**6, max_time=100.0)
    found = Budget.of(steps, 0)
    assert found.seconds_left(0) == math.inf  # no speed is known yet
    found.saw(10, 10.0)
    found.saw(50, 1.0)
    assert found.seconds_left(1_000) == 80
    assert found.seconds_left(6_000) == 0
    found = Budget.of(time, 0)
    clock[0] += 10
    assert found.seconds_left(50) == 90
    found.saw(5, 1.0)
    assert found.seconds_left(50) == 90
    assert found.seconds_left(10**6 - 100) == 20
    clock[0] += 100
    assert found.seconds_left(50) == 0


def test_time_at_the_speed_of_the_stage(clock):
    found = Budget.of(RunSection(tolerance=0.1, max_steps=10**6, max_time=100.0), 0)
    clock[0] += 10
    assert found.left(50) == int((budget.SPENT * 100 - 10) * 5)
    assert found.left(50, 0.5) == int((budget.SPENT * 100 - 10) * 2.5)
    assert found.spent == 0.1
    found.stage(50)
    clock[0] += 10
    assert found.left(550) == (95 - 20) * 50
    clock[0] += 100
    assert found.left(600) == 0


def test_of_a_resumed_run_and_its_fastest_segment(clock):
    """Time that it took before it was stopped counts."""
    found = Budget.of(RunSection(tolerance=0.1, max_time=100.0), 0)
    clock[0] += 5
    found.took(60.0)
    clock[0] += 15
    assert found.elapsed == 75
    for steps, seconds in ((10, 1.0), (60, 2.0), (10, 5.0)):
        found.saw(steps, seconds)
    assert found.within(0, found.fastest) == 20 * 30


def test_half_of_what_was_left_when_it_went_on(clock):
    """Of 100 s of which 60 were gone, 20."""
    fresh = Budget.of(RunSection(tolerance=0.1, max_time=100.0), 0)
    clock[0] += 49
    assert not fresh.half_gone
    clock[0] += 2
    assert fresh.half_gone
    resumed = Budget.of(RunSection(tolerance=0.1, max_time=100.0), 500)
    clock[0] += 1
    resumed.took(61.0)
    clock[0] += 18
    assert not resumed.half_gone
    clock[0] += 2
    resumed.took(81.0)
    assert resumed.half_gone
    assert not Budget.of(RunSection(tolerance=0.1), 0).half_gone
