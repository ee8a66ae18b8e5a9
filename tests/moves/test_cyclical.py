"""Cyclical runs: schedules of stepsize and stages, which draws are kept, and what exploring at temperature 0 means."""

import numpy as np
import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.moves.cyclical import CyclicalOptions, Stages
from gpu_thermo.run import iterate, sample
from gpu_thermo.running.agenda import Agenda
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

DATA = {"name": "spirals", "train": 40, "test": 20}
MODEL = {"hidden": 6, "prior_sd": 1.0}
RUN = {"replicas": 3, "steps": 120, "burn_in": 0, "thin": 5, "trace": 20, "batch": 8}


def spec(method=None, run=None, **move):
    """A small cyclical run: 4 cycles of 30 steps."""
    moves = [{"kind": "cyclical", **({"cycles": 4} | move)}]
    method = method or {"name": "sgld", "stepsize": 0.1, "temperature": 1e-3}
    return RunSpec.from_dict({"data": DATA, "model": MODEL, "method": method, "run": RUN | (run or {}), "moves": moves})


def factors(given, name, k=0):
    return prepare(given).job.hyper.factors(0, 120)[name, k]


def test_stepsize_follows_the_published_formula():
    k = np.arange(120)
    expected = (np.cos(np.pi * (k % 30) / 30) + 1) / 2
    assert np.allclose(factors(spec(), "stepsize"), expected, atol=1e-15)


def test_exploring_is_descent_by_default_and_keeps_the_sampling_temperature_at_1():
    sampling = (np.arange(120) % 30) >= 15
    assert np.array_equal(factors(spec(), "temperature"), sampling.astype(float))
    assert np.array_equal(factors(spec(explore_temperature=1.0), "temperature"), np.ones(120))
    assert np.array_equal(
        factors(spec(explore=0.2, explore_temperature=9.0), "temperature"), np.where(np.arange(120) % 30 < 6, 9.0, 1.0)
    )


def test_exploring_without_noise_switches_adaptive_langevin_to_descent():
    """sigma = 0 and E skipped: from rest at xi = 0, the exploring stage is deterministic in everything but the
    minibatch.
    """
    method = {"name": "adl", "stepsize": 0.1, "sigma": 0.5, "epsilon": 0.5, "temperature": 1e-3}
    given = spec(method, run={"minibatch": "full", "batch": None, "steps": 120})
    for name in ("sigma", "epsilon", "temperature"):
        assert set(factors(given, name)) == {0.0, 1.0}
    first = next(iter(iterate(given)))
    assert first.step == 20
    assert np.array_equal(prepare(given).job.hyper.factors(0, 15)["sigma", 0], np.zeros(15))
    early = spec(method, run={"minibatch": "full", "batch": None, "trace": 15})
    snapshot = next(iter(iterate(early)))
    assert snapshot.step == 15
    assert (snapshot.thermostat == 0).all()


def test_gradient_noise_is_taken_off_what_is_injected():
    """2 h tau' = 2 h tau - h^2 s^2 at every stepsize; never below 0."""
    h, tau, s = 0.1, 1e-3, 0.05
    given = spec({"name": "sgld", "stepsize": h, "temperature": tau}, explore_temperature=1.0, gradient_noise_sd=s)
    h_k = h * factors(given, "stepsize")
    assert np.allclose(
        2 * h_k * tau * factors(given, "temperature"), np.maximum(2 * h_k * tau - (h_k * s) ** 2, 0), atol=1e-18
    )
    too_much = spec(
        {"name": "sgld", "stepsize": h, "temperature": tau}, explore_temperature=1.0, gradient_noise_sd=10.0
    )
    assert factors(too_much, "temperature").min() == 0


