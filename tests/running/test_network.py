"""Likelihoods of whole runs: chosen, refused, stored, averaged and read back."""

import numpy as np
import pytest
from clocks import at_once

import gpu_thermo as gt
from gpu_thermo.averages.predictive import model_of, predict
from gpu_thermo.errors import DataError, SpecError
from gpu_thermo.run import plan
from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.targets.likelihoods import LIKELIHOODS

RUN = {"replicas": 6, "steps": 60, "burn_in": 20, "thin": 20, "batch": 10, "trace": 20}
METHOD = {"name": "langevin", "stepsize": 0.05, "posterior_temperature": 1.0}


def table(tmp_path, name="t.csv", rows=60, targets=1, weight=None, counts=True):
    """A CSV file of two features, counts or numbers to answer with, and perhaps weights."""
    g = np.random.default_rng(0)
    x = g.normal(size=(rows, 2))
    y = g.poisson(np.exp(0.5 * x[:, :1] + 1), (rows, targets)) if counts else x[:, :1] + g.normal(size=(rows, targets))
    names = ["a", "b", *(f"y{i}" for i in range(targets))]
    columns = [x, y]
    if weight is not None:
        names, columns = [*names, "w"], [*columns, np.broadcast_to(np.asarray(weight, float), rows)[:, None]]
    path = tmp_path / name
    np.savetxt(path, np.concatenate(columns, axis=1), delimiter=",", header=",".join(names), comments="")
    return path


def spec_of(path, likelihood=None, targets=("y0",), **sections):
    model = {"hidden": 4, "activation": "tanh", "prior_sd": 1.0} | ({"likelihood": likelihood} if likelihood else {})
    tree = {
        "data": {"name": "csv", "path": str(path), "target": list(targets)},
        "model": model | sections.get("model", {}),
        "method": METHOD,
        "run": RUN | sections.get("run", {}),
    }
    tree["data"] |= sections.get("data", {})
    return tree


def test_counts_stay_counts(tmp_path):
    """Twenty different counts would be classes for "auto", and standardised they would be counts no more."""
    subject = prepare(RunSpec.from_dict(spec_of(table(tmp_path), "poisson"))).subject
    assert subject.data.task == "regression"
    assert (subject.data.y_train == np.floor(subject.data.y_train)).all()
    assert subject.data.standardisation.target_sd is None
    assert abs(subject.data.x_train.mean()) < 1e-12


@pytest.mark.parametrize("targets", [1, 2])
@pytest.mark.parametrize("likelihood", [n for n, r in LIKELIHOODS.items() if r.task == "regression"])
def test_a_run_of_each_likelihood(tmp_path, likelihood, targets):
    names = tuple(f"y{i}" for i in range(targets))
    record = LIKELIHOODS[likelihood]
    model = {"noise_sd": 0.5} if "noise_sd" in record.settings else {}
    named = likelihood if record.own is None else record.own.of
    path = table(tmp_path, targets=targets, rows=80)
    spec = spec_of(path, named, names, data={"task": "regression"}, model=model)
    tree = gt.sample(spec, tmp_path / "run.zarr")
    assert list(tree["probes"]["output"].values) == list(record.axis((), names))
    held = tree["predictive"].to_dataset()
    assert list(held["output"].values) == list(names)
    assert held["mean"].shape == (1, 16, targets)
    total = held["variance"] + held["aleatoric_variance"]
    np.testing.assert_allclose(held["total_variance"], total, rtol=1e-12)
    assert model_of(tree) == prepare(RunSpec.from_dict(spec)).subject.model
    assert np.isfinite(tree["sample_stats"]["test_nll"]).all()
    constant = tree["constant_data"].to_dataset()
    x = constant["x_test"].to_numpy()[0] * constant["feature_sd"].to_numpy()[0] + constant["feature_mean"].to_numpy()[0]
    again = predict(tree, x)
    scale = constant["target_sd"].to_numpy()[0] if "target_sd" in constant else 1.0
    np.testing.assert_allclose(again["aleatoric_variance"], held["aleatoric_variance"] * scale**2, rtol=1e-5)
    np.testing.assert_allclose(again["variance"], held["variance"] * scale**2, rtol=2e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            {"likelihood": "bernoulli"},
            "model.likelihood = 'bernoulli' is for binary, and csv is regression: use gaus",
        ),
        ({"likelihood": "heteroscedastic", "noise_sd": 0.2}, "model.noise_sd = 0.2 is for gaussian and student_t; the"),
        ({"dof": 3.0}, "model.dof = 3.0 is for student_t; the likelihood of csv is gaussian: leave it out"),
        ({"likelihood": "student_t", "dof": 0.0}, r"model.dof"),
        ({"likelihood": "student_t", "noise_sd": -1.0}, r"model.noise_sd"),
        ({"likelihood": "poison"}, "Did you mean 'poisson'|'poisson'"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, model, message):
    spec = spec_of(table(tmp_path), model=model, data={"task": "regression"})
    with pytest.raises(SpecError, match=message):
        prepare(RunSpec.from_dict(spec))


