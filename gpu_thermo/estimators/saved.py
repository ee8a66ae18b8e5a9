"""A fitted estimator in one file: a .npz of its networks, thinned, and a JSON text. Nothing is pickled."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..data.arrays import read_npz
from ..data.recipe import Recipe
from ..errors import DataError
from ..targets.networks import MlpModel
from ..tuning.verdict import Verdict
from .base import BayesianMLP
from .classifier import BayesianMLPClassifier
from .regressor import BayesianMLPRegressor

FORMAT = 1
HALF = 0.02
"""Posterior sd by which predictions may move where weights are kept as float16."""
_KINDS = {cls.__name__: cls for cls in (BayesianMLPRegressor, BayesianMLPClassifier)}
_SCALES = ("feature_mean", "feature_sd", "target_mean", "target_sd")
_ATTRIBUTES = ("data", "noise_sd", "noise_centre", "spec")


def save(model: BayesianMLP, path: Path, draws: int) -> None:
    """Write `draws` of the networks of a fitted estimator, evenly spread, and all that predictions need beside."""
    networks = model._networks()
    networks = networks[np.linspace(0, len(networks) - 1, min(draws, len(networks))).round().astype(int)]
    tree = model.run_
    header = {
        "format": FORMAT, "kind": type(model).__name__, "parameters": _plain(model.get_params()),
        "attributes": {name: _plain(tree.attrs[name]) for name in _ATTRIBUTES if name in tree.attrs},
        "recipe": None if model.recipe_ is None else model.recipe_.model_dump(),
        "features": getattr(model, "n_features_in_", None), "trust": model.trust_.to_dict(),
        "flat": getattr(model, "_flat", None), "weighted": "weight_train" in tree["constant_data"],
    }  # fmt: skip
    names = getattr(model, "feature_names_in_", None)
    arrays = {name: tree["constant_data"][name].to_numpy() for name in _SCALES if name in tree["constant_data"]}
    arrays |= {} if names is None else {"feature_names": np.asarray(names, np.str_)}
    if isinstance(model, BayesianMLPClassifier):
        arrays["classes"] = model.classes_.astype(np.str_) if model.classes_.dtype == object else model.classes_
    with path.open("wb") as file:
        np.savez_compressed(file, header=json.dumps(header), networks=_narrow(model, networks), **arrays)


def load(path: str | Path) -> BayesianMLP:
    """The fitted estimator of a file that `save` wrote.

    Raises
    ------
    DataError
        It is no such file, or damaged.
    """
    held = read_npz(Path(path), None)
    try:
        header = json.loads(str(held["header"][()]))
        if header["format"] != FORMAT:
            raise DataError(f"{path} is of format {header['format']}; this version reads format {FORMAT}.")
        model = _KINDS[header["kind"]](**_given(header["parameters"]))
        model.n_features_in_, model._flat = header["features"], header["flat"]
        model.recipe_ = None if header["recipe"] is None else Recipe.model_validate(header["recipe"])
        if "feature_names" in held:
            model.feature_names_in_ = held["feature_names"].astype(object)
        if "classes" in held:
            model.classes_ = held["classes"]
        trust = {k: tuple(v) if isinstance(v, list) else v for k, v in header["trust"].items() if k != "text"}
        model.trust_ = Verdict(**{k: np.nan if v is None else v for k, v in trust.items()})
        model.run_ = _tree(header, held)
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(f"{path} is no file of a fitted estimator ({type(error).__name__}: {error}).") from None
    return model


def _tree(header: dict[str, Any], held: dict[str, Any]) -> xr.DataTree:
    """What predictions need of a run: networks, units and names."""
    attributes = header["attributes"]
    constant = {name: (("dataset", "feature" if "feature" in name else "target"), held[name])
                for name in _SCALES if name in held}  # fmt: skip
    names = json.loads(attributes["data"])
    m, n = len(names["features"]), len(names["targets"])
    for part, point in (("train", "point"), ("test", "test_point")):  # the rows themselves are not kept
        constant[f"x_{part}"] = (("dataset", point, "feature"), np.zeros((1, 0, m)))
        constant[f"y_{part}"] = (("dataset", point, *(["target"] if n else [])), np.zeros((1, 0, *([n] if n else []))))
    if header["weighted"]:
        constant["weight_train"] = (("dataset", "point"), np.ones((1, 0)))
    bare = xr.DataTree.from_dict({"/": xr.Dataset(attrs=attributes), "constant_data": xr.Dataset(constant)})
    from ..averages.predictive import model_of

    layout = model_of(bare).layout
    networks, start, tensors = held["networks"].astype(np.float32), 0, {}
    for name, shape in layout.tensors.items():
        size = layout.sizes[name]
        values = networks[:, start : start + size].reshape(len(networks), 1, *shape)
        tensors[name] = (("chain", "draw", *(f"{name}_{i}" for i in range(len(shape)))), values)
        start += size
    return xr.DataTree.from_dict({"/": bare.to_dataset(), "constant_data": bare["constant_data"].to_dataset(),
                                  "posterior": xr.Dataset(tensors)})  # fmt: skip


def _narrow(model: BayesianMLP, networks: np.ndarray) -> np.ndarray:
    """float16 where predictions on the training inputs hardly move by it, measured in posterior sd; else float32."""
    half = networks.astype(np.float16)
    x = model.run_["constant_data"]["x_train"].to_numpy()[0][:256].astype(np.float32)
    mlp: MlpModel = model._model
    full, less = (mlp.predict(p.astype(np.float32), x).astype(np.float64) for p in (networks, half))
    moved = np.abs(full - less).max(axis=(0, 1)) / np.maximum(full.std(axis=0).mean(axis=0), 1e-12)
    return half if np.isfinite(less).all() and (moved < HALF).all() else networks


def _plain(value: Any) -> Any:
    """As JSON takes it; a generator of random numbers is forgotten."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, str | int | float | bool) else None


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in parameters.items()}
