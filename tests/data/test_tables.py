"""CSV files, good and bad."""

import os
from pathlib import Path

import numpy as np
import pytest
from clocks import at_once
from data_cases import column, csv_file, read
from hypothesis import given, settings
from hypothesis import strategies as st

from gpu_thermo.data import Csv, Dataset
from gpu_thermo.data.addresses import shuffled
from gpu_thermo.data.recipe import plain
from gpu_thermo.data.tables import read_points
from gpu_thermo.errors import DataError, SpecError


def rows_of(data: Dataset) -> np.ndarray:
    """Features of the first training set in sorted row order."""
    x = data.x_train[0]
    return x[np.lexsort(x.T[::-1])]


PLAIN = "a,b,y\n1,2,0\n3,4.5,1\n-5,6e2,0\n7,8,1\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        "\ufeff" + PLAIN,
        "\n  \n" + PLAIN.replace("\n", "\n\n"),
        PLAIN.rstrip("\n"),
        PLAIN.replace("a,b", '"a","b"').replace("4.5", '" 4.5 "'),
    ],
)
def test_csv_dialects(tmp_path, text):
    """Delimiters, line ends, byte order mark, quotes, empty lines: the same numbers."""
    data = read(tmp_path, text)
    assert (data.task, data.features, data.classes) == ("binary", ("a", "b"), ("0", "1"))
    np.testing.assert_array_equal(rows_of(data), [[-5, 600], [1, 2], [3, 4.5], [7, 8]])


def test_csv_round_trip(tmp_path):
    """Numbers written with repr come back exactly, in the seed's shuffled order."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 3)), rng.standard_normal(50)
    text = "a,b,c,y\n" + "\n".join(
        ",".join(map(repr, [*map(float, row), float(t)])) for row, t in zip(x, y, strict=True)
    )
    data = read(tmp_path, text, split_seed=8, test_fraction=0.3)
    order = shuffled(8, 50)
    np.testing.assert_array_equal(data.x_train[0], x[order[:35]])
    np.testing.assert_array_equal(data.x_test[0], x[order[35:]])
    np.testing.assert_array_equal(data.y_train[0, :, 0], y[order[:35]])
    assert (data.task, data.targets) == ("regression", ("y",))


def test_csv_path_is_relative_to_the_base(tmp_path):
    """A relative path starts at the spec's folder, an absolute one does not care."""
    path = csv_file(tmp_path, PLAIN)
    assert Csv(path="table.csv", target="y").build(tmp_path).inputs == 2
    assert Csv(path=str(path), target="y").build(Path("/nowhere")).inputs == 2


def test_csv_several_targets_and_chosen_features(tmp_path):
    """Columns in the asked order."""
    data = read(tmp_path, "a,b,c,d\n1,2,3,4\n5,6,7,8\n", target=["d", "a"], features=["c"])
    assert (data.task, data.targets, data.features, data.outputs) == ("regression", ("d", "a"), ("c",), 2)
    assert sorted(data.y_train[0].tolist()) == [[4, 1], [8, 5]]


def test_unused_columns_may_hold_text(tmp_path):
    """Only the columns asked for are read."""
    data = read(tmp_path, "id,a,y\nx1,1,0\n,2,1\n", features=["a"])
    assert data.features == ("a",)


def test_an_index_that_nobody_asked_for(tmp_path):
    """pandas writes its index as a first column without a name: named features are read as if it were not there."""
    rows = [(60, 0, 170.2), (24, 1, 183.9), (28, 0, 174.9), (31, 1, 165.5)]
    plain = "age,y,h\n" + "".join(f"{a},{y},{h}\n" for a, y, h in rows)
    indexed = ",age,y,h\n" + "".join(f"{i},{a},{y},{h}\n" for i, (a, y, h) in enumerate(rows))
    wanted, found = (read(tmp_path, text, features=["age", "h"]) for text in (plain, indexed))
    assert found.fingerprint() == wanted.fingerprint()
    with pytest.raises(DataError, match=r'column 1 has no name.*features = \["age", "h"\]'):
        read(tmp_path, indexed)