def test_only_sampling_steps_are_drawn_and_know_their_cycle(tmp_path):
    given = spec()
    tree = sample(given, tmp_path / "run.zarr")
    step = tree["sample_stats"]["step"].to_numpy()
    assert np.array_equal(step, [s for s in range(5, 121, 5) if (s - 1) % 30 >= 15])
    assert np.array_equal(tree["sample_stats"]["cycle"].to_numpy(), np.broadcast_to((step - 1) // 30, (3, len(step))))
    assert tree["predictive"]["draws"].to_numpy() == [3 * len(step)]
    assert tree["posterior"].sizes["draw"] == len(step)
    assert np.array_equal(tree["sample_stats"]["draw"], np.arange(len(step)))
    plain = sample({**given.to_dict(), "moves": []}, tmp_path / "plain.zarr")
    assert plain["posterior"].sizes["draw"] == 24


@pytest.mark.parametrize("cut", [1, 7, 30, 119])
def test_agenda_counts_alike_however_a_run_is_cut(cut):
    agenda = Agenda.of(spec(run={"thin": 3, "burn_in": 6}))
    whole = agenda.record_steps(0, 120)
    pieces = [s for start in range(0, 120, cut) for s in agenda.record_steps(start, min(start + cut, 120))]
    assert list(whole) == pieces
    draws = [s for s in whole if agenda.is_draw(s)]
    assert draws == agenda.draw_steps.tolist()
    assert [agenda.draws_by(s) for s in draws] == list(range(1, agenda.draws + 1))
    assert np.array_equal(agenda.index(np.array(draws)), np.arange(agenda.draws))
    assert agenda.next_draw(0) == draws[0]
    assert agenda.next_draw(draws[-1]) == 120


def test_stages_of_cycles_that_do_not_divide_the_run():
    stages = Stages.make(CyclicalOptions(kind="cyclical", cycles=7), 100)
    assert stages.length == 15  # ceil(100 / 7)
    assert stages.cycle(99) == 6


@pytest.mark.parametrize(
    ("method", "move", "message"),
    [
        ({"name": "sgd", "stepsize": 0.1}, {}, "no temperature|has none"),
        ({"name": "sgld", "stepsize": {"value": 0.1, "schedule": "cosine"}, "temperature": 1e-3}, {}, "schedule"),
        ({"name": "sgld", "stepsize": 0.1, "temperature": 1e-3}, {"period": 10}, "either cycles"),
        ({"name": "sgld", "stepsize": 0.1, "temperature": 1e-3}, {"cycles": 120}, "fewer cycles"),
        ({"name": "sgld", "stepsize": 0.1, "temperature": 1e-3}, {"explore": 1.0}, "explore"),
        ({"name": "langevin", "stepsize": 0.1, "temperature": 1e-3}, {"gradient_noise_sd": 0.1}, "sgld"),
        ({"name": "adl", "stepsize": 0.1, "temperature": 1e-3}, {"gradient_noise_sd": 0.1}, "sgld"),
        ({"name": "sgld", "stepsize": 0.1, "temperature": 1e-3}, {"explore": 0.99}, "lower it"),
    ],
)
def test_what_cannot_be_is_refused(method, move, message):
    with pytest.raises(SpecError, match=message):
        prepare(spec(method, **move))


def test_a_run_without_any_sampling_draw_is_refused():
    with pytest.raises(SpecError, match="sampling stage"):
        list(iterate(spec(run={"thin": 120}, explore=0.1, cycles=None, period=119)))


def test_cycles_forbid_extending_and_a_period_does_not(tmp_path):
    from gpu_thermo.run import resume

    sample(spec(), tmp_path / "cycles.zarr")
    with pytest.raises(SpecError, match="spans the run"):
        resume(tmp_path / "cycles.zarr", draws=4)
    sample(spec(cycles=None, period=30), tmp_path / "period.zarr")
    longer = resume(tmp_path / "period.zarr", draws=6)
    step = longer["sample_stats"]["step"].to_numpy()
    assert len(step) == 12 + 6  # six more draws, though only half of the steps draw
    assert step[-1] > 150


@pytest.mark.parametrize(("explore", "first"), [(0.07, 7), (0.14, 14), (0.55, 55), (0.56, 56)])
def test_sampling_begins_where_r_reaches_beta(explore, first):
    assert np.flatnonzero(Stages(100, explore).sampling(np.arange(100)))[0] == first
