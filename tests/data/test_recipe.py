"""What the columns of a table become: records, JSON, and points that come later."""

import numpy as np
import pytest

from gpu_thermo.data.kinds import make_recipe
from gpu_thermo.data.recipe import Category, Date, Number, Recipe, as_texts, date_part, plain
from gpu_thermo.errors import DataError

TEXTS = np.array(["red", None, "blue", "teal"], object)
DAYS = np.array(["2024-01-01", "2024-07-01T12:00", "NaT"], "datetime64[s]")


def test_a_category_is_one_input_a_level():
    colour = Category(name="c", levels=["blue", "red", "white"], rare=True)
    assert colour.features == ["c=blue", "c=red", "c=white", "c=(other)"]
    np.testing.assert_array_equal(colour.encode(TEXTS), [[0, 1, 0, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 0, 0, 1]])


def test_two_levels_are_one_input():
    switch = Category(name="s", levels=["no", "yes"])
    assert switch.features == ["s=yes"]
    given = switch.encode(np.array(["yes", "no", "yes", "so"], object))
    np.testing.assert_array_equal(given, [[1], [0], [1], [0.5]])
    np.testing.assert_array_equal(switch.unseen(given), [False, False, False, True])


def test_texts_that_are_new():
    colour = Category(name="c", levels=["blue", "red", "white"])
    assert colour.unknown(TEXTS) == {"teal": 1}
    np.testing.assert_array_equal(colour.encode(TEXTS[3:]), [[0, 0, 0]])
    assert Category(name="c", levels=["blue"], rare=True).unknown(TEXTS) == {}


def test_a_missing_text_is_a_level_or_refused():
    with_missing = Category(name="c", levels=["(missing)", "blue", "red"])
    np.testing.assert_array_equal(with_missing.encode(TEXTS[:2]), [[0, 0, 1], [1, 0, 0]])
    with pytest.raises(DataError, match=r"Column 'c', row 2: the value is missing \(1 such rows\)"):
        Category(name="c", levels=["blue", "red", "x"]).encode(TEXTS)


def test_numbers_that_are_missing():
    values = np.array([1.0, np.nan, 3.0])
    np.testing.assert_array_equal(Number(name="a", fills=True).encode(values)[:, 0], values)
    marked = Number(name="a", fills=True, indicator=True)
    assert marked.features == ["a", "a is missing"]
    np.testing.assert_array_equal(marked.encode(values)[:, 1], [0, 1, 0])
    with pytest.raises(DataError, match="row 2: the value is missing"):
        Number(name="a").encode(values)


def test_parts_of_a_date():
    """A year with its fraction, and places on circles: 1 January 2024 was a Monday, at midnight."""
    (year,) = date_part(DAYS, "year")
    np.testing.assert_allclose(year[:2], [2024, 2024 + 182.5 / 365.2425])
    assert np.isnan(year[2])
    for part, angles in (
        ("month", [0, 2 * np.pi * 182.5 / 365.2425]),
        ("weekday", [0, 0]),
        ("hour", [0, np.pi]),
    ):
        sine, cosine = date_part(DAYS, part)
        np.testing.assert_allclose(sine[:2], np.sin(angles), atol=1e-6)
        np.testing.assert_allclose(cosine[:2], np.cos(angles), atol=1e-6)
        assert np.isnan([sine[2], cosine[2]]).all()
    assert date_part(np.array(["1969-12-28"], "datetime64[s]"), "weekday")[0] == pytest.approx(np.sin(12 * np.pi / 7))


@pytest.mark.parametrize(
    ("encoder", "values", "said"),
    [
        (Number(name="a"), TEXTS, "Column 'a' holds 'red', and in the data of the run numbers"),
        (Date(name="a", parts=["year"]), TEXTS, "Column 'a', row 1: 'red' is no date"),
        (Date(name="a", parts=["year"]), np.array([3.0]), "holds 3.0, and in the data of the run dates"),
    ],
)
def test_another_kind_is_refused(encoder, values, said):
    with pytest.raises(DataError, match=said):
        encoder.encode(values)


def test_a_column_that_is_all_missing_has_no_kind():
    """A file of points whose column is empty reads as numbers, whatever it was."""
    empty, none = np.full(2, np.nan), np.array([None, None], object)
    assert Category(name="c", levels=["(missing)", "a", "b"]).encode(empty)[:, 0].tolist() == [1, 1]
    assert np.isnan(Number(name="a", fills=True).encode(none)).all()
    assert np.isnan(Date(name="a", parts=["year"], fills=True).encode(empty)).all()


def test_a_recipe_is_plain_json():
    recipe = Recipe(
        columns=[
            Number(name="a", fills=True, indicator=True), Category(name="c", levels=["x", "y", "z"]),
            Date(name="d", parts=["month"]),
        ],
        left_out=[{"name": "id", "why": "numbers the rows"}],
    )  # fmt: skip
    again = Recipe.model_validate_json(recipe.model_dump_json())
    assert again == recipe
    assert again.features == ("a", "a is missing", "c=x", "c=y", "c=z", "d.month_sin", "d.month_cos")
    assert again.may_miss.tolist() == [True] + 6 * [False]
    raw = {"a": np.array([np.nan]), "c": np.array(["y"], object), "d": DAYS[:1]}
    np.testing.assert_array_equal(again.encode(raw), [[np.nan, 1, 0, 1, 0, 0, 1]])
    assert recipe.lines[-1] == "id: left out, numbers the rows"
    assert not recipe.is_plain
    assert plain("ab").is_plain


def test_numbers_as_texts():
    assert as_texts(np.array([1.0, 2.5, np.nan])).tolist() == ["1", "2.5", None]
    large = np.array([1_000_001, 1_000_002, -0.0, 0.1, 0.1234567, 0.12345678, 1e300, float(np.float32(0.1)), np.inf])
    assert as_texts(large).tolist() == [
        "1000001", "1000002", "0", "0.1", "0.1234567", "0.12345678", "1e+300", "0.1", "inf",
    ]  # fmt: skip


def test_categories_of_large_numbers_stay_apart():
    """Numbers of shops, as a table in memory or a Parquet file has them."""
    shops = np.repeat([1_000_001.0, 1_000_002.0, 1_000_003.0], 10)
    (column,) = make_recipe({"shop": shops}, True, {"shop": "category"}, "table").columns
    assert column.levels == ["1000001", "1000002", "1000003"]
    np.testing.assert_array_equal(column.encode(shops[::10]), np.eye(3))
    np.testing.assert_array_equal(column.encode(np.array(["1000002"], object)), [[0, 1, 0]])
