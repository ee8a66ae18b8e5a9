"""Starts that are given: where replicas begin, what a store knows of it, and what is refused."""

import json

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

import gpu_thermo as gt
from gpu_thermo.errors import DataError, SpecError
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

RNG = np.random.default_rng(2)
R, M, D = 6, 2, 4
STARTS = {
    "w1": RNG.normal(size=(D, M)),
    "b1": RNG.normal(size=D),
    "w2": RNG.normal(size=(1, D)),
    "b2": RNG.normal(size=1),
}
EACH = {name: RNG.normal(size=(R, *value.shape)) for name, value in STARTS.items()}
MOMENTA = {f"momentum_{name}": value for name, value in STARTS.items()}
SPEC = {
    "data": {"name": "spirals", "train": 20, "test": 10},
    "model": {"hidden": D},
    "run": {"replicas": R, "steps": 60, "burn_in": 20, "thin": 10, "trace": 20, "batch": 5},
}


def ready(starts, **model):
    return prepare(RunSpec.from_dict({**SPEC, "model": {**SPEC["model"], **model}}), init=starts)


def flat(tensors):
    lead = np.shape(tensors["b2"])[:-1]
    return np.concatenate([np.reshape(tensors[name], (*lead, -1)) for name in STARTS], axis=-1)


def test_replicas_start_where_they_are_told():
    """The same for all, one for each, or some of both; with momenta or at rest."""
    state = ready(STARTS).initial_state()
    np.testing.assert_array_equal(state.position, np.tile(flat(STARTS).astype(np.float32), (R, 1)))
    assert not state.momentum.any()
    state = ready({**EACH, **MOMENTA}, dtype="float64").initial_state()
    np.testing.assert_array_equal(state.position, flat(EACH))
    np.testing.assert_array_equal(state.momentum, np.tile(flat(STARTS), (R, 1)))
    mixed = ready({**STARTS, "w1": EACH["w1"]}, dtype="float64").initial_state().position
    np.testing.assert_array_equal(mixed[:, : D * M], EACH["w1"].reshape(R, -1))
    np.testing.assert_array_equal(mixed[:, D * M :], np.tile(flat(STARTS)[D * M :], (R, 1)))


@pytest.mark.parametrize("init", [STARTS, {**EACH, **MOMENTA}], ids=["common", "each"])
def test_a_run_goes_on_without_file_or_caller(tmp_path, monkeypatch, init):
    """Its store has the starts and their hash: a resume, even of a run killed before its first commit, is bit for
    bit the whole run; and the file gives the run of the arrays.
    """
    np.savez(tmp_path / "weights.npz", **init)
    spec = {**SPEC, "model": {**SPEC["model"], "init": "weights.npz"}}
    whole = gt.sample(SPEC, init=init)
    path = tmp_path / "run.zarr"
    with monkeypatch.context() as patched:
        patched.setattr("gpu_thermo.run.drive", lambda *args: None)  # as a kill before the first commit
        gt.sample(spec, path, base=tmp_path)
    (tmp_path / "weights.npz").unlink()
    resumed = gt.resume(path, spec)
    for name in STARTS:
        np.testing.assert_array_equal(resumed["posterior"][name], whole["posterior"][name])
    file, arrays = (json.loads(run.attrs["spec"])["model"] for run in (resumed, whole))
    assert file["init"] == "weights.npz"
    assert arrays["init"] == "given"
    assert file["init_sha256"] == arrays["init_sha256"]
    assert resumed["constant_data"]["start_w1"].dims[1:] == ("hidden", "feature")
    with pytest.raises(SpecError, match=r"model\.init_sha256 in the spec is [0-9a-f]{16}\.\.\., that of"):
        gt.plan(RunSpec.from_json(whole.attrs["spec"]), init={**init, "b2": 1 + init["b2"]})


