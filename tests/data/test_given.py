"""Arrays, tables and data sets given from Python: what becomes of them, and what is refused."""

import numpy as np
import pytest

from gpu_thermo.data import Dataset, Spirals
from gpu_thermo.data.given import build_given
from gpu_thermo.data.sources import Arrays, Npz
from gpu_thermo.errors import DataError, SpecError

RNG = np.random.default_rng(0)
X = RNG.normal(3.0, 2.0, (40, 3))
LABELS = (X[:, 0] > 3).astype(int)
VALUES = X @ [1.0, -2.0, 0.5]


class Table:
    """What is asked of a DataFrame."""

    def __init__(self, **columns):
        self.columns, self._held = list(columns), columns

    def __getitem__(self, name):
        return self._held[name]


def test_arrays_are_split_and_standardised_as_a_file_is(tmp_path):
    """To the bit what [data] name = "npz" makes of the same arrays, but for the name."""
    np.savez(tmp_path / "a.npz", x=X, y=LABELS)
    file = Npz(path="a.npz", split_seed=3, test_fraction=0.25).build(tmp_path)
    data = build_given((X, LABELS), Arrays(split_seed=3, test_fraction=0.25))
    for name in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(data, name), getattr(file, name))
    assert (data.name, data.task, data.classes, data.features) == ("arrays", "binary", ("0", "1"), file.features)
    named = build_given({"y": LABELS, "x": X}, Arrays())
    np.testing.assert_array_equal(named.x_train, build_given((X, LABELS), Arrays()).x_train)


def test_given_test_parts_are_kept():
    data = build_given((X[:30], VALUES[:30], X[30:], VALUES[30:]), Arrays(standardise=False))
    np.testing.assert_array_equal(data.x_train[0], X[:30])
    np.testing.assert_array_equal(data.y_test[0, :, 0], VALUES[30:])
    assert (data.task, data.targets) == ("regression", ("y",))
    for option in ({"test_fraction": 0.5}, {"split_seed": 1}):
        with pytest.raises(SpecError, match="the test part is given"):
            build_given((X, VALUES, X, VALUES), Arrays(**option))


def test_several_sets_stand_side_by_side():
    """As tuples or by a first axis; classes are found over all of them."""
    other = np.where(LABELS, "b", "a"), np.where(LABELS, "b", "c")
    data = build_given([(X, other[0]), (2 * X, other[1])], Arrays(test_fraction=0, standardise=False))
    assert (data.count, data.classes) == (2, ("a", "b", "c"))
    np.testing.assert_array_equal(np.sort(data.x_train[1], axis=0), 2 * np.sort(X, axis=0))
    stacked = build_given((np.stack([X, 2 * X]), np.stack([LABELS, LABELS])), Arrays())
    assert stacked.x_train.shape == (2, 32, 3)
    np.testing.assert_allclose(stacked.x_train.mean(axis=1), 0, atol=1e-12)
    several = build_given((X, LABELS), Arrays(seeds=[0, 1, 2]))
    assert several.count == 3
    with pytest.raises(SpecError, match=r"leave out data.seeds"):
        build_given([(X, LABELS), (X, LABELS)], Arrays(seeds=[0, 1]))


def test_sets_of_unequal_size_are_refused_with_the_reason():
    with pytest.raises(DataError, match=r"x of set 0 has 40 points, that of set 1 38.*same N for all. Cut them to 38"):
        build_given([(X, LABELS), (X[2:], LABELS[2:])], Arrays())
    with pytest.raises(DataError, match=r"x of set 0 has shape \(40, 3\), that of set 1 \(40, 2\)"):
        build_given([(X, LABELS), (X[:, :2], LABELS)], Arrays())


