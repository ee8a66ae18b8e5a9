"""Scores beside baselines, against scikit-learn's own on the same rows."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from fitted import fitted
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import BayesianRidge, LogisticRegression

from gpu_thermo.averages.predictive import restored_data, scores_on_test
from gpu_thermo.errors import SpecError
from gpu_thermo.store import open_run
from gpu_thermo_analysis.baselines import WIDEST, Score, _classes, behind, columns, compared, rows, with_error


@pytest.fixture(scope="module", params=["numbers", "classes", "log"])
def tree(request, tmp_path_factory):
    """A run of each kind."""
    kinds = {"numbers": {}, "classes": {"classes": True}, "log": {"positive": True}}
    return open_run(fitted(tmp_path_factory.mktemp(request.param), **kinds[request.param]))


def test_ours_are_the_runs_own(tree):
    ours, _, _ = compared(tree, 3.0)
    found = scores_on_test(tree)[0]
    error = 1 - found["accuracy"] if "accuracy" in found else found["rmse"]
    assert ours.error == pytest.approx(error, rel=1e-6)
    assert ours.nll == pytest.approx(found["nll"], rel=0.05, abs=0.02)
    assert ours.seconds == 3.0


def test_the_linear_model_is_scikit_learns(tree):
    data, (_, linear, boosted) = restored_data(tree), compared(tree)
    x, held = data.x_train[0], data.x_test[0]
    if data.classes:
        model = LogisticRegression(max_iter=1_000).fit(x, data.y_train[0])
        assert linear.error == pytest.approx(1 - model.score(held, data.y_test[0]))
    else:
        unit = data.standardisation.target_sd[0, 0]
        model = BayesianRidge().fit(x, data.y_train[0, :, 0])
        mean, sd = model.predict(held, return_std=True)
        z = (data.y_test[0, :, 0] - mean) / sd
        assert linear.error == pytest.approx(unit * np.sqrt(np.mean((z * sd) ** 2)))
        assert linear.nll == pytest.approx(np.mean(z**2 / 2 + np.log(sd * unit) + np.log(2 * np.pi) / 2))
        assert linear.coverage == pytest.approx(np.mean(abs(z) < 1.645))
    assert boosted.nll > linear.nll  # these data are linear


def test_a_class_of_one_row_does_not_stop_them(tree, monkeypatch):
    """Of more than 10,000 rows boosting sets a part aside, with rows of each class."""
    short = partial(HistGradientBoostingClassifier, max_iter=2)
    monkeypatch.setattr("sklearn.ensemble.HistGradientBoostingClassifier", short)
    data = restored_data(tree)
    if not data.classes:
        pytest.skip("a run of numbers")
    x, y = (np.repeat(values, 10_001 // data.points + 1, axis=1) for values in (data.x_train, data.y_train))
    y[:] = 0
    y[0, 7] = 1
    assert len(_classes(replace(data, x_train=x, y_train=y))) == 2


def test_as_a_table(tree):
    found, heads = compared(tree), columns(restored_data(tree))
    assert all(len(row) == len(heads) for row in rows(found))
    assert ("RMSE of log(y)" in heads) == (restored_data(tree).target_transform == "log")


def test_runs_without_rows_held_out_are_refused():
    import gpu_thermo as gt

    small = {"data": {"test": 0}, "run": {"steps": 20, "burn_in": 0, "thin": 10, "replicas": 4}}
    with pytest.raises(SpecError, match="rows held out"):
        compared(gt.sample(small))


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (21.4123, 1.31, "21.4 +- 1.3"), (4.5061, 0.0712, "4.506 +- 0.071"), (98_765.4, 523.0, "98,765 +- 523"),
        (1_234_567.0, 12_345.0, "1.23e+06 +- 1e+04"), (1e-5, 2e-6, "1e-05 +- 2e-06"), (0.25, 0.0, "0.25"),
        (3.2, float("nan"), "3.2"),
    ],
)  # fmt: skip
def test_numbers_as_a_table_has_them(value, error, text):
    assert with_error(value, error) == text
    assert len(text) <= WIDEST


def test_who_is_better_is_named():
    """Beyond two standard errors of both and beyond what nobody would notice."""

    def told(gap, error):
        others = [Score("ridge", 1, 0.1, 0.9, error, 0.9, 0), Score("boosting", 1, 0.1, 1 - gap, error, 0.9, 0)]
        return behind([Score("this run", 1, 0.1, 1.0, error, 0.9, 1), *others])

    (line,) = told(0.5, 0.1)
    assert line.startswith("boosting predicts the rows held out better, by 0.5 +- 0.1 nats a row")
    assert told(0.5, 0.2) == told(-0.5, 0.2) == told(0.12, float("nan")) == []
    assert told(0.12, 0.01)
    assert behind([Score("this run", 1, 0.1, 1.0, 1e-3, 0.9, 1), Score("ridge", 1, 0.1, 0.96, 1e-3, 0.9, 0)]) == []
