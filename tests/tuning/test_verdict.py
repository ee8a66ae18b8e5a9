"""Verdicts: what is trusted, and that each thing against a run is said with its remedy."""

import math
from dataclasses import replace

import pytest

from gpu_thermo.tuning.course import BURN_IN, SAMPLING, Course
from gpu_thermo.tuning.tuner import Tuner
from gpu_thermo.tuning.verdict import judge

TUNER = Tuner(0.05, 100_000, (10,), (1.0,), 128, 32, 0.0)
BURNED = {"phase": BURN_IN, "p": 0.4, "ratio": 0.1, "failed": []}
LINE = {
    "phase": SAMPLING, "p": 0.5, "ratio": 0.1, "virial": [1.01], "virial_error": [0.01], "error": 0.028, "frozen": 0,
    "bias": 0.01, "bias_error": 0.012, "excess": False, "draws": 16,
}  # fmt: skip


def course(burn_in=None, ended="tolerance", burned=True, **line):
    log = ({**BURNED, **(burn_in or {})}, LINE | line)
    return Course(phase=SAMPLING, stepsize=0.4, burned=burned, ended=ended, log=log)


def test_a_good_run_is_trusted():
    found = judge(course(), TUNER)
    assert found.trusted
    assert found.size == pytest.approx(math.hypot(0.028, 0.01, 0.012))
    assert found.text == (
        "may be trusted to 0.033 sd (largest standard error over probes 0.028;"
        " stepsize bias 0.01 +- 0.01 over all probes)"
    )


def test_in_braces_there_is_no_bias():
    found = judge(course(bias=None, bias_error=None), TUNER)
    assert found.trusted
    assert "no bias" in found.text
    assert found.to_dict()["bias"] is None


@pytest.mark.parametrize(
    ("changes", "why", "do"),
    [
        ({"error": 0.08, "ended": "max_steps"}, "0.05 was not reached by max_steps", "--tolerance 0.08"),
        ({"p": 0.005}, "drift over the kept draws", "start again"),
        ({"ratio": 0.6}, "have not seen the same", "smaller tolerance"),
        ({"virial": [1.2]}, "virial is 1.2", "lower the stepsize"),
        ({"frozen": 9}, "9 of 128 replicas froze", "smaller method.stepsize"),
        ({"bias": 0.2, "bias_error": 0.02}, "biases averages by 0.2", "method.stepsize = 0.2"),
        ({"excess": True}, "biases averages", "method.stepsize = 0.2"),
        ({"ended": ""}, "has not ended", "resume"),
        ({"burned": False, "burn_in": {"failed": ["drift"], "p": 0.03}}, r"averages drift \(p 0.03\)", "max_steps"),
        ({"burned": False, "burn_in": {"failed": ["virial"]}}, "virial theorem is missed", "max_steps"),
    ],
)
def test_what_stands_against_a_run_is_said_with_its_remedy(changes, why, do):
    import re

    found = judge(course(**changes), TUNER)
    assert not found.trusted
    assert len(found.reasons) == 1
    assert re.search(why, found.reasons[0])
    assert do in found.remedies[0]
    assert found.text.startswith(f"not yet, because {found.reasons[0]}: ")


def test_noise_of_minibatches():
    loud = replace(course(), log=({"phase": "adaptation", "rho": 0.1}, *course().log))
    assert "gradient noise of the minibatches is 0.1" in judge(loud, TUNER).text
    quiet = replace(loud, log=({"phase": "adaptation", "rho": 0.012}, *course().log))
    assert judge(quiet, TUNER).trusted


def test_a_thermostat_on_minibatches_is_not_trusted():
    """However quiet it says they are: its rho is that of a friction which is not in force."""
    quiet = replace(course(), log=({"phase": "adaptation", "rho": 0.001}, *course().log))
    assert "thermostat" in judge(quiet, replace(TUNER, thermostat=True)).text
    assert judge(course(), replace(TUNER, thermostat=True)).trusted


def test_every_threshold_weighs_its_error():
    """The same numbers with larger errors say nothing."""
    assert judge(course(virial=[1.2], virial_error=[0.06]), TUNER).trusted
    assert judge(course(virial=[1.04], virial_error=[0.005]), TUNER).trusted
    assert not judge(course(virial=[1.1], virial_error=[0.02]), TUNER).trusted
    assert judge(course(bias=0.2, bias_error=0.09), TUNER).trusted


def test_modes_are_named_and_exchange_is_offered():
    stuck = replace(course(burn_in={"failed": ["ratio"], "ratio": 0.9}, burned=False), stuck=3)
    found = judge(stuck, TUNER)
    assert "several modes" in found.text
    assert 'kind = "exchange"' in found.text


@pytest.mark.parametrize("last", [{"again": True, "passed": False}, {**BURNED, "passed": True}])
def test_a_stepsize_that_was_lowered_at_the_very_end(last):
    """A window that froze, or a bias, and half of the steps gone: burn-in has failed no test, and did not end."""
    found = judge(
        Course(phase=SAMPLING, stepsize=0.4, ended="tolerance", log=({"phase": BURN_IN, **last}, LINE)), TUNER
    )
    assert found.reasons == ("burn-in did not end: its stepsize was lowered, and there was no time for another window",)


def test_nothing_drawn():
    found = judge(replace(course(ended="max_steps"), log=(BURNED,)), TUNER)
    assert not found.trusted
    assert "before the first draw" in found.text
    assert found.to_dict()["error"] is None
    few = judge(replace(course(ended="max_time"), log=(BURNED,)), TUNER)
    assert not few.trusted
    assert "before there were draws enough to judge by" in few.text


@pytest.mark.parametrize("ended", ["max_time", "max_steps", ""])
def test_replicas_as_they_stood(ended):
    found = judge(replace(course(ended=ended), log=(), makeshift=1_234), TUNER)
    assert (found.trusted, found.makeshift) == (False, True)
    assert "where each replica stood at step 1,234, and no draw of the posterior" in found.text
    assert (f"{ended} came before the first draw" in found.text) == bool(ended)
