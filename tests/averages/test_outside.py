"""How far points lie outside the rows of a run, by hand; what is said of it; and that a file of a fit knows it, too."""

import numpy as np
import pytest
import xarray as xr

from gpu_thermo.averages.outside import FAR, NEW, REACH, Reach, Tally, with_reach
from gpu_thermo.data.recipe import Category, Number, Recipe

X = np.array([[0.0, 10.0], [4.0, 20.0], [2.0, 60.0]])
MEAN, SD = X.mean(axis=0), X.std(axis=0)


def tree(rows=X, scaled=True):
    constant = {"x_train": (("dataset", "point", "feature"), ((rows - MEAN) / SD if scaled else rows)[None])}
    if scaled:
        constant |= {
            "feature_mean": (("dataset", "feature"), MEAN[None]),
            "feature_sd": (("dataset", "feature"), SD[None]),
        }
    return xr.DataTree.from_dict({"/": xr.Dataset(), "constant_data": xr.Dataset(constant)})


@pytest.mark.parametrize("kept", [False, True])
def test_by_hand(kept):
    reach = Reach.of(with_reach(tree()) if kept else tree())
    asked = np.array([[1.0, 30.0], [4.0 + SD[0], 60.0], [-2 * SD[0], 10 - 3 * SD[1]], [np.nan, 60 + SD[1]]])
    np.testing.assert_allclose(reach.beyond(asked), [[0, 0], [1, 0], [2, 3], [0, 1]], atol=1e-9)


def test_unscaled_and_nothing_known():
    np.testing.assert_allclose(Reach.of(tree(scaled=False)).beyond(np.array([[6.0, 60.0]])), [[2, 0]])
    assert Reach.of(tree(X[:0])) is None
    assert REACH not in with_reach(tree(X[:0]))["constant_data"]


def test_a_new_category_is_outside():
    """Of three texts, of two, of one that stands for all rare ones; and numbers beside them as ever."""
    columns = [
        Category(name="k", levels=["x", "y", "z"]), Category(name="two", levels=["no", "yes"]),
        Category(name="r", levels=["a", "b", "c"], rare=True), Number(name="n"),
    ]  # fmt: skip
    recipe = Recipe(columns=columns)
    raw = {
        "k": np.array(["x", "moon", "z", "y"], object), "two": np.array(["no", "yes", "maybe", "yes"], object),
        "r": np.array(["a", "b", "c", "new"], object), "n": np.array([0.0, 0.0, 0.0, 3.0]),
    }  # fmt: skip
    encoded = recipe.encode(raw)
    low, high = np.zeros(encoded.shape[1]), np.ones(encoded.shape[1])
    beyond = Reach(low, high, np.ones_like(low), recipe).beyond(encoded)
    np.testing.assert_array_equal(beyond.max(axis=1), [0, NEW, NEW, 2])
    said = Tally.of(recipe.features, recipe).add(beyond).said("")
    assert "3 of 4 rows lie outside" in said
    assert "'k' in 1, 'two' in 1, 'n' in 1; beyond all of them by more than 1.5 sd, or of a category" in said
    beyond[:, :-1] = 0  # a number alone is out
    assert "category" not in Tally.of(recipe.features, recipe).add(beyond).said("")


def test_what_is_said():
    """Counts by the table's own columns, most first, over blocks; nothing where nothing is far."""
    beyond, names = np.zeros((5, 4)), ("a", "b", "c", "d")
    assert Tally.of(names, None).add(beyond).said("") == ""
    beyond[0, 1], beyond[1, 1], beyond[2, 3], beyond[3, 2] = FAR + 1, FAR + 1, FAR + 1, FAR
    text = Tally.of(names, None).add(beyond[:2]).add(beyond[2:]).said("See it.")
    assert text.startswith("3 of 5 rows lie outside the data that were learned from ('b' in 2, 'd' in 1;")
    assert text.endswith("See it.")
    recipe = Recipe(columns=[Number(name="n"), Category(name="k", levels=["x", "y", "z"])])
    assert "('k' in 3;" in Tally.of(recipe.features, recipe).add(beyond).said("")