def test_twins_that_nobody_asked_for(tmp_path):
    assert read(tmp_path, "a,b,b,y\n1,2,3,0\n2,2,3,1\n", features=["a"]).features == ("a",)
    with pytest.raises(DataError, match="'b' occurs twice"):
        read(tmp_path, "a,b,b,y\n1,2,3,0\n2,2,3,1\n", features=["a", "b"])


@pytest.mark.parametrize(("true", "false"), [("True", "False"), ("TRUE", "FALSE"), ("true", " false ")])
def test_truth_values_are_one_and_zero(tmp_path, true, false):
    words, numbers = (
        read(tmp_path, f"a,smoker,y\n1,{yes},0\n2,{no},1\n3,{yes},1\n4,{no},0\n") for yes, no in ((true, false), (1, 0))
    )
    np.testing.assert_array_equal(words.x_train, numbers.x_train)


def test_truth_values_as_targets_are_classes(tmp_path):
    assert read(tmp_path, "a,y\n1,True\n2,False\n3,True\n4,False\n").classes == ("False", "True")


def test_constant_feature_keeps_sd_one(tmp_path):
    """No division by zero, and exactly 0 after standardisation, although 0.1 has no exact mean; taken as it is where
    only numbers are asked for.
    """
    text = "a,b,y\n" + "".join(f"0.1,{i},{i % 2}\n" for i in range(10))
    assert read(tmp_path, text).features == ("b",)
    data = read(tmp_path, text, standardise=True, test_fraction=0.3, encode="numbers")
    assert data.standardisation.sd[0, 0] == 1
    assert (data.x_train[..., 0] == 0).all()
    assert (data.x_test[..., 0] == 0).all()


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("", {}, "is empty"),
        ("\n \n", {}, "is empty"),
        ("\ufeff", {}, "is empty"),
        ("a,y\n", {}, "a header and no rows"),
        ("1,2\n3,4\n", {}, "line 1 is all numbers"),
        ("a,,y\n1,2,3\n", {}, "column 2 has no name"),
        ("a,y,a\n1,2,3\n", {}, "'a' occurs twice"),
        ("a,target\n1,2\n", {"target": "tarlet"}, "no column 'tarlet'. Did you mean 'target'"),
        ("a,b\n1,2\n", {}, "no column 'y'. Columns: a, b"),
        ("a,y\n1,2\n", {"features": ["c"]}, "no column 'c'"),
        ("y\n1\n2\n", {}, "no column besides the target 'y'"),
        ("a,y\n1,0\n2\n", {}, "line 3 has 1 fields, but the header has 2"),
        ("a,y\n1,0\n\n2,1,5\n", {}, "line 4 has 3 fields"),
        ("a,y\n1,0\n,1\n", {"encode": "numbers"}, "line 3, column 'a': the value is missing"),
        ("a,y\n1,0\nNA,1\n", {"encode": "numbers"}, "line 3, column 'a': the value is missing \\('NA'\\)"),
        ("a,y\n1,0\n2,1\n,1\n", {}, "missing values, which count as the mean.*leave standardise at true"),
        ("a,y\n1,0\n2,1\n", {"kinds": {"b": "category"}}, "no feature column 'b'"),
        ("a,y\nx,0\nz,1\n", {"kinds": {"a": "number"}}, "line 2, column 'a': 'x' is not a number"),
        ("a,y\nx,0\nz,1\n", {"kinds": {"a": "date"}}, "column 'a', row 1: 'x' is no date"),
        ("a,b,y\n1,,0\n1,,1\n", {}, "no column that could be an input: 'a': it holds one value, 1.0; 'b': it is empty"),
        (
            "a,y\n1,0\n1,\n",
            {},
            "1 of 2 rows has no value of 'y' \\(line 3\\). Fill in what is missing, or leave such rows",
        ),
        (
            'a,c,y\n1,"x\ny",0\n1,z,1\n',
            {"features": ["c"], "encode": "numbers"},
            "line 2, column 'c': 'x\ny' is not a number",
        ),
        ('a,c,y\n1,"x\ny",0\nz,1,1\n', {"features": ["a"]}, "line 4, column 'a': 'z' is not a number"),
        ("a;y\n1,5;0\n2;1\n", {}, "'1,5' is not a number. Write decimals with a point"),
        ("a,y\n1_000,0\n2,1\n", {}, "'1_000' is not a number"),
        ("a,y\ninf,0\n2,1\n", {}, "line 2, column 'a': 'inf' is not a finite number"),
        ("a,y\n1e400,0\n2,1\n", {}, "line 2, column 'a': '1e400' is not a finite number"),
        ("a,y\n1e31,0\n2,1\n", {}, "not a finite number up to 1e\\+30"),
        ("a,y\n1,0.5\n2,-inf\n", {}, "line 3, column 'y': '-inf' is not a finite number"),
        ("a,y\n1,0.5\n2,x\n", {"task": "regression"}, "line 3, column 'y': 'x' is not a number"),
        ("a,y\n1,1\n2,1\n", {}, "one class only: '1'"),
        ("a,y\n1,x\n2,x\n", {}, "one class only: 'x'"),
        (column("abc"), {"task": "binary"}, "3 classes"),
        (column(f"n{i}" for i in range(300)), {}, "300 different texts"),
        (column([1.5, 2.5, 3.5, "4.s5", 5.5, 6.5]), {}, "6 different texts in 6 rows"),
        ('a,y\n1,0\n"2,1\n', {}, "line 3: this row is not valid CSV"),
        ('a,y\n1,0\n"2"x,1\n', {}, "line 3: this row is not valid CSV"),
        (b"a,y\n\xff\xfe,1\n", {}, "not UTF-8"),
        (PLAIN.encode("utf-16"), {}, "not UTF-8"),
        ("a,y\n1,0\n", {"test_fraction": 0.9, "task": "regression"}, "leaves none for training"),
        (
            "a,y\n0,0\n1e-150,1\n1e30,1\n",
            {"standardise": True, "test_fraction": 0.34, "split_seed": 1},
            "x_test has the value",
        ),
    ],
)
def test_bad_csv_is_explained(tmp_path, text, options, said):
    """What was wrong, where, and the remedy."""
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, text, **options)
    assert str(caught.value).endswith((".", "'?"))


