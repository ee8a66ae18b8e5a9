"""The fitted estimator of a file that `saved` wrote."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ..averages.claims import MAKESHIFT, Makeshift
from ..averages.predictive import model_of
from ..data.arrays import read_npz
from ..data.recipe import Recipe
from ..errors import DataError
from .classifier import BayesianMLPClassifier
from .exported import Source, Stale, gone_on, with_networks
from .regressor import BayesianMLPRegressor
from .saved import FORMAT, SCALES
from .words import Trust

Estimator = BayesianMLPRegressor | BayesianMLPClassifier
_KINDS: dict[str, type[Estimator]] = {cls.__name__: cls for cls in (BayesianMLPRegressor, BayesianMLPClassifier)}


def load(path: str | Path) -> Estimator:
    """The fitted estimator of a file that `save` wrote, or `gpu-thermo fit`.

    Its attribute `source_` says of which run a file of `fit` was made, and `apart_` by how much its networks answer
    otherwise than all of that run's, in posterior sd; None of other files. Where that run lies beside it and has gone
    on since, a Stale warns; a Makeshift of one that had no time for a draw.

    Raises
    ------
    DataError
        There is no such file, or it is damaged.
    """
    if not Path(path).exists():
        raise DataError(f"There is no file {path}: {_anew(Path(path), 'correct the name')}.")
    held = read_npz(Path(path), None, "a fitted estimator", f"It is damaged, or was cut short: {_anew(Path(path))}")
    try:
        header = json.loads(str(held["header"][()]))
        if header["format"] != FORMAT:
            raise DataError(f"{path} is of format {header['format']}; this version reads format {FORMAT}.")
        model = _fitted(header, held)
    except DataError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is no file of a fitted estimator ({type(error).__name__}: {error}). Give one that gpu-thermo fit"
            " wrote, or save."
        ) from None
    if model.trust_.makeshift:
        warnings.warn(f"{path}: {MAKESHIFT}", Makeshift, stacklevel=2)
    if (store := gone_on(Path(path), model.source_)) is not None:
        warnings.warn(
            f"{path} was made at step {model.source_.step:,} of {store.name}, which has gone on since: gpu-thermo"
            f" resume {store} makes it anew, and gpu_thermo.estimators.from_run('{store}') has all its networks.",
            Stale,
            stacklevel=2,
        )
    return model


def _anew(file: Path, otherwise: str = "copy it again, or save the estimator anew") -> str:
    """How there will be such a file again, where its run is beside it."""
    store = file.with_suffix(".zarr")
    return f"gpu-thermo resume {store} makes it anew" if store.is_dir() else otherwise


def _fitted(header: dict[str, Any], held: dict[str, Any]) -> Any:
    """The estimator, from what the file says and the arrays that it holds."""
    model: Any = _KINDS[header["kind"]](**_given(header["parameters"]))
    model.n_features_in_, model._flat = header["features"], header["flat"]
    model.recipe_ = None if header["recipe"] is None else Recipe.model_validate(header["recipe"])
    if "feature_names" in held:
        model.feature_names_in_ = held["feature_names"].astype(object)
    if "classes" in held:
        model.classes_ = held["classes"]
    given = {k: v for k, v in header["trust"].items() if k != "text"}
    trust: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    model.trust_ = Trust(**trust | {k: np.nan for k, v in given.items() if v is None})
    model.run_ = _tree(header, held)
    model.repeatable_, model.advice_ = header.get("repeatable"), ()
    model.source_ = Source(**header["source"]) if header.get("source") else None
    model.apart_ = header.get("apart")
    return model


def _tree(header: dict[str, Any], held: dict[str, Any]) -> xr.DataTree:
    """What predictions need of a run: networks, units and names."""
    attributes = header["attributes"]
    constant: dict[str, Any] = {name: (dims, held[name]) for name, dims in SCALES.items() if name in held}
    names = json.loads(attributes["data"])
    m, n = len(names["features"]), len(names["targets"])
    for part, point in (("train", "point"), ("test", "test_point")):  # the rows themselves are not kept
        constant[f"x_{part}"] = (("dataset", point, "feature"), np.zeros((1, 0, m)))
        constant[f"y_{part}"] = (("dataset", point, *(["target"] if n else [])), np.zeros((1, 0, *([n] if n else []))))
    if header["weighted"]:
        constant["weight_train"] = (("dataset", "point"), np.ones((1, 0)))
    bare = xr.DataTree.from_dict({"/": xr.Dataset(attrs=attributes), "constant_data": xr.Dataset(constant)})
    return with_networks(bare, model_of(bare).layout, held["networks"].astype(np.float32))


def _given(parameters: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in parameters.items()}
