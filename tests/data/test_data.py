"""The data layer: formulas, random addresses, options, splits, standardisation. Files: test_data_csv.py,
test_data_arrays.py.
"""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from gpu_thermo.data import (
    DATASETS,
    Csv,
    DataOptions,
    Dataset,
    Digits,
    Gap,
    Mnist,
    Moons,
    Npz,
    Spirals,
    Trig,
    gap_function,
)
from gpu_thermo.data.addresses import PAIRS_AT_ONCE, Stream, point_noise, shuffled
from gpu_thermo.data.dataset import moments, rescale
from gpu_thermo.errors import DataError

GENERATED = ("spirals", "trig", "moons", "circles", "gap")
BUNDLED = {
    "digits": ("multiclass", 1797, 64, 10),
    "breast_cancer": ("binary", 569, 30, 1),
    "wine": ("multiclass", 178, 13, 3),
}
REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "data.json").read_text())


# ---------------------------------------------------------------- generated data


@pytest.mark.parametrize("name", GENERATED)
def test_golden_values(name):
    """Generated numbers never change (to the last digits, which belong to the maths library)."""
    expected = dict(REFERENCE[name])
    data = DATASETS[name](**expected.pop("options")).build()
    for key, values in expected.items():
        np.testing.assert_allclose(getattr(data, key)[0], values, rtol=1e-12, atol=1e-14)


def test_golden_shuffles():
    """Shuffles never change; they are integers, so exactly."""
    assert shuffled(0, 10).tolist() == REFERENCE["shuffled"]["0, 10"]
    assert shuffled(7, 1797)[:8].tolist() == REFERENCE["shuffled"]["7, 1797 (first 8)"]
    assert sorted(shuffled(3, 1001)) == list(range(1001))
    assert shuffled(3, 1).tolist() == [0]


@pytest.mark.parametrize("name", GENERATED)
def test_more_points_extend_a_set(name):
    """The first points do not depend on how many are asked for, and training points not on the test set; training and
    test differ.
    """
    options = DATASETS[name]
    small, large = options(train=20, test=4, seed=5).build(), options(train=70, test=40, seed=5).build()
    np.testing.assert_array_equal(small.x_train, large.x_train[:, :20])
    np.testing.assert_array_equal(small.y_train, large.y_train[:, :20])
    np.testing.assert_array_equal(small.x_test, large.x_test[:, :4])
    assert not np.isin(large.x_test, large.x_train).any()


def test_noise_is_the_same_in_any_chunk():
    """Working through many points in chunks changes none."""
    points = 2 * PAIRS_AT_ONCE + 6
    many, few = point_noise(9, Stream.TRAIN, points), point_noise(9, Stream.TRAIN, 7)
    assert many.uniform.shape == many.normal.shape == (points, 2)
    np.testing.assert_array_equal(many.normal[:7], few.normal)
    assert len(np.unique(many.uniform)) > 2 * points - 10
    assert abs(many.normal.mean()) < 5 / math.sqrt(2 * points)
    assert abs(many.normal.std() - 1) < 5 / math.sqrt(4 * points)
    together = np.concatenate(
        [many.uniform, many.normal, many.normal**2], axis=1
    )  # normals share no word with uniforms
    assert np.abs(np.corrcoef(together, rowvar=False) - np.eye(6)).max() < 5 / math.sqrt(points)


@pytest.mark.parametrize("name", GENERATED)
def test_seeds_stack_single_seed_sets(name):
    """`seeds` is several single-seed sets, stacked."""
    options = DATASETS[name]
    seeds = [3, 2**64 - 1, 0]
    several = options(seeds=seeds, train=10, test=6).build()
    assert several.count == 3
    for d, seed in enumerate(seeds):
        one = options(seed=seed, train=10, test=6).build()
        for key in ("x_train", "y_train", "x_test", "y_test"):
            np.testing.assert_array_equal(getattr(several, key)[d], getattr(one, key)[0])


def test_labels_alternate():
    """Each class has half of the points, and so has every even prefix."""
    data = Spirals(train=10, test=2).build()
    assert data.y_train.dtype == np.int64
    assert data.y_train[0].tolist() == [0, 1] * 5
    assert (data.task, data.classes, data.targets, data.outputs, data.standardisation) == (
        "binary",
        ("0", "1"),
        (),
        1,
        None,
    )


