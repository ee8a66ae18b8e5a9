"""Maps: where they lie in input space, what they say of it, and that pictures come out of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from stores import dataset, model_for, run_tree

from gpu_thermo.averages.predictive import predict, scores_on_test
from gpu_thermo.averages.scores import scores
from gpu_thermo.data import Dataset, Standardisation
from gpu_thermo.errors import DataError, GpuThermoError, SpecError
from gpu_thermo.run import sample
from gpu_thermo_analysis import draw_map, save_map, uncertainty_map
from gpu_thermo_analysis.drawing import map_figure
from gpu_thermo_analysis.style import RC

RNG = np.random.default_rng(4)


@pytest.fixture(autouse=True)
def _coarse(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures of few pixels are drawn faster."""
    monkeypatch.setitem(RC, "savefig.dpi", 40)


def tree_of(data: Dataset, replicas: int = 6, **kw: Any) -> xr.DataTree:
    model = model_for(data)
    return run_tree(data, model, RNG.normal(size=(replicas, 3, model.layout.size)).astype(np.float32), **kw)


def scaled(task: str, features: int, outputs: int = 1) -> Dataset:
    """Data with a standardisation on record."""
    s = Standardisation(RNG.normal(size=(1, features)) * 5, RNG.uniform(1, 9, (1, features)))
    if task == "regression":
        s = Standardisation(s.mean, s.sd, np.full((1, outputs), 50.0), np.full((1, outputs), 20.0))
    return dataset(task, features=features, outputs=outputs, standardisation=s)


def test_two_features_are_mapped_as_they_are() -> None:
    data = dataset()
    tree = tree_of(data)
    got = uncertainty_map(tree, resolution=9, margin=0.5)
    assert dict(got["mean"].sizes) == {"v": 9, "u": 9, "output": 1}
    x = data.x_train[0]
    wide = x[:, 0].max() - x[:, 0].min()
    assert got["u"][0] == pytest.approx(x[:, 0].min() - wide / 2)
    want = predict(tree, [[got["u"][2], got["v"][5]]], ensemble=0)
    assert got["mean"][5, 2, 0] == pytest.approx(float(want["mean"][0, 0]), rel=1e-6)
    assert got["epistemic"][5, 2] == pytest.approx(float(want["mutual_information"][0]), abs=1e-6)
    assert got["total"][5, 2] == pytest.approx(float(want["entropy"][0]), rel=1e-6)
    np.testing.assert_array_equal(got["train_u"], x[:, 0])
    assert (got["u"].attrs["long_name"], got.attrs["caption"], got.attrs["equal_aspect"]) == ("f0", "", 1)


def test_chosen_features_hold_the_others_at_the_training_mean() -> None:
    data = scaled("regression", 4)
    s = data.standardisation
    assert s is not None
    tree = tree_of(data)
    got = uncertainty_map(tree, features=["f3", 1], resolution=5)
    x = data.x_train[0] * s.sd[0] + s.mean[0]
    point = x.mean(axis=0)
    point[3], point[1] = got["u"][4], got["v"][0]
    want = predict(tree, point[None], ensemble=0)
    assert float(got["mean"][0, 4, 0]) == pytest.approx(float(want["mean"][0, 0]), rel=1e-5)
    assert float(got["total"][0, 4, 0]) == pytest.approx(float(want["total_variance"][0, 0]) ** 0.5, rel=1e-4)
    assert got["total"].attrs["units"] == "target"
    np.testing.assert_allclose(got["train_u"], x[:, 3])
    assert got["train_y"].to_numpy().mean() == pytest.approx(50, abs=20)
    assert got.attrs["caption"] == "2 other features held at the training mean; training points projected."