@pytest.mark.parametrize("path", ["missing.csv", ".", "bad\0name.csv", "~nobody_at_all/x.csv"])
def test_unreadable_csv(tmp_path, path):
    """No file, a folder, an impossible name."""
    with pytest.raises(DataError):
        Csv(path=path, target="y").build(tmp_path)


def never_another_exception(folder: Path, content: bytes, options: dict) -> bool:
    """Either a Dataset or an error of ours."""
    path = csv_file(folder, content)
    try:
        data = Csv(path=str(path), **options).build()
    except (DataError, SpecError):
        return True
    return bool(np.isfinite(data.x_train).all()) and data.points >= 1


CELL = st.one_of(
    st.sampled_from(
        [
            "",
            "0",
            "1",
            "1.5",
            "-2e3",
            "nan",
            "inf",
            "a",
            "y",
            '"',
            '""',
            "1e-320",
            "1e30",
            "-1e30",
            "0.1",
            "\u0661",
            "\0",
        ]
    ),
    st.floats(allow_nan=True).map(repr),
    st.text(max_size=4),
)
OPTIONS = st.fixed_dictionaries(
    {
        "target": st.sampled_from(["y", ["y"], ["y", "a"]]),
        "task": st.sampled_from(["auto", "regression"]),
        "test_fraction": st.sampled_from([0, 0.3, 0.9]),
        "standardise": st.booleans(),
        "split_seed": st.integers(0, 2),
    }
)


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.lists(CELL, min_size=3, max_size=3), max_size=12),
    delimiter=st.sampled_from(",;\t"),
    options=OPTIONS,
)
def test_fuzz_csv_cells(tmp_path_factory, rows, delimiter, options):
    """Tables of odd cells."""
    text = "\n".join(delimiter.join(row) for row in [["a", "b", "y"], *rows])
    assert never_another_exception(tmp_path_factory.mktemp("fuzz"), text.encode(errors="surrogatepass"), options)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.floats(-1e30, 1e30), st.sampled_from([0.0, 5e-324, 1e-160, 1.0, 1e30]), st.integers(0, 2)),
        min_size=1,
        max_size=12,
    ),
    options=OPTIONS,
)
def test_fuzz_csv_numbers(tmp_path_factory, rows, options):
    """Tables of extreme but allowed numbers: standardisation neither divides by zero nor overflows with a warning."""
    text = "a,b,y\n" + "\n".join(",".join(map(repr, row)) for row in rows)
    assert never_another_exception(tmp_path_factory.mktemp("fuzz"), text.encode(), options)