@pytest.mark.parametrize("value", [-1.0, 0.5, 2e9])
def test_counts_that_are_none_are_refused(tmp_path, value):
    path = table(tmp_path)
    lines = path.read_text().splitlines()
    lines[7] = f"0.1,0.2,{value}"
    path.write_text("\n".join(lines))
    message = r"y_(train|test) of csv has the value .* in 'y0' .* answers with whole numbers from 0 to 1,000,000,000"
    with pytest.raises(DataError, match=message):
        prepare(RunSpec.from_dict(spec_of(path, "poisson")))


def test_counts_from_python_stay_counts():
    g = np.random.default_rng(1)
    x = g.normal(size=(50, 2))
    spec = {"model": {"hidden": 3, "likelihood": "poisson"}, "method": METHOD, "run": RUN}
    tree = gt.sample(spec, data=(x, g.poisson(2.0, 50)))
    y = tree["constant_data"]["y_train"].to_numpy()
    assert (y == np.floor(y)).all()
    assert "target_sd" not in tree["constant_data"]


# -- classes and data sets ---------------------------------------------------------------------------------------------


def test_more_data_sets_than_replicas_are_refused_before_any_is_made():
    """20,000 seeds are answered at once; replicas that move together share a set."""
    with at_once(5), pytest.raises(SpecError, match=r"names 20,000 data sets, and run.replicas = 64 would use 64"):
        plan({"data": {"name": "moons", "seeds": list(range(20_000))}, "run": {"replicas": 64}})
    moves = {"method": {"name": "langevin", "temperature": 1e-4},
             "moves": [{"kind": "exchange", "rungs": 4, "hottest": 1e-3}], "run": {"replicas": 8}}  # fmt: skip
    with pytest.raises(SpecError, match=r"= 8 \(4 together\) would use 2"):
        plan({"data": {"name": "moons", "seeds": [1, 2, 3]}, **moves})
    plan({"data": {"name": "moons", "train": 40, "test": 40, "seeds": [1, 2]}, **moves})


def test_a_class_that_a_split_leaves_out_is_named(tmp_path):
    """With its seed; a class with one row, too; nothing is said where all is well."""
    rows = [f"{i / 40},{'abc'[i % 2]}" for i in range(40)]

    def said(more, **options):
        (tmp_path / "d.csv").write_text("\n".join(["x,y", *rows, *more]))
        data = {"name": "csv", "path": str(tmp_path / "d.csv"), "target": "y", **options}
        return plan({"data": data, "run": {"replicas": 8}}).warnings

    assert not said([])
    lines = [said(["9,c"], split_seed=s) for s in range(30)]
    absent = [s for s, found in enumerate(lines) if any("no training point" in line for line in found)]
    alone = [s for s, found in enumerate(lines) if any("one point in all" in line for line in found)]
    assert sorted(absent + alone) == list(range(30))
    assert absent
    assert alone
    for s in absent:
        assert any(f"class 'c' of split_seed {s} has no training point" in line for line in lines[s])
    (many,) = said(["9,c"], seeds=absent[:2])
    assert f"split_seed {absent[0]} has no" in many
    assert "and 1 more" in many


# -- weights -----------------------------------------------------------------------------------------------------------


def weights_of(tree):
    return tree["constant_data"]["weight_train"].to_numpy()


def test_weights_of_a_column_have_mean_1_and_count_in_the_energy(tmp_path):
    """The recorded energy is that of points taken as often as their weight says."""
    weight = np.where(np.arange(60) % 3 == 0, 4.0, 0.5)
    path = table(tmp_path, weight=weight, counts=False)
    spec = spec_of(path, data={"weight": "w", "test_fraction": 0.0}, model={"noise_sd": 0.7})
    tree = gt.sample(spec, tmp_path / "run.zarr")
    w, constant = weights_of(tree)[0], tree["constant_data"].to_dataset()
    assert w.mean() == pytest.approx(1)
    assert sorted(np.unique(np.round(w / w.max(), 9))) == [0.125, 1.0]
    assert tree["constant_data"].sizes["feature"] == 2
    model = model_of(tree)
    position = model.layout.join({n: tree["posterior"][n].to_numpy()[:, -1] for n in model.layout.tensors})
    x, y = constant["x_train"].to_numpy()[0], constant["y_train"].to_numpy()[0]
    nll = 0.5 * ((model.predict(position.astype(float), x) - y) / 0.7) ** 2 + np.log(0.7 * np.sqrt(2 * np.pi))
    energy = (nll[..., 0] * w).mean(axis=1) + (position.astype(float) ** 2).sum(axis=1) / (2 * 60)
    np.testing.assert_allclose(tree["sample_stats"]["energy"].to_numpy()[:, -1], energy, rtol=1e-5)
    resumed = gt.resume(tmp_path / "run.zarr", draws=1)
    assert resumed["sample_stats"].sizes["draw"] == 3