def test_spiral_classes_are_negations():
    """Class 1 is class 0 negated, with the same t; exactly without noise, and up to fresh noise of sd c sqrt 2 with
    it.
    """
    clean = Spirals(noise=0, train=200, test=0).build().x_train[0]
    np.testing.assert_array_equal(clean[::2], -clean[1::2])
    noisy = Spirals(noise=0.02, train=20_000, test=0).build().x_train[0]
    sums = noisy[::2] + noisy[1::2]
    assert np.abs(sums.std(axis=0) / (0.02 * math.sqrt(2)) - 1).max() < 5 / math.sqrt(20_000)
    assert np.abs(sums.mean(axis=0)).max() < 5 * 0.02 * math.sqrt(2) / math.sqrt(10_000)
    errors = noisy - Spirals(noise=0, train=20_000, test=0).build().x_train[0]
    correlations = np.corrcoef(np.concatenate([errors[::2], errors[1::2]], axis=1), rowvar=False)
    assert np.abs(correlations - np.eye(4)).max() < 0.05


@pytest.mark.parametrize("exponent", [0.5, 1.0])
def test_spiral_curve(exponent):
    """Radius and angle follow a t^p and 2 pi b t^p, with t uniform: p = 1/2 is uniform in area."""
    x = Spirals(noise=0, turns=3, radius=2.5, exponent=exponent, train=8000, test=0, seed=4).build().x_train[0][::2]
    radius = np.hypot(*x.T)
    angle = 2 * np.pi * 3 * radius / 2.5
    np.testing.assert_allclose(x, radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1), atol=1e-12)
    t = np.sort((radius / 2.5) ** (1 / exponent))
    assert np.abs(t - (np.arange(4000) + 0.5) / 4000).max() < 1.95 / math.sqrt(4000)  # Kolmogorov and Smirnov at 1e-3


@pytest.mark.parametrize("form", ["x1", "printed"])
def test_trig_noise_is_on_x2_only(form):
    """x1 is a t exactly, and x2 leaves the curve by noise of sd c."""
    data = Trig(length=6, frequency=1.5, noise=0.1, form=form, train=10_000, test=0).build()
    x, y = data.x_train[0], data.y_train[0]
    angle = 1.5 * np.pi * (x[:, 0] if form == "x1" else x[:, 0] / 6)
    residual = x[:, 1] - np.where(y == 0, np.cos(angle), np.sin(angle))
    assert abs(residual.std() / 0.1 - 1) < 5 / math.sqrt(20_000)
    clean = Trig(length=6, frequency=1.5, noise=0, form=form, train=10_000, test=0).build().x_train[0]
    np.testing.assert_array_equal(clean[:, 0], x[:, 0])
    assert 0 < x[:, 0].min() < 0.01
    assert 5.99 < x[:, 0].max() < 6


def test_paper_letters_are_accepted():
    """The paper's a, b, p, c name the same fields; giving a field twice is refused."""
    assert Trig(a=3, b=2, c=0.1) == Trig(length=3, frequency=2, noise=0.1)
    assert Spirals(b=2, p=1, a=1) == Spirals(turns=2, exponent=1, radius=1)
    with pytest.raises(ValidationError):
        Trig(a=3, length=2)


def test_moons_and_circles_have_their_shapes():
    """Without noise the points lie on the curves, either class on its own."""
    upper, lower = (DATASETS["moons"](noise=0, train=400, test=0).build().x_train[0][k::2] for k in (0, 1))
    np.testing.assert_allclose(np.hypot(*upper.T), 1)
    np.testing.assert_allclose(np.hypot(lower[:, 0] - 1, lower[:, 1] - 0.5), 1)
    assert upper[:, 1].min() > 0
    assert lower[:, 1].max() < 0.5
    x = DATASETS["circles"](noise=0, factor=0.3, train=400, test=0).build().x_train[0]
    np.testing.assert_allclose(np.hypot(*x.T), np.tile([1, 0.3], 200))


