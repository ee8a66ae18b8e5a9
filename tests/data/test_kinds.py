"""What is decided of the columns of a table, beside scikit-learn's own answer where it has one."""

import numpy as np
import pytest
from data_cases import read

from gpu_thermo.data import Csv
from gpu_thermo.data.kinds import KINDS, MOST_LEVELS, inspected, make_recipe
from gpu_thermo.errors import DataError

ROWS = 400
RNG = np.random.default_rng(5)


def objects(values) -> np.ndarray:
    """A raw column of texts."""
    return np.array([*values, None], object)[:-1]


def decided(values, name="a", wanted=False, **kinds):
    """The recipe of one column beside a plain number."""
    return make_recipe({name: values, "other": np.arange(float(len(values))) % 7}, wanted, kinds, "it")


def test_levels_are_scikit_learns():
    """Its one-hot encoder, with the same rules, gives the same inputs."""
    preprocessing = pytest.importorskip("sklearn.preprocessing")
    values = RNG.choice(list("abcdefgh"), ROWS, p=[0.4, 0.3, 0.2, 0.08, 0.008, 0.006, 0.004, 0.002])
    encoder = preprocessing.OneHotEncoder(min_frequency=0.01, sparse_output=False).fit(values[:, None])
    ours = decided(objects(values)).columns[0].encode(objects(values))
    np.testing.assert_array_equal(ours, encoder.transform(values[:, None]))


def test_at_most_so_many_levels():
    values = objects(f"t{i}" for i in np.minimum(RNG.integers(0, 60, 4 * ROWS), RNG.integers(0, 60, 4 * ROWS)))
    (column, _) = decided(values).columns
    assert len(column.levels) == MOST_LEVELS
    assert column.rare
    counts = {t: (values == t).sum() for t in set(values)}
    assert min(counts[t] for t in column.levels) >= max(n for t, n in counts.items() if t not in column.levels)


@pytest.mark.parametrize(
    ("name", "values", "why"),
    [
        ("a", np.full(ROWS, 3.0), "it holds one value, 3.0"),
        ("a", np.full(ROWS, np.nan), "it is empty"),
        ("a", objects(ROWS * ["EU"]), "it holds one value, EU"),
        ("a", objects(f"Name {i}" for i in range(ROWS)), "400 different texts in 400 rows look like names"),
        ("id", np.arange(1.0, ROWS + 1), "its 400 values, all different, number the rows"),
        ("customer_id", RNG.permutation(np.arange(10.0 * ROWS))[:ROWS], "number the rows"),
        ("Unnamed: 0", np.arange(float(ROWS)), "number the rows"),
    ],
)
def test_what_tells_nothing_is_left_out(name, values, why):
    recipe = decided(values, name)
    assert [c.name for c in recipe.columns] == ["other"]
    assert why in recipe.left_out[0].why


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("time", np.arange(float(ROWS))),  # a trend
        ("id", np.arange(float(ROWS)) % 50),  # occurs again
        ("id", RNG.normal(size=ROWS)),  # not whole
        ("paid", np.arange(float(ROWS))),  # a word that ends so
    ],
)
def test_what_may_tell_something_stays(name, values):
    assert name in decided(values, name).names


def test_named_columns_stay():
    """Who names a column wants it, whatever it looks like; one value is of no use all the same."""
    assert "id" in decided(np.arange(float(ROWS)), "id", wanted=True).names
    assert "id" in decided(np.arange(float(ROWS)), "id", id="number").names
    assert decided(np.ones(ROWS), wanted=True).left_out


def test_missing_values_are_marked_where_that_may_tell_something():
    values = RNG.normal(size=ROWS)
    few, many = values.copy(), values.copy()
    few[:3], many[:100] = np.nan, np.nan
    assert decided(few).columns[0].model_dump(include={"fills", "indicator"}) == {"fills": True, "indicator": False}
    assert decided(many).columns[0].indicator
    twins = make_recipe({"a": many, "b": 2 * many, "c": values}, False, {}, "it")
    assert [c.indicator for c in twins.columns] == [True, False, False]


def test_a_missing_text_is_a_category():
    values = objects(RNG.choice(["x", "y", "z"], ROWS))
    values[::5] = None
    assert decided(values).columns[0].levels == ["(missing)", "x", "y", "z"]


def test_dates():
    days = np.datetime64("2021-03-01", "s") + RNG.integers(0, 900, ROWS) * np.timedelta64(86400, "s")
    assert decided(days).columns[0].parts == ["year", "month", "weekday"]
    assert decided(days + np.timedelta64(3600, "s") * RNG.integers(0, 24, ROWS)).columns[0].parts[-1] == "hour"
    texts = objects(str(day)[:10] for day in days)
    np.testing.assert_array_equal(decided(texts).columns[0].encode(texts), decided(days).columns[0].encode(days))
    assert decided(texts).lines[0] == "a: date: year, month, weekday"


def day_first(days):
    """Dates as they are written in most of the world."""
    return objects(f"{str(d)[8:10]}/{str(d)[5:7]}/{str(d)[:4]}" for d in days)


