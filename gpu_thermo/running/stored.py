"""What of a run goes into its store, and back: the header, the data as sampled, draws and learning curves."""

import json
import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from .. import __version__
from ..data import Dataset
from ..data.tasks import TASKS
from ..moves import fold
from ..state import Snapshot
from ..store import Draws, Header, Trace
from .loop import Moment
from .setup import AnySetup, PotentialSetup, Setup

_POINT = ("dataset", "point")


def make_header(setup: AnySetup, engine: str, device: str, predictive: Mapping[str, Any]) -> Header:
    """Everything of the run that is fixed when its store is created."""
    layer = ("partition",)
    statistics: dict[str, tuple[tuple[str, ...], Any]] = {
        "energy": ((), np.float64), "lp": ((), np.float64), "kinetic_temperature": (layer, np.float64), "thermostat": (layer, np.float64),
        "diverging": ((), np.bool_), **{name: ((), np.float64) for name in statistics_names(setup)},
    }  # fmt: skip
    trace = {name: value for name, value in statistics.items() if name not in _DRAWS_ONLY}
    subject = _potential(setup) if isinstance(setup, PotentialSetup) else _network(setup)
    return Header(
        spec=setup.spec.to_json(),
        fingerprint=setup.fingerprint,
        engine=engine,
        device=device,
        versions=versions(),
        chain=setup.chain_coordinates(),
        tensors=setup.job.target.layout.variables,
        partitions=setup.program.partition.names,
        predictive=predictive,
        statistics=statistics,
        trace=trace,
        dtype=setup.job.dtype,
        draws=setup.agenda.draws,
        trace_steps=setup.spec.run.steps // setup.spec.run.trace,
        **subject,
    )


def _network(setup: Setup) -> dict[str, Any]:
    """The header's fields about a network and its data."""
    data = setup.data
    return {
        "outputs": setup.model.likelihood.axis(data.classes, data.targets), "features": data.features,
        "probes": setup.probes, "constant": constant_data(data), "keep": tuple(setup.spec.run.keep),
        "attributes": {"data": data_names(data), "noise_sd": setup.model.noise_sd},
    }  # fmt: skip


def _potential(setup: PotentialSetup) -> dict[str, Any]:
    """The same about a potential: its coordinates take the place of test points, and there is nothing to predict."""
    names = tuple(setup.potential.coordinates)
    return {
        "outputs": ("coordinate",), "features": names, "probes": np.zeros((0, len(names))), "constant": {},
        "keep": tuple(k for k in setup.spec.run.keep if k == "parameters"), "attributes": {},
    }  # fmt: skip


_DRAWS_ONLY = ("lp", "diverging", "log_weight")


def statistics_names(setup: AnySetup) -> tuple[str, ...]:
    """Names of the further numbers each draw has: test scores, and what the moves and the method say."""
    scores: tuple[str, ...] = ()
    if isinstance(setup, Setup) and setup.data.test_points:
        scores = (f"test_{setup.model.likelihood.score.name}", "test_nll")
    return (*scores, *fold.names(setup.moves), *setup.method_statistics(1))


def versions() -> dict[str, str]:
    """Versions of what produced the numbers."""
    out = {"gpu_thermo": __version__, "python": platform.python_version()}
    for name in ("numpy", "zarr", "xarray", "cupy-cuda13x", "cupy-cuda12x"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out


def constant_data(data: Dataset) -> dict[str, tuple[tuple[str, ...], np.ndarray]]:
    """The data as sampled, and what they were standardised by: name -> (dims, values)."""
    values = ("target",) if TASKS[data.task].numeric else ()
    out = {
        "x_train": ((*_POINT, "feature"), data.x_train), "y_train": ((*_POINT, *values), data.y_train),
        "x_test": (("dataset", "test_point", "feature"), data.x_test), "y_test": (("dataset", "test_point", *values), data.y_test),
    }  # fmt: skip
    if (s := data.standardisation) is not None:
        out |= {"feature_mean": (("dataset", "feature"), s.mean), "feature_sd": (("dataset", "feature"), s.sd)}
        if s.target_mean is not None and s.target_sd is not None:
            out |= {
                "target_mean": (("dataset", "target"), s.target_mean),
                "target_sd": (("dataset", "target"), s.target_sd),
            }
    return out


def data_names(data: Dataset) -> str:
    """JSON of the names along the data's axes, for the store's attributes."""
    names = {
        "name": data.name,
        "task": data.task,
        "features": data.features,
        "classes": data.classes,
        "targets": data.targets,
    }
    return json.dumps(names)


def pack_draws(setup: AnySetup, moments: Sequence[Moment]) -> Draws:
    """Draws as the store takes them; lp is -N U, or -U without data."""
    keep = setup.spec.run.keep
    steps = np.array([m.snapshot.step for m in moments])
    shots = [m.snapshot for m in moments]
    statistics = _statistics(shots)
    statistics["lp"] = -(setup.job.target.points or 1) * statistics["energy"]
    statistics["diverging"] = np.stack([s.status != 0 for s in shots])
    predictions = [m.predictions for m in moments if m.predictions is not None]
    return Draws(
        draw=setup.agenda.index(steps), step=steps,
        position=np.stack([s.position for s in shots]) if "parameters" in keep else None,
        predictions=np.stack(predictions) if predictions else None, statistics=statistics,
    )  # fmt: skip


def pack_trace(moments: Sequence[Moment]) -> Trace:
    """Points of the learning curves as the store takes them."""
    shots = [m.snapshot for m in moments]
    return Trace(step=np.array([s.step for s in shots]), values=_statistics(shots, without=_DRAWS_ONLY))


def _statistics(shots: Sequence[Snapshot], without: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    """Per-replica numbers stacked over moments: name -> [D, R, ...]."""
    own = {
        name: np.stack([getattr(s, name) for s in shots]) for name in ("energy", "kinetic_temperature", "thermostat")
    }
    return own | {
        name: np.stack([s.statistics[name] for s in shots]) for name in shots[0].statistics if name not in without
    }
