"""DataFrames and Parquet files: the same as a CSV file of the same columns."""

import numpy as np
import pytest
from data_cases import read

from gpu_thermo.data import Parquet
from gpu_thermo.data.frames import encode_frame, frame_recipe, raw_column
from gpu_thermo.data.given import build_given
from gpu_thermo.data.sources import Arrays
from gpu_thermo.data.tables import Asked
from gpu_thermo.errors import DataError

pandas = pytest.importorskip("pandas")

ROWS = 60
RNG = np.random.default_rng(2)


def frame():
    """Numbers, truth values, categories, dates, and missing ones among them."""
    age = RNG.normal(40, 9, ROWS).round(1)
    age[::7] = np.nan
    days = pandas.to_datetime("2020-01-01") + pandas.to_timedelta(RNG.integers(0, 700, ROWS), "D")
    return pandas.DataFrame({
        "age": age, "member": RNG.random(ROWS) < 0.5, "colour": pandas.Categorical(RNG.choice(["r", "g", "b"], ROWS)),
        "when": days, "price": RNG.normal(size=ROWS),
    })  # fmt: skip


def same(one, other) -> None:
    """Equal in all but their names."""
    assert one.features == other.features
    np.testing.assert_array_equal(one.x_train, other.x_train)
    np.testing.assert_array_equal(one.y_train, other.y_train)
    assert one.recipe == other.recipe


def test_a_frame_is_what_its_csv_file_is(tmp_path):
    table = frame()
    given = build_given(table, Arrays(target="price"))
    same(given, read(tmp_path, table.to_csv(index=False), target="price", standardise=True, test_fraction=0.2))
    assert given.features[:3] == ("age", "age is missing", "member")


def test_x_as_a_frame_and_a_test_part():
    """The test part is encoded as the training part was; a text that is new is none of the categories."""
    table = frame()
    x, y = table.drop(columns="price"), table["price"]
    test = x.iloc[:5].assign(colour=["r", "g", "b", "teal", "r"])
    data = build_given((x, y, test, y.iloc[:5]), Arrays(standardise="features"))
    colours = [data.features.index(f"colour={c}") for c in "bgr"]
    shown = data.x_test[0][:, colours] * data.standardisation.sd[0, colours] + data.standardisation.mean[0, colours]
    np.testing.assert_allclose(shown, [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]], atol=1e-12)
    with pytest.raises(DataError, match="x is a table and x_test is ndarray"):
        build_given((x, y, np.zeros((5, 4)), y.iloc[:5]), Arrays())
    with pytest.raises(DataError, match=r"data, x_test has no column 'when'"):
        build_given((x, y, test.drop(columns="when"), y.iloc[:5]), Arrays())


def test_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    table = frame()
    table.to_parquet(tmp_path / "t.parquet")
    data = Parquet(path="t.parquet", target="price").build(tmp_path)
    same(data, build_given(table, Arrays(target="price")))
    assert data.name == "parquet"
    weighted = Parquet(path="t.parquet", target="price", weight="age", features=["colour"])
    with pytest.raises(DataError, match="age"):
        weighted.build(tmp_path)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match=r"bad.parquet cannot be read as Parquet"):
        Parquet(path="bad.parquet", target="price").build(tmp_path)
    assert "price" in Parquet.inspect(tmp_path / "t.parquet").as_target


def test_parquet_without_its_reader(tmp_path, monkeypatch):
    def missing(path):
        raise ImportError("Unable to find a usable engine\nand more")

    monkeypatch.setattr(pytest.importorskip("pyarrow.parquet"), "read_table", missing)
    (tmp_path / "t.parquet").write_bytes(b"")
    with pytest.raises(DataError, match=r"one of them is not there \(Unable to find a usable engine\). pip install"):
        Parquet(path="t.parquet", target="y").build(tmp_path)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2, 3], "f"),
        ([True, False, None], "f"),
        (np.array([1, None, 2.5], object), "f"),
        (["a", "NA", None], "O"),
        (pandas.array([1, None, 3], dtype="Int64"), "f"),
        (pandas.array(["a", None], dtype="string"), "O"),
        (pandas.Series(["2020-01-01", None]), "O"),
        (pandas.to_datetime(pandas.Series(["2020-01-01", None])), "M"),
        (np.array([], object), "f"),
    ],
)
def test_kinds_of_columns(values, kind):
    assert raw_column(values, "it").dtype.kind == kind


@pytest.mark.parametrize(
    "values", [[1j, 2], [[1, 2], [3, 4]], [{"a": 1}, "b"], np.ma.masked_array([1, 2], [True, False])]
)
def test_what_is_no_column(values):
    with pytest.raises(DataError, match="it "):
        raw_column(values, "it")


def test_categories_of_numbers_are_numbers_where_all_are_to_be():
    """What pandas holds as a category is one, but for encode = "numbers"."""
    table = pandas.DataFrame({"c": pandas.Categorical([1, 2, 3] * 4), "a": np.arange(12) % 5, "y": np.arange(12.0)})
    assert frame_recipe(table, Asked(["y"]), "t").features == ("c=1", "c=2", "c=3", "a")
    recipe = frame_recipe(table, Asked(["y"], encode="numbers"), "t")
    np.testing.assert_array_equal(encode_frame(table, recipe, "t"), table[["c", "a"]].to_numpy(float))
