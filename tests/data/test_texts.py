"""Digits that are names, and truth values: one treatment in CSV files, Parquet files and DataFrames."""

import csv

import numpy as np
import pytest
from data_cases import read

from gpu_thermo.data import Parquet
from gpu_thermo.data.given import build_given
from gpu_thermo.data.sources import Arrays
from gpu_thermo.data.sources.own import Csv
from gpu_thermo.data.texts import EXACT, are_names, feature_in, is_name, number_in, text_in
from gpu_thermo.errors import DataError

pandas = pytest.importorskip("pandas")
pytest.importorskip("pyarrow")

ROWS = 40
A = np.random.default_rng(0).normal(size=ROWS).round(3)
IDS = EXACT + np.arange(ROWS) % 3
"""Three numbers of which float64 knows two."""
NAMES = tuple(str(EXACT + i) for i in range(3))
TRUE = A > 0


def holed(values, kind):
    """The same with the fourth missing."""
    out = pandas.array(values, dtype=kind)
    out[3] = None
    return out


def each(folder, frame, **options):
    """The data set of a table in each of the three forms."""
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet")
    wanted = {"target": "y", "test_fraction": 0, "standardise": "features"} | options
    yield Csv(path="t.csv", **wanted).build(folder)
    yield Parquet(path="t.parquet", **wanted).build(folder)
    yield build_given(frame, Arrays(**wanted))


def same(found):
    """The first of equal data sets."""
    first, *others = found
    for other in others:
        assert (other.task, other.classes, other.features) == (first.task, first.classes, first.features)
        assert other.recipe == first.recipe
        np.testing.assert_array_equal(other.x_train, first.x_train)
        np.testing.assert_array_equal(other.y_train, first.y_train)
    return first


YES = ("007", "00", "-07", " 007 ", str(EXACT), str(-EXACT), "9" * 400)
NO = ("7", "0", "+7", "0.7", "07.5", "1e20", str(EXACT - 1), "", "-", "a")


@pytest.mark.parametrize("text", [*YES, *NO])
def test_digits_that_are_names(text):
    assert is_name(text) == (text in YES)


def test_texts_of_a_field():
    given = {"TRUE": "True", " false": "False", "NA": None, " x ": "x", "Trueish": "Trueish"}
    assert {text: text_in(text) for text in given} == given
    assert [feature_in(text) for text in ("true", "FALSE", "1e3", "x")] == [1.0, 0.0, 1000.0, None]
    assert number_in("1_000") is None
    assert are_names(["007", "7"])
    assert not are_names(["007", "7.5"])


@pytest.mark.parametrize("values", [IDS, IDS.astype(np.uint64), -IDS, IDS.astype(object)])
def test_large_labels_are_not_merged(tmp_path, values):
    data = same(each(tmp_path, pandas.DataFrame({"a": A, "y": values})))
    sign = "-" if int(values[0]) < 0 else ""
    assert data.classes == tuple(sorted(sign + name for name in NAMES))
    assert np.bincount(data.y_train[0]).tolist() == [14, 13, 13][:: -1 if sign and NAMES[0] > NAMES[2] else 1]


def test_large_labels_of_arrays(tmp_path):
    """Of .npz files and of arrays, too; unsigned ones that no int64 holds."""
    for values in (IDS, IDS.astype(np.uint64) + np.uint64(2**63)):
        data = build_given((A[:, None], values), Arrays())
        assert len(data.classes) == 3
        assert set(data.classes) == {str(v) for v in values.tolist()}
    assert build_given((A[:, None], TRUE), Arrays()).classes == ("False", "True")
    assert build_given((A[:, None], IDS), Arrays(task="regression")).task == "regression"


def test_large_ids_are_categories(tmp_path):
    """Each by its own digits; as a number where that is asked for, and with a missing one beside them."""
    frame = pandas.DataFrame({"a": A, "k": IDS, "y": A})
    data = same(each(tmp_path, frame))
    assert data.features == ("a", *(f"k={name}" for name in NAMES))
    assert "digits such as 9007199254740992 are names, unless you say --kind" in data.recipe.lines[0]
    assert same(each(tmp_path, frame, kinds={"k": "number"})).features == ("a", "k")
    missing = same(each(tmp_path, frame.assign(k=holed(IDS, "Int64"))))
    assert missing.features == ("a", "k=(missing)", *(f"k={name}" for name in NAMES))