def test_columns_of_a_table():
    table = Table(a=X[:, 0], price=VALUES, b=X[:, 1], city=np.array(["x", "y"] * 20, object))
    data = build_given(table, Arrays(target="price", features=["b", "a"], test_fraction=0, standardise=False))
    assert (data.features, data.targets) == (("b", "a"), ("price",))
    np.testing.assert_array_equal(np.sort(data.x_train[0, :, 1]), np.sort(X[:, 0]))
    assert build_given(table, Arrays(target=["price", "b"], features=["a"])).targets == ("price", "b")
    assert build_given(table, Arrays(target="city", features=["a"])).classes == ("x", "y")
    for options, said in (
        ({}, "needs .data. target.*Columns: a, price, b, city"),
        ({"target": "cost"}, "no column 'cost'"),
        ({"target": ["price", "city"]}, r"column 'city' holds text \('x'\), and several targets are regression"),
        ({"target": "price", "kinds": {"c": "category"}}, "kinds names 'c', no feature of data. Features: a, b, city"),
    ):
        with pytest.raises((SpecError, DataError), match=said):
            build_given(table, Arrays(**options))


def test_pandas():
    """Names of columns and of a target, categories, missing values."""
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b", "c"])
    assert build_given((table, pandas.Series(VALUES, name="cost")), Arrays()).targets == ("cost",)
    whole = table.assign(kind=pandas.Categorical(np.where(LABELS, "yes", "no")))
    data = build_given(whole, Arrays(target="kind"))
    assert (data.features, data.classes) == (("a", "b", "c"), ("no", "yes"))
    whole.loc[4, "kind"] = None
    with pytest.raises(DataError, match=r"1 of 40 rows has no value of 'kind' \(row 5\)"):
        build_given(whole, Arrays(target="kind"))
    with pytest.raises(DataError, match="column 'span' holds timedelta64"):
        build_given(table.assign(span=pandas.Timedelta("1 day"), y=VALUES), Arrays(target="y"))
    with pytest.raises(SpecError, match="names columns of a DataFrame"):
        build_given((table, VALUES), Arrays(target="kind"))


def test_a_dataset_is_taken_as_it_is():
    data = Spirals(train=20, test=4).build()
    assert build_given(data, Arrays()) is data
    with pytest.raises(SpecError, match=r"a Dataset is complete.*data.split_seed = 2"):
        build_given(data, Arrays(split_seed=2))
    assert isinstance(data, Dataset)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ((X, LABELS[:-1]), r"x has shape \(40, 3\) and y \(39,\)"),
        ((X[0], LABELS), "equally many points"),
        ((X,), "has 1 parts"),
        ([(X, LABELS), (X, LABELS, X, LABELS)], "Set 1 of data has 4 parts"),
        (X, "data is ndarray of shape"),
        ("table.csv", "data is str"),
        ([], "data is list"),
        ({"X": X}, "has the keys X. Known: x, y, x_test, y_test"),
        ((np.where(X > 5, np.nan, X), LABELS), r"x\[\d+, \d\] is nan"),
        ((X, np.where(LABELS, np.inf, 0.0)), r"y\[\d+\] is inf"),
        ((X.astype(complex), LABELS), "x holds complex128"),
        ((np.ma.masked_array(X, X == X[2, 1]), LABELS), "x has 1 masked values"),
        ((X, np.ma.masked_array(LABELS, LABELS == LABELS[0])), r"y has \d+ masked values"),
        ((X.astype(str), LABELS), "x holds text"),
        ((X, ["a"] * 40), "one class only"),
        ((X, [object()] * 40), "y is no array of numbers"),
        (([[1, 2], [3]], [0, 1]), "x is no array of numbers"),
        ((np.empty((0, 3)), np.empty(0)), "at least one training point"),
        ((np.stack([X, X]), LABELS), "first axis of as many data sets"),
        ((X, np.eye(2)[LABELS]), "One-hot"),
    ],
)
def test_what_cannot_be_used_is_named(given, said):
    with pytest.raises(DataError, match=said):
        build_given(given, Arrays(task="multiclass") if "One-hot" in said else Arrays())
