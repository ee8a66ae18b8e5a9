"""What the estimators cannot take: refused in one sentence that says what, and what to do; without a fit."""

import numpy as np
import pytest

from gpu_thermo import BayesianMLPClassifier, BayesianMLPRegressor
from gpu_thermo.estimators.base import FewRows

pandas = pytest.importorskip("pandas")

RNG = np.random.default_rng(0)
ROWS = 40
FRAME = pandas.DataFrame({"a": RNG.normal(size=ROWS), "c": RNG.choice(list("rgb"), ROWS)})
Y = 2 * FRAME["a"].to_numpy() + RNG.normal(size=ROWS)
LABELS = ["a", "b"] * 20
MISSING = [None, *LABELS[1:]]
WIDE = pandas.DataFrame(np.ones((ROWS, 10_000)) * RNG.normal(size=(ROWS, 1))).add_prefix("x")
REGRESSIONS = {
    "no target": (FRAME, None, r"requires y to be passed, but the target y is None: give the answers"),
    "no target of an array": (FRAME[["a"]].to_numpy(), None, "requires y to be passed, but the target y is None"),
    "a missing answer": (FRAME, [np.nan, *Y[1:]], r"1 of 40 rows has no value of 'y' \(row 1\)\. Fill in"),
    "no answers": (FRAME, [np.nan] * ROWS, "no row has a value of 'y'"),
    "texts as answers": (FRAME, LABELS, r"y holds text \('a'\), .* or take BayesianMLPClassifier"),
    "an empty column": (FRAME[["a"]] * np.nan, Y, r"no column that could be an input: 'a': it is empty"),
    "a constant column": (FRAME[["a"]] * 0, Y, r"no column that could be an input: 'a': it holds one value, "),
    "an empty array": (np.full((ROWS, 1), np.nan), Y, "contains NaN"),
    "too many columns": (WIDE, Y, "have 10,000 inputs, and at most 2,000 are taken: choose columns"),
    "too many columns of an array": (WIDE.to_numpy(), Y, "have 10,000 inputs, and at most 2,000 are taken"),
    "mixed": (FRAME.assign(a=[*range(39), "oops"]), Y, r"'a', row 40: 'oops' is not a number, and 39 of 40 values"),
    "mixed with decimals": (FRAME.assign(a=[*Y[1:].tolist(), "oops"]), Y, "column 'a', row 40: 'oops' is not a number"),
    "mixed array": (np.array([[1, "x"]] * ROWS, object), Y, r"X is an array and holds text \('x'\): give a DataFrame"),
    "nested": (FRAME.assign(a=[[1]] * ROWS), Y, "column 'a' holds a list: each value is one number, text or date"),
    "a constant among answers": (FRAME, np.c_[Y, np.ones(ROWS)], "Column 1 of y holds one value in all rows, 1:"),
    "one row": (np.zeros((1, 1)), [1.0], "minimum of 2 is required"),
}  # fmt: skip
CLASSIFICATIONS = {
    "one class": (FRAME, ["a"] * ROWS, r"y has one class only, 'a': a classifier needs two at least"),
    "a missing label": (FRAME, MISSING, r"1 of 40 rows has no value of 'y' \(row 1\)"),
    "numbers as labels": (FRAME, Y, "Unknown label type: continuous"),
}


@pytest.mark.parametrize("kind", REGRESSIONS)
def test_regressions_that_cannot_be(kind):
    x, y, said = REGRESSIONS[kind]
    with pytest.raises(ValueError, match=said):
        BayesianMLPRegressor().fit(x, y)


@pytest.mark.parametrize("kind", CLASSIFICATIONS)
def test_classifications_that_cannot_be(kind):
    x, y, said = CLASSIFICATIONS[kind]
    with pytest.raises(ValueError, match=said):
        BayesianMLPClassifier().fit(x, np.array(y, object) if y is MISSING else y)


def test_columns_that_are_mostly_numbers():
    """Those written as texts are numbers among others; a category may hold anything, and mostly texts are texts."""
    from gpu_thermo.data.frames import raw_column

    assert raw_column([1, 2, "x", "y", "z"], "it").tolist() == ["1", "2", "x", "y", "z"]
    assert raw_column([1, 2, 3, "x"], "it", "category").tolist() == ["1", "2", "3", "x"]
    assert raw_column([1.5, None, "x", "y"], "it").tolist() == ["1.5", None, "x", "y"]


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.filterwarnings("ignore:The averages are not to be trusted")
@pytest.mark.filterwarnings("ignore:.* replicas are lost, far outside")  # noise may run away where there is none
def test_few_rows_and_one_answer():
    """Three rows are learned from, and a target of one value is told."""
    quick = {"max_gradients": 1_000, "hidden": (2,), "replicas": 32, "random_state": 0, "tolerance": 1.0}
    with pytest.warns(FewRows, match="There are 3 rows to learn from"):
        few = BayesianMLPRegressor(**quick).fit(FRAME[:3], Y[:3])
    assert np.isfinite(few.predict(FRAME[:3])).all()
    with pytest.warns(UserWarning, match="y holds one value in all rows, 7: there is nothing to learn"):
        model = BayesianMLPRegressor(**quick).fit(FRAME, np.full(ROWS, 7.0))
    assert np.isfinite(model.predict(FRAME)).all()


@pytest.mark.filterwarnings("ignore::gpu_thermo.averages.outside.Outside")
@pytest.mark.filterwarnings("ignore:The averages are not to be trusted")
def test_tables_that_are_others_at_predict():
    quick = {"max_gradients": 1_000, "hidden": (2,), "replicas": 32, "random_state": 0, "tolerance": 1.0}
    model = BayesianMLPRegressor(**quick).fit(FRAME, Y)
    for x, said in (
        (FRAME.rename(columns={"a": "A"}), r"X has no column 'a'\. .*feature names should match those"),
        (FRAME.to_numpy(), "X is no DataFrame, and the estimator was fitted on one"),
        (FRAME.assign(a=np.nan), "Column 'a', row 1: the value is missing .40 such rows"),
        (FRAME.assign(a="x"), "Column 'a' holds 'x', and in the data of the run numbers"),
    ):
        with pytest.raises(ValueError, match=said):
            model.predict(x)
    with pytest.warns(UserWarning, match=r"Column 'c': 40 of 40 rows hold texts .* had not \('teal' in 40"):
        model.predict(FRAME.assign(c="teal"))
