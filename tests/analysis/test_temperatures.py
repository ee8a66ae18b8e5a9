"""Verdicts on temperatures weigh the error, and name causes that the run can have only."""

import math

import pytest

from gpu_thermo.spec.run import RunSpec
from gpu_thermo_analysis import temperatures
from gpu_thermo_analysis.temperatures import Temperature, configurational_verdict, kinetic_verdict

WELL = {
    "target": {"name": "harmonic"},
    "method": {"name": "langevin", "stepsize": 0.5, "temperature": 1.0, "friction": 0.1},
    "run": {"steps": 10, "burn_in": 0, "thin": 1},
}


def spec(**changes):
    return RunSpec.from_dict(WELL | changes)


def judged(value, error, target=1.0, run=None):
    run = run or spec()
    t = Temperature("all", target, value, error, value, error)
    return kinetic_verdict(t, run, False), configurational_verdict([t], run, False)


@pytest.mark.parametrize(
    ("value", "error", "target", "agrees"),
    [
        (1.08, 0.006, 1.0, False),  # 13 standard errors
        (1.08, 0.03, 1.0, True),  # 2.7 of them
        (1.005, 0.0001, 1.0, True),  # 50 of them, and half a per cent
        (1.5, 0.4, 1.0, None),  # nothing is known
        (0.99, 0.4, 1.0, True),
        (1.05, math.nan, 1.0, True),  # one chain has no error
        (1.5, math.nan, 1.0, False),
    ],
)
def test_an_agreement_weighs_the_error(value, error, target, agrees):
    for passed, text in judged(value, error, target):
        assert passed is agrees, text
        assert ("agrees" in text) == (agrees is True) or "within" in text


def test_a_deficit_of_a_finite_stepsize_is_no_agreement():
    """14.6 +- .1 for 15: four standard errors, which BAOAB's momenta may have and positions may not."""
    (kinetic, said), (configurational, why) = judged(14.57, 0.1, 15.0)
    assert (kinetic, configurational) == (None, False)
    assert "expected of a finite stepsize" in said
    assert "Too cold" in why


def test_causes_are_those_that_the_run_can_have():
    plain = judged(1.3, 0.01)
    noisy = judged(1.3, 0.01, run=spec(target={"name": "harmonic", "gradient_noise_sd": 0.5}))
    batches = judged(1.3, 0.01, run=RunSpec.from_dict({"model": {"prior_sd": 1.0}}))
    full = judged(1.3, 0.01, run=RunSpec.from_dict({"model": {"prior_sd": 1.0}, "run": {"minibatch": "full"}}))
    for without in (plain, full):
        assert not any("gradient noise" in text or "batches" in text for _, text in without)
    for having in (noisy, batches):
        assert all("gradient noise" in text for _, text in having)


def test_windows_of_exchange_are_a_cause():
    exchange = {"kind": "exchange", "rungs": 2, "hottest": 2.0, "window": 3}
    _, (passed, text) = judged(1.08, 0.006, run=spec(moves=[exchange]))
    assert passed is False
    assert "windows of exchange" in text


def test_far_off_is_a_multiple():
    """6,250,439 % is no way to say it."""
    assert temperatures._relative(0.058) == "+5.8%"
    assert temperatures._relative(62504.4) == "6.25e+04 times as much"
