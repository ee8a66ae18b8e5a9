"""The statistics of bench.tuned: true errors are found true, wrong ones are not; twelve targets."""

from dataclasses import replace

import numpy as np
import pytest

truth = pytest.importorskip("bench.tuned_truth", reason="the benchmarks are part of the sources, not of the package")
table = pytest.importorskip("bench.tuned_table")

SEEDS, REPLICAS, INPUTS = 20, 64, 8


def cell(seed=0, theirs=0.004):
    """Replicas' means and mean squares of a normal quantity at correlated inputs, 40 draws each; the reference is off
    by its own error.
    """
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(0.6 + 0.4 * np.eye(INPUTS))
    values = rng.normal(size=(SEEDS, REPLICAS, 40, INPUTS)) @ root.T
    off = theirs * (root @ rng.normal(size=INPUTS))
    values -= off
    moments = np.stack([values.mean(axis=2), (values**2).mean(axis=2)], axis=2)
    rows = [{"trusted": True, "error": 0.05}] * SEEDS
    return truth.Cell("exact", rows, moments, np.ones(INPUTS), np.full((2, INPUTS), theirs))


def outside(found):
    """Whether rms z of means, and of variances, leaves the range of perfect samplers."""
    low, high = np.quantile(truth.simulated(found, 200), (0.0, 1.0), axis=0)
    z = truth.rms(found.scores())
    return (z < low) | (z > high)


def test_true_errors_are_within_the_range():
    assert not outside(cell()).any()


def test_errors_too_small_by_half_are_not():
    """Every replica four times."""
    found = cell()
    copied = np.repeat(found.moments[:, : REPLICAS // 4], 4, axis=1)
    assert outside(replace(found, moments=copied)).all()


def test_a_biased_mean_is_not():
    found = cell()
    shifted = found.moments.copy()
    shifted[:, :, 0] += 0.05
    assert outside(replace(found, moments=shifted))[0]


def test_twelve_targets():
    assert len(table.SUBJECTS) == 12
    subject = table.SUBJECTS["Bayesian linear regression"]()
    mean, sd = subject.known.args
    q = mean[None] + np.eye(6) * 1e-3
    energy, slope = subject.given["potential"]._raw(np.vstack([mean, q]))
    np.testing.assert_allclose(slope[0], 0, atol=1e-10)  # the closed form's mean is the top of the density
    assert (energy[1:] > energy[0]).all()
    assert (sd > 0).all()
