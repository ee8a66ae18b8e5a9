"""scikit-learn's own checks at default settings, and its tools around the estimators."""

import pickle
import re

import joblib
import numpy as np
import pytest
from estimator_cases import SMALL, classes, numbers
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.inspection import PartialDependenceDisplay, partial_dependence, permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

from gpu_thermo import BayesianMLPClassifier, BayesianMLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::gpu_thermo.averages.outside.Outside")
"""Of two halves of forty rows one has rows that the other does not reach."""
(X, Y), (CX, CY) = numbers(), classes()
QUICK = SMALL | {"max_gradients": 1_500}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", [BayesianMLPRegressor, BayesianMLPClassifier])
def test_all_checks_pass_at_default_settings(kind):
    """None is expected to fail; some skip themselves, for want of a package or setting."""
    for model, check in estimator_checks_generator(kind()):
        try:
            check(model)
        except pytest.skip.Exception:
            raise
        except Exception as error:
            if type(error).__name__ != "SkipTest":
                raise


def test_pipelines_and_grids():
    pipe = make_pipeline(StandardScaler(), BayesianMLPRegressor(**QUICK))
    grid = GridSearchCV(pipe, {"bayesianmlpregressor__hidden": [(2,), (4,)]}, cv=2).fit(X, Y)
    assert grid.best_score_ > 0.7
    assert grid.predict(X).shape == Y.shape


def test_cross_validation():
    model = BayesianMLPRegressor(**QUICK)
    assert np.corrcoef(cross_val_predict(model, X, Y, cv=2), Y)[0, 1] > 0.8
    assert cross_val_score(BayesianMLPClassifier(**QUICK), CX, CY, cv=2).mean() > 0.6


def test_calibration_on_top():
    model = CalibratedClassifierCV(BayesianMLPClassifier(**QUICK), cv=2).fit(CX, CY)
    np.testing.assert_allclose(model.predict_proba(CX).sum(axis=1), 1)


def test_inspection(regressor):
    found = permutation_importance(regressor, X, Y, n_repeats=2, random_state=0)
    assert (found.importances_mean > 0.1).all()
    assert partial_dependence(regressor, X, [0], grid_resolution=4)["average"].shape == (1, 4)
    display = PartialDependenceDisplay.from_estimator(regressor, X, [0], grid_resolution=4)
    assert display.axes_.shape == (1, 1)


def test_copies(regressor, tmp_path):
    again = clone(regressor)
    assert again.get_params() == regressor.get_params()
    assert not hasattr(again, "run_")
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(X), regressor.predict(X))
    joblib.dump(regressor, tmp_path / "m.joblib")
    np.testing.assert_array_equal(joblib.load(tmp_path / "m.joblib").predict(X), regressor.predict(X))


def test_frames_come_out_as_frames():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, columns=["a", "b"])
    pipe = make_pipeline(StandardScaler().set_output(transform="pandas"), BayesianMLPRegressor(**QUICK)).fit(frame, Y)
    assert pipe[-1].feature_names_in_.tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="feature names should match"):
        pipe[-1].predict(frame[["b", "a"]])


def test_several_targets_in_a_grid():
    both = np.stack([Y, -Y], axis=1)
    grid = GridSearchCV(BayesianMLPRegressor(**QUICK), {"hidden": [(2,)]}, cv=2).fit(X, both)
    assert grid.predict(X).shape == both.shape
    assert np.corrcoef(grid.predict(X)[:, 1], -Y)[0, 1] > 0.8


def test_mapie_around_it(regressor):
    """Conformal intervals of a fitted estimator hold what they were made to hold."""
    mapie = pytest.importorskip("mapie.regression")
    model = mapie.SplitConformalRegressor(regressor, confidence_level=0.8, prefit=True).conformalize(X, Y)
    mean, interval = model.predict_interval(X)
    np.testing.assert_array_equal(mean, regressor.predict(X))
    low, high = interval[:, :, 0].T
    assert 0.75 < ((low <= Y) & (Y <= high)).mean() < 0.9


def test_who_is_not_sure_says_so_once():
    import warnings

    from gpu_thermo.estimators.base import Untrusted

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = BayesianMLPRegressor(**SMALL | {"tolerance": 0.001, "max_gradients": 1_000}).fit(X, Y)
        model.predict(X)
    assert [w.category for w in caught if issubclass(w.category, Untrusted)] == [Untrusted]
    assert not model.trust_.trusted
    assert model.trust_.reasons
    assert model.trust_.text.startswith("not yet: ")
    assert "a larger max_gradients than 1,000" in model.trust_.text
    assert not re.search("resume|max_steps", model.trust_.text)  # of commands, and of a spec
    assert pickle.loads(pickle.dumps(model)).trust_.text == model.trust_.text
