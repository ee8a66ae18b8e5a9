"""Averages, scores and predictions against brute force."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
import xarray as xr
from stores import dataset, model_for, run_tree

from gpu_thermo.averages.moments import BLOCK, RunningMoments, entropy
from gpu_thermo.averages.predictive import model_of, predict, restored_data
from gpu_thermo.averages.scores import brier, calibration_error, class_probabilities, ood_auroc, scores
from gpu_thermo.data import Standardisation
from gpu_thermo.errors import DataError, SpecError, StoreError

RNG = np.random.default_rng(1)
TASKS = [("binary", 1), ("multiclass", 3), ("regression", 2)]


def draws_of(task: str, n: int, replicas: int, draws: int, points: int, seed: int = 2) -> np.ndarray:
    """Predictions [D, R, T, n] float32 of the kind a task has."""
    rng = np.random.default_rng(seed)
    if task == "multiclass":
        return rng.dirichlet(np.ones(n), (draws, replicas, points)).astype(np.float32)
    phi = (
        rng.uniform(size=(draws, replicas, points, n))
        if task == "binary"
        else rng.normal(size=(draws, replicas, points, n))
    )
    return phi.astype(np.float32)


def brute(task: str, phi: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
    """equations.md section 9 on phi [S, T, n] with weights [S]."""
    p, w = phi.astype(np.float64), w / w.sum()
    mean = np.tensordot(w, p, 1)
    out = {"mean": mean, "variance": np.tensordot(w, (p - mean) ** 2, 1), "weight_ess": 1 / (w * w).sum()}
    if task == "regression":
        return out | {"total_variance": out["variance"] + 0.25}
    q, m = (np.concatenate([1 - a, a], -1) if task == "binary" else a for a in (p, mean))
    plogp = lambda a: np.where(a > 0, a * np.log(np.where(a > 0, a, 1)), 0)  # noqa: E731
    h, expected = -plogp(m).sum(-1), -np.tensordot(w, plogp(q).sum(-1), 1)
    return out | {"entropy": h, "expected_entropy": expected, "mutual_information": h - expected}


@pytest.mark.parametrize(("task", "n"), TASKS)
@pytest.mark.parametrize("weighted", [False, True])
def test_moments_equal_brute_force_within_each_ensemble(task: str, n: int, weighted: bool) -> None:
    phi = draws_of(task, n, 10, 4, 7)
    ensemble = np.array([0, 1, 2, 0, 1, 2, 0, 0, 1, 1])
    log_w = RNG.normal(scale=3, size=(4, 10)) + 900 if weighted else np.zeros((4, 10))
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


def test_sums_are_bitwise_the_same_however_calls_are_cut_and_checkpointed() -> None:
    replicas, draws = 2 * BLOCK + 50, 3
    phi = draws_of("binary", 1, replicas, draws, 5)
    phi[1:, 7] = np.nan
    log_w = RNG.normal(scale=200, size=(draws, replicas))
    density = RNG.normal(scale=500, size=(draws, replicas, 5))
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


def test_density_of_the_average_is_a_mixture_over_draws() -> None:
    phi = draws_of("regression", 2, 5, 3, 4)
    y = RNG.normal(size=(4, 2))
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


def position_of(replicas: int, draws: int, size: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(replicas, draws, size)).astype(np.float32)


@pytest.mark.parametrize(("task", "n"), TASKS)
def test_predict_equals_brute_force(task: str, n: int) -> None:
    scale = Standardisation(RNG.normal(size=(2, 2)), RNG.uniform(1, 2, (2, 2)))
    if task == "regression":
        scale = Standardisation(scale.mean, scale.sd, RNG.normal(size=(2, n)), RNG.uniform(1, 2, (2, n)))
    data = dataset(task, sets=2, outputs=n, standardisation=scale)
    model = model_for(data, noise_sd=0.5)
    position = position_of(300, 3, model.layout.size)
    position[5, 1:] = np.nan
    sets = np.arange(300) % 2
    ensemble = np.where(np.arange(300) < 200, sets, 2 + sets)
    log_w = RNG.normal(size=(300, 3))
    tree = run_tree(data, model, position, ensemble, sets, log_weight=log_w)
    x = RNG.normal(size=(40, 2))
    got = predict(tree, x, memory=40_000)
    assert got["mean"].dims == ("ensemble", "point", "output")
    for e in range(4):
        d = e % 2
        alive = np.isfinite(position).all(-1) & (ensemble == e)[:, None]
        phi = model.predict(position[alive], ((x - scale.mean[d]) / scale.sd[d]).astype(np.float32)).astype(np.float64)
        want = brute(task, phi, np.exp(log_w[alive]))
        if scale.target_mean is not None and scale.target_sd is not None:
            want["mean"] = want["mean"] * scale.target_sd[d] + scale.target_mean[d]
            want |= {name: want[name] * scale.target_sd[d] ** 2 for name in ("variance", "total_variance")}
        one = predict(tree, x, ensemble=e, threads=1)
        for name, value in want.items():
            np.testing.assert_allclose(got[name].sel(ensemble=e), value, rtol=2e-5, atol=1e-6, err_msg=name)
            np.testing.assert_allclose(one[name], value, rtol=2e-5, atol=1e-6)
    assert got["draws"].sum() == 898


def test_threads_change_no_bit_and_a_kernel_can_be_plugged_in() -> None:
    data = dataset()
    model = model_for(data)
    tree = run_tree(data, model, position_of(20, 5, model.layout.size))
    x = RNG.normal(size=(1500, 2))
    one, two = (predict(tree, x, threads=t) for t in (1, 2))
    assert one.identical(two)
    half = predict(tree, x, phi=lambda m, p, inputs: np.full((len(p), len(inputs), 1), 0.5, p.dtype))
    assert (half["mean"] == 0.5).all()


def test_predict_refuses_what_it_cannot_do() -> None:
    data = dataset()
    model = model_for(data)
    position = position_of(4, 2, model.layout.size)
    tree = run_tree(data, model, position)
    for x, match in [
        (np.zeros((3, 5)), "2 features"), (np.array([[0, np.nan]]), r"x\[0, 1\] is nan"),
        (np.array([[0, np.inf]]), "finite"),
        (np.zeros((0, 2)), "no points"), ([["a", "b"]], "not an array of numbers"),
        (np.full((1, 2), 1e30), "overflows"),
    ]:  # fmt: skip
        with pytest.raises(DataError, match=match):
            predict(run_tree(data, model, position * 1e10), x)
    with pytest.raises(SpecError, match=r"no ensemble 3 in the run\. Ensembles: 0"):
        predict(tree, np.zeros((1, 2)), ensemble=3)
    with pytest.raises(StoreError, match=r'keep = \["parameters"\]'):
        predict(run_tree(data, model, position, keep=("predictions",)), np.zeros((1, 2)))
    with pytest.raises(StoreError, match="no draws yet"):
        predict(run_tree(data, model, position[:, :0]), np.zeros((1, 2)))


def test_memory_does_not_grow_with_replicas_draws_or_points(tmp_path: Path) -> None:
    data = dataset()
    model = model_for(data, hidden=20)

    def peak(replicas: int, draws: int, points: int) -> int:
        path = tmp_path / f"{replicas}-{draws}.zarr"
        if not path.exists():
            tree = run_tree(data, model, position_of(replicas, draws, model.layout.size), keep=("parameters",))
            del tree["sample_stats"]
            tree.to_zarr(path, encoding=_CHUNKS, consolidated=False)
        with xr.open_datatree(path, engine="zarr", chunks=None, consolidated=False) as tree:
            predict(tree, np.zeros((8, 2)), memory=2**20)  # imports and caches
            tracemalloc.start()
            predict(tree, np.zeros((points, 2)), memory=2**20)
            out = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return out

    small, many, long = peak(256, 4, 1000), peak(512, 16, 1000), peak(256, 4, 4000)
    assert many < small * 1.2 + 2**19, (small, many)  # 8 times the draws
    assert long < small + 3000 * 8 * 40, (small, long)  # only the sums and the result grow with points
    assert many < 512 * 16 * 1000 * 4 / 2  # never replicas x draws x points


_SHAPES = {"w1": (20, 2), "b1": (20,), "w2": (1, 20), "b2": (1,)}
_CHUNKS = {"/posterior": {name: {"chunks": (256, 4, *shape)} for name, shape in _SHAPES.items()}}


def test_names_and_network_come_back_from_a_run() -> None:
    for task, n in TASKS:
        data = dataset(task, outputs=n)
        model = model_for(data, prior_sd=2.0, noise_sd=0.3 if task == "regression" else 1.0)
        tree = run_tree(data, model, position_of(2, 2, model.layout.size))
        assert model_of(tree) == model
        assert restored_data(tree).fingerprint() == data.fingerprint()
        del tree.attrs["data"]
        with pytest.raises(StoreError, match="does not hold its data"):
            model_of(tree)


@pytest.mark.parametrize(("task", "classes"), [("binary", 2), ("multiclass", 4)])
def test_scores_equal_scikit_learn(task: str, classes: int) -> None:
    p = RNG.dirichlet(np.ones(classes), 200)
    y = RNG.integers(0, classes, 200)
    got = scores(task, p[:, 1:] if task == "binary" else p, y)
    assert got["accuracy"] == sklearn.metrics.accuracy_score(y, p.argmax(1))
    assert got["nll"] == pytest.approx(sklearn.metrics.log_loss(y, p, labels=range(classes)))
    if task == "binary":
        assert got["brier"] == pytest.approx(sklearn.metrics.brier_score_loss(y, p[:, 1]))
    else:
        assert got["brier"] == pytest.approx(np.mean(((p - np.eye(classes)[y]) ** 2).sum(1)))
    assert brier("multiclass", class_probabilities("binary", p[:, :1]), y % 2) == pytest.approx(
        2 * brier("binary", class_probabilities("binary", p[:, :1]), y % 2)
    )
    assert scores(task, np.zeros((0, 1)), np.zeros(0)) == {}


def test_calibration_error_by_hand() -> None:
    confidence = np.array([0.6, 0.62, 0.95, 0.98, 1.0])  # bins 9, 10, 15, 15, 15
    hit = np.array([1, 0, 1, 1, 0])
    want = (abs(1 - 0.6) + abs(0 - 0.62) + abs(2 - 2.93)) / 5
    assert calibration_error(confidence, hit) == pytest.approx(want)
    rng = np.random.default_rng(0)
    c = rng.uniform(0.5, 1, 200_000)
    assert calibration_error(c, rng.uniform(size=c.size) < c) < 0.01


def test_regression_scores_and_detection() -> None:
    mean, y = RNG.normal(size=(50, 2)), RNG.normal(size=(50, 2))
    got = scores("regression", mean, y, log_density=np.full(50, -1.5))
    assert got["rmse"] == pytest.approx(sklearn.metrics.mean_squared_error(y, mean) ** 0.5)
    assert got["nll"] == 1.5
    assert "nll" not in scores("regression", mean, y)
    assert ood_auroc([0.1, 0.2], [0.3, 0.4]) == 1.0
    assert ood_auroc([0.1, 0.4], [0.1, 0.4]) == 0.5
