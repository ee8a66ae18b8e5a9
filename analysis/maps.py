"""Maps of what an ensemble predicts and how sure it is, over a plane (or a line) of inputs.

Inputs of two features are mapped as they are. Of more, either chosen ones are varied and the others held at their
training mean, or the plane of the first two principal components of the training inputs is used, everything off it held
at the mean.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.averages.ensembles import ensemble_labels
from gpu_thermo.averages.predictive import opened, predict, restored_data
from gpu_thermo.averages.trees import Run, names_damage
from gpu_thermo.data import Dataset
from gpu_thermo.data.tasks import TASKS
from gpu_thermo.errors import DataError, did_you_mean
from gpu_thermo.spec.run import RunSpec
from gpu_thermo_analysis.drawing import NotWrittenError, draw_map

__all__ = ["draw_map", "save_map", "uncertainty_map"]

RESOLUTION = 200
MARGIN = 0.15
INTERVAL = 0.9
"""Probability of the intervals of lines."""
_QUANTILE_DRAWS = 1000
"""Most draws that the ends of intervals are taken from: their error is below a line's width."""
_RESOLUTIONS = (2, 2000)
_SUFFIXES = (".zarr", ".nc", ".csv")


@names_damage
def uncertainty_map(
    run: Run, ensemble: int | None = None, features: Sequence[str | int] | None = None, resolution: int = RESOLUTION,
    margin: float = MARGIN, device: str = "auto", network: Any = None,
) -> xr.Dataset:  # fmt: skip
    """Average the predictions of one ensemble on a grid of inputs.

    Parameters
    ----------
    run
        An opened run, or the path of its store.
    ensemble
        Which one; the first by default, and the caption says so.
    features
        One or two features, by name or number, for runs with more inputs; the others stay at their training mean.
        Without it, the first two principal components of the training inputs.
    resolution
        Points along each axis.
    margin
        How far the map reaches beyond the training points, as a share of their range.
    device, network
        As for `predict`.

    Returns
    -------
    xarray.Dataset
        On a grid [v, u] (a line: [u]): mean [.., output]; epistemic, aleatoric and total, in nats for classes (mutual
        information, expected entropy, entropy), and as standard deviations [.., output] in the target's units for
        regression; sd [.., output] of the prediction over draws. On a line, for regression, the central intervals of
        probability INTERVAL: answer_low, answer_high of an answer, and mean_low, mean_high of its mean over draws.
        Training points train_u, train_v, train_y. Attributes title, caption, task, classes and targets (JSON).

    Raises
    ------
    DataError
        An unknown feature, or a resolution that makes no map. Otherwise as `predict`.
    """
    check_extent(resolution, margin)
    tree = opened(run, "sample_stats")
    data = restored_data(tree)
    of_chain = tree["sample_stats"]["ensemble"].to_numpy()
    known = np.unique(of_chain)
    chosen = int(known[0]) if ensemble is None else ensemble
    members = np.flatnonzero(of_chain == chosen)
    plane = plane_of(data, int(tree["sample_stats"]["dataset"].to_numpy()[members[0]]) if len(members) else 0, features)
    axes = plane.axes(resolution, margin)
    found = predict(
        tree, plane.points(axes), chosen, device=device, quantiles=levels_of(data, axes),
        quantile_draws=_QUANTILE_DRAWS, network=network,
    )  # fmt: skip
    out = on_grid(found, data, plane, axes)
    differs = ensemble_labels(tree["sample_stats"].to_dataset()).get(chosen, "")
    which = f"Ensemble {chosen} of {len(known)}{f' ({differs})' * bool(differs)}." if len(known) > 1 else ""
    draws = int(out.attrs.pop("draws"))
    return described(out, data, plane, f"{label_of(tree)}: {len(members)} networks, {draws} draws", which)


def label_of(tree: xr.DataTree) -> str:
    """What a run's spec calls its data in titles."""
    return RunSpec.from_json(tree.attrs["spec"]).data.label


def check_extent(resolution: int, margin: float) -> None:
    """DataError for a resolution or a margin that makes no map."""
    if not _RESOLUTIONS[0] <= resolution <= _RESOLUTIONS[1]:
        raise DataError(
            f"resolution = {resolution} makes no map: use {_RESOLUTIONS[0]} to {_RESOLUTIONS[1]} points along each"
            " axis."
        )
    if not 0 <= margin <= 10:
        raise DataError(f"margin = {margin} is not a share of the range: use 0 to 10.")