def test_nulls_of_a_parquet_file_that_others_wrote(tmp_path):
    """Plain int64 with a null, without pandas' word that it is one of its own: not float64 on the way."""
    import pyarrow
    from pyarrow import parquet

    ids = [None, *map(int, IDS[1:])]
    parquet.write_table(pyarrow.table({"k": pyarrow.array(ids, pyarrow.int64()), "y": A}), tmp_path / "t.parquet")
    found = Parquet(path="t.parquet", target="y", test_fraction=0).build(tmp_path)
    assert found.features == ("k=(missing)", *(f"k={name}" for name in NAMES))


def test_numbers_of_rows_are_left_out_however_large(tmp_path):
    frame = pandas.DataFrame({"id": EXACT + np.arange(ROWS), "a": A, "y": A})
    assert same(each(tmp_path, frame)).features == ("a",)


def test_truth_values(tmp_path):
    """1 and 0 as features, False and True as classes and categories, missing ones among them or not."""
    target = pandas.DataFrame({"a": A, "y": TRUE})
    assert same(each(tmp_path, target)).classes == ("False", "True")
    assert set(same(each(tmp_path, target, task="regression")).y_train.ravel()) == {0.0, 1.0}
    for values in (A > 0.5, holed(A > 0.5, "boolean")):
        frame = pandas.DataFrame({"a": A, "k": values, "y": A})
        assert same(each(tmp_path, frame)).features[:2] == ("a", "k")
        assert "k=True" in same(each(tmp_path, frame, kinds={"k": "category"})).features
    shouted = read(tmp_path, target.to_csv(index=False).replace("True", "TRUE").replace("False", "false"))
    assert shouted.classes == ("False", "True")


def test_zeros_in_front(tmp_path):
    """007 is not 7, as a class or a category; it is where numbers are asked for, or decimals stand beside it."""
    texts = ["007", "7"] * 20
    data = same(each(tmp_path, pandas.DataFrame({"a": A, "k": texts, "y": texts})))
    assert data.classes == ("007", "7")
    assert data.features == ("a", "k=7")
    asked = same(each(tmp_path, pandas.DataFrame({"a": A, "k": [*texts[1:], "9"], "y": A}), kinds={"k": "number"}))
    assert asked.features == ("a", "k")
    assert read(tmp_path, "k,y\n007,1.5\n7,2.5\n7.5,3.5\n").features == ("k",)
    assert read(tmp_path, "k,y\n007,1.5\nA7,2.5\n7,3.5\n").features == ("k=007", "k=7", "k=A7")


def test_numbers_that_are_too_large(tmp_path):
    """Digits without end are names; with a decimal beside them they are numbers, and too large."""
    long = "1" * 35
    assert read(tmp_path, f"k,y\n{long},1.5\n7,2.5\n").features == ("k=7",)
    with pytest.raises(DataError, match=r"line 2, column 'k': '1+' is not a finite number"):
        read(tmp_path, f"k,y\n{long},1.5\n7.5,2.5\n")
    with pytest.raises(DataError, match=r"line 3, column 'k': '1+' is not a finite number"):
        read(tmp_path, f"k,y\n7,1.5\n{long},2.5\n", kinds={"k": "number"})


def test_parquet_answers_keep_what_a_file_says(tmp_path):
    """Ids with zeros in front, and with more digits than int64 holds; numbers stay numbers."""
    from gpu_thermo.data.beside import parquet_rows

    (tmp_path / "t.csv").write_text(f"id,n,big,x\n007,7,{2**63},1.10\n7,,{2**63 + 1},2\n")
    table = parquet_rows(tmp_path / "t.csv").to_pydict()
    assert table == {"id": ["007", "7"], "n": [7, None], "big": [str(2**63), str(2**63 + 1)], "x": [1.1, 2.0]}
    with open(tmp_path / "t.csv", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == table["id"]