def test_gap_leaves_the_middle_out_of_training_only():
    """Training inputs avoid the gap and fill the rest evenly, test inputs cover all; targets are the documented
    function plus noise.
    """
    data = Gap(train=4001, test=4000, extent=2.5, gap=1.5, noise=0.2).build()
    x, y, xt, yt = data.x_train[0], data.y_train[0], data.x_test[0], data.y_test[0]
    assert (data.task, data.inputs, data.outputs, data.targets, y.shape) == ("regression", 1, 1, ("y",), (4001, 1))
    assert np.abs(x).min() >= 0.75
    assert np.abs(x).min() < 0.76
    assert 2.49 < np.abs(x).max() <= 2.5
    assert abs((x > 0).mean() - 0.5) < 5 * 0.5 / math.sqrt(4001)
    assert abs((np.abs(xt) < 0.75).mean() - 0.3) < 5 * math.sqrt(0.21 / 4000)
    for inputs, targets in ((x, y), (xt, yt)):
        assert abs((targets - gap_function(inputs)).std() / 0.2 - 1) < 5 / math.sqrt(8000)
    np.testing.assert_allclose(gap_function(np.array([1.0])), math.sin(2) + 0.5)


def test_no_test_points():
    """The test part may be empty."""
    data = Moons(train=4, test=0, seeds=[1, 2]).build()
    assert (data.test_points, data.x_test.shape, data.y_test.shape) == (0, (2, 0, 2), (2, 0))
    assert len(data.fingerprint()) == 64


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        (Spirals, {"train": 7}, "7 points is odd"),
        (Spirals, {"test": 3}, "use 2 or 4"),
        (Spirals, {"train": 0}, "train"),
        (Spirals, {"train": 10**9}, "train"),
        (Spirals, {"turns": float("nan")}, "finite"),
        (Spirals, {"radius": float("inf")}, "finite"),
        (Spirals, {"turns": -1}, "turns"),
        (Spirals, {"noise": -0.1}, "noise"),
        (Spirals, {"seed": -1}, "seed"),
        (Spirals, {"seed": 2**64}, "seed"),
        (Spirals, {"seeds": []}, "seeds"),
        (Spirals, {"seeds": [0, -1]}, "seeds"),
        (Spirals, {"seed": 0, "seeds": [1]}, "both given"),
        (Spirals, {"turn": 3}, "turn"),
        (Trig, {"form": "t"}, "form"),
        (Gap, {"gap": 6}, "leaves no inputs"),
        (Digits, {"test_fraction": 1}, "test_fraction"),
        (Digits, {"split_seed": 1, "seeds": [1]}, "both given"),
        (Csv, {"path": "a.csv"}, "target"),
        (Csv, {"path": "", "target": "y"}, "path"),
        (Csv, {"path": "a.csv", "target": []}, "at least one"),
        (Csv, {"path": "a.csv", "target": ["y", "y"]}, "twice"),
        (Csv, {"path": "a.csv", "target": "y", "features": ["a", "y"]}, "both a target and a feature"),
        (Csv, {"path": "a.csv", "target": ["y", "z"], "task": "binary"}, "several targets are regression"),
        (Mnist, {"path": "x", "train": 0}, "train"),
    ],
)
def test_bad_options_are_refused(model, options, said):
    """Each with a message that says what is wrong."""
    with pytest.raises(ValidationError, match=said):
        model(**options)


@pytest.mark.parametrize("name", list(DATASETS))
def test_options_describe_themselves(name):
    """Every name has a docstring, and every field a description and a name that is chosen by `name`."""
    model = DATASETS[name]
    assert model.__doc__
    assert all(field.description for key, field in model.model_fields.items() if key != "name")
    assert model.model_fields["name"].default == name


def test_options_survive_json_and_have_no_null():
    """What is dumped can be read back, TOML can hold it, and the discriminator finds the model."""
    adapter = TypeAdapter(DataOptions)
    files = (Csv(path="a", target=["y", "z"]), Npz(path="a"), Mnist(path="b", seeds=[4]))
    for options in (Spirals(seeds=[1, 2]), Trig(a=2), Digits(seeds=[0]), *files):
        plain = options.model_dump()
        assert None not in plain.values()
        assert adapter.validate_python(plain) == options
        assert adapter.validate_json(options.model_dump_json()) == options
    with pytest.raises(ValidationError, match="spirals"):
        adapter.validate_python({"name": "spiral"})