def described(out: xr.Dataset, data: Dataset, plane: "Plane", title: str, more: str = "") -> xr.Dataset:
    """The map with what a picture says of it; `more` stands at the end of the caption."""
    out.attrs |= {
        "title": title,
        "caption": " ".join(filter(None, (plane.caption, more))),
        "task": data.task, "classes": json.dumps(data.classes), "targets": json.dumps(data.targets),
        "equal_aspect": int(plane.equal_aspect),
    }  # fmt: skip
    return out


def save_map(run: Run, path: str | Path, data_out: str | Path | None = None, **options: Any) -> xr.Dataset:
    """Compute a map, draw it to `path` (.png, .svg or .pdf), and save its numbers to `data_out` (.zarr, .nc or .csv)
    where given.

    `options` are those of `uncertainty_map`. Nothing is computed if a suffix is unknown.
    """
    check_numbers(data_out)
    dataset = draw_map(lambda: uncertainty_map(run, **options), path)
    if data_out is not None:
        save_numbers(dataset, Path(data_out))
    return dataset


def check_numbers(path: str | Path | None) -> None:
    """DataError for a file of numbers whose suffix says nothing known."""
    if path is not None and Path(path).suffix not in _SUFFIXES:
        raise DataError(f"'{path}' has no known suffix: use one of {', '.join(_SUFFIXES)}.")


def save_numbers(dataset: xr.Dataset, path: Path) -> None:
    """Write a map as Zarr, as NetCDF 3, or the grid alone as CSV."""
    try:
        if path.suffix == ".zarr":
            plain = dataset.assign_coords(
                {name: c.astype(object) for name, c in dataset.coords.items() if c.dtype.kind in "UT"}
            )
            plain.to_zarr(path, mode="w", consolidated=False)
        elif path.suffix == ".nc":
            dataset.to_netcdf(path, engine="scipy")
        else:
            if "single" in dataset.dims:  # a column each, not a row
                columns = {f"prediction_{i + 1}": values for i, values in enumerate(dataset["prediction"])}
                dataset = dataset.drop_dims("single").assign(columns)
            dataset.drop_dims("train").to_dataframe().to_csv(path)
    except OSError as error:
        raise NotWrittenError(f"Cannot write {path}: {error.strerror or error}.") from None


@dataclass(frozen=True)
class Plane:
    """Where the map lies in input space, in the data's own units: inputs = origin + coordinates @ directions.

    Attributes
    ----------
    directions : [1 or 2, m]. origin : [m]. train : [N, 1 or 2] coordinates of the training points.
    """

    directions: np.ndarray
    origin: np.ndarray
    train: np.ndarray
    labels: tuple[str, ...]
    caption: str
    equal_aspect: bool
    train_y: np.ndarray

    def inputs(self, coordinates: np.ndarray) -> np.ndarray:
        """Inputs [.., m] of the data at map coordinates [.., 1 or 2]."""
        return self.origin + coordinates @ self.directions

    def axes(self, resolution: int, margin: float) -> list[np.ndarray]:
        """Map coordinates along each axis."""
        return [_axis(values, resolution, margin) for values in self.train.T]

    def points(self, axes: Sequence[np.ndarray]) -> np.ndarray:
        """Inputs [point, m] of the data at all points of the grid of `axes`."""
        return self.inputs(np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="xy")], axis=1))


def plane_of(data: Dataset, dataset: int, features: Sequence[str | int] | None) -> Plane:
    """The plane asked for, through the training points of one data set."""
    scale = data.standardisation
    mean, sd = (scale.mean[dataset], scale.sd[dataset]) if scale else (np.zeros(data.inputs), np.ones(data.inputs))
    seen = data.x_train[dataset]
    x, y = seen * sd + mean, data.y_train[dataset]
    if scale is not None and scale.target_mean is not None and scale.target_sd is not None:
        y = y * scale.target_sd[dataset] + scale.target_mean[dataset]
    if features is None and data.inputs > 2:
        return _components(seen, mean, sd, y)
    index = _feature_indices(data, range(data.inputs) if features is None else features)
    held = data.inputs - len(index)
    origin = np.where(np.isin(np.arange(data.inputs), index), 0.0, x.mean(axis=0))
    caption = (
        f"{held} other feature{'s' if held > 1 else ''} held at the training mean; training points projected."
        if held
        else ""
    )
    labels = tuple(data.features[i] for i in index)
    return Plane(np.eye(data.inputs)[index], origin, x[:, index], labels, caption, scale is None and held == 0, y)


