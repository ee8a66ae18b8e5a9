"""Schedules at their boundaries, CoolMomentum's laws, and what forbids extending a run (equations.md sections 3 and
4).
"""

import math

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from gpu_thermo.method.schedules import SCHEDULES, AnySchedule, Cooling

ANY = TypeAdapter(AnySchedule)


def table(total, start=0, steps=None, **keys):
    return ANY.validate_python(keys).tabulate(start, total if steps is None else steps, total)


EXAMPLES = [
    {"schedule": "linear", "final": 0.2}, {"schedule": "exponential", "final": 0.01},
    {"schedule": "cosine", "final": 0.1},
    {"schedule": "cyclical", "cycles": 3}, {"schedule": "cyclical", "period": 7},
    {"schedule": "polynomial", "a": 2, "b": 3, "c": 0.55},
    {"schedule": "piecewise", "boundaries": [5, 11], "factors": [1, 0.1, 0.01]},
    {"schedule": "table", "factors": [1, 2, 3], "every": 4},
    {"schedule": "table", "factors": [1, 2, 3], "every": 4, "repeat": True},
]  # fmt: skip


@pytest.mark.parametrize("keys", EXAMPLES, ids=lambda k: k["schedule"])
def test_segments_cut_nothing(keys):
    """Any segmentation gives the same factors, bit for bit; all are finite, float64, and not negative."""
    whole = table(40, **keys)
    assert whole.shape == (40,)
    assert whole.dtype == np.float64
    assert np.isfinite(whole).all()
    assert (whole >= 0).all()
    for length in (1, 7, 39):
        parts = [table(40, start=i, steps=min(length, 40 - i), **keys) for i in range(0, 40, length)]
        np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("keys", EXAMPLES, ids=lambda k: k["schedule"])
def test_spans_run_says_whether_the_end_matters(keys):
    """A schedule that does not span the run has the same factors for a longer run, and one that does has others."""
    schedule = ANY.validate_python(keys)
    same = (schedule.tabulate(0, 40, 40) == schedule.tabulate(0, 40, 60)).all()
    assert schedule.spans_run is not bool(same)


@pytest.mark.parametrize(
    ("keys", "law"),
    [
        ({"schedule": "linear", "final": 0.2}, lambda u: 1 - 0.8 * u),
        ({"schedule": "linear"}, lambda u: 1 - u),
        ({"schedule": "exponential", "final": 0.01}, lambda u: 0.01**u),
        ({"schedule": "cosine", "final": 0.1}, lambda u: 0.1 + 0.9 * (1 + math.cos(math.pi * u)) / 2),
        ({"schedule": "cosine"}, lambda u: math.cos(math.pi * u / 2) ** 2),
    ],
)
def test_laws_over_the_run(keys, law):
    """From 1 at step 0; `final` would be reached at step S."""
    np.testing.assert_allclose(table(50, **keys), [law(k / 50) for k in range(50)], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(table(50, start=50, steps=1, **keys), law(1.0), atol=1e-15)


@pytest.mark.parametrize("total", [100, 101, 7])
def test_cyclical(total):
    """L = ceil(S / cycles); each cycle starts at 1 and never reaches 0; a period is the same by its own length."""
    length = math.ceil(total / 4)
    got = table(total, schedule="cyclical", cycles=4)
    np.testing.assert_allclose(
        got, [(1 + math.cos(math.pi * (k % length) / length)) / 2 for k in range(total)], atol=1e-15
    )
    assert (got[::length] == 1).all()
    assert (got > 0).all()
    np.testing.assert_array_equal(got, table(total, schedule="cyclical", period=length))


def test_polynomial():
    np.testing.assert_allclose(
        table(5, schedule="polynomial", a=2, b=3, c=0.5), [2 / math.sqrt(k + 3) for k in range(5)]
    )


def test_piecewise_changes_at_its_boundaries():
    got = table(8, schedule="piecewise", boundaries=[2, 5], factors=[1, 0.5, 0])
    assert got.tolist() == [1, 1, 0.5, 0.5, 0.5, 0, 0, 0]


def test_tables_hold_or_repeat():
    assert table(8, schedule="table", factors=[1, 2, 3], every=2).tolist() == [1, 1, 2, 2, 3, 3, 3, 3]
    assert table(8, schedule="table", factors=[1, 2, 3], every=2, repeat=True).tolist() == [1, 1, 2, 2, 3, 3, 1, 1]


def test_far_steps_are_exact():
    """Steps beyond 2^32 keep their place in a cycle."""
    assert (
        table(2**40, start=2**40 - 1, steps=1, schedule="cyclical", period=16)[0]
        == table(16, schedule="cyclical", period=16)[15]
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"schedule": "cyclical"}, "either cycles"),
        ({"schedule": "cyclical", "cycles": 2, "period": 5}, "either cycles"),
        ({"schedule": "cyclical", "cycles": 0}, "greater than or equal to 1"),
        ({"schedule": "linear", "final": -1}, "greater than or equal to 0"),
        ({"schedule": "exponential", "final": 0}, "greater than 0"),
        ({"schedule": "linear", "final": float("nan")}, "."),
        ({"schedule": "piecewise", "boundaries": [2, 5], "factors": [1, 2]}, "2 boundaries need 3 factors, not 2"),
        ({"schedule": "piecewise", "boundaries": [5, 5], "factors": [1, 2, 3]}, "do not increase"),
        ({"schedule": "table", "factors": []}, "at least 1"),
        ({"schedule": "table", "factors": [1, -1]}, "greater than or equal to 0"),
        ({"schedule": "table", "factors": [1], "every": 0}, "greater than or equal to 1"),
        ({"schedule": "linear", "finl": 1}, "not permitted"),
        ({"schedule": "lineal"}, "does not match"),
        ({"schedule": "cooling", "law": "linear", "rho": 0.9}, "does not match"),
        ({"schedule": "polynomial", "b": 0}, "greater than 0"),
        ({"schedule": "exponential", "final": float("inf")}, "finite"),
    ],
)  # fmt: skip
def test_schedules_that_are_refused(keys, message):
    with pytest.raises(ValidationError, match=message):
        ANY.validate_python(keys)


