"""Whole runs of mclmc: what is refused, what a store holds and a diagnosis says, and that such runs resume, freeze,
trade temperatures and sample a posterior as others do.
"""

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.errors import SpecError
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo_analysis.diagnostics import diagnose

NETWORK = {
    "data": {"turns": 1, "train": 40, "test": 10},
    "model": {"hidden": 5, "activation": "tanh", "prior_sd": 1.0},
    "method": {"name": "mclmc", "stepsize": 0.03, "posterior_temperature": 1.0},
    "run": {"replicas": 12, "steps": 60, "burn_in": 20, "thin": 10, "trace": 20, "batch": 8},
}
WELL = {
    "target": {"name": "harmonic", "stiffness": 1.0, "size": 4},
    "method": {"name": "mclmc", "stepsize": 0.15, "temperature": 1.0},
    "run": {"replicas": 400, "steps": 3000, "burn_in": 600, "thin": 40, "trace": 1000},
}


def spec(base=NETWORK, **sections):
    """A spec with some keys of its sections replaced; None takes a section away."""
    merged = {
        name: {**base.get(name, {}), **sections.get(name, {})} if name != "moves" else sections[name]
        for name in {**base, **sections}
    }
    return RunSpec.from_dict(merged)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"posterior_temperature": 0}, "temperature of all = 0: K divides by it. Give a temperature above 0, or use a"),
        ({"posterior_temperature": {"value": 1, "schedule": "piecewise", "boundaries": [50], "factors": [1, 0]}},
         "temperature of all has fallen to 0 at step 50, and K divides by it"),
        ({"word": "KAS"}, "palindromes|read the same backwards, such as KASAK.*'KAS' does not"),
        ({"word": "BAOAB"}, "Method 'mclmc' takes words of A K S; 'BAOAB' has B, O"),
        ({"word": "SAS"}, "'SAS' has no B or K"),
        ({"partition": "layer"}, r"several partitions are free: hidden \(KASAK\), output \(KASAK\)"),
        ({"sigma": 1.0}, "method.sigma is not used by KASAK"),
    ],
)  # fmt: skip
def test_what_is_refused(method, message):
    with pytest.raises(SpecError, match=message):
        prepare(spec(method=method))


def test_cycles_that_explore_at_zero_are_refused():
    with pytest.raises(SpecError, match=r"has fallen to 0 at step 0.*let its schedule end, and its cycles explore"):
        prepare(spec(moves=[{"kind": "cyclical", "cycles": 3}]))
    prepare(spec(moves=[{"kind": "cyclical", "cycles": 3, "explore_temperature": 1.0}]))


@pytest.mark.parametrize("momenta", ["zero", "thermal"])
def test_momenta_are_directions_whatever_is_asked_for(momenta):
    ready = prepare(spec(run={"momenta": momenta, "seed": 5, "seed_dynamics": 6}))
    p = ready.initial_state().momentum.astype(float)
    np.testing.assert_allclose((p * p).sum(axis=1), p.shape[1], rtol=1e-5)
    other = prepare(spec(run={"seed": 6, "seed_init": 5})).initial_state().momentum
    np.testing.assert_array_equal(p, other)  # of the seed of initial states


def test_a_frozen_layer_leaves_a_smaller_sphere():
    ready = prepare(spec(method={"freeze": ["hidden"]}))
    state = ready.initial_state()
    hidden, output = ready.program.partition.slices
    assert not state.momentum[:, hidden].any()
    np.testing.assert_allclose((state.momentum[:, output].astype(float) ** 2).sum(axis=1), 6, rtol=1e-5)
    result = gt.sample(ready.spec)
    w1 = result["posterior"]["w1"].to_numpy()
    np.testing.assert_array_equal(w1, np.repeat(w1[:, :1], w1.shape[1], axis=1))


def test_no_kinetic_temperature_is_recorded_nor_judged():
    tree = gt.sample(spec())
    assert np.isnan(tree["sample_stats"]["kinetic_temperature"]).all()
    assert np.isfinite(tree["sample_stats"]["energy"]).all()
    verdicts = [v for e in diagnose(tree).ensembles for v in e.verdicts if v.topic.startswith("kinetic")]
    assert [v.passed for v in verdicts] == [None]
    assert "none, its word holds |p| at one length" in verdicts[0].text


@pytest.mark.parametrize("minibatch", ["subset", "epoch", "symmetric", "replacement", "full"])
def test_engines_agree_and_runs_resume(tmp_path, minibatch):
    """Bit for bit what a run in one piece holds, on either engine."""
    run = {"minibatch": minibatch, "seed": 3} | ({"batch": None} if minibatch == "full" else {})
    for engine in ("batched", "fused"):
        whole = gt.sample(spec(run=run), engine=engine)
        short = spec(run={**run, "steps": 40})
        gt.sample(short, tmp_path / engine, engine=engine)
        gone_on = gt.resume(tmp_path / engine, draws=2)
        np.testing.assert_array_equal(gone_on["posterior"]["w1"], whole["posterior"]["w1"])
        np.testing.assert_array_equal(gone_on["sample_stats"]["energy"], whole["sample_stats"]["energy"])


def energies(**sections):
    """U/tau per parameter, by replica, of the draws on the target."""
    tree = gt.sample(spec(WELL, **sections))
    energy, n = tree["sample_stats"]["energy"].transpose("chain", "draw").to_numpy(), 4
    return 2 * energy / n, tree


def test_a_run_has_its_law():
    values, _ = energies()
    means = values.mean(axis=1)
    assert abs(means.mean() - 1) < 4.5 * means.std() / np.sqrt(len(means))
    assert means.std() / np.sqrt(len(means)) < 0.01


def test_exchange_leaves_directions_alone_and_the_law_as_it_is():
    """Rungs at 1 and 3: the coldest has <k q^2> = tau, and a trade does not touch |p|."""
    move = {"kind": "exchange", "rungs": 2, "hottest": 3.0, "interval": 10}
    ready = prepare(spec(WELL, moves=[move]))
    state, rungs = ready.initial_state(), np.arange(2)
    before = state.momentum.copy()
    ready.moves[0].ladder.rescale_momenta(state, rungs, rungs, rungs[::-1])
    np.testing.assert_array_equal(state.momentum, before)
    values, tree = energies(moves=[move])
    means = values.mean(axis=1)  # a ladder's target rung is one chain
    assert abs(means.mean() - 1) < 4.5 * means.std() / np.sqrt(len(means))
    rung = tree["sample_stats_rungs"]["rung"].transpose("replica", "draw").to_numpy()
    assert (np.diff(rung, axis=1) != 0).mean() > 0.1