def _components(seen: np.ndarray, mean: np.ndarray, sd: np.ndarray, y: np.ndarray) -> Plane:
    """The plane of the first two principal components of the inputs as the network sees them [N, m]."""
    centre = seen.mean(axis=0)
    _, singular, rows = np.linalg.svd(seen - centre, full_matrices=False)
    axes = np.zeros((2, seen.shape[1]))
    axes[: len(rows[:2])] = rows[:2]
    axes *= np.where(axes[np.arange(2), np.abs(axes).argmax(axis=1)] < 0, -1.0, 1.0)[:, None]
    share = np.pad(singular**2, (0, 2))[:2] / max((singular**2).sum(), 1e-300)
    caption = (
        f"Plane of the first two principal components of the training inputs ({share.sum():.0%} of their variance). "
        "All other directions are held at the mean, and training points are projected."
    )
    labels = tuple(f"principal component {i + 1} ({s:.0%})" for i, s in enumerate(share))
    return Plane(axes * sd, centre * sd + mean, (seen - centre) @ axes.T, labels, caption, True, y)


def _feature_indices(data: Dataset, features: Sequence[str | int]) -> list[int]:
    """Column numbers of the chosen features."""
    if isinstance(features, str):
        features = [features]
    index = []
    for given in features:
        if given in data.features:
            index.append(data.features.index(str(given)))
        elif str(given).isdigit() and int(given) < data.inputs:
            index.append(int(given))
        else:
            known = ", ".join((*data.features[:20], *(["..."] if data.inputs > 20 else [])))
            remedy = did_you_mean(str(given), data.features, f"Features: {known}.")
            raise DataError(f"There is no feature '{given}' in {data.name}. {remedy}")
    if len(index) not in (1, 2) or len(set(index)) != len(index):
        raise DataError(f"A map takes one or two different features, not {list(features)}.")
    return index


def _axis(values: np.ndarray, resolution: int, margin: float) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    wide = (high - low) or 1.0
    return np.linspace(low - margin * wide, high + margin * wide, resolution)


def levels_of(data: Dataset, axes: Sequence[np.ndarray]) -> tuple[float, ...]:
    """Levels of the quantiles that a map shows: on lines of numbers the ends of the central interval, else none."""
    return ((1 - INTERVAL) / 2, (1 + INTERVAL) / 2) if len(axes) == 1 and TASKS[data.task].numeric else ()


_SD = {"epistemic": "variance", "aleatoric": "aleatoric_variance", "total": "total_variance"}
_NATS = {"epistemic": "mutual_information", "aleatoric": "expected_entropy", "total": "entropy"}
"""Names on a map, and of what is predicted."""


def on_grid(predicted: xr.Dataset, data: Dataset, plane: Plane, axes: list[np.ndarray]) -> xr.Dataset:
    """Reshape points to the grid and add the training points."""
    dims = ("v", "u")[-len(axes) :]
    shape = tuple(len(a) for a in reversed(axes))
    numeric = TASKS[data.task].numeric
    values = {"mean": predicted["mean"].to_numpy(), "sd": np.sqrt(predicted["variance"].to_numpy())}
    for name, source in (_SD if numeric else _NATS).items():
        values[name] = np.sqrt(predicted[source].to_numpy()) if numeric else predicted[source].to_numpy()
    if "quantiles" in predicted:
        for name, source in (("answer", "quantiles"), ("mean", "mean_quantiles")):
            values[f"{name}_low"], values[f"{name}_high"] = predicted[source].to_numpy()
    out = xr.Dataset(
        {k: ((*dims, "output")[: len(dims) + v.ndim - 1], v.reshape(*shape, *v.shape[1:])) for k, v in values.items()}
    )
    out = out.assign_coords(dict(zip(("u", "v"), axes, strict=False)) | {"output": predicted["output"].to_numpy()})
    for name, label, points in zip(("u", "v"), plane.labels, plane.train.T, strict=False):
        out[name].attrs["long_name"] = label
        out[f"train_{name}"] = ("train", points)
    out["train_y"] = (("train", "target")[: plane.train_y.ndim], plane.train_y)
    for name in _SD:
        out[name].attrs["units"] = "target" if numeric else "nats"
    out.attrs["draws"] = int(predicted["draws"])
    return out
