"""Predictions of a run against brute force, in bounded memory."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from average_cases import TASKS, brute
from stores import dataset, model_for, run_tree

from gpu_thermo.averages.predictive import model_of, predict, restored_data
from gpu_thermo.data import Standardisation
from gpu_thermo.errors import DataError, SpecError, StoreError


def position_of(replicas: int, draws: int, size: int, seed: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(replicas, draws, size)).astype(np.float32)


@pytest.mark.parametrize(("task", "n"), TASKS)
def test_predict_equals_brute_force(task: str, n: int, rng: np.random.Generator) -> None:
    scale = Standardisation(rng.normal(size=(2, 2)), rng.uniform(1, 2, (2, 2)))
    if task == "regression":
        scale = Standardisation(scale.mean, scale.sd, rng.normal(size=(2, n)), rng.uniform(1, 2, (2, n)))
    data = dataset(task, sets=2, outputs=n, standardisation=scale)
    model = model_for(data, noise_sd=0.5)
    position = position_of(300, 3, model.layout.size)
    position[5, 1:] = np.nan
    sets = np.arange(300) % 2
    ensemble = np.where(np.arange(300) < 200, sets, 2 + sets)
    log_w = rng.normal(size=(300, 3))
    tree = run_tree(data, model, position, ensemble, sets, log_weight=log_w)
    x = rng.normal(size=(40, 2))
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


def test_threads_change_no_bit_and_a_kernel_can_be_plugged_in(rng: np.random.Generator) -> None:
    data = dataset()
    model = model_for(data)
    tree = run_tree(data, model, position_of(20, 5, model.layout.size))
    x = rng.normal(size=(1500, 2))
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

    small, many, long = peak(256, 4, 1000), peak(512, 64, 1000), peak(256, 4, 4000)
    assert many < small + 3 * 2**20, (small, many)  # 32 times the draws: all of them are 10 MiB
    assert long < small + 3000 * 8 * 40, (small, long)  # only the sums and the result grow with points


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