def test_weights_from_python_and_from_files(tmp_path):
    g = np.random.default_rng(2)
    x, y, w = g.normal(size=(40, 2)), g.normal(size=(40, 1)), g.exponential(size=40)
    spec = {"model": {"hidden": 3}, "method": METHOD, "run": RUN}
    given = gt.sample(spec, data={"x": x, "y": y, "weight": w})
    np.savez(tmp_path / "d.npz", x=x, y=y, weight=w)
    read = gt.sample({**spec, "data": {"name": "npz", "path": str(tmp_path / "d.npz")}})
    np.testing.assert_array_equal(weights_of(given), weights_of(read))
    np.testing.assert_array_equal(given["posterior"]["w1"], read["posterior"]["w1"])
    flat = gt.sample(spec, data=(x, y))
    assert "weight_train" not in flat["constant_data"]
    assert (flat["posterior"]["w1"].to_numpy() != given["posterior"]["w1"].to_numpy()).any()


def test_balanced_classes():
    """Weights of a class of a tenth of the points are nine times those of the other; all together they have mean 1."""
    g = np.random.default_rng(2)
    x, y = g.normal(size=(100, 2)), (np.arange(100) % 10 == 0).astype(int)
    spec = RunSpec.from_dict({"model": {"hidden": 3, "class_weight": "balanced"}, "method": METHOD, "run": RUN})
    from gpu_thermo.running.given import Given, make_ready

    ready = make_ready(spec, None, Given((x, y)))
    w, label = ready.subject.target.weight[0], ready.subject.data.y_train[0]
    assert w.mean() == pytest.approx(1)
    assert w[label == 1].sum() == pytest.approx(w[label == 0].sum(), rel=1e-6)
    tree = gt.sample(spec, data=(x, y))
    assert np.isfinite(tree["sample_stats"]["energy"]).all()


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (-1.0, "the weight of training point 0 is -1 .* not negative"),
        (0.0, "all weights of training points are 0"),
    ],
)
def test_weights_that_are_none_are_refused(tmp_path, weight, message):
    spec = spec_of(table(tmp_path, weight=weight), data={"weight": "w"})
    with pytest.raises(DataError, match=message):
        prepare(RunSpec.from_dict(spec))


def test_weights_of_wrong_length_or_name_are_refused(tmp_path):
    g = np.random.default_rng(2)
    x, y = g.normal(size=(40, 2)), g.normal(size=40)
    spec = {"model": {"hidden": 3}, "method": METHOD, "run": RUN}
    with pytest.raises(DataError, match=r"weight has shape \(39,\) for 40 training points"):
        gt.sample(spec, data={"x": x, "y": y, "weight": np.ones(39)})
    with pytest.raises(DataError, match=r"weight\[3\] is nan"):
        gt.sample(spec, data={"x": x, "y": y, "weight": np.where(np.arange(40) == 3, np.nan, 1.0)})
    with pytest.raises(DataError, match=r"no column 'v' of weights"):
        prepare(RunSpec.from_dict(spec_of(table(tmp_path, weight=1.0), data={"weight": "v"})))
    with pytest.raises(SpecError, match=r"class_weight is for classes"):
        prepare(
            RunSpec.from_dict(spec_of(table(tmp_path), model={"class_weight": "balanced"}, data={"task": "regression"}))
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, True), ({"likelihood": "heteroscedastic"}, True), ({"noise_sd": 0.5}, False), ({"hidden": 4}, False),
        ({"prior_sd": "fan_in"}, False), ({"tolerance": None}, False),
    ],
)  # fmt: skip
def test_a_learned_noise_of_more_parameters_than_points_is_told(changes, said):
    """Under a tolerance, with one scale for all weights: 41 parameters for 30 points."""
    g = np.random.default_rng(0)
    given = {"hidden": 13, "activation": "tanh", "prior_sd": 1.0} | changes
    run = {"replicas": 32, "tolerance": given.pop("tolerance", 0.1)}
    run = RUN if run["tolerance"] is None else run
    spec = {"data": {"name": "arrays", "task": "regression"}, "model": given, "method": METHOD, "run": run}
    warnings = plan(spec, data=(g.normal(size=(30, 1)), g.normal(size=30))).warnings
    assert any("the noise is learned" in w and 'prior_sd = "fan_in"' in w for w in warnings) == said
