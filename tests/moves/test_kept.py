"""Correlations of energies between attempts, against numbers made with a known one."""

import numpy as np
import pytest

from gpu_thermo.moves import kept


def sums(correlation, noise=0.0, attempts=200, replicas=300, offset=0.0):
    rng = np.random.default_rng(0)
    out = np.zeros((3, kept.COLUMNS))
    out[:, 0] = np.nan
    rung = np.arange(replicas) % 3
    energy = rng.normal(size=replicas)
    seen = np.full(replicas, np.nan)
    for _ in range(attempts):
        energy = correlation * energy + np.sqrt(1 - correlation**2) * rng.normal(size=replicas)
        now = offset + (rung + 1) * energy + noise * rng.normal(size=replicas)
        kept.add(out, rung, seen, now, np.full(replicas, noise**2))
        seen = np.where(rng.uniform(size=replicas) < 0.2, np.nan, now)
    return out


@pytest.mark.parametrize("correlation", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_correlation_is_that_of_the_energies_without_their_noise(correlation, noise):
    found, error = kept.kept(sums(correlation, noise, offset=1e7))
    assert (error < 0.08).all()
    assert (abs(found - correlation) < 5 * error).all()
    if noise:  # without the noise taken off it would be a fifth on the first rung
        assert (abs(found[0] - 0.2 * correlation) > 5 * error[0]) == (correlation > 0.5)


def test_forgotten_is_said_only_of_what_is_known():
    assert kept.forgotten(sums(0.0, attempts=400))
    assert not kept.forgotten(sums(0.0, attempts=20))  # by too few
    assert not kept.forgotten(sums(0.1, attempts=400))
    nothing = np.zeros((3, kept.COLUMNS))
    nothing[:, 0] = np.nan
    assert not kept.forgotten(nothing)
    assert np.isnan(kept.worst(nothing)).all()


def test_what_is_not_finite_is_passed_over():
    out = np.zeros((1, kept.COLUMNS))
    out[:, 0] = np.nan
    kept.add(out, np.zeros(3, int), np.array([1.0, np.nan, 2.0]), np.array([1.0, 2.0, np.inf]), np.full(3, np.nan))
    assert out[0, 1] == 1
    assert np.isfinite(out).all()
