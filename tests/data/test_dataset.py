"""What a run trains on: shapes that fit, fingerprints, moments."""

from dataclasses import replace

import numpy as np
import pytest
from data_cases import small

from gpu_thermo.data import (
    DATASETS,
    Moons,
)
from gpu_thermo.data.dataset import moments, rescale
from gpu_thermo.errors import DataError


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "ranking"}, "unknown task 'ranking'"),
        ({"classes": ("0",)}, "1 classes"),
        ({"classes": ("0", "0")}, "class '0' twice"),
        ({"features": ("a", "a")}, "feature 'a' twice"),
        ({"targets": ("t",)}, "only regression"),
        ({"features": ("a",)}, "1 features"),
        ({"x_train": np.zeros((1, 3, 2), np.float32)}, "float32"),
        ({"x_train": np.zeros((3, 2))}, "x_train"),
        ({"x_train": np.full((1, 3, 2), np.nan)}, "x_train has the value nan in 'a'"),
        ({"x_test": np.full((1, 3, 2), 1e31)}, "x_test has the value 1e\\+31"),
        ({"y_train": np.array([[0, 1, 2]])}, "label 2; labels are 0 to 1"),
        ({"y_train": np.array([[0, -1, 1]])}, "label -1"),
        ({"y_train": np.array([[0.0, 1, 1]])}, "must be int64"),
        ({"y_test": np.array([[0, 1]])}, "y_test"),
        ({"x_test": np.zeros((2, 3, 2)), "y_test": np.zeros((2, 3), np.int64)}, "as many test sets"),
        ({"x_train": np.zeros((1, 0, 2)), "y_train": np.zeros((1, 0), np.int64)}, "at least one training point"),
        ({"task": "regression", "classes": (), "targets": ("t",)}, "must be float64"),
    ],
)
def test_dataset_refuses_what_does_not_fit(changes, said):
    """A data set that exists can be run."""
    with pytest.raises(DataError, match=said):
        small(**changes)


def test_fingerprint_follows_content():
    """Any change of a value, a name or a shape changes it; the same content does not, whatever its layout in memory."""
    data = small()
    other = data.x_train.copy()
    other[0, 2, 1] = np.nextafter(other[0, 2, 1], 9)
    changed = [
        replace(data, name="m"),
        replace(data, features=("a", "c")),
        replace(data, classes=("0", "one")),
        replace(data, x_train=other),
        replace(data, x_test=other),
        replace(data, y_train=data.y_train[:, ::-1].copy()),
        replace(data, x_test=data.x_test[:, :2], y_test=data.y_test[:, :2]),
    ]
    prints = {d.fingerprint() for d in changed}
    assert len(prints) == len(changed)
    assert data.fingerprint() not in prints
    assert (
        replace(data, x_train=np.asfortranarray(data.x_train)).fingerprint()
        == data.fingerprint()
        == small().fingerprint()
    )
    x, y = np.ones((2, 2, 2)), np.ones((2, 2), np.int64)
    two = {"x_train": x, "y_train": y, "x_test": x, "y_test": y}
    one = {key: value.reshape(1, -1, *value.shape[2:]) for key, value in two.items()}
    assert small(**two).fingerprint() != small(**one).fingerprint()
    moons = {Moons(train=4, test=4, seed=s).build().fingerprint() for s in range(5)}
    assert len(moons) == 5


def test_moments_are_of_the_training_part_only():
    """Each split by its own training part; the test part has the training part's moments taken out, not its own."""
    pytest.importorskip("sklearn")
    data, raw = (DATASETS["wine"](seeds=[4, 5], standardise=s).build() for s in (True, False))
    np.testing.assert_allclose(data.standardisation.mean, raw.x_train.mean(axis=1))
    np.testing.assert_allclose(data.standardisation.sd, raw.x_train.std(axis=1))
    assert not np.allclose(data.standardisation.mean[0], data.standardisation.mean[1], rtol=1e-3)
    np.testing.assert_allclose(data.x_train.mean(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(data.x_train.std(axis=1), 1)
    assert np.abs(data.x_test.mean(axis=1)).max() > 0.01
    assert data.standardisation.target_mean is None


@pytest.mark.parametrize("points", [4, 1000])
def test_rounding_is_no_spread(points):
    """.3 and its neighbours are one number, whatever last bits a program wrote; .3 and .3 + 1e-9 are two."""
    column = np.full(points, 0.3)
    column[::2] = np.nextafter(0.3, 1)
    genuine = np.where(np.arange(points) % 2, 0.3, 0.3 + 1e-9)
    mean, sd = moments(np.stack([column, 1e12 * column, genuine], axis=-1)[None])
    np.testing.assert_array_equal(sd[0, :2], 1)
    assert mean[0, 0] == column[0]
    np.testing.assert_allclose(sd[0, 2], 0.5e-9, rtol=1e-6)
    scaled = rescale(np.array([[[0.3], [0.3000001]]]), mean[:, :1], sd[:, :1])
    assert np.abs(scaled).max() < 2e-7, "inputs that differ by 1e-7 stay so close"


def test_sums_of_tenths_are_no_spread():
    """One tenth added up in different orders."""
    values = np.array([0.1 + 0.2 + 0.3, 0.3 + 0.2 + 0.1, 0.6, 0.1 * 6])
    assert len(set(values.tolist())) > 1
    assert moments(values[None, :, None])[1].item() == 1