def test_principal_components_span_the_plane() -> None:
    data = scaled("multiclass", 5, 3)
    s = data.standardisation
    assert s is not None
    tree = tree_of(data)
    got = uncertainty_map(tree, resolution=5)
    seen = data.x_train[0]
    values, vectors = np.linalg.eigh(np.cov(seen.T, ddof=0))
    first, second = (v * np.sign(v[np.abs(v).argmax()]) for v in vectors.T[::-1][:2])
    np.testing.assert_allclose(got["train_u"], (seen - seen.mean(0)) @ first, atol=1e-9)
    point = (seen.mean(0) + float(got["u"][1]) * first + float(got["v"][3]) * second) * s.sd[0] + s.mean[0]
    np.testing.assert_allclose(got["mean"][3, 1], predict(tree, point[None], 0)["mean"][0], rtol=1e-4)
    share = values[::-1][:2].sum() / values.sum()
    assert f"({share:.0%} of their variance)" in got.attrs["caption"]
    assert "held at the mean" in got.attrs["caption"]


def test_a_line_of_numbers_has_the_intervals_of_an_answer_and_of_its_mean() -> None:
    tree = tree_of(scaled("regression", 1), replicas=40)
    got = uncertainty_map(tree, resolution=5)
    want = predict(tree, got["u"].to_numpy()[:, None], 0, quantiles=(0.05, 0.95))
    for name, source in (("answer", "quantiles"), ("mean", "mean_quantiles")):
        for end, values in zip(("low", "high"), want[source].to_numpy(), strict=True):
            np.testing.assert_allclose(got[f"{name}_{end}"], values)
    assert (got["answer_high"] - got["answer_low"]).mean() > (got["mean_high"] - got["mean_low"]).mean()
    np.testing.assert_allclose(got["total"] ** 2, got["epistemic"] ** 2 + got["aleatoric"] ** 2, rtol=1e-6)
    figure = map_figure(got)
    labels = {text for axes in figure.axes for text in axes.get_legend_handles_labels()[1]}
    assert {"90 % interval of an answer", "90 % interval of its mean (epistemic)", "aleatoric", "total"} <= labels


def test_a_map_is_of_one_ensemble() -> None:
    tree = tree_of(dataset(), ensemble=[0, 1, 0, 1, 0, 1])
    first, second = uncertainty_map(tree, resolution=4), uncertainty_map(tree, ensemble=1, resolution=4)
    assert not np.allclose(first["mean"], second["mean"])
    assert (first.attrs["caption"], second.attrs["caption"]) == ("Ensemble 0 of 2.", "Ensemble 1 of 2.")
    with pytest.raises(SpecError, match="no ensemble 5"):
        uncertainty_map(tree, ensemble=5)


@pytest.mark.parametrize(("options", "match"), [
    ({"features": ["alcohl", "f1"]}, "no feature 'alcohl'"), ({"features": ["f11"]}, "Did you mean 'f1'"),
    ({"features": [0, 1, 2]}, "one or two"), ({"features": [1, "f1"]}, "one or two different"),
    ({"resolution": 1}, "resolution = 1"), ({"margin": -1}, "margin = -1"),
])  # fmt: skip
def test_maps_that_cannot_be_made_are_refused(options: dict, match: str) -> None:
    with pytest.raises(DataError, match=match):
        uncertainty_map(tree_of(dataset(features=4)), **options)


KINDS = [
    ("binary", 2, 1),
    ("multiclass", 4, 3),
    ("regression", 3, 2),
    ("regression", 1, 1),
    ("binary", 1, 1),
    ("multiclass", 1, 4),
]


@pytest.mark.parametrize(("task", "features", "outputs"), KINDS)
def test_pictures(tmp_path: Path, task: str, features: int, outputs: int) -> None:
    found = save_map(tree_of(scaled(task, features, outputs)), tmp_path / "map.png", resolution=12)
    draw_map(found, tmp_path / "map.svg")
    assert (tmp_path / "map.png").stat().st_size > 3000
    assert b"</svg>" in (tmp_path / "map.svg").read_bytes()[-20:]


