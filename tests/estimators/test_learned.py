"""A fit that learned nothing is told: networks no better on their own rows than a model that looks at no input."""

from dataclasses import replace

import numpy as np
import pytest
from estimator_cases import SMALL, classes, numbers

from gpu_thermo import BayesianMLPRegressor
from gpu_thermo.averages.predictive import restored_data
from gpu_thermo.estimators import base, load
from gpu_thermo.estimators.words import LEARNED_NOTHING

(X, Y), (CX, CY) = numbers(), classes()


def test_numbers(regressor):
    data = restored_data(regressor.run_)
    assert regressor._learned(data)
    turned = replace(data, y_train=-data.y_train)
    assert not regressor._learned(turned)
    assert regressor._learned(replace(turned, weight=np.ones(data.y_train.shape[:2])))  # other rows count otherwise


def test_classes(classifier):
    data = restored_data(classifier.run_)
    assert classifier._learned(data)
    assert not classifier._learned(replace(data, y_train=1 - data.y_train))


def test_densities_are_those_of_the_answers(regressor, classifier):
    """Beside the laws that know no x: a normal law, and the shares of the classes."""
    data, networks = restored_data(regressor.run_), regressor._networks()
    unit = data.standardisation.target_sd[0, 0]
    ours, plain = regressor._nats(X, data.y_train[0], networks)
    assert plain == pytest.approx(-0.5 * np.log(2 * np.pi) - 0.5, abs=1e-6)
    order = np.lexsort(np.c_[X, Y].T[::-1])
    same = regressor._nats(X[order], ((Y[order] - Y.mean()) / unit)[:, None], networks)
    assert same[0] == pytest.approx(regressor.log_predictive(X, Y).mean() + np.log(unit), abs=1e-5)
    labels = np.searchsorted(classifier.classes_, CY)
    ours, plain = classifier._nats(CX, labels, classifier._networks())
    assert ours == pytest.approx(np.log(classifier.predict_proba(CX)[np.arange(len(CY)), labels]).mean(), abs=1e-4)
    share = np.bincount(labels) / len(labels)
    assert plain == pytest.approx((share * np.log(share)).sum())


def test_it_is_said_and_kept(monkeypatch, tmp_path):
    monkeypatch.setattr(base.BayesianMLP, "_learned", lambda *_: False)
    with pytest.warns(base.Untrusted, match="worse than a model that looks at no column"):
        model = BayesianMLPRegressor(**SMALL).fit(X, Y)
    model.save(tmp_path / "m.npz")
    for trust in (model.trust_, load(tmp_path / "m.npz").trust_):
        assert not trust.trusted
        assert LEARNED_NOTHING in trust.text