# ---------------------------------------------------------------- Dataset


def small(**changes) -> Dataset:
    """A tiny valid data set with changes."""
    x, y = np.arange(6.0).reshape(1, 3, 2), np.array([[0, 1, 1]])
    arrays = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    return Dataset(
        **({"name": "n", "task": "binary", **arrays, "features": ("a", "b"), "classes": ("0", "1")} | changes)
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "ranking"}, "unknown task 'ranking'"),
        ({"classes": ("0",)}, "1 classes"),
        ({"classes": ("0", "0")}, "class '0' twice"),
        ({"features": ("a", "a")}, "feature 'a' twice"),
        ({"targets": ("t",)}, "only regression"),
        ({"features": ("a",)}, "1 features"),
        ({"x_train": np.zeros((1, 3, 2), np.float32)}, "float32"),
        ({"x_train": np.zeros((3, 2))}, "x_train"),
        ({"x_train": np.full((1, 3, 2), np.nan)}, "x_train has the value nan in 'a'"),
        ({"x_test": np.full((1, 3, 2), 1e31)}, "x_test has the value 1e\\+31"),
        ({"y_train": np.array([[0, 1, 2]])}, "label 2; labels are 0 to 1"),
        ({"y_train": np.array([[0, -1, 1]])}, "label -1"),
        ({"y_train": np.array([[0.0, 1, 1]])}, "must be int64"),
        ({"y_test": np.array([[0, 1]])}, "y_test"),
        ({"x_test": np.zeros((2, 3, 2)), "y_test": np.zeros((2, 3), np.int64)}, "as many test sets"),
        ({"x_train": np.zeros((1, 0, 2)), "y_train": np.zeros((1, 0), np.int64)}, "at least one training point"),
        ({"task": "regression", "classes": (), "targets": ("t",)}, "must be float64"),
    ],
)
def test_dataset_refuses_what_does_not_fit(changes, said):
    """A data set that exists can be run."""
    with pytest.raises(DataError, match=said):
        small(**changes)


def test_fingerprint_follows_content():
    """Any change of a value, a name or a shape changes it; the same content does not, whatever its layout in memory."""
    data = small()
    other = data.x_train.copy()
    other[0, 2, 1] = np.nextafter(other[0, 2, 1], 9)
    changed = [
        replace(data, name="m"),
        replace(data, features=("a", "c")),
        replace(data, classes=("0", "one")),
        replace(data, x_train=other),
        replace(data, x_test=other),
        replace(data, y_train=data.y_train[:, ::-1].copy()),
        replace(data, x_test=data.x_test[:, :2], y_test=data.y_test[:, :2]),
    ]
    prints = {d.fingerprint() for d in changed}
    assert len(prints) == len(changed)
    assert data.fingerprint() not in prints
    assert (
        replace(data, x_train=np.asfortranarray(data.x_train)).fingerprint()
        == data.fingerprint()
        == small().fingerprint()
    )
    x, y = np.ones((2, 2, 2)), np.ones((2, 2), np.int64)
    two = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    one = {key: value.reshape(1, -1, *value.shape[2:]) for key, value in two.items()}
    assert small(**two).fingerprint() != small(**one).fingerprint()
    moons = {Moons(train=4, test=4, seed=s).build().fingerprint() for s in range(5)}
    assert len(moons) == 5


def test_absurd_sizes_are_refused_before_allocation():
    """Allowed numbers whose product is not."""
    pytest.importorskip("sklearn")
    with pytest.raises(DataError, match="at most 2,147,483,648"):
        Digits(seeds=list(range(2**15))).build()


# ---------------------------------------------------------------- bundled real data


