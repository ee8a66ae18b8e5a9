"""Sums over windows against the draws they are sums of."""

import numpy as np
import pytest

from gpu_thermo.tuning.windows import Window

R, Q, K, DRAWS = 5, 3, 2, 8


@pytest.fixture
def draws():
    return np.random.default_rng(0).normal(size=(4, DRAWS, R, Q))


@pytest.fixture
def window(draws):
    w = Window.empty(4, R, Q, K)
    for part in range(4):
        for values in draws[part]:
            w.add(part, values)
    return w


def test_moments_and_changes(window, draws):
    flat = draws.reshape(-1, R, Q)
    mean, square = window.moments()
    np.testing.assert_allclose(mean, flat.mean(axis=0))
    np.testing.assert_allclose(square, (flat**2).mean(axis=0))
    first, second = draws[:2].reshape(-1, R, Q), draws[2:].reshape(-1, R, Q)
    centre = flat.mean(axis=(0, 1))
    wide = ((second - centre) ** 2).mean(axis=0) - ((first - centre) ** 2).mean(axis=0)
    np.testing.assert_allclose(window.change(2), np.hstack([second.mean(0) - first.mean(0), wide[:, :2]]), atol=1e-12)
    np.testing.assert_allclose(window.part_mean(1), flat[:, :, 1].mean(axis=0))
    assert window.draws == 4 * DRAWS


def test_acceptance_counts_proposals():
    w = Window.empty(1, 2, 1, 1)
    assert np.isnan(w.mean_acceptance)
    w.propose(np.array([0.5, np.nan]), np.array([4.0, 0.0]))
    w.propose(np.array([1.0, 0.75]), np.array([4.0, 4.0]))
    assert w.mean_acceptance == pytest.approx((2 + 4 + 3) / 12)
    assert w.rows(slice(1, 2)).mean_acceptance == 0.75


def test_goes_into_a_checkpoint_and_back(window):
    back = Window.of(window.arrays())
    for name, value in window.arrays().items():
        np.testing.assert_array_equal(getattr(back, name), value)
        assert getattr(back, name) is not value


def test_a_frozen_replica_is_seen(window):
    assert window.finite().all()
    values = np.zeros((R, Q))
    values[2] = np.nan
    window.add(3, values)
    np.testing.assert_array_equal(window.finite(), [True, True, False, True, True])
    assert np.isfinite(window.rows(window.finite()).moments()[0]).all()


def test_virials_are_means_over_instants(window):
    """Those that were: a first segment of few draws has some in a part less."""
    window.product[...] = np.arange(8.0)[:, None, None]
    np.testing.assert_array_equal(window.virial(), 3.5)
    window.product[::2] = np.nan
    np.testing.assert_array_equal(window.virial(), 4.0)
    assert window.instants == 2