def test_a_picture_is_the_same_each_time(tmp_path: Path) -> None:
    found = uncertainty_map(tree_of(dataset()), resolution=6)
    for suffix in (".png", ".svg"):
        draw_map(found, tmp_path / f"a{suffix}")
        draw_map(found, tmp_path / f"b{suffix}")
        assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_panels_are_labelled_with_units() -> None:
    figure = map_figure(uncertainty_map(tree_of(dataset()), resolution=6))
    labels = {a.get_xlabel() for a in figure.axes}
    assert {"probability of c1", "mutual information (nats)", "entropy (nats)"} <= labels
    assert [a.get_title() for a in figure.axes[:3]] == ["Mean prediction", "Epistemic uncertainty", "Total uncertainty"]
    figure = map_figure(uncertainty_map(tree_of(scaled("regression", 2, 2)), resolution=6), output=1)
    assert {"t1", "standard deviation (units of t1)"} <= {a.get_xlabel() for a in figure.axes}


@pytest.mark.parametrize("suffix", [".zarr", ".nc", ".csv"])
def test_numbers_are_saved(tmp_path: Path, suffix: str) -> None:
    out = tmp_path / f"map{suffix}"
    made = save_map(tree_of(dataset("multiclass", outputs=3)), tmp_path / "map.png", out, resolution=6)
    if suffix == ".csv":
        lines = out.read_text().splitlines()
        assert len(lines) == 1 + 6 * 6 * 3
        assert {"u", "v", "output", "mean", "epistemic", "total"} <= set(lines[0].split(","))
        return
    with xr.open_dataset(
        out, **({"engine": "zarr", "consolidated": False} if suffix == ".zarr" else {"engine": "scipy"})
    ) as back:
        np.testing.assert_allclose(back["mean"], made["mean"])
        assert json.loads(back.attrs["classes"]) == ["c0", "c1", "c2"]
        again = back.load()
    draw_map(again, tmp_path / "again.png")
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "map.png").read_bytes()


def test_files_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    tree = tree_of(dataset())
    with pytest.raises(DataError, match="png"):
        save_map(tree, tmp_path / "map.jpg")
    with pytest.raises(DataError, match="zarr"):
        save_map(tree, tmp_path / "map.png", tmp_path / "map.txt")
    assert not list(tmp_path.iterdir())
    with pytest.raises(GpuThermoError, match="Cannot write"):
        save_map(tree, tmp_path / "no" / "map.png", resolution=4)


def test_a_real_run_is_mapped_and_predicted(tmp_path: Path) -> None:
    tree = sample({
        "data": {"name": "wine"}, "model": {"hidden": 4}, "method": {"name": "lala", "stepsize": 0.2},
        "run": {"replicas": 6, "steps": 400, "burn_in": 200, "thin": 50, "trace": 200},
    }, tmp_path / "run.zarr", device="cpu", engine="batched", threads=1)  # fmt: skip
    made = save_map(tmp_path / "run.zarr", tmp_path / "wine.png", resolution=10)
    assert made.attrs["title"] == "wine: 6 networks, 24 draws"
    s = tree["constant_data"]
    x = s["x_test"].to_numpy()[0] * s["feature_sd"].to_numpy()[0] + s["feature_mean"].to_numpy()[0]
    at_test = predict(tmp_path / "run.zarr", x)
    for name in (
        "mean",
        "variance",
        "entropy",
        "mutual_information",
        "draws",
    ):  # the same as the running averages of the run itself
        np.testing.assert_allclose(at_test[name], tree["predictive"][name], rtol=1e-4, atol=1e-6)
    y = s["y_test"].to_numpy()[0]
    got = scores_on_test(tree)[0]
    assert got == scores("multiclass", tree["predictive"]["mean"].to_numpy()[0], y)
    assert got["accuracy"] == np.mean(tree["predictive"]["mean"].to_numpy()[0].argmax(1) == y)
