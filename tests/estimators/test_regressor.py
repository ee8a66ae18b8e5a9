"""The regressor's answers: units, shapes, and that they say the same thing in different words."""

import warnings

import numpy as np
import pytest
from estimator_cases import ROWS, SMALL, numbers
from shared_runs import PlayedClient, played

from gpu_thermo import BayesianMLPRegressor
from gpu_thermo.averages.claims import Makeshift
from gpu_thermo.errors import SpecError
from gpu_thermo.estimators import base
from gpu_thermo.estimators import regressor as module

X, Y = numbers()


def test_it_learns_and_speaks_in_the_targets_units(regressor):
    assert regressor.score(X, Y) > 0.9
    mean, sd = regressor.predict(X, return_std=True)
    assert mean.shape == sd.shape == (ROWS,)
    parts = regressor.uncertainty(X)
    np.testing.assert_allclose(np.hypot(parts.epistemic, parts.aleatoric), parts.total)
    np.testing.assert_allclose(parts.total, sd)
    assert 3 < parts.aleatoric.mean() < 12  # the noise's sd is 6


def test_intervals_hold_what_they_say(regressor):
    low, high = regressor.predict_interval(X, 0.9).T
    assert 0.8 <= ((low < Y) & (high > Y)).mean() <= 1
    five, half, ninety_five = regressor.predict_quantiles(X).T
    np.testing.assert_allclose([low, high], [five, ninety_five])
    assert ((five < half) & (half < ninety_five)).all()


def test_draws_have_the_law_of_the_quantiles(regressor):
    draws = regressor.sample_predictive(X[:3], 4000)
    assert draws.shape == (4000, 3)
    levels = (draws < regressor.predict_quantiles(X[:3], (0.1, 0.5, 0.9))[:, :, None].transpose(1, 2, 0)).mean(axis=1)
    np.testing.assert_allclose(levels, np.repeat([[0.1], [0.5], [0.9]], 3, axis=1), atol=0.03)
    np.testing.assert_array_equal(draws, regressor.sample_predictive(X[:3], 4000))


def test_the_verdict_is_at_hand(regressor):
    assert regressor.trust_.tolerance == 0.2
    assert regressor.trust_.text
    assert regressor.run_["posterior"].sizes["chain"] * regressor.run_["posterior"].sizes["draw"] <= regressor.draws


def test_a_seed_decides_all_and_the_order_of_rows_nothing(regressor):
    order = np.random.default_rng(1).permutation(ROWS)
    again = BayesianMLPRegressor(**SMALL).fit(X[order], Y[order])
    np.testing.assert_array_equal(again.predict(X), regressor.predict(X))


def test_workers_change_no_bit(regressor, monkeypatch):
    """Played ones; and of several devices one answers."""
    client = played(monkeypatch, PlayedClient(2)).client
    found = BayesianMLPRegressor(**SMALL, scheduler="tcp://x:1").fit(X, Y)
    assert client.tasks > 10
    expected = regressor.predict(X)
    monkeypatch.setattr(base, "resolve_devices", lambda device: {"cuda:all": "cpu,cuda:1"}[device])
    np.testing.assert_array_equal(found.set_params(device="cuda:all").predict(X), expected)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"workers": -1}, "'workers' parameter"),
        ({"workers": 2, "scheduler": "tcp://x:1"}, "both given"),
        ({"device": ["cpu", "cuda:0"]}, "'cpu' is none"),
    ],
)
def test_places_that_cannot_be(given, said):
    with pytest.raises(ValueError, match=said):
        BayesianMLPRegressor(**SMALL, **given).fit(X, Y)


def test_several_targets():
    both = np.stack([Y, -Y], axis=1)
    model = BayesianMLPRegressor(**SMALL).fit(X, both)
    assert model.predict(X).shape == (ROWS, 2)
    assert model.predict_interval(X).shape == (ROWS, 2, 2)
    assert model.sample_predictive(X, 5).shape == (5, ROWS, 2)
    assert model.score(X, both) > 0.9


