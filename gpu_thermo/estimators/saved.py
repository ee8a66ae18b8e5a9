"""A fitted estimator as one file: a .npz of its thinned networks and a JSON text, no pickles. `loaded` reads it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..averages.outside import REACH
from ..targets.networks import MlpModel

FORMAT = 1
HALF = 0.02
"""Posterior sd by which predictions may move where weights are kept as float16."""
SCALES = {
    "feature_mean": ("dataset", "feature"), "feature_sd": ("dataset", "feature"), "target_mean": ("dataset", "target"),
    "target_sd": ("dataset", "target"), REACH: ("dataset", "end", "feature"),
}  # fmt: skip
"""What is kept of the data, and its dimensions."""
_ATTRIBUTES = ("data", "noise_sd", "noise_centre", "spec")


def save(model: Any, path: Path, draws: int, said: Mapping[str, Any] | None = None) -> None:
    """Write `draws` of the networks of a fitted estimator, evenly spread, and all that predictions need beside; and
    what is `said` of them. The file has its name once it is whole.
    """
    networks = model._networks()
    networks = networks[spread(len(networks), draws)]
    tree = model.run_
    header = {
        "format": FORMAT, "kind": type(model).__name__, "parameters": _plain(model.get_params() | {"device": "auto"}),
        "attributes": {name: _plain(tree.attrs[name]) for name in _ATTRIBUTES if name in tree.attrs},
        "recipe": None if model.recipe_ is None else model.recipe_.model_dump(),
        "features": getattr(model, "n_features_in_", None), "flat": getattr(model, "_flat", None),
        "trust": model.trust_.to_dict(), "repeatable": model.repeatable_,
        "weighted": "weight_train" in tree["constant_data"], **(said or {}),
    }  # fmt: skip
    names = getattr(model, "feature_names_in_", None)
    arrays = {name: tree["constant_data"][name].to_numpy() for name in SCALES if name in tree["constant_data"]}
    arrays |= {} if names is None else {"feature_names": np.asarray(names, np.str_)}
    if hasattr(model, "classes_"):
        arrays["classes"] = model.classes_.astype(np.str_) if model.classes_.dtype == object else model.classes_
    unfinished = path.with_name(f"{path.name}.partial")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, header=json.dumps(header), networks=_narrow(model, networks), **arrays)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def spread(have: int, want: int) -> np.ndarray:
    """Places of `want` of the things that there are, or of all, evenly spread."""
    return np.linspace(0, have - 1, min(want, have)).round().astype(int)


def _narrow(model: Any, networks: np.ndarray) -> np.ndarray:
    """float16 where predictions on the training inputs hardly move by it, measured in posterior sd; else float32."""
    half = networks.astype(np.float16)
    if model.run_["constant_data"].sizes["point"] == 0:  # of a file, which has no rows: as it has them
        return half if (half == networks).all() else networks
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
