"""The real data of scikit-learn: shapes, splits, standardisation."""

import numpy as np
import pytest
from data_cases import BUNDLED

from gpu_thermo.data import (
    DATASETS,
)
from gpu_thermo.errors import DataError

# ---------------------------------------------------------------- bundled real data


@pytest.mark.parametrize("name", list(BUNDLED))
def test_bundled_classification(name):
    """Shapes, and every row in exactly one part."""
    pytest.importorskip("sklearn")
    task, rows, inputs, outputs = BUNDLED[name]
    data = DATASETS[name](standardise=False).build()
    assert (data.task, data.inputs, data.outputs, data.count) == (task, inputs, outputs, 1)
    assert data.test_points == round(0.2 * rows)
    assert data.points + data.test_points == rows
    assert data.standardisation is None
    assert len(data.features) == inputs
    assert np.unique(data.y_train).tolist() == list(range(max(2, outputs)))
    all_of_it = DATASETS[name](standardise=False, test_fraction=0).build()
    np.testing.assert_array_equal(np.concatenate([data.x_train, data.x_test], axis=1), all_of_it.x_train)


def test_bundled_regression_standardises_targets():
    """Diabetes: ten features and one target, both of mean 0 and sd 1 over the training part, and restored by the
    recorded moments.
    """
    pytest.importorskip("sklearn")
    data, raw = DATASETS["diabetes"]().build(), DATASETS["diabetes"](standardise=False).build()
    assert (data.task, data.inputs, data.outputs, data.points, data.test_points) == ("regression", 10, 1, 354, 88)
    scale = data.standardisation
    np.testing.assert_allclose(data.y_train * scale.target_sd[:, None] + scale.target_mean[:, None], raw.y_train)
    np.testing.assert_allclose(data.y_test * scale.target_sd[:, None] + scale.target_mean[:, None], raw.y_test)
    np.testing.assert_allclose(data.y_train.std(axis=1), 1)
    np.testing.assert_allclose(raw.x_test, data.x_test * scale.sd[:, None] + scale.mean[:, None])


def test_missing_scikit_learn_is_explained(monkeypatch):
    """One line with the remedy, not an ImportError."""
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match="pip install scikit-learn"):
        DATASETS["wine"]().build()
