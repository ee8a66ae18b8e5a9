"""Running sums against brute force, however they are cut."""

import numpy as np
import pytest
from average_cases import TASKS, brute, draws_of

from gpu_thermo.averages.moments import BLOCK, RunningMoments, entropy
from gpu_thermo.errors import StoreError


@pytest.mark.parametrize(("task", "n"), TASKS)
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_equal_brute_force_within_each_ensemble(
    task: str, n: int, weighted: bool, rng: np.random.Generator
) -> None:
    phi = draws_of(task, n, 10, 4, 7)
    ensemble = np.array([0, 1, 2, 0, 1, 2, 0, 0, 1, 1])
    log_w = rng.normal(scale=3, size=(4, 10)) + 900 if weighted else np.zeros((4, 10))
    phi[2:, 3] = np.nan  # replica 3 freezes after two draws
    sums = RunningMoments.empty(3, 7, n, task, noise_sd=0.5)
    for d in range(4):
        sums.update(phi[d], ensemble, log_w[d] if weighted else None)
    got = sums.variables()
    for e in range(3):
        mine = ~np.isnan(phi).any(axis=(2, 3)) & (ensemble == e)
        for name, value in brute(task, phi[mine], np.exp(log_w[mine] - 900 * weighted)).items():
            np.testing.assert_allclose(got[name][e], value, rtol=1e-10, atol=1e-12, err_msg=name)
        assert got["draws"][e] == mine.sum()
    assert {k: v.shape for k, v in got.items()} == {k: shape for k, (_, shape) in sums.schema().items()}
    assert dict(sums.to_dataset().sizes) == {"ensemble": 3, "point": 7, "output": n}


def test_sums_are_bitwise_the_same_however_calls_are_cut_and_checkpointed(rng: np.random.Generator) -> None:
    replicas, draws = 2 * BLOCK + 50, 3
    phi = draws_of("binary", 1, replicas, draws, 5)
    phi[1:, 7] = np.nan
    log_w = rng.normal(scale=200, size=(draws, replicas))
    density = rng.normal(scale=500, size=(draws, replicas, 5))
    ensemble = np.arange(replicas) % 3
    whole = RunningMoments.empty(3, 5, 1, "binary", density=True)
    cut = RunningMoments.empty(3, 5, 1, "binary", density=True)
    for d in range(draws):
        whole.update(phi[d], ensemble, log_w[d], density[d])
        for start in range(0, replicas, BLOCK):
            rows = slice(start, start + BLOCK)
            cut.update(phi[d, rows], ensemble[rows], log_w[d, rows], density[d, rows])
            again = RunningMoments.empty(3, 5, 1, "binary", density=True)
            again.load(cut.arrays())
            cut = again
    assert all(np.array_equal(value, cut.arrays()[name]) for name, value in whole.arrays().items())
    with pytest.raises(StoreError, match="running sums"):
        RunningMoments.empty(3, 6, 1, "binary").load(whole.arrays())


@pytest.mark.parametrize("order", [1, -1])
def test_huge_and_tiny_weights_neither_overflow_nor_depend_on_when_the_exponent_moved(order: int) -> None:
    phi = draws_of("binary", 1, 1, 6, 4)
    log_w = np.array([-5000.0, -1000, 0, 3.5, 4.5, -np.inf])[::order]
    sums = RunningMoments.empty(1, 4, 1, "binary")
    for d in range(6):
        sums.update(phi[d], np.zeros(1, int), log_w[d : d + 1])
    expected = brute("binary", phi[:, 0], np.exp(log_w))
    got = sums.variables()
    assert all(np.allclose(got[name][0], value, rtol=1e-12) for name, value in expected.items())
    shifted = RunningMoments.empty(1, 4, 1, "binary")
    for d in range(6):
        shifted.update(phi[d], np.zeros(1, int), log_w[d : d + 1] + 1e5)
    np.testing.assert_allclose(shifted.variables()["mean"], got["mean"], rtol=1e-10)


def test_density_of_the_average_is_a_mixture_over_draws(rng: np.random.Generator) -> None:
    phi = draws_of("regression", 2, 5, 3, 4)
    y = rng.normal(size=(4, 2))
    log_density = (-((phi - y) ** 2) / (2 * 0.01**2) - np.log(0.01) - np.log(2 * np.pi) / 2).sum(
        -1
    )  # far below exp's range
    sums = RunningMoments.empty(1, 4, 2, "regression", noise_sd=0.01, density=True)
    for d in range(3):
        sums.update(phi[d], np.zeros(5, int), None, log_density[d])
    want = np.logaddexp.reduce(log_density.reshape(15, 4)) - np.log(15)
    np.testing.assert_allclose(sums.variables()["log_density"][0], want, rtol=1e-12)
    with pytest.raises(ValueError, match="log_density"):
        sums.update(phi[0], np.zeros(5, int))


def test_edges_of_information() -> None:
    p = np.array([0.0, 1.0, 0.5])[:, None]
    np.testing.assert_array_equal(entropy(p, "binary"), [0, 0, np.log(2)])
    np.testing.assert_allclose(entropy(np.array([[0.0, 0, 1], [1 / 3] * 3]), "multiclass"), [0, np.log(3)])
    sums = RunningMoments.empty(2, 3, 1, "binary")
    for _ in range(7):
        sums.update(np.full((9, 3, 1), 0.3, np.float32), np.zeros(9, int))
    got = sums.variables()
    assert (got["mutual_information"][0] >= 0).all()
    assert (got["mutual_information"][0] < 1e-14).all()
    assert (got["variance"][0] < 1e-15).all()
    assert np.isnan(got["mean"][1]).all()  # an ensemble without draws
    with pytest.raises(ValueError, match="inf"):
        sums.update(np.full((1, 3, 1), 0.3), np.zeros(1, int), np.array([np.inf]))
