"""`gpu_thermo.verify`: the report of this machine, and that wrong engines fail it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gpu_thermo.errors import CompileError, RunError, SpecError
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method import letters
from gpu_thermo.moves.ladder import Ladder, OnLadder
from gpu_thermo.verify import (
    LIMIT,
    Check,
    Report,
    available_engines,
    ensembles,
    posterior,
    sameness,
    suite,
    verify,
    wells,
)
from gpu_thermo.verify.linear import stationary
from gpu_thermo.verify.sampling import Place, Plan

ENGINES = [
    "batched",
    pytest.param("fused", marks=pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")),
]
PLAN = Plan(256, 60, 20, 2)


def worst(checks: list[Check]) -> float:
    return max(check.value for check in checks)


@pytest.fixture(scope="module")
def report() -> Report:
    return verify("cpu")


def test_this_machine_passes(report: Report) -> None:
    assert report.passed, report.verdict
    assert report.verdict.startswith("Verified")
    words = {(check.name, check.engine) for check in report.checks if check.group == "network"}
    engines = {"batched"} | ({"fused"} if find_compiler() else set())
    assert words == {(word, engine) for word in (*suite.FULL_WORDS, "sgld") for engine in engines}
    assert json.loads(json.dumps(report.to_dict()))["passed"] is True


@pytest.mark.slow
def test_the_full_report_passes() -> None:
    report = verify("cpu", full=True)
    assert report.passed, report.verdict


# -- power: a wrong engine fails --------

MISTAKES = {
    "O: sqrt 2 in the noise": ("O", lambda a, v: (a, v * 2**0.5), 0),
    "O: 10 % in the noise": ("O", lambda a, v: (a, v * 1.1), 0),
    "O: twice the friction": ("O", lambda a, v: (a * a, v), 0),
    "B: 10 % in the force": ("B", lambda h: (1.1 * h,), 0),
    "A: 10 % in the drift": ("A", lambda h: (1.1 * h,), 0),
    "D: h for sqrt h": ("D", lambda s: (s * 0.9,), 0),
    "F: no noise": ("F", lambda h, s: (h, 0 * s), 0),
    "C: sign": ("C", lambda h: (-h,), 0),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_letter_fails(monkeypatch: pytest.MonkeyPatch, engine: str, mistake: str) -> None:
    symbol, change, program = MISTAKES[mistake]
    letter = letters.LETTERS[symbol]
    wrong = replace(letter, coefficients=lambda h, hyper: change(*letter.coefficients(h, hyper)))
    monkeypatch.setitem(letters.LETTERS, symbol, wrong)
    try:
        value = worst(wells.silent(Place(engine), wells.PROGRAMS[program], PLAN))
    except RunError:  # replicas were frozen: the wrong sign overflows
        value = np.inf
    assert value > LIMIT


THERMOSTAT_MISTAKES = {
    "T / N twice, in E alone": ("E", lambda rate, target: (rate, 0.9 * target)),
    "twice epsilon": ("E", lambda rate, target: (2 * rate, target)),
    "D: 10 %": ("D", lambda scale: (1.1 * scale,)),
}


@pytest.mark.parametrize("mistake", [None, *THERMOSTAT_MISTAKES])
def test_a_wrong_thermostat_fails(monkeypatch: pytest.MonkeyPatch, mistake: str | None) -> None:
    if mistake:
        symbol, change = THERMOSTAT_MISTAKES[mistake]
        letter = letters.LETTERS[symbol]
        monkeypatch.setitem(
            letters.LETTERS, symbol, replace(letter, coefficients=lambda *a: change(*letter.coefficients(*a)))
        )
    value = worst(wells.adaptive(Place(ENGINES[0]), "BACDEDCAB", Plan(256, 200, 30, 15)))
    assert (value > LIMIT) == (mistake is not None)


@pytest.mark.parametrize("engine", ENGINES)
def test_other_gradient_noise_fails(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """The law of 15 % more noise fails on a right engine; a wrong engine against the right law is in mutants.py."""
    plan = Plan(256, 60, 40, 2)
    assert worst(wells.minibatch(Place(engine), "subset", plan)) < LIMIT
    monkeypatch.setattr(
        wells,
        "law",
        lambda word, h, gamma, tau, k, noise: stationary(word, h, gamma=gamma, tau=tau, k=k, noise=noise * 1.15),
    )
    assert worst(wells.minibatch(Place(engine), "subset", plan)) > LIMIT


@pytest.mark.parametrize("scale", [0.85, 1.15])
def test_a_wrong_temperature_fails_the_posterior(monkeypatch: pytest.MonkeyPatch, scale: float) -> None:
    letter = letters.LETTERS["O"]
    wrong = replace(
        letter,
        coefficients=lambda h, hyper: letter.coefficients(h, {**hyper, "temperature": scale * hyper["temperature"]}),
    )
    monkeypatch.setitem(letters.LETTERS, "O", wrong)
    moments, slope = posterior.closed_form(Place("batched"), Plan(512, 60, 40, 3))
    assert moments.value > LIMIT
    assert slope.value > LIMIT


@pytest.mark.parametrize(
    "mistake", [None, "momenta not rescaled", "energies the wrong way round", "off the target rung too"]
)
@pytest.mark.parametrize("kind", ["exchange", "tempering"])
def test_a_wrong_move_fails(monkeypatch: pytest.MonkeyPatch, kind: str, mistake: str | None) -> None:
    if mistake == "momenta not rescaled":
        monkeypatch.setattr(Ladder, "rescale_momenta", lambda *a: None)
    elif mistake == "energies the wrong way round":
        right = Ladder.inverse
        monkeypatch.setattr(Ladder, "inverse", lambda *a: -right(*a))
    elif mistake:
        monkeypatch.setattr(
            OnLadder, "statistics", lambda self, state, step: {"rung": np.maximum(state.extra["rung"] - 1.0, 0)}
        )
    (check,) = ensembles.ladder(Place("batched"), kind, Plan(1600, 120, 60, 2))
    assert check.passed == (mistake is None), check


def test_slope_is_that_of_gamma_energies() -> None:
    """U ~ Gamma(n / 2) tau: slope 1/tau_2 - 1/tau_1, within its own error."""
    tau = np.repeat([1.0, 1.3], 200)
    energy = np.random.default_rng(5).gamma(9.0, tau, size=(50, 400))
    found = posterior.slope_score(energy, tau)
    assert abs(found.z) < 4
    assert found.sees < 0.2
    assert abs(posterior.slope_score(energy * 1.2, tau).z) > LIMIT


def test_known_answers_see_a_wrong_round(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sameness.streams, "_M0", np.uint64(0xD2511F55))
    (numpy_check, *_) = sameness.known_answers("cpu", compiled=False)
    assert not numpy_check.passed


def test_shared_noise_is_seen_against_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every replica with the noise of the first, in one of the two."""
    real = Place.make
    monkeypatch.setattr(Place, "make", lambda self, job: real(self, replace(job, stream=0 * job.stream)))
    assert sameness.agreement(Place("batched"), "adlala, spirals")[0].value > 100 * sameness.ROUNDING


def test_an_error_is_a_failed_check() -> None:
    def broken() -> list[Check]:
        raise CompileError("the compiler refused")

    (check,) = suite._run(("well", "BAOAB", "fused"), broken)
    assert not check.passed
    assert check.what == "the compiler refused"
    report = Report("cpu", "quick", (check,))
    assert "FAILED" in report.verdict
    assert not Report("cpu", "quick", ()).passed


def test_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SpecError, match="unknown"):
        available_engines("cpu", "warp")
    monkeypatch.setattr(suite, "find_compiler", lambda: None)
    names, skipped = available_engines("cpu")
    assert names == ["batched"]
    assert "no C++ compiler" in skipped[0]
    with pytest.raises(SpecError, match="needs a C"):
        available_engines("cpu", "fused")