def test_a_table_as_it_comes():
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(X, columns=["a", "b"]).assign(c=["red", "blue"] * (ROWS // 2))
    table.loc[3, "a"] = np.nan
    model = BayesianMLPRegressor(**SMALL).fit(table, Y)
    assert model.recipe_.names == ("a", "b", "c")
    assert list(model.feature_names_in_) == ["a", "b", "c"]
    assert model.predict(table[["c", "b", "a"]]).shape == (ROWS,)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tolerance": 0}, "tolerance"),
        ({"replicas": 3}, "replicas"),
        ({"hidden": (0,)}, "hidden"),
        ({"activation": "tahn"}, "tanh"),
        ({"likelihood": "gausian"}, "gaussian"),
        ({"prior_sd": -1.0}, "prior_sd"),
    ],
)
def test_bad_settings_are_named(settings, said):
    with pytest.raises(ValueError, match=said):
        BayesianMLPRegressor(**SMALL | settings).fit(X, Y)


def test_a_coverage_is_a_probability(regressor):
    with pytest.raises(SpecError, match="coverage = 90"):
        regressor.predict_interval(X, 90)


def test_no_time_at_all():
    """Networks as they stand answer, and nothing hides it."""
    with pytest.warns(base.Untrusted, match="Kept are the 32 networks as they stood at that moment"):
        model = BayesianMLPRegressor(**SMALL, max_seconds=1e-4).fit(X, Y)
    assert model.trust_.makeshift
    assert not model.trust_.trusted
    assert not model.repeatable_
    with pytest.warns(Makeshift, match="means nothing"):
        mean, sd = model.predict(X, return_std=True)
    assert np.isfinite(mean).all()
    assert (sd > 0).all()


@pytest.mark.parametrize("rows", [3, 9, 10])
def test_few_rows_are_said(rows):
    """Nothing is wrong with such a fit but what one may think of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        BayesianMLPRegressor(**SMALL | {"max_gradients": 1_000, "tolerance": 1.0}).fit(X[:rows], Y[:rows])
    said = [str(w.message) for w in caught if issubclass(w.category, base.FewRows)]
    assert len(said) == (rows < 10)
    assert all(f"There are {rows} rows to learn from" in text and "Give 10 at least" in text for text in said)


def test_a_target_of_one_value_is_said_and_nothing_else():
    """Its learned noise has no floor but the prior's; replicas that run away from it overflow in silence."""
    rng = np.random.default_rng(0)
    model = BayesianMLPRegressor((2,), replicas=32, tolerance=1.0, max_gradients=1_000, random_state=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(rng.normal(size=(30, 2)), np.ones(30))
    said = [w for w in caught if not issubclass(w.category, base.Untrusted)]
    assert ["y holds one value in all rows, 1: there is nothing to learn." in str(w.message) for w in said] == [True]


def test_partial_fit_says_why_not(regressor):
    assert not hasattr(regressor, "partial_fit")
    with pytest.raises(AttributeError, match="a posterior of more data is another one"):
        regressor.partial_fit(X, Y)


def test_many_rows_go_by_kernels(regressor, monkeypatch):
    """To the same answers."""
    by_arrays = regressor.log_predictive(X, Y)
    monkeypatch.setattr(module, "_MANY", 0)
    np.testing.assert_allclose(regressor.log_predictive(X, Y), by_arrays, rtol=1e-4)


@pytest.mark.slow
def test_a_large_table():
    """By minibatches on the falling way: a good answer within its gradients, a verdict in a table's words, one seed one
    answer.
    """
    rng = np.random.default_rng(0)
    x = rng.uniform(-2, 2, (2_200, 2))
    y = np.sin(2 * x[:, 0]) + 0.3 * x[:, 1] + 0.1 * rng.normal(size=2_200)
    fits = []
    for _ in range(2):
        with pytest.warns(base.Untrusted, match="some of the rows only"):
            fits.append(BayesianMLPRegressor(max_gradients=1_500, random_state=0).fit(x[:2_000], y[:2_000]))
    model = fits[0]
    assert model.score(x[2_000:], y[2_000:]) > 0.9
    assert model.repeatable_
    assert model.run_["posterior"]["step"].max() <= 1_500
    np.testing.assert_array_equal(model.predict(x[:9]), fits[1].predict(x[:9]))
