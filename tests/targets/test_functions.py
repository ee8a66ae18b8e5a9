"""Functions that activations and likelihoods share, against scipy, and where naive formulas overflow."""

import numpy as np
import pytest
import scipy.special

from gpu_thermo.targets import functions

X = np.concatenate([np.linspace(-40, 40, 401), [-1e4, -800.0, 800.0, 1e4]])


@pytest.mark.parametrize(
    ("name", "exact"),
    [("sigmoid", scipy.special.expit), ("softplus", lambda x: np.logaddexp(0, x))],
)
def test_functions_of_one_number(name, exact, dtype):
    x = X.astype(dtype)
    got = getattr(functions, name)(x, np)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, exact(x.astype(float)), rtol=4 * np.finfo(dtype).eps, atol=np.finfo(dtype).tiny)


def test_softmax_is_a_distribution_however_large_its_inputs(dtype):
    x = np.array([[0.0, 1.0, -2.0], [1e4, -1e4, 1e4], [-1e4, -1e4, -1e4]], dtype)
    got = functions.softmax(x, np)
    np.testing.assert_allclose(got, scipy.special.softmax(x.astype(float), axis=-1), rtol=4 * np.finfo(dtype).eps)
    np.testing.assert_allclose(got.sum(axis=-1), 1, rtol=4 * np.finfo(dtype).eps)
