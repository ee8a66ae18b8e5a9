"""[run] duration: the same physical times at every stepsize (equations.md section 4)."""

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.errors import SpecError
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec


def run_of(duration, stepsize=0.1, **run):
    method = {"name": "langevin"} | ({} if stepsize is None else {"stepsize": stepsize})
    return RunSpec.from_dict({"method": method, "run": {"duration": duration, **run}}).run


@pytest.mark.parametrize("h", [0.05, 0.1, 0.25, 0.3, 0.7])
def test_times_are_equal_at_every_stepsize(h):
    """Each to half a step, and as many draws."""
    run = run_of({"total": 300, "burn_in": 60, "thin": 3}, h)
    assert run.draws == 80
    assert abs(run.burn_in * h - 60) <= h / 2
    assert abs(run.thin * h - 3) <= h / 2
    assert run.steps == run.burn_in + 80 * run.thin


def test_a_number_is_half_burn_in_and_a_hundred_draws():
    run = run_of(200.0)
    assert (run.steps, run.burn_in, run.thin, run.draws, run.trace) == (2000, 1000, 10, 100, 40)
    assert run_of(200.0, trace=7).trace == 7
    assert run_of(200.0, 0.2).steps == 1000
    assert run_of(500.0, None).steps == 2000  # langevin's own 0.25
    assert RunSpec.from_dict({"run": {"duration": 100.0}}).run.steps == 1000  # the embedded default's 0.1


def test_the_run_says_its_steps():
    """So that it is one run however it was written."""
    spec = {"target": {"name": "harmonic", "size": 2}, "method": {"name": "langevin", "stepsize": 0.1}}
    times = RunSpec.from_dict(spec | {"run": {"replicas": 3, "duration": 20.0}})
    steps = RunSpec.from_dict(spec | {"run": {"replicas": 3, "steps": 200, "burn_in": 100, "thin": 1, "trace": 4}})
    assert times == steps
    assert prepare(times).fingerprint == prepare(steps).fingerprint


@pytest.mark.parametrize(
    ("duration", "stepsize", "run", "message"),
    [
        (10.0, 0.1, {"steps": 100}, "run.duration and run.steps are both given"),
        (10.0, 0.1, {"thin": 100}, "run.duration and run.thin are both given"),
        (10.0, [0.1, -0.2], {}, "is no number above 0 or list of such"),
        (10.0, {"value": 0.1, "schedule": "cosine"}, {}, "is no number above 0 or list of such"),
        (10.0, "auto", {}, "is no number above 0 or list of such"),
        ({"total": 10.0, "thin": 0.1}, [0.1, 0.3], {}, "closer than one step of stepsize 0.3: .* to 3 of the smallest"),
        (-1.0, 0.1, {}, "greater than 0"),
        ({"total": 10.0, "burn_in": 10.0}, 0.1, {}, "leaves nothing of total = 10"),
        ({"total": 10.0, "burn_in": 0.0, "thin": 3.0}, 0.1, {}, "= 3.33333 is not whole: use total = 9"),
        ({"total": 10.0, "thin": 0.04}, 0.1, {}, "closer than one step of stepsize 0.1"),
        ({"total": 10.0, "every": 2}, 0.1, {}, "every"),
    ],
)  # fmt: skip
def test_refused(duration, stepsize, run, message):
    with pytest.raises(SpecError, match=message):
        run_of(duration, stepsize, **run)


def test_several_stepsizes_are_steps_of_the_smallest():
    """However the list is written; of one stepsize, or of streams that have but one, it is the same."""
    for stepsize in ([0.3, 0.1], {"values": [0.3, 0.1], "repeat": 2}):
        run = run_of({"total": 60, "thin": 0.3}, stepsize)
        assert (run.steps, run.burn_in, run.thin, run.equal_times) == (600, 300, 3, True)
    assert run_of(60.0, [0.1, 0.1]).equal_times is None
    few = run_of(40.0, [0.1, 0.4])  # a hundred draws would be less than a step of .4 apart
    assert (few.draws, few.thin) == (50, 4)
    written = RunSpec.from_dict({"method": {"name": "langevin", "stepsize": [0.3, 0.1]}, "run": {"duration": 60.0}})
    assert RunSpec.from_toml(written.to_toml()) == written
    assert "equal_times" not in RunSpec.from_dict({}).to_dict()["run"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"moves": [{"kind": "exchange", "temperatures": [1.0, 2.0]}]}, "no move, and there is exchange"),
        ({"method": {"word": "{BAOAB}", "block": 2}}, "blocks of one step, not method.block = 2"),
        ({"method": {"stepsize": {"value": [0.1, 0.2], "schedule": "cosine"}}}, "leave out their schedule"),
        ({"method": {"stepsize": "auto"}, "run": {"tolerance": 0.1}}, "finds its own"),
        ({"run": {"thin": 1}}, "draws 1 steps of 0.1 apart are closer than one step of stepsize 0.4"),
    ],
)  # fmt: skip
def test_what_cannot_keep_one_time(more, message):
    base = {
        "target": {"name": "harmonic", "size": 2},
        "method": {"name": "langevin", "stepsize": [0.1, 0.4]},
        "run": {"replicas": 4, "steps": 40, "burn_in": 20, "thin": 10, "equal_times": True},
    }
    if "tolerance" in more.get("run", {}):
        base["run"] = {"replicas": 64, "equal_times": True}
    with pytest.raises(SpecError, match=message):
        RunSpec.from_dict({k: {**base.get(k, {}), **v} if isinstance(v, dict) else v for k, v in (base | more).items()})


def test_a_bias_is_compared_at_equal_times():
    """<q^2> of OBA on a well after a time too short to forget the start: equal steps would say that small stepsizes are
    wrong, equal times do not.
    """
    found = []
    for h in (0.05, 0.2):
        tree = gt.sample({
            "target": {"name": "harmonic", "size": 4, "start": [0.0] * 4},
            "method": {"name": "langevin", "stepsize": h, "temperature": 1.0, "friction": 1.0},
            "run": {"replicas": 500, "duration": {"total": 2.0, "burn_in": 0.0, "thin": 2.0}, "momenta": "thermal"},
        })  # fmt: skip
        found.append(float((tree["posterior"]["position"].to_numpy()[:, -1] ** 2).mean()))
    assert found[0] == pytest.approx(found[1], rel=0.15)
    assert np.all(np.array(found) < 1.0)
