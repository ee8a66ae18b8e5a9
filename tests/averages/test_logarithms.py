"""Predictions of a run that learned logarithms: exact moments of lognormal mixtures, and units from spec to answer."""

import numpy as np
import pytest
import xarray as xr
from estimator_cases import SMALL

import gpu_thermo as gt
from gpu_thermo.averages.draws import Scales
from gpu_thermo.averages.logarithms import in_own_units
from gpu_thermo.averages.mixtures import Mixture
from gpu_thermo.errors import DataError, SpecError
from gpu_thermo.targets.likelihoods.laws import NORMAL

RNG = np.random.default_rng(1)
X = RNG.normal(size=(60, 2))
Y = np.exp(3 + 0.8 * X[:, 0] + 0.2 * RNG.normal(size=60))


def said(mean, sd):
    """What `in_own_units` makes of a mixture of normal laws [D, 1, 1] of equal weights."""
    law = Mixture.of(NORMAL, {}, np.reshape(mean, (-1, 1, 1)), np.reshape(sd, (-1, 1, 1)))
    empty = xr.Dataset({"mean": (("ensemble", "point", "output"), np.zeros((1, 1, 1)))}, {"output": ["log(y)"]})
    scales = Scales(None, None, np.array([[2.0]]), np.array([[0.5]]))
    return in_own_units(empty, [(slice(0, 1), 0, law)], scales, np.array([0]))


def test_moments_are_those_of_draws():
    """10^6 draws of each law: mean and both parts of the variance within 5 errors."""
    mean, sd = np.array([0.3, -1.0, 0.9]), np.array([0.4, 0.8, 0.2])
    draws = np.exp(2 + 0.5 * (mean[:, None] + sd[:, None] * RNG.normal(size=(3, 1_000_000))))
    found = said(mean, sd)
    assert float(found["mean"].squeeze()) == pytest.approx(draws.mean(), abs=5 * draws.std() / 3e6**0.5)
    assert float(found["variance"].squeeze()) == pytest.approx(draws.mean(axis=1).var(), rel=0.01)
    assert float(found["aleatoric_variance"].squeeze()) == pytest.approx(draws.var(axis=1).mean(), rel=0.01)
    assert float(found["total_variance"].squeeze()) == pytest.approx(draws.var(), rel=0.01)
    assert abs(np.exp(2 + 0.5 * mean.mean()) - draws.mean()) > 20 * draws.std() / 3e6**0.5  # the power: a mean of logs
    assert found["output"].values.tolist() == ["y"]


def test_an_estimator_answers_in_the_targets_units():
    model = gt.BayesianMLPRegressor(**SMALL, target_transform="log").fit(X, Y)
    plain = gt.BayesianMLPRegressor(**SMALL).fit(X, np.log(Y))
    np.testing.assert_allclose(model.predict_quantiles(X), np.exp(plain.predict_quantiles(X)), rtol=1e-6)
    assert (model.predict(X) > np.exp(plain.predict(X))).all()
    assert model.score(X, Y) > 0.8
    assert not model.advice_
    np.testing.assert_allclose(model.log_predictive(X, Y), plain.log_predictive(X, np.log(Y)) - np.log(Y), rtol=1e-6)
    np.testing.assert_allclose(model.sample_predictive(X, 3), np.exp(plain.sample_predictive(X, 3)), rtol=1e-6)
    assert model.log_predictive(X[:1], [-1.0])[0] == -np.inf


def test_skewed_targets_are_advised():
    model = gt.BayesianMLPRegressor(**SMALL).fit(X, Y**2)
    assert model.advice_ == ("the target is positive and skewed: try target_transform='log'",)


def test_a_density_is_one():
    """The integral of exp(log_predictive) over y."""
    model = gt.BayesianMLPRegressor(**SMALL, target_transform="log").fit(X, Y)
    grid = np.exp(np.linspace(-2, 9, 4_000))
    density = np.exp(model.log_predictive(np.repeat(X[:1], len(grid), axis=0), grid))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("worst", [0.0, -3.0])
def test_answers_must_be_positive(worst):
    with pytest.raises(DataError, match=f"takes positive answers, and one is {worst:g}"):
        gt.BayesianMLPRegressor(**SMALL, target_transform="log").fit(X, np.where(Y > 20, Y, worst))


def test_other_laws_and_classes_are_refused():
    with pytest.raises(SpecError, match="student_t"):
        gt.BayesianMLPRegressor(**SMALL, target_transform="log", likelihood="student_t").fit(X, Y)
    with pytest.raises(ValueError, match="target_transform"):
        gt.BayesianMLPClassifier(**SMALL, target_transform="log").fit(X, Y > 20)


def test_a_store_says_whose_logarithm(tmp_path):
    """From a spec to predictions of the stored run; its own scores are of log(y)."""
    from fitted import fitted

    from gpu_thermo.averages.predictive import data_names, scores_on_test
    from gpu_thermo.estimators import from_run

    store = fitted(tmp_path, positive=True)
    run = gt.open_run(store)
    assert data_names(run)["targets"] == ("log(y)",)
    table = {"a": [-1.0, 1.0], "b": [0.0, 0.0], "colour": ["red", "red"], "y": [0.0, 0.0]}
    found = gt.predict(run, table, 0)
    assert found["output"].values.tolist() == ["y"]
    assert found["quantiles"].sel(quantile=0.5).to_numpy()[:, 0] == pytest.approx(np.exp([-1.0, 3.0]), rel=0.25)
    assert (found["mean"] > found["quantiles"].sel(quantile=0.5)).all()
    pandas = pytest.importorskip("pandas")
    np.testing.assert_allclose(from_run(run, 10**6).predict(pandas.DataFrame(table)), found["mean"][:, 0], rtol=1e-5)
    assert 0.2 < scores_on_test(run)[0]["rmse"] < 0.5  # of log(y), whose noise is .3
