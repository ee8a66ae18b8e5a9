"""Rows, weights and tables as the estimators take them."""

import warnings
from decimal import Decimal

import numpy as np
import pytest

from gpu_thermo.averages.points import NewCategories, points_of
from gpu_thermo.errors import DataError
from gpu_thermo.estimators.inputs import (
    Columns,
    Unused,
    dataset,
    encoded,
    in_order,
    recipe_for,
    refuse_missing,
    refuse_text,
    with_answers,
)

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


def test_what_is_said_of_columns():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abc")).assign(d=["01/02/2020", "03/04/2020", "05/06/2021"] * 4)
    recipe = recipe_for(table, Columns(kinds={"d": "day-first", "a": "category"}, drop=["b"]))
    assert [(c.name, c.kind) for c in recipe.columns] == [("a", "category"), ("c", "number"), ("d", "date")]
    assert recipe_for(table, Columns(features=["c"])).names == ("c",)
    for columns, said in (
        (Columns(kinds={"dd": "date"}), "kinds names 'dd', no column of X. Did you mean 'd'"),
        (Columns(kinds={"d": "dat"}), "kinds says that 'd' is a 'dat'. Did you mean 'date'"),
        (Columns(drop=["z"]), "drop names 'z', no column of X"),
        (Columns(features=["a"], drop=["a"]), "leave no column of X"),
        (Columns(), "no day above 12 shows whether day or month come first"),
    ):
        with pytest.raises(DataError, match=said):
            recipe_for(table, columns)
    with pytest.raises(DataError, match="drop names columns of a DataFrame, and X is ndarray"):
        recipe_for(X, Columns(drop=["a"]))


def test_new_texts_are_counted():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": X[:, 0], "d": ["u", "v", "w"] * 4})
    recipe = recipe_for(table)
    said = r"Column 'd': 5 of 12 rows hold texts that the run's data had not \('q' in 4, 'p' in 1\)"
    with pytest.warns(NewCategories, match=said) as caught:
        encoded(table.assign(d=["q"] * 4 + ["p"] + ["u"] * 7), recipe)
    assert len(caught) == 1


def test_rows_without_an_answer():
    """Counted with their numbers, and left out with their weights where that is asked for."""
    y = Y[:, 0].copy()
    y[[2, 5]] = np.nan
    with pytest.raises(DataError, match=r"2 of 12 rows have no value of 'y' \(rows 3, 6\)"):
        with_answers(X, y, None, False)
    with pytest.warns(UserWarning, match="are left out"):
        x, kept, weight = with_answers(X, y, np.arange(12.0), True)
    np.testing.assert_array_equal(x, np.delete(X, [2, 5], axis=0))
    np.testing.assert_array_equal(kept, np.delete(y, [2, 5]))
    np.testing.assert_array_equal(weight, np.delete(np.arange(12.0), [2, 5]))
    assert with_answers(X, Y, None, False)[0] is X
    pandas = pytest.importorskip("pandas")
    for named in (pandas.Series(y, name="price"), pandas.DataFrame({"price": y})):
        with pytest.raises(DataError, match=r"2 of 12 rows have no value of 'price' \(rows 3, 6\)"):
            with_answers(X, named, None, False)
    labels = np.array(["NA", None, *"ab" * 5], object)
    with pytest.raises(DataError, match=r"1 of 12 rows has no value of 'y' \(row 2\)"):
        with_answers(X, labels, None, False)


def test_columns_that_are_left_out_of_numbers():
    """An empty column, or one text throughout, beside numbers is left out, and needs not be there to predict."""
    pandas = pytest.importorskip("pandas")
    for odd in (np.nan, "x"):
        table = pandas.DataFrame(X, columns=list("abc")).assign(d=odd)
        with pytest.warns(
            Unused, match=r"1 column is not used: 'd': it (is empty|holds one value, x); drop=\[\.\.\.\] says"
        ):
            recipe = recipe_for(table)
        assert recipe.names == ("a", "b", "c")
        np.testing.assert_array_equal(encoded(table.drop(columns="d"), recipe), X)


def test_columns_that_are_dropped_are_not_warned_of():
    """Nor are numbers throughout, of which all are used; of many unused ones the first few are named."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abc")).assign(**{f"d{i}": "x" for i in range(7)})
    with pytest.warns(Unused, match=r"7 columns are not used: 'd0': .*'d4': it holds one value, x; and 2 more; drop"):
        recipe_for(table)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recipe_for(table, Columns(drop=[f"d{i}" for i in range(7)]))
        recipe_for(table, Columns(features=["a", "b"]))
        assert recipe_for(table[["a", "b", "c"]]) is None


def test_an_id_beside_numbers_is_left_out():
    """As from a file, and with the same words."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"id": np.arange(12), "z": X[:, 0]})
    with pytest.warns(Unused, match="'id': its 12 values, all different, number the rows; drop"):
        assert recipe_for(table).names == ("z",)