def test_names_of_schedules():
    assert {k["schedule"] for k in EXAMPLES} | {"constant"} == set(SCHEDULES)


# -- CoolMomentum --------

RHO, S = 0.99, 500


def rho(law, start=0, steps=S):
    """rho_k at steps k - 1 = start, ..."""
    return RHO * Cooling(law=law, rho=RHO).tabulate(start, steps, S)


@pytest.mark.parametrize("law", ["published", "exponential", "linear"])
def test_cooling_ends_without_momentum(law):
    """rho falls from near rho_0 to exactly 0 at k = S."""
    got = rho(law)
    assert got[-1] == 0
    assert (np.diff(got) < 0).all()
    assert got[0] == pytest.approx(RHO, rel=2e-3)
    assert (got[:-1] > 0).all()
    np.testing.assert_array_equal(np.concatenate([rho(law, 0, 123), rho(law, 123, S - 123)]), got)


def test_published_cooling():
    """rho_k = 1 - (1 - rho_0) / alpha^k, alpha = (1 - rho_0)^(1/S)."""
    alpha = (1 - RHO) ** (1 / S)
    np.testing.assert_allclose(
        rho("published"), [max(0, 1 - (1 - RHO) / alpha**k) for k in range(1, S + 1)], atol=1e-13
    )


def test_exponential_cooling_is_exactly_exponential_in_temperature():
    """(1 - rho_k) / (1 + rho_k) grows by ((1 + rho_0) / (1 - rho_0))^(1/S) at each step."""
    inverse = (1 - rho("exponential")) / (1 + rho("exponential"))
    growth = ((1 + RHO) / (1 - RHO)) ** (1 / S)
    np.testing.assert_allclose(inverse[1:] / inverse[:-1], growth, rtol=1e-9)
    assert inverse[0] == pytest.approx((1 - RHO) / (1 + RHO) * growth)


def test_linear_cooling():
    """rho_k = rho_0 (1 - k/S) / (1 - rho_0 k/S): the effective learning rate, of 1 / (1 - rho), falls linearly."""
    u = np.arange(1, S + 1) / S
    np.testing.assert_allclose(rho("linear"), RHO * (1 - u) / (1 - RHO * u), rtol=1e-12)
    np.testing.assert_allclose(1 / (1 - rho("linear")), 1 + RHO / (1 - RHO) * (1 - u), rtol=1e-9)


def test_cooling_spans_the_run():
    assert Cooling(law="published", rho=0.9).spans_run


@pytest.mark.parametrize("schedule", ["linear", "exponential", "cosine"])
def test_annealing_starts_over(schedule):
    """Restarts repeat the schedule of a shorter run, whatever part of the run is asked for."""
    once = TypeAdapter(AnySchedule).validate_python({"schedule": schedule, "final": 0.1})
    again = TypeAdapter(AnySchedule).validate_python({"schedule": schedule, "final": 0.1, "restarts": 4})
    part = once.tabulate(0, 25, 25)
    assert np.array_equal(again.tabulate(0, 100, 100), np.tile(part, 4))
    assert np.array_equal(again.tabulate(30, 10, 100), part[5:15])
    assert again.spans_run
    assert part[0] == 1
    assert part[-1] < 0.2
