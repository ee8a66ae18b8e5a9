"""One file of a fitted estimator: small, without pickles, the same answers."""

import json
import pickle
import zipfile

import numpy as np
import pytest
from estimator_cases import classes, numbers

from gpu_thermo.errors import DataError
from gpu_thermo.estimators import load

(X, Y), (CX, _) = numbers(), classes()


def test_a_regressor_comes_back(regressor, tmp_path):
    path = tmp_path / "model.npz"
    regressor.save(path)
    again = load(path)
    mean, sd = regressor.predict(X, return_std=True)
    assert np.abs(again.predict(X) - mean).max() < 0.3 * regressor.uncertainty(X).epistemic.max()
    np.testing.assert_allclose(again.predict(X, return_std=True)[1], sd, rtol=0.2)
    assert again.get_params() == regressor.get_params()
    assert again.trust_.text == regressor.trust_.text
    assert path.stat().st_size < 100_000
    assert again.sample_predictive(X, 3).shape == (3, len(X))


def test_a_classifier_comes_back(classifier, tmp_path):
    classifier.save(tmp_path / "model.npz", draws=10_000)
    again = load(tmp_path / "model.npz")
    np.testing.assert_allclose(again.predict_proba(CX), classifier.predict_proba(CX), atol=0.01)
    assert again.classes_.tolist() == ["no", "yes"]


def test_a_file_of_a_file(regressor, tmp_path):
    """The same answers; and where it is read there may be no such device."""
    regressor.save(tmp_path / "a.npz")
    again = load(tmp_path / "a.npz")
    assert again.device == "auto"
    again.save(tmp_path / "b.npz")
    np.testing.assert_array_equal(load(tmp_path / "b.npz").predict(X), again.predict(X))


def test_pickles_are_exact(regressor):
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(X), regressor.predict(X))


def test_files_that_are_none(regressor, tmp_path):
    path = tmp_path / "model.npz"
    with pytest.raises(DataError, match=r"There is no file .*model\.npz: correct the name\."):
        load(path)
    regressor.save(path)
    path.write_bytes(path.read_bytes()[:-100])
    said = r"model.npz cannot be read as a fitted estimator \(BadZipFile: .*It is damaged, or was cut short: "
    with pytest.raises(DataError, match=f"{said}copy it again, or save the estimator anew\\.$"):
        load(path)
    (tmp_path / "model.zarr").mkdir()
    with pytest.raises(DataError, match=f"{said}gpu-thermo resume .*model.zarr makes it anew\\.$"):
        load(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(DataError, match="is no file of a fitted estimator"):
        load(path)
    np.savez(path, header=json.dumps({"format": 99}))
    with pytest.raises(DataError, match="format 99; this version reads format 1"):
        load(path)
    regressor.save(path)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert "networks.npy" in names
