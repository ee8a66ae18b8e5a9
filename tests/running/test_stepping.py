"""A run in the caller's hands: changed, stopped, made again; and the momenta it shows."""

import json

import numpy as np
import pytest
from move_runs import EXCHANGE, MOVES, spec

from gpu_thermo.errors import RunError, SpecError
from gpu_thermo.run import iterate, sample


def positions(steps):
    return np.array([s.position for s in steps])


def test_snapshots_are_those_of_the_run_with_momenta():
    """Segments that end at every snapshot change no bit, and p.p / n of the momenta is the kinetic temperature."""
    kept = ["parameters", "momenta"]
    tree, shots = sample(spec(keep=kept)), [s for s in iterate(spec()) if s.is_draw]
    plain = sample(spec())
    for group in ("posterior", "sample_stats"):
        for name, values in plain[group].data_vars.items():
            np.testing.assert_array_equal(tree[group][name], values)
    flat = np.concatenate(
        [tree["momenta"][n].to_numpy().reshape(12, 20, -1) for n in ("w1", "b1", "w2", "b2")], axis=-1
    )
    np.testing.assert_array_equal(flat.swapaxes(0, 1), np.array([s.momentum for s in shots]))
    kinetic = (flat.astype(float) ** 2).mean(axis=-1)
    np.testing.assert_allclose(kinetic, tree["sample_stats"]["kinetic_temperature"][..., 0], rtol=1e-5)


@pytest.mark.parametrize("engine", ["batched", "fused"])
def test_a_change_is_in_force_and_can_be_made_again(engine):
    """Stepsize, temperature, weights and moves; without the changes the run is another from there on."""
    weights = np.linspace(0.2, 1.8, 60)
    steps, shots = iterate(spec(), engine=engine), []
    for shot in steps:
        shots.append(shot)
        if shot.step == 88:
            steps.change(stepsize=0.05, temperature=2e-3)
        if shot.step == 120:
            steps.change(moves=[EXCHANGE], temperature=5e-3)
        if shot.step == 160:
            steps.change(weights=weights)
    assert [c["step"] for c in steps.changes] == [88, 120, 160]
    again = list(iterate(spec(), engine=engine, changes=json.loads(json.dumps(steps.changes))))
    np.testing.assert_array_equal(positions(shots), positions(again))
    assert "rung" in shots[-1].statistics
    plain = list(iterate(spec(), engine=engine))
    same = [np.array_equal(a.position, b.position) for a, b in zip(shots, plain, strict=True)]
    assert same == [s.step <= 88 for s in shots]
    partly = list(iterate(spec(), engine=engine, changes=steps.changes[:2]))
    same = [np.array_equal(a.position, b.position) for a, b in zip(shots, partly, strict=True)]
    assert same == [s.step <= 160 for s in shots]
    assert steps.spec.method.stepsize.value == 0.05
    assert steps.spec.moves[0].kind == "exchange"


def test_stopping():
    steps = iterate(spec())
    for shot in steps:
        if shot.step >= 120:
            steps.stop()
    assert (steps.step, shot.step) == (120, 120)
    assert next(steps, None) is None


def test_a_run_of_frozen_replicas_raises_as_sample_does():
    hot = {"method": {"name": "langevin", "stepsize": 1e30, "temperature": 1.0, "friction": 1.0}}
    with pytest.raises(RunError, match="Every replica is frozen"):
        list(iterate(spec() | hot))
    steps = iterate(spec())
    next(steps)
    steps.change(stepsize=1e30)
    with pytest.raises(RunError, match="Every replica is frozen"):
        list(steps)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "nothing to change"),
        ({"stepsize": -1}, "stepsize"),
        ({"stepsiz": 0.1}, "stepsize"),
        ({"word": "OBABO"}, "method.word makes another run"),
        ({"stepsize": [0.1, 0.2] * 6}, "other ensembles"),
        ({"moves": [MOVES["cyclical"]]}, "move the draws"),
        ({"moves": [{"kind": "exchang"}]}, "exchange"),
        ({"weights": np.ones(7)}, r"shape \(7,\) for 60"),
        ({"weights": -np.ones(60)}, "none negative"),
    ],
)
def test_a_change_that_cannot_be_is_refused_and_nothing_changed(change, message):
    steps = iterate(spec())
    next(steps)
    with pytest.raises(SpecError, match=message):
        steps.change(**change)
    assert steps.changes == []
    rest = positions(list(steps))
    np.testing.assert_array_equal(rest, positions(list(iterate(spec()))[1:]))


def test_odd_scripts_are_refused():
    for script in ([{"stp": 3}], [{"step": -1}], [{"step": 2.5}]):
        with pytest.raises(SpecError, match="change"):
            iterate(spec(), changes=script)


def test_what_has_no_momenta_keeps_none():
    with pytest.raises(SpecError, match="sgld has none"):
        sample(spec(method={"name": "sgld", "stepsize": 0.05, "temperature": 5e-3}, keep=["momenta"]))
