"""A verdict without physics: every reason has a line, and every line an option that there is."""

import inspect
from dataclasses import replace

import pytest

from gpu_thermo import BayesianMLPRegressor
from gpu_thermo.estimators.words import ESTIMATOR, FIT, LEARNED_NOTHING, Trust, in_words
from gpu_thermo.tuning.course import BURN_IN, SAMPLING, Course
from gpu_thermo.tuning.told import Told
from gpu_thermo.tuning.tuner import Tuner
from gpu_thermo.tuning.verdict import judge
from gpu_thermo_cli import fit, sample

TUNER = Tuner(0.1, 10_000, (20,), (0.01,), 48, 3, 0.0)
LINE = {
    "phase": SAMPLING, "p": 0.5, "ratio": 0.1, "virial": [1.0], "virial_error": [0.1], "error": 0.08, "frozen": 0,
    "bias": None, "bias_error": None, "excess": False, "failed": [],
}  # fmt: skip
BURNED = {"phase": BURN_IN, "p": 0.5, "ratio": 0.1, "failed": [], "error": 0.2}


APART, UNBURNED = {"failed": ["ratio"], "ratio": 0.8}, {"burned": False}


def told(line=(), window=(), **course):
    log = (BURNED | dict(window), LINE | dict(line))
    made = replace(Course(), phase=SAMPLING, ended="tolerance", burned=True, log=log, stepsize=0.1, friction=(0.1,))
    made = replace(made, **course)
    return Told(made, TUNER, judge(made, TUNER))


CASES = {
    "drift": (told({"p": 0.001}), ("still change", "anew with --minutes 2")),
    "chance": (told({"p": 0.008}), ("by chance in one good fit of a hundred", "another --seed", "--tolerance 0.05")),
    "start": (told({}, APART, **UNBURNED), ("still change", "gpu-thermo resume NAME.zarr --minutes 2")),
    "modes": (told({}, APART, **UNBURNED, stuck=3), ("do not turn into each other",)),
    "short": (told({"error": 0.25}, ended="max_steps"), ("known to 0.25", "goal was 0.1", "--minutes 5", "0.25)")),
    "lost": (told({"frozen": 9}), ("9 of 48 chains of networks were lost", "--log")),
    "bias": (told({"excess": True, "bias": 0.3, "bias_error": 0.01}), ("the stepsize 0.1 biases", "--seed")),
    "noise": (told({}, {"rho": 0.5}), ("some of the rows only", "anew with --minutes 2")),
    "cut": (told(ended=""), ("interrupted", "gpu-thermo resume")),
    "few": (told(log=(BURNED,), ended="max_time"), ("enough to judge by", "resume NAME.zarr --minutes 2")),
    "makeshift": (told(log=(), ended="max_time", makeshift=9), ("the 48 networks as they stood", "means nothing")),
    "nothing": (told(log=(BURNED,), ended="max_steps"), ("no network was collected", "--minutes 2")),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_reason_has_its_line(name):
    run, parts = CASES[name]
    assert not run.verdict.trusted
    lines = in_words(run, 40.0)
    assert len(lines) == 1
    for part in ("not yet: ", *parts):
        assert part in lines[0]
    assert not any(word in lines[0] for word in ("burn-in", "virial", "max_steps", "replicas"))


def test_a_bound_on_gradients_that_is_given_is_what_to_raise():
    assert "give it more time (a larger max_gradients than 3,000)" in Trust.of(told({"error": 0.25}), 40.0, 3_000).text
    assert "max_seconds=300" in Trust.of(told({"error": 0.25}), 40.0).text


def test_an_error_just_above_the_goal_is_not_the_goal():
    assert "known to 0.11 of their spread, and the goal was 0.1" in in_words(told({"error": 0.1004}))[0]


def test_one_more_thing_stands_first():
    found = Trust.of(told(), 40.0)
    assert found.trusted
    assert found.text.startswith("may be trusted to")
    spoiled = found.against(LEARNED_NOTHING)
    assert not spoiled.trusted
    assert spoiled.text == f"not yet: {LEARNED_NOTHING}"
    assert spoiled.against("a: b").said == ("a: b", LEARNED_NOTHING)
    assert len(spoiled.reasons) == len(spoiled.remedies) == 1


def test_what_may_be_trusted():
    assert in_words(told()) == ["averages over the networks are known to 0.08 of their spread: they may be trusted"]
    two = in_words(told({"p": 0.001, "error": 0.2}))
    assert len(two) == 2
    assert "more than an hour" in in_words(told({"p": 0.001}), 3_000.0)[0]


def test_options_are_there():
    """Of the command, and of the estimators."""
    text = inspect.getsource(fit.fit)
    for option in (FIT.log.split()[-1], FIT.again, *FIT.anew.split()[3::2]):
        assert option.removeprefix("--") in text
    for option in (FIT.longer, FIT.content):
        command, option = option.split()[1], option.split()[3].removeprefix("--")
        assert option in inspect.signature(getattr(sample, command)).parameters
    assert FIT.of("my.zarr").longer == "gpu-thermo resume my.zarr --minutes {minutes}"
    known = BayesianMLPRegressor().get_params()
    for option in (
        ESTIMATOR.longer,
        ESTIMATOR.anew,
        ESTIMATOR.content,
        ESTIMATOR.log,
        ESTIMATOR.again,
        ESTIMATOR.smaller,
    ):
        assert option.split("=")[0] in known
    line = in_words(told({"error": 0.25}), 40.0, ESTIMATOR)[0]
    assert "max_seconds=300" in line
    assert "tolerance=0.25" in line