def test_dates_with_the_year_last():
    """The same inputs as of plain dates, in a line that says in which order they were taken and why."""
    days = np.datetime64("2021-03-01", "s") + RNG.integers(0, 900, ROWS) * np.timedelta64(86400, "s")
    texts = day_first(days)
    recipe = decided(texts)
    np.testing.assert_array_equal(recipe.columns[0].encode(texts), decided(days).columns[0].encode(days))
    assert "date (the day first, as '" in recipe.lines[0]
    later = objects(["01/02/2023"])  # alone it could be either
    np.testing.assert_array_equal(
        recipe.columns[0].encode(later), recipe.columns[0].encode(np.array(["2023-02-01"], "datetime64[s]"))
    )
    with pytest.raises(DataError, match=r"Column 'a', row 1: '12/31/2025' is no date \(the day first"):
        recipe.columns[0].encode(objects(["12/31/2025"]))


def test_an_order_that_is_asked_for():
    texts = objects([f"0{1 + i % 9}/0{1 + i % 7}/2021" for i in range(ROWS)])
    with pytest.raises(DataError, match="no day above 12 shows whether day or month come first"):
        decided(texts)
    as_day, as_month = (decided(texts, a=kind).columns[0] for kind in ("day-first", "month-first"))
    assert (as_day.order, as_month.order) == ("day-first", "month-first")
    assert not np.allclose(as_day.encode(texts), as_month.encode(texts))
    assert decided(texts, a="category").columns[0].kind == "category"


def test_numbers_that_are_dates_where_that_is_asked_for():
    numbers = 20210000.0 + 100 * RNG.integers(1, 13, ROWS) + RNG.integers(1, 29, ROWS)
    assert decided(numbers).columns[0].kind == "number"
    column = decided(numbers, a="date").columns[0]
    assert column.kind == "date"
    first = f"{numbers[0]:.0f}"
    np.testing.assert_array_equal(
        column.encode(numbers[:1]),
        column.encode(np.array([f"{first[:4]}-{first[4:6]}-{first[6:]}"], "datetime64[s]")),
    )


def test_a_kind_that_is_asked_for():
    zips = RNG.choice([1010.0, 8001.0, 3012.0], ROWS)
    assert decided(zips).columns[0].kind == "number"
    assert decided(zips, a="category").columns[0].levels == ["1010", "3012", "8001"]
    with pytest.raises(DataError, match="holds number values, and is asked for as a date"):
        decided(zips, a="date")
    with pytest.raises(DataError, match="holds text values, and is asked for as a number"):
        decided(objects(RNG.choice(["x", "y"], ROWS)), a="number")
    assert set(KINDS) == {"number", "category", "date", "day-first", "month-first"}


def test_a_number_mistyped_is_no_category(tmp_path):
    """One bad field in a column of numbers is named, whatever else would become of the column."""
    good = "".join(f"{i},{i % 2}\n" for i in range(50))
    with pytest.raises(DataError, match=r"column 'a': '5o' is not a number.*--kind .a=category.*kinds = ."):
        read(tmp_path, "a,y\n" + good + "5o,1\n")
    data = read(tmp_path, "a,y\n" + good + "5o,1\n", kinds={"a": "category"})
    assert data.recipe.columns[0].kind == "category"


TABLE = "id,colour,age,when,y\n" + "".join(
    f"{i},{('red', 'blue', 'green')[i % 3]},{'' if i % 10 == 0 else i * 7 % 60},2022-{1 + i % 12:02d}-{1 + i % 28:02d},"
    f"{i * 31 % 17}.5\n"
    for i in range(120)
)  # fmt: skip


def test_a_table_as_it_comes(tmp_path):
    """Missing values are 0 once standardised, which is the mean of those of the training part that are there."""
    data = read(tmp_path, TABLE, standardise=True, test_fraction=0.25)
    assert data.features == (
        "colour=blue", "colour=green", "colour=red", "age", "age is missing", "when.year", "when.month_sin",
        "when.month_cos", "when.weekday_sin", "when.weekday_cos",
    )  # fmt: skip
    age, missing = data.x_train[0, :, 3], data.x_train[0, :, 4] > 0
    assert (age[missing] == 0).all()
    assert age[~missing].mean() == pytest.approx(0, abs=1e-12)
    assert age[~missing].std() == pytest.approx(1)
    assert (data.x_test[0, data.x_test[0, :, 4] > 0, 3] == 0).all()
    numbers = "a,b,y\n" + "".join(f"{i},{i % 7},{i * 31 % 17}.5\n" for i in range(40))
    assert read(tmp_path, numbers).recipe is None


def test_several_splits_share_one_recipe(tmp_path):
    data = read(tmp_path, TABLE, standardise=True, test_fraction=0.25, seeds=[1, 2, 3])
    assert data.x_train.shape == (3, 90, 10)
    assert np.isfinite(data.x_train).all()


def test_what_a_file_would_become(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(TABLE)
    found = Csv.inspect(path)
    assert found.rows == 120
    assert found.as_target == {
        "id": "regression", "colour": "3 classes", "age": "none: 12 missing", "when": "none: too many texts",
        "y": "regression",
    }  # fmt: skip
    assert inspected({"a": np.arange(5.0)}, "it").recipe.is_plain
