"""A table made ready to fit: what is chosen, and every table that cannot work in a clear sentence."""

import subprocess
import sys

import numpy as np
import pytest

from gpu_thermo.errors import DataError
from gpu_thermo.estimators.table import Wanted, log_would_help, plan_table
from gpu_thermo.estimators.table import _skewness as skewness

RNG = np.random.default_rng(0)


def write(path, **columns):
    rows = zip(*columns.values(), strict=True)
    path.write_text(",".join(columns) + "\n" + "\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return path


@pytest.fixture
def table(tmp_path):
    """Makes a file of columns."""
    return lambda **columns: write(tmp_path / "t.csv", **columns)


def test_what_is_chosen(table):
    path = table(a=RNG.normal(size=50), b=["x", "y"] * 25, one=[1] * 50, y=RNG.normal(size=50))
    spec, data, advice, assumed = plan_table(path, "y", seed=5)
    assert set(spec["model"]["prior_scales"]) == {"hidden", "output"}
    assert assumed[-1].endswith("(chosen by the data)")
    assert spec["data"]["target"] == "y"
    assert (data.points, data.test_points) == (40, 10)
    assert advice == (
        "column b: 2 categories (x, y)", "column a: number", "column one: left out, it holds one value, 1.0",
    )  # fmt: skip
    assert spec["run"]["seed"] == spec["data"]["split_seed"] == 5


def test_a_skewed_target_is_told(table):
    y = np.exp(1.5 * RNG.normal(size=200))
    path = table(a=RNG.normal(size=200), y=y)
    assert "--log" in plan_table(path, "y").advice[-1]
    spec, data, advice, _ = plan_table(path, "y", wanted=Wanted(log=True))
    assert advice == ("column a: number",)
    plan = plan_table(path, "y")
    assert plan.network == "network: 1 hidden layer of 16 units"
    deep = plan._replace(spec=plan.spec | {"model": {"hidden": [16, 16, 16, 16]}})
    assert deep.network == "network: 4 hidden layers of 16 units"
    assert data.target_transform == spec["data"]["target_transform"] == "log"
    assert data.targets == ("log(y)",)
    assert not log_would_help(plan_table(table(a=y, y=RNG.normal(size=200)), "y").data)


BAD = {
    "no such target": ({"a": [1.0, 2.0] * 10, "price": range(20)}, "has no column 'prise'. Did you mean 'price'"),
    "constant": ({"a": range(20), "prise": [3.5] * 20}, "column 'prise' holds one value in all rows, 3.5"),
    "one class": ({"a": range(20), "prise": ["cat"] * 20}, "column 'prise' holds one value in all rows, cat"),
    "three rows": ({"a": [1, 2, 3], "prise": [1.0, 2.5, 3.5]}, "has 3 rows, and at least 10 are needed"),
    "target missing in a row": ({"a": range(20), "prise": [*np.arange(19) / 7, ""]}, "prise"),
    "only names": ({"a": [f"n{i}" for i in range(40)], "prise": np.arange(40) / 7}, "no column that could be an input"),
    "mixed": ({"a": [*range(39), "oops"], "prise": np.arange(40) / 7}, "'a'"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_tables(table, kind):
    columns, said = BAD[kind]
    with pytest.raises(DataError, match=r"(?s)" + said.replace("(", r"\(").replace("?", r"\?")):
        plan_table(table(**columns), "prise")


def test_skewness_of_what_has_none():
    """One value, and numbers whose cubes overflow, without a warning."""
    assert skewness(np.ones(5)) == 0
    assert skewness(np.array([1e200, 2e200, 4e200])) == pytest.approx(skewness(np.array([1.0, 2.0, 4.0])))


def test_an_empty_column_is_left_out(table):
    plan = plan_table(table(a=range(20), b=[""] * 20, y=np.arange(20) / 7), "y")
    assert plan.advice == ("column a: number", "column b: left out, it is empty")


def test_too_many_columns(tmp_path):
    x = RNG.normal(size=(12, 10_000)).round(3)
    names = ",".join(f"c{i}" for i in range(10_000))
    body = "\n".join(",".join(map(str, row)) + f",{i / 7:.3f}" for i, row in enumerate(x))
    (tmp_path / "wide.csv").write_text(f"{names},y\n{body}\n")
    with pytest.raises(DataError, match="10,000 inputs, and at most 2,000 are taken"):
        plan_table(tmp_path / "wide.csv", "y")


def test_a_class_only_among_the_rows_held_out(table):
    """Whichever rows are held out, there is one class left, or two."""
    labels = ["b", *["a"] * 19]
    said = [refusal(table, labels, seed) for seed in range(12)]
    assert any(not text for text in said)
    assert any("one class in the rows to learn from" in text for text in said)


def refusal(table, labels, seed):
    """Why labels are refused, or nothing."""
    try:
        plan_table(table(a=range(20), y=labels), "y", seed=seed)
    except DataError as error:
        return str(error)
    return ""


def test_a_table_is_read_without_scikit_learn():
    """The first lines of `gpu-thermo fit` do not wait for it."""
    code = "import sys, gpu_thermo.estimators.table; sys.exit('sklearn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_large_targets_of_parquet_files_differ(tmp_path):
    """10,000,000.3 and 10,000,000.7 are two answers, not one of 1e+07."""
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame({"x": rng.normal(size=40), "y": 1e7 + rng.normal(size=40)})
    frame.to_parquet(tmp_path / "t.parquet")
    assert not plan_table(tmp_path / "t.parquet", "y").data.classes