def test_names_of_columns_may_be_numbers():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X)
    for way in ({"drop": [1]}, {"drop": ["1"]}, {"features": [0, 2]}, {"drop": np.array([1])}):
        recipe = recipe_for(table, Columns(**way))
        assert recipe.names == ("0", "2")
        np.testing.assert_array_equal(encoded(table, recipe), X[:, [0, 2]])
        np.testing.assert_array_equal(points_of(table[[0, 2]], recipe.features, recipe=recipe), X[:, [0, 2]])


def test_a_known_category_stays_one():
    """Of numbers with a text among them, of truth values, of what pandas holds as categories; at fit and later."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"a": X[:, 0], "c": [1, 2, 3, "A"] * 3})
    recipe = recipe_for(table, Columns(kinds={"c": "category"}))
    np.testing.assert_array_equal(encoded(table.iloc[:4], recipe)[:, 1:], np.eye(4))
    np.testing.assert_array_equal(encoded(pandas.DataFrame({"a": [0.0], "c": [2]}), recipe), [[0, 0, 1, 0, 0]])
    recipe = recipe_for(table.assign(c=[True, False, "unknown"] * 4))
    one_kind = pandas.DataFrame({"a": [0.0, 0.0], "c": [True, False]})
    for found in (encoded(one_kind, recipe), points_of(one_kind, recipe.features, recipe=recipe)):
        np.testing.assert_array_equal(found[:, 1:], [[0, 1, 0], [1, 0, 0]])
    recipe = recipe_for(table.assign(c=pandas.Categorical([10, 20, 30] * 4)))
    assert recipe.kinds["c"] == "category"
    np.testing.assert_array_equal(encoded(pandas.DataFrame({"a": [0.0], "c": [20]}), recipe), [[0, 0, 1, 0]])


def test_decimals_are_numbers_and_arrays_are_refused():
    pandas = pytest.importorskip("pandas")
    prices = pandas.DataFrame({"a": [Decimal(i) / 4 for i in range(12)], "d": ["u", "v"] * 6})
    recipe = recipe_for(prices)
    np.testing.assert_array_equal(encoded(prices, recipe)[:, 0], np.arange(12) / 4)
    with pytest.raises(DataError, match="column 'a' holds a ndarray: each value is one number"):
        recipe_for(prices.assign(a=[np.zeros(2)] * 12))


def test_a_value_that_is_missing_is_named():
    """Where no row of the fit missed any; of arrays scikit-learn says it."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=list("abc"))
    refuse_missing(table)
    refuse_missing(X * np.nan)
    table.loc[[3, 5], "b"] = np.nan
    with pytest.raises(DataError, match=r"Column 'b', row 4: the value is missing \(2 such rows\).*Fill it in"):
        refuse_missing(table)
    with pytest.raises(DataError, match="Column 'a' holds 'x', and in the data of the run numbers"):
        refuse_missing(table.assign(a="x"))


def test_answers_of_one_type_stay_so_without_the_missing_ones():
    pandas = pytest.importorskip("pandas")
    with pytest.warns(UserWarning, match="is left out"):
        _, y, _ = with_answers(X[:4], pandas.Series([True, False, None, True]), None, True)
    assert y.dtype == bool
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        with_answers(X, Y[:-1, 0] * [np.nan, *[1] * 10], None, True)


@pytest.mark.parametrize(
    ("kind", "said"), [("m8[s]", "spans of time.*give y / "), ("M8[s]", r"dates.*\(y - y.min\(\)\)")]
)
def test_times_are_no_answers(kind, said):
    with pytest.raises(DataError, match=said):
        refuse_text(X, np.arange(12).astype(kind), True)


def test_large_whole_weights_are_relative_and_say_so():
    weights = np.array([9, 11] * 6)
    assert len(in_order(X, Y, weights)[0]) == 120
    with pytest.warns(UserWarning, match="whole numbers of mean 20: up to 10 they count rows"):
        x, _, kept = in_order(X, Y, 2 * weights)
    assert len(x) == 12
    np.testing.assert_array_equal(np.sort(kept), np.sort(2 * weights))


@pytest.mark.parametrize(("x", "y", "said"), [(1e300, 1, "Column 'b', row 1, is"), (1, 1e200, "Column 'y', row 1, is")])
def test_numbers_too_large_to_square(x, y, said):
    with pytest.raises(DataError, match=f"{said}.*numbers may be 1e.30 in size at most"):
        dataset("regression", X * [1, x, 1], Y * y, None, ("a", "b", "c"), targets=("y",))