def test_a_trained_network_predicts_as_before():
    """scikit-learn's classifier, moved into a run that hardly moves."""
    x = RNG.normal(size=(60, 3))
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    trained = MLPClassifier((7,), activation="tanh", solver="lbfgs", max_iter=30, tol=1e3).fit(x, y)
    spec = {
        **SPEC, "data": {"standardise": False}, "model": {"hidden": 7, "activation": "tanh", "dtype": "float64"},
        "method": {"name": "sgd", "stepsize": 1e-12},
    }  # fmt: skip
    run = gt.sample(spec, data=(x, y), init=gt.weights_from_sklearn(trained))
    np.testing.assert_allclose(gt.predict(run, x)["mean"][0, :, 0], trained.predict_proba(x)[:, 1], atol=1e-8)


def test_a_common_start_is_told_by_a_diagnosis():
    from gpu_thermo_analysis.diagnostics import diagnose

    for init, said in ((STARTS, True), (EACH, False)):
        verdicts = diagnose(gt.sample({**SPEC, "run": {**SPEC["run"], "thin": 1}}, init=init)).ensembles[0].verdicts
        assert any("All chains start at one place" in v.text for v in verdicts) is said


@pytest.mark.parametrize(
    ("init", "said"),
    [
        (
            {**STARTS, "w_1": 1.0},
            r"have 'w_1', which the network has not. Did you mean 'w1'\? Its tensors: w1 \(4, 2\)",
        ),
        ({name: STARTS[name] for name in ("w1", "b1", "w2")}, "lack 'b2'"),
        ({**STARTS, "momentum_w1": STARTS["w1"]}, "lack 'momentum_b1'"),
        ({**STARTS, "w1": STARTS["w1"].T}, r"shape \(2, 4\); the tensor has \(4, 2\).*\(6, 4, 2\).*transposed"),
        ({**STARTS, "b1": np.zeros((5, D))}, r"shape \(5, 4\)"),
        ({**STARTS, "b1": np.array([0, np.nan, 0, 0])}, r"'b1' is nan at \[1\]"),
        ({**EACH, "b1": np.where(np.arange(R)[:, None] == 2, np.inf, EACH["b1"])}, r"'b1' is inf at \[2, 0\]"),
        ({**STARTS, "b1": np.full(D, 1e300)}, r"'b1' is inf at \[0\]"),
        ({**STARTS, "b1": ["a"] * D}, "'b1' holds <U1 values"),
        ({**STARTS, "b1": [[1], [1, 2]]}, "'b1' is no array of numbers"),
        ({}, "The starts are empty"),
        (3, "init is int: give a dictionary"),
        ("nowhere.npz", "nowhere.npz"),
    ],
)
def test_what_cannot_be_a_start_is_named(init, said):
    with pytest.raises((SpecError, DataError), match=said):
        ready(init)


@pytest.mark.parametrize(("given", "instead"), [("zero", "zero"), ("prior", "prior"), ("wrong", "normal")])
def test_how_starts_are_drawn_stands_in_the_spec(given, instead):
    with pytest.raises(SpecError, match=f"init = '{given}' is no file of weights.*model.init = '{instead}'"):
        prepare(RunSpec.from_dict(SPEC), init=given)


def test_starts_come_from_one_place():
    with pytest.raises(SpecError, match=r"Starts are given, and the spec has model\.init = 'he'"):
        ready(STARTS, init="he")
    with pytest.raises(SpecError, match=r"init = .given. means arrays from Python"):
        ready(None, init="given")
    with pytest.raises(SpecError, match=r"init = 'normall' is unknown\. Did you mean 'normal'"):
        ready(None, init="normall")
    with pytest.raises(SpecError, match=r"run\.momenta = 'thermal'"):
        prepare(RunSpec.from_dict({**SPEC, "run": {**SPEC["run"], "momenta": "thermal"}}), init={**STARTS, **MOMENTA})
    potential = RunSpec.from_dict({"target": {"name": "plane"}, "method": {"name": "sgld"}})
    with pytest.raises(SpecError, match="start_sd"):
        prepare(potential, init={"position": [0.0, 0.0]})