@pytest.mark.parametrize("name", list(BUNDLED))
def test_bundled_classification(name):
    """Shapes, and every row in exactly one part."""
    pytest.importorskip("sklearn")
    task, rows, inputs, outputs = BUNDLED[name]
    data = DATASETS[name](standardise=False).build()
    assert (data.task, data.inputs, data.outputs, data.count) == (task, inputs, outputs, 1)
    assert data.test_points == round(0.2 * rows)
    assert data.points + data.test_points == rows
    assert data.standardisation is None
    assert len(data.features) == inputs
    assert np.unique(data.y_train).tolist() == list(range(max(2, outputs)))
    all_of_it = DATASETS[name](standardise=False, test_fraction=0).build()
    np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test], axis=1), all_of_it.x_train)


def test_bundled_regression_standardises_targets():
    """Diabetes: ten features and one target, both of mean 0 and sd 1 over the training part, and restored by the
    recorded moments.
    """
    pytest.importorskip("sklearn")
    data, raw = DATASETS["diabetes"]().build(), DATASETS["diabetes"](standardise=False).build()
    assert (data.task, data.inputs, data.outputs, data.points, data.test_points) == ("regression", 10, 1, 354, 88)
    scale = data.standardisation
    np.testing.assert_allclose(data.y_train * scale.target_sd[:, None] + scale.target_mean[:, None], raw.y_train)
    np.testing.assert_allclose(data.y_test * scale.target_sd[:, None] + scale.target_mean[:, None], raw.y_test)
    np.testing.assert_allclose(data.y_train.std(axis=1), 1)
    np.testing.assert_allclose(raw.x_test, data.x_test * scale.sd[:, None] + scale.mean[:, None])


def test_moments_are_of_the_training_part_only():
    """Each split by its own training part; the test part has the training part's moments taken out, not its own."""
    pytest.importorskip("sklearn")
    data, raw = (DATASETS["wine"](seeds=[4, 5], standardise=s).build() for s in (True, False))
    np.testing.assert_allclose(data.standardisation.mean, raw.x_train.mean(axis=1))
    np.testing.assert_allclose(data.standardisation.sd, raw.x_train.std(axis=1))
    assert not np.allclose(data.standardisation.mean[0], data.standardisation.mean[1], rtol=1e-3)
    np.testing.assert_allclose(data.x_train.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(data.x_train.std(axis=1), 1)
    assert np.abs(data.x_test.mean(axis=1)).max() > 0.01
    assert data.standardisation.target_mean is None


@pytest.mark.parametrize("points", [4, 1000])
def test_rounding_is_no_spread(points):
    """.3 and its neighbours are one number, whatever last bits a program wrote; .3 and .3 + 1e-9 are two."""
    column = np.full(points, 0.3)
    column[::2] = np.nextafter(0.3, 1)
    genuine = np.where(np.arange(points) % 2, 0.3, 0.3 + 1e-9)
    mean, sd = moments(np.stack([column, 1e12 * column, genuine], axis=-1)[None])
    np.testing.assert_array_equal(sd[0, :2], 1)
    assert mean[0, 0] == column[0]
    np.testing.assert_allclose(sd[0, 2], 0.5e-9, rtol=1e-6)
    scaled = rescale(np.array([[[0.3], [0.3000001]]]), mean[:, :1], sd[:, :1])
    assert np.abs(scaled).max() < 2e-7, "inputs that differ by 1e-7 stay so close"


def test_sums_of_tenths_are_no_spread():
    """One tenth added up in different orders."""
    values = np.array([0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1, 0.6, 0.1 * 6])
    assert len(set(values.tolist())) > 1
    assert moments(values[None, :, None])[1].item() == 1


def test_split_seeds_stack():
    """Several splits are the single splits, stacked."""
    pytest.importorskip("sklearn")
    both = DATASETS["wine"](seeds=[4, 5]).build()
    for d, seed in enumerate((4, 5)):
        one = DATASETS["wine"](split_seed=seed).build()
        np.testing.assert_array_equal(both.x_train[d], one.x_train[0])
        np.testing.assert_array_equal(both.y_test[d], one.y_test[0])
        np.testing.assert_array_equal(both.standardisation.sd[d], one.standardisation.sd[0])
    assert not np.array_equal(both.y_train[0], both.y_train[1])


def test_missing_scikit_learn_is_explained(monkeypatch):
    """One line with the remedy, not an ImportError."""
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        DATASETS["wine"]().build()
