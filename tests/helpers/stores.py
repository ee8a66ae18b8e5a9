"""Opened runs in memory, made from given positions: what the tests of predictive, maps and diagnostics read."""

import json
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.data import Dataset
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.targets.networks import MlpModel


def dataset(
    task: str = "binary", sets: int = 1, points: int = 20, features: int = 2, outputs: int = 1, seed: int = 0, **kw: Any
) -> Dataset:
    """Random data of a task; not meant to be learnable."""
    rng = np.random.default_rng(seed)
    x, x_test = rng.normal(size=(sets, points, features)), rng.normal(size=(sets, points // 2, features))
    if task == "regression":
        y, y_test = rng.normal(size=(sets, points, outputs)), rng.normal(size=(sets, points // 2, outputs))
        names: dict[str, Any] = {"targets": tuple(f"t{i}" for i in range(outputs))}
    else:
        classes = 2 if task == "binary" else outputs
        y, y_test = rng.integers(0, classes, (sets, points)), rng.integers(0, classes, (sets, points // 2))
        names = {"classes": tuple(f"c{i}" for i in range(classes))}
    return Dataset("spirals", task, x, y, x_test, y_test, tuple(f"f{i}" for i in range(features)), **names, **kw)


def model_for(data: Dataset, hidden: int = 5, **kw: Any) -> MlpModel:
    """A network that fits the data."""
    return MlpModel(data.inputs, hidden, data.outputs, data.task, **kw)


def run_tree(
    data: Dataset, model: MlpModel, position: np.ndarray, ensemble: Any = None, sets: Any = None, *,
    method: Any = None, init: str = "normal", temperature: Any = (1e-2, 1e-2), kinetic: Any = None,
    log_weight: Any = None, status: Any = None, keep: Any = ("parameters", "predictions"),
) -> xr.DataTree:  # fmt: skip
    """An opened run whose draws are `position` [R, D, P]; other arguments [R] or [R, D, ...]."""
    replicas, draws = position.shape[:2]
    ensemble = np.zeros(replicas, np.int64) if ensemble is None else np.asarray(ensemble)
    sets = np.zeros(replicas, np.int64) if sets is None else np.asarray(sets)
    status = np.zeros(replicas, np.int32) if status is None else np.asarray(status, np.int32)
    frozen = np.where(status != 0, 7, -1)
    chain = {"ensemble": ensemble, "dataset": sets, "seed": np.ones(replicas, np.int64), "stream": np.arange(replicas),
             "status": status, "frozen_step": frozen, "stepsize": np.full(replicas, 0.1),
             "temperature_hidden": np.full(replicas, temperature[0]),
             "temperature_output": np.full(replicas, temperature[1])}  # fmt: skip
    coords = {name: ("chain", values) for name, values in chain.items()} | {
        "chain": np.arange(replicas),
        "draw": np.arange(draws),
    }
    probe = data.x_train[:, :6]
    groups = {"constant_data": _constant(data)}
    if "parameters" in keep:
        tensors = model.layout.split(position)
        dims = {"w1": ("hidden", "feature"), "b1": ("hidden",), "w2": ("output", "hidden"), "b2": ("output",)}
        groups["posterior"] = xr.Dataset({k: (("chain", "draw", *dims[k]), v) for k, v in tensors.items()}, coords)
    if "predictions" in keep:
        phi = np.stack([model.predict(position[r], probe[sets[r]].astype(position.dtype)) for r in range(replicas)])
        groups["probes"] = xr.Dataset({"predictions": (("chain", "draw", "probe", "output"), phi)}, coords)
    kinetic = np.full((replicas, draws, 2), 1e-2) if kinetic is None else kinetic
    stats = {
        "kinetic_temperature": (("chain", "draw", "partition"), kinetic),
        "energy": (("chain", "draw"), np.zeros((replicas, draws))),
    }
    if log_weight is not None:
        stats["log_weight"] = (("chain", "draw"), log_weight)
    groups["sample_stats"] = xr.Dataset(stats, coords | {"partition": ["hidden", "output"]})
    names = {
        "name": data.name,
        "task": data.task,
        "features": data.features,
        "classes": data.classes,
        "targets": data.targets,
    }
    spec: dict[str, Any] = {
        "model": {"hidden": list(model.hidden), "activation": model.activation, "init": init},
        "run": {"keep": list(keep)},
    }
    if model.prior_sd is not None:
        spec["model"]["prior_sd"] = model.prior_sd
    if data.task == "regression":
        spec |= {"data": {"name": "gap"}}
    if method is not None:
        spec["method"] = method
    if log_weight is not None:  # whose draws have weights
        spec["moves"] = [{"kind": "contour", "lowest": 0.0, "width": 0.1}]
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = {"spec": RunSpec.from_dict(spec).to_json(), "data": json.dumps(names), "noise_sd": model.noise_sd}
    return tree


def _constant(data: Dataset) -> xr.Dataset:
    value = ("target",) if data.task == "regression" else ()
    out = xr.Dataset(
        {
            "x_train": (("dataset", "point", "feature"), data.x_train),
            "y_train": (("dataset", "point", *value), data.y_train),
            "x_test": (("dataset", "test_point", "feature"), data.x_test),
            "y_test": (("dataset", "test_point", *value), data.y_test),
        }
    )
    s = data.standardisation
    if s is not None:
        out["feature_mean"], out["feature_sd"] = (("dataset", "feature"), s.mean), (("dataset", "feature"), s.sd)
        if s.target_mean is not None:
            out["target_mean"], out["target_sd"] = (
                (("dataset", "target"), s.target_mean),
                (("dataset", "target"), s.target_sd),
            )
    return out
