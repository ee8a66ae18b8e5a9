"""Data from formulas: golden values, random addresses, shapes."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from data_cases import GENERATED
from pydantic import ValidationError

from gpu_thermo.data import (
    DATASETS,
    Gap,
    Moons,
    Spirals,
    Trig,
    gap_function,
)

REFERENCE = json.loads((Path(__file__).parents[1] / "reference" / "data.json").read_text())


# ---------------------------------------------------------------- generated data


@pytest.mark.parametrize("name", GENERATED)
def test_golden_values(name):
    """Generated numbers never change (to the last digits, which belong to the maths library)."""
    expected = dict(REFERENCE[name])
    data = DATASETS[name](**expected.pop("options")).build()
    for key, values in expected.items():
        np.testing.assert_allclose(getattr(data, key)[0], values, rtol=1e-12, atol=1e-14)


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
