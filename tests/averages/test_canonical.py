"""Sorted hidden units: the same network, and one form for all of its copies."""

import numpy as np
import pytest
from move_runs import spec
from stores import dataset, model_for, run_tree

from gpu_thermo.averages.canonical import canonical, rearranged, settle
from gpu_thermo.errors import SpecError, StoreError
from gpu_thermo.run import sample
from gpu_thermo.targets.activations import ACTIVATIONS
from gpu_thermo.targets.networks import MlpModel


def scrambled(tensors, layers, odd, rng):
    """Another copy of each network [C, D]: units exchanged at random, and signs where the activation is odd."""
    moves = []
    for l in range(1, layers + 1):
        shape = tensors[f"b{l}"].shape
        sign = rng.choice([-1.0, 1.0], shape) if odd else np.ones(shape)
        moves.append((rng.permuted(np.broadcast_to(np.arange(shape[-1]), shape), axis=-1), sign))
    return rearranged(tensors, moves)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sine", "silu"])
@pytest.mark.parametrize("hidden", [(5,), (4, 3, 6)])
def test_a_network_stays_itself_and_its_copies_become_one(activation, hidden):
    rng = np.random.default_rng(len(hidden))
    model = MlpModel(3, hidden, 2, "multiclass", activation)
    position = rng.normal(size=(2, 7, model.parameters))
    tensors = {name: np.array(value) for name, value in model.layout.split(position).items()}
    odd, layers, x = model.activation_record.odd, model.layers, rng.normal(size=(11, 3))
    copied = scrambled(tensors, layers, odd, rng)

    def predictions(of):
        return model.predict(model.layout.join(of).reshape(14, -1), x)

    np.testing.assert_allclose(predictions(copied), predictions(tensors), rtol=1e-9)
    assert any(not np.allclose(copied[name], tensors[name]) for name in tensors)
    sorted_own, sorted_copy = (rearranged(t, settle(t, layers, odd)) for t in (tensors, copied))
    np.testing.assert_allclose(predictions(sorted_own), predictions(tensors), rtol=1e-9)
    for name in tensors:
        np.testing.assert_array_equal(sorted_own[name], sorted_copy[name])
    again = rearranged(sorted_own, settle(sorted_own, layers, odd))
    assert all(np.array_equal(again[name], sorted_own[name]) for name in tensors)
    for l in range(1, layers + 1):
        assert (np.diff(sorted_own[f"b{l}"], axis=-1) >= 0).all()
        assert (sorted_own[f"b{l}"] >= 0).all() == odd
    if not odd:  # signs are no symmetry of other activations
        flipped = scrambled(tensors, layers, True, rng)
        assert np.abs(predictions(flipped) - predictions(tensors)).max() > 1e-3


def test_units_without_a_bias_go_by_their_first_weight():
    tensors = {"w1": np.array([[[[2.0], [-1.0]]]]), "b1": np.zeros((1, 1, 2)), "w2": np.array([[[[5.0, 7.0]]]])}
    out = rearranged(tensors, settle(tensors, 1, odd=True))
    assert out["w1"].ravel().tolist() == [1.0, 2.0]
    assert out["w2"].ravel().tolist() == [-7.0, 5.0]


@pytest.mark.parametrize("record", ACTIVATIONS.values(), ids=list(ACTIVATIONS))
def test_which_activations_are_odd(record):
    z = np.linspace(0.1, 3, 30)
    assert np.allclose(record.value(-z, np), -record.value(z.copy(), np)) == record.odd


@pytest.mark.parametrize("moves", [None, {"kind": "exchange", "rungs": 3, "hottest": 0.05, "interval": 10}])
def test_of_a_run_momenta_and_rungs_follow(moves):
    given = spec(moves, keep=["parameters", "momenta", "predictions"])
    tree = sample(given | {"model": {"hidden": [4, 3], "activation": "tanh", "prior_sd": 1.0}})
    out = canonical(tree)
    for ending in ("", "_rungs") if moves else ("",):
        b, before = out[f"posterior{ending}"]["b1"], tree[f"posterior{ending}"]
        assert (b.diff("hidden1") >= 0).all()
        assert (b >= 0).all()
        for name in ("w1", "w2", "w3"):  # parameter and momentum are paired as before
            paired = (out[f"posterior{ending}"][name] * out[f"momenta{ending}"][name]).to_numpy()
            was = (before[name] * tree[f"momenta{ending}"][name]).to_numpy()
            np.testing.assert_allclose(np.sort(paired.ravel()), np.sort(was.ravel()), rtol=1e-6)
            assert not np.array_equal(out[f"posterior{ending}"][name], before[name])
    assert (tree["posterior"]["b1"].diff("hidden1") < 0).any(), "the run itself is as it was"
    assert out["posterior"]["w1"].attrs["units"] == "1"


def test_refusals():
    data = dataset()
    model = model_for(data)
    tree = run_tree(data, model, np.zeros((2, 3, model.parameters), np.float32), keep=("predictions",))
    with pytest.raises(StoreError, match="no stored parameters"):
        canonical(tree)
    method, run = {"name": "langevin"}, {"replicas": 4, "steps": 20, "burn_in": 10, "thin": 10}
    potential = sample({"target": {"name": "mixture", "preset": "two_modes"}, "method": method, "run": run})
    with pytest.raises(SpecError, match="potential"):
        canonical(potential)
