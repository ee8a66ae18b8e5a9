"""The file that `gpu-thermo fit` leaves beside a run: the store is the truth, and the file is made of it, says of which
run and how far it was, and by how much its fewer networks answer otherwise.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..averages.predictive import predict, restored_data
from ..averages.trees import opened
from ..errors import StoreError
from ..store import read_header
from .runs import from_run
from .saved import save, spread

FEWEST, MOST, APART = 256, 2048, 0.05
"""Networks of a file: twice as many until it answers as the run to APART of its sd (to half its tolerance, where that
is more), or all of them.
"""
ROWS = 200
"""Rows at which answers are compared."""


class Source(NamedTuple):
    """Of which run a file was made, and when.

    Attributes
    ----------
    run : its id. step, networks : how far it was, and how many it had. store : its name.
    """

    run: str
    step: int
    networks: int
    store: str


class Stale(UserWarning):
    """A file of a run that has gone on since."""


def export(store: Path, file: Path) -> float:
    """Write the fitted estimator of a run to `file`; what it answers otherwise, in posterior sd (rms over rows).

    Raises
    ------
    SpecError, RunError
        The run has no answers to give.
    """
    tree, info = opened(store), read_header(store)
    model = from_run(tree)
    stats = tree["sample_stats"]
    source = Source(info.run_id, info.step, stats.sizes["chain"] * stats.sizes["draw"], Path(store).name)
    rows = _rows(tree)
    whole = predict(tree, rows, 0, quantiles=())
    sd = np.sqrt(np.maximum(whole["variance"].to_numpy(), 1e-300))
    networks, goal = model._networks(), max(APART, float(model.tolerance) / 2)
    count, apart = FEWEST, math.inf
    while True:
        kept = networks[spread(len(networks), count)]
        apart = float(np.sqrt(np.square((_mean(model, kept, rows) - whole["mean"].to_numpy()) / sd).mean()))
        if apart <= goal or count >= min(MOST, len(networks)):
            break
        count *= 2
    save(model, file, count, {"source": source._asdict(), "apart": apart})
    return apart


def _rows(tree: Any) -> np.ndarray:
    """Some rows of the run's data in their own units: held out ones, or those of training."""
    data = restored_data(tree)
    x = data.x_test[0] if data.test_points else data.x_train[0]
    return data.own_inputs(x[spread(len(x), ROWS)])


def _mean(model: Any, networks: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean answers [rows, outputs] of some networks, as `predict` has them."""
    return predict(with_networks(model.run_, model._model.layout, networks), rows, 0, quantiles=())["mean"].to_numpy()


def with_networks(tree: Any, layout: Any, networks: np.ndarray) -> Any:
    """A run whose draws are these networks [D, P], a chain each."""
    import xarray as xr

    tensors, start = {}, 0
    for name, shape in layout.tensors.items():
        size = layout.sizes[name]
        values = networks[:, start : start + size].reshape(len(networks), 1, *shape)
        tensors[name] = (("chain", "draw", *(f"{name}_{i}" for i in range(len(shape)))), values)
        start += size
    constant = tree["constant_data"].to_dataset()
    return xr.DataTree.from_dict({"/": tree.to_dataset(), "posterior": xr.Dataset(tensors), "constant_data": constant})


def gone_on(file: Path, source: Source | None) -> Path | None:
    """The store beside a file of a fit, where it is that run and has gone on since; None otherwise."""
    store = file.with_suffix(".zarr")
    if source is None or not store.is_dir():
        return None
    try:
        info = read_header(store)
    except StoreError:
        return None
    return store if info.run_id == source.run and info.step > source.step else None
