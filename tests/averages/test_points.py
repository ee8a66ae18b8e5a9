"""Points as arrays by position and as tables by name."""

import warnings

import numpy as np
import pandas as pd
import pytest

from gpu_thermo.averages.points import points_of
from gpu_thermo.errors import DataError

NAMES = ("a", "b", "c")
X = np.arange(12.0).reshape(4, 3)
FRAME = pd.DataFrame(X, columns=list(NAMES))


@pytest.mark.parametrize("order", ["abc", "cba", "bca"])
def test_tables_are_matched_by_name(order):
    """In any order, a DataFrame, a mapping, a structured array, booleans too."""
    frame = FRAME[list(order)]
    structured = np.array([tuple(row) for row in frame.to_numpy()], [(name, float) for name in order])
    for table in (frame, {name: frame[name] for name in order}, structured):
        np.testing.assert_array_equal(points_of(table, NAMES), X)
    assert points_of(frame.assign(b=[True, False, True, True]), NAMES)[:, 1].tolist() == [1, 0, 1, 1]


def test_arrays_go_by_position():
    """So does a table that only counts its columns."""
    for x in (X, X.tolist(), pd.DataFrame(X), FRAME.to_numpy()):
        np.testing.assert_array_equal(points_of(x, NAMES), X)


def test_columns_beside_the_features():
    """The target is passed over, anything else with a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(points_of(FRAME.assign(y=1), NAMES, ("y",)), X)
    with pytest.warns(UserWarning, match="left out: 'y', ''"):
        np.testing.assert_array_equal(points_of(FRAME.assign(y=1, **{"": 2}), NAMES), X)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (FRAME.drop(columns="b"), "no column 'b'"),
        (FRAME.rename(columns={"b": "b_"}), r"no column 'b'\. Did you mean 'b_'\?"),
        (pd.concat([FRAME, FRAME["c"]], axis=1), "2 columns 'c'"),
        (FRAME.assign(a="text"), "Column 'a' of x does not hold numbers"),
        (FRAME.assign(a=np.nan), "x\\[0, 0\\] is nan"),
        (FRAME.iloc[:0], "no points"),
        (pd.DataFrame(X[:, :2]), "3 features"),
        ({"a": [1.0]}, "no column 'b', 'c'"),
        (np.ma.masked_array(X, X > 9), "x has 2 masked values"),
        (dict(zip(NAMES, np.ma.masked_array(X, X > 9).T, strict=True)), "Column 'b' of x has 1 masked values"),
        (X + 1j, "x holds complex numbers"),
        (FRAME.assign(c=1j), "Column 'c' of x holds complex"),
    ],
)
@pytest.mark.filterwarnings("ignore:Columns of x")
def test_tables_that_do_not_fit(table, words):
    with pytest.raises(DataError, match=words):
        points_of(table, NAMES)
