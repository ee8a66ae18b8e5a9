"""Rows without an answer and columns that are not used, of files and of tables: said all at once, or left out."""

import numpy as np
import pytest
from data_cases import read
from pydantic import ValidationError

from gpu_thermo.data.given import build_given
from gpu_thermo.data.sources import Arrays
from gpu_thermo.errors import DataError, SpecError

ROWS = 40
HOLES = (3, 7, 8, 20, 21, 33, 39)


def table(hole="NA"):
    """y is missing in HOLES, b is a wild column."""
    y = [hole if i in HOLES else f"{i * 31 % 17}.5" for i in range(ROWS)]
    return "a,b,y\n" + "".join(f"{i},{'x' * (i % 5)}{i},{y[i]}\n" for i in range(ROWS))


def test_all_at_once(tmp_path):
    """How many, the first of them by their lines, and what to do."""
    with pytest.raises(
        DataError, match=r"7 of 40 rows have no value of 'y' \(lines 5, 9, 10, 22, 23, \.\.\.\)"
    ) as said:
        read(tmp_path, table())
    assert "--drop-missing-target (in Python drop_missing_target=True)" in str(said.value)
    with pytest.raises(DataError, match="no row has a value of 'y'"):
        read(tmp_path, "a,y\n1,\n2,NA\n", drop_missing_target=True)


def test_left_out(tmp_path):
    """The data set is that of a file without these rows."""
    lines = table().splitlines(keepends=True)
    whole = "".join(line for i, line in enumerate(lines) if i - 1 not in HOLES)
    with pytest.warns(UserWarning, match=r"7 of 40 rows have no value of 'y' .* are left out"):
        data = read(tmp_path, table(""), drop_missing_target=True)
    other = read(tmp_path, whole)
    np.testing.assert_array_equal(data.x_train, other.x_train)
    np.testing.assert_array_equal(data.y_train, other.y_train)


def test_columns_that_are_not_used(tmp_path):
    with pytest.warns(UserWarning, match="left out"):
        data = read(tmp_path, table(), drop=["b"], drop_missing_target=True)
    assert data.features == ("a",)
    with pytest.raises(DataError, match="no column 'c'"):
        read(tmp_path, table(), drop=["c"])
    with pytest.raises(DataError, match="no column besides the target 'y' and those left out"):
        read(tmp_path, table(), drop=["a", "b"])
    for drop, features in ((["y"], None), (["a"], ["a", "b"])):
        with pytest.raises(ValidationError, match="leave it out of one of the two"):
            read(tmp_path, table(), drop=drop, features=features)


def test_the_same_of_a_table():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.arange(40.0), "b": list("xy") * 20, "y": np.arange(40) * 31 % 17 / 2})
    frame.loc[list(HOLES), "y"] = None
    with pytest.raises(DataError, match=r"7 of 40 rows have no value of 'y' \(rows 4, 8, 9, 21, 22, \.\.\.\)"):
        build_given(frame, Arrays(target="y"))
    with pytest.warns(UserWarning, match="are left out"):
        data = build_given(frame, Arrays(target="y", drop_missing_target=True, drop=["b"], test_fraction=0))
    assert data.points == 33
    assert data.features == ("a",)
    with pytest.raises(SpecError, match=r"kinds names 'bb', no feature of data\. Did you mean 'b'"):
        build_given(frame.dropna(), Arrays(target="y", kinds={"bb": "category"}))
    with pytest.raises(DataError, match=r"no column 'yy'\. Did you mean 'y'"):
        build_given(frame, Arrays(target="yy"))
    with pytest.raises(SpecError, match=r"data\.drop names columns of a DataFrame"):
        build_given((np.zeros((9, 2)), np.arange(9.0)), Arrays(drop=["a"]))
