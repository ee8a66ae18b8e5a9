"""Replicas of different stepsizes keep one time, whatever their burn-ins and thins."""

import numpy as np
import pytest

from gpu_thermo.clock import Clock

CASES = [(200, 20, [0.1, 0.17, 0.3, 0.65]), (0, 7, [0.02, 0.1]), (11, 4, [0.1, 0.11, 0.39]), (3, 40, [0.1, 2.0])]


@pytest.mark.parametrize(("burn_in", "thin", "stepsizes"), CASES)
def test_times_agree(burn_in, thin, stepsizes):
    """To half a step at the end of the burn-in and between draws; in between nobody is ahead, or behind by more than
    what whole steps take.
    """
    h = np.array(stepsizes)
    clock = Clock.of(burn_in, thin, h, h)
    assert np.all(np.abs(clock.before * h - burn_in * h[0]) <= h / 2 + 1e-12)
    assert np.all(np.abs(clock.between * h - thin * h[0]) <= h / 2 + 1e-12)
    own = np.array([clock.own(s) for s in range(burn_in + 5 * thin + 1)])
    assert np.array_equal(own[:, 0], np.arange(len(own)))
    assert np.all(own[0] == 0)
    assert np.all(np.diff(own, axis=0) >= 0)
    for i in range(6):
        assert np.array_equal(own[burn_in + i * thin], clock.before + i * clock.between)


@pytest.mark.parametrize(("burn_in", "thin", "stepsizes"), CASES)
def test_all_step_where_they_meet(burn_in, thin, stepsizes):
    """So that what is recorded there is of a step that a segment has just done, however segments are cut."""
    clock = Clock.of(burn_in, thin, np.array(stepsizes), np.array(stepsizes))
    meetings = clock.meetings(burn_in + 5 * thin)
    assert np.all(np.diff(meetings) > 0)
    assert len(meetings) == clock.parts + 5
    for step in meetings.tolist():
        assert np.all(clock.own(step) > clock.own(step - 1))


def test_groups_and_the_step_of_a_count():
    h = np.array([0.1, 0.4, 0.1, 0.4, 0.2])
    clock = Clock.of(20, 10, h, h)
    assert clock.take(np.array([4])).parts == Clock.of(20, 10, h[:1], h).parts == clock.parts == 2
    assert sorted(map(list, clock.groups())) == [[0, 2], [1, 3], [4]]
    for replica in (0, 1, 4):
        for own in range(1, int(clock.own(60)[replica]) + 1):
            step = clock.at(replica, own, 0, 60)
            assert clock.own(step)[replica] == own
            assert clock.own(step - 1)[replica] == own - 1
