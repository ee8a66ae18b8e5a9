"""The noisy energies that moves see: unbiased, prior included, of the variance they come with, and fresh at every
attempt.
"""

import numpy as np
import pytest

from gpu_thermo.running.setup import prepare
from gpu_thermo.spec.run import RunSpec

REPLICAS, POINTS, BATCH, ATTEMPTS = 12, 40, 15, 1500


@pytest.fixture(scope="module")
def noisy():
    """(run, positions [R, P], energies [attempts, R] and their variances) of networks spread over the prior."""
    ready = prepare(RunSpec.from_dict({
        "data": {"name": "spirals", "turns": 2, "train": POINTS, "test": 0},
        "model": {"hidden": 5, "prior_sd": 1.0, "dtype": "float64"},
        "method": {"name": "langevin", "temperature": 0.01},
        "run": {"replicas": REPLICAS, "steps": 10, "burn_in": 0, "thin": 10, "batch": 5},
        "moves": [{"kind": "exchange", "interval": 5, "temperatures": [0.01, 0.02, 0.05], "energy_batch": BATCH}],
    }))  # fmt: skip
    observer = ready.subject.observer(ready, ready.moments(), "cpu")
    position = np.random.default_rng(0).normal(size=(REPLICAS, ready.subject.model.layout.size))
    found = [observer.energies(position, attempt, ready.moves[0].energy_batch) for attempt in range(ATTEMPTS)]
    return ready, position, np.array([f.value for f in found]), np.array([f.variance for f in found])


def losses(ready, position):
    """Losses of all points [R, N], by the formula."""
    target = ready.subject.target
    out = ready.subject.model.outputs_at(position, target.x_train[0])[..., 0]
    return np.logaddexp(0, out) - target.y_train[0] * out


def z_score(values, exact):
    """(mean - exact) / standard error, over attempts."""
    return (values.mean(axis=0) - exact) / (values.std(axis=0, ddof=1) / np.sqrt(len(values)))


def test_energies_are_unbiased_and_hold_the_prior(noisy):
    ready, position, value, _ = noisy
    full = losses(ready, position).mean(axis=1)
    prior = (position**2).sum(axis=1) / (2 * POINTS)
    assert abs(z_score(value, full + prior)).max() < 5
    assert abs(z_score(value, full)).min() > 10  # power: without the prior


def test_the_variance_is_that_of_the_energy(noisy):
    """(1 - B/N) S^2 / B on average, S^2 over all points, and what the energies scatter by."""
    ready, position, value, variance = noisy
    exact = (1 - BATCH / POINTS) * losses(ready, position).var(axis=1, ddof=1) / BATCH
    assert abs(z_score(variance, exact)).max() < 5
    assert abs(z_score((value - value.mean(axis=0)) ** 2 * ATTEMPTS / (ATTEMPTS - 1), exact)).max() < 5
    for wrong in (exact / (1 - BATCH / POINTS), exact * BATCH, exact * (BATCH - 1) / BATCH, np.sqrt(exact)):
        assert abs(z_score(variance, wrong)).max() > 5


def test_attempts_and_replicas_are_independent(noisy):
    """No correlation between attempts, nor between replicas once each has its own scale; and no two attempts are
    alike.
    """
    _, _, value, _ = noisy
    unit = (value - value.mean(axis=0)) / value.std(axis=0)
    between = np.corrcoef(unit.T)[np.triu_indices(REPLICAS, 1)]
    following = (unit[1:] * unit[:-1]).mean(axis=0)
    assert max(abs(between).max(), abs(following).max()) < 5 / np.sqrt(ATTEMPTS)
    assert all(len(np.unique(column)) > ATTEMPTS / 2 for column in value.T)
