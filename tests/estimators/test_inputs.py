"""Rows, weights and tables as the estimators take them."""

import numpy as np
import pytest

from gpu_thermo.errors import DataError
from gpu_thermo.estimators.inputs import dataset, encoded, in_order, recipe_for

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(12, 3)), RNG.normal(size=(12, 1))


def test_the_order_of_rows_is_no_matter():
    order = RNG.permutation(12)
    for one, other in zip(in_order(X, Y, None), in_order(X[order], Y[order], None), strict=True):
        np.testing.assert_array_equal(one, other)


def test_whole_weights_are_so_many_rows():
    """A weight of 2 is a row that occurs twice, and one of 0 none: exactly the same data."""
    times = RNG.integers(0, 4, 12)
    order = RNG.permutation(12)
    x, y, weight = in_order(X[order], Y[order], times[order].astype(float))
    assert weight is None
    again = in_order(np.repeat(X, times, axis=0), np.repeat(Y, times, axis=0), None)
    np.testing.assert_array_equal(x, again[0])
    np.testing.assert_array_equal(y, again[1])


def test_other_weights_stay_with_their_rows():
    weight = RNG.random(12)
    x, _, sorted_weight = in_order(X, Y, weight)
    for row, w in zip(x, sorted_weight, strict=True):
        assert weight[(row == X).all(axis=1)] == w
    assert in_order(X, Y, np.full(12, 0.3))[2] is None
    assert in_order(X, Y, np.full(12, 1000.0))[2] is None


def test_a_data_set_of_all_rows():
    data = dataset("regression", X, Y, None, ("a", "b", "c"), targets=("y",))
    assert (data.points, data.test_points) == (12, 0)
    assert data.x_train.mean() == pytest.approx(0, abs=1e-12)


def test_tables_of_numbers_need_no_recipe():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abc"))
    assert recipe_for(table) is None
    assert recipe_for(X) is None
    recipe = recipe_for(table.assign(d=["u", "v", "w"] * 4))
    assert recipe.features == ("a", "b", "c", "d=u", "d=v", "d=w")
    with pytest.raises(DataError, match="X is no DataFrame"):
        encoded(X, recipe)
    with pytest.raises(DataError, match="X has no column 'd'"):
        encoded(table, recipe)