@settings(max_examples=150, deadline=None)
@given(
    content=st.one_of(st.binary(max_size=60), st.text(alphabet='ay01,;"\n\r\t. \0', max_size=60).map(str.encode)),
    options=OPTIONS,
)
def test_fuzz_csv_bytes(tmp_path_factory, content, options):
    """Anything at all."""
    assert never_another_exception(tmp_path_factory.mktemp("fuzz"), content, options)


# -- what is not opened, or not read to its end --------


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("/dev/zero", "pipe", "."):
        with pytest.raises(DataError, match=r"cannot be read: it is a (pipe or a device|folder)"):
            Csv(path=name, target="y").build(tmp_path)


def test_a_million_columns_are_refused_at_once(tmp_path):
    text = ",".join(f"c{i}" for i in range(10**6)) + ",y\n"
    with at_once(5), pytest.raises(DataError, match="1,000,001 columns"):
        read(tmp_path, text)


# -- points without a target --------


@pytest.mark.parametrize("features", [("a", "b"), ("b", "a"), ("b",)])
def test_points_have_the_features_asked_for_in_their_order(tmp_path, features):
    """Whatever else the file holds is left out, by name, and may be text."""
    found = read_points(csv_file(tmp_path, "note,b,a\nx,2,True\n,4.5,False\n"), plain(features))
    columns = {"a": [1, 0], "b": [2, 4.5]}
    np.testing.assert_equal(found.raw, {name: columns[name] for name in features})
    assert found.left_out == tuple(name for name in ("note", "b", "a") if name not in features)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a,b\n", "no rows"),
        ("1,2\n3,4\n", "all numbers"),
        ("a,c\n1,2\n", "no column 'b'"),
        ("a,b,b\n1,2,3\n", "'b' occurs twice"),
        ("a,b\n1,2\n3\n", "line 3 has 1 fields"),
        ("a,b\n1,2\n,3\n", r"line 3, column 'a': the value is missing \(''\). Fill it in, or leave out the row\."),
        ("a,b\n1,red\n", "line 2, column 'b': 'red' is not a number. Correct it"),
        ("a,b\n1,1e40\n", "line 2, column 'b': '1e40' is not a finite number"),
    ],
)
def test_bad_points_are_explained(tmp_path, text, said):
    with pytest.raises(DataError, match=said):
        read_points(csv_file(tmp_path, text), plain("ab"))


def test_points_that_are_no_file(tmp_path):
    with pytest.raises(DataError, match="is a folder"):
        read_points(tmp_path, plain("a"))
    with pytest.raises(DataError, match=r"cannot be read: .*No such file"):
        read_points(tmp_path / "none.csv", plain("a"))
