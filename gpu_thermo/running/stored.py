"""What of a run goes into its store: the header, draws and learning curves."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from .. import __version__
from ..averages.ensembles import columns, labels
from ..averages.moments import ABOUT as AVERAGED
from ..averages.moments import RunningMoments
from ..moves import fold
from ..state import Snapshot
from ..store import Draws, Header, Trace
from ..store.narrow import kept
from .loop import Moment
from .subject import Setup


def make_header(setup: Setup, engine: str, device: str, moments: RunningMoments) -> Header:
    """Everything of the run that is fixed when its store is created."""
    chain = setup.chain_coordinates() | {name: np.full(setup.job.replicas, np.nan) for name in setup.tuned}
    statistics, of_subject = _kinds(setup), _of_subject(setup)
    found = columns(chain, setup.ensemble)
    together = fold.together(setup.moves)
    return Header(
        spec=setup.spec.to_json(),
        fingerprint=setup.fingerprint,
        data_fingerprint=setup.subject.fingerprint,
        engine=engine,
        device=device,
        versions=versions(),
        chain=chain,
        tensors=of_subject.pop("tensors", setup.job.target.layout.variables),
        partitions=setup.program.partition.names,
        predictive=moments.schema(),
        statistics=statistics,
        trace={name: value for name, value in statistics.items() if name not in _DRAWS_ONLY},
        dtype=setup.job.dtype,
        draws=setup.agenda.draws,
        trace_steps=setup.agenda.traced,
        tuned=setup.tuned,
        together=together,
        apart=fold.wander(setup.moves),
        weighted="log_weight" in statistics and together == 1,
        points=setup.job.target.points,
        ensembles=found | {"label": np.array(labels(found, len(setup.ensemble_dataset)))},
        **of_subject,
    )


def _kinds(setup: Setup) -> dict[str, tuple[tuple[str, ...], Any]]:
    """Axes behind chain and draw, and type, of each statistic."""
    number, of_partition = ((), np.float64), (("partition",), np.float64)
    return {
        "energy": number, "lp": number, "kinetic_temperature": of_partition, "thermostat": of_partition,
        "diverging": ((), np.bool_), **dict.fromkeys(setup.statistics, number),
    }  # fmt: skip


def _of_subject(setup: Setup) -> dict[str, Any]:
    """Parts of the header that the subject has, with what the run adds to them."""
    out = dict(setup.subject.header())
    about = ABOUT | AVERAGED | dict(out.get("about", {})) | fold.about(setup.moves)
    constant = out["constant"]
    if setup.starts is not None:
        starts = setup.starts.constants()
        constant = {**constant, **starts}
        about |= {name: ("1", f"start of chains, {name}") for name in starts}
    out["constant"], out["about"] = kept(constant, about)
    out["attributes"] = {**out["attributes"], "gradients_per_step": setup.program.gradients_per_step}
    return out


_DRAWS_ONLY = ("lp", "diverging", "log_weight")
ABOUT = {
    "energy": ("nat", "energy U: negative log density per training point, or the potential"),
    "energy_data": ("nat", "mean negative log likelihood of the training points"),
    "energy_prior": ("nat", "negative log prior density per training point, without constants"),
    "lp": ("nat", "log density of the posterior, -N U, without constants"),
    "kinetic_temperature": ("1", "kinetic temperature p.p / n of each partition"),
    "thermostat": ("1", "thermostat variable xi of each partition"),
    "diverging": ("1", "whether the chain is frozen"),
    "log_weight": ("nat", "log weight of the draw within its ensemble"),
    "equivalent_temperature": ("1", "(1 + rho) / (1 - rho) of the momentum parameter in force"),
    "acceptance": ("1", "mean acceptance min(1, exp(-w / tau)) of proposals, or steps, since the last recorded moment"),
    "shadow_work": ("nat", "mean shadow work w since the last recorded moment"),
    "shadow_work_variance": ("1", "variance of the shadow work since the last recorded moment"),
    "test_nll": ("nat", "mean negative log likelihood of the test points"),
    "test_accuracy": ("1", "share of the test points that are classified right"),
    "test_rmse": ("1", "root mean squared error on the test points, in standardised units"),
}
"""Units and meaning of statistics."""


def versions() -> dict[str, str]:
    """Versions of what produced the numbers."""
    out = {"gpu_thermo": __version__, "python": platform.python_version()}
    for name in ("numpy", "zarr", "xarray", "cupy-cuda13x", "cupy-cuda12x"):
        try:
            out[name] = version(name)
        except PackageNotFoundError:
            continue
    return out


def pack(setup: Setup, moments: Sequence[Moment]) -> tuple[Draws | None, Trace | None]:
    """The draws and the points of the learning curves among `moments`, as the store takes them; None where there are
    none.
    """
    draws = [m for m in moments if m.snapshot.is_draw]
    traced = [m for m in moments if m.traced]
    both = _statistics([m.snapshot for m in draws]) if draws == traced and draws else None  # one copy for two
    return (
        pack_draws(setup, draws, both) if draws else None,
        pack_trace(traced, both) if traced else None,
    )


def pack_draws(setup: Setup, moments: Sequence[Moment], packed: Mapping[str, np.ndarray] | None = None) -> Draws:
    """Draws as the store takes them; lp is -N U, or -U without data. `packed` are their statistics, where they are
    there already.
    """
    keep = setup.spec.run.keep
    steps = np.array([m.snapshot.step for m in moments])
    shots = [m.snapshot for m in moments]
    statistics = dict(_statistics(shots) if packed is None else packed)
    statistics["lp"] = -(setup.job.target.points or 1) * statistics["energy"]
    statistics["diverging"] = np.stack([s.status != 0 for s in shots])
    predictions = [m.predictions for m in moments if m.predictions is not None]
    losses = [m.log_likelihood for m in moments if m.log_likelihood is not None]
    return Draws(
        draw=np.array([m.draw for m in moments]), step=steps,
        position=np.stack([s.position for s in shots]) if "parameters" in keep else None,
        predictions=np.stack(predictions) if predictions else None, statistics=statistics,
        momentum=np.stack([np.asarray(s.momentum) for s in shots]) if "momenta" in keep else None,
        log_likelihood=np.stack(losses) if losses else None,
    )  # fmt: skip


def pack_trace(moments: Sequence[Moment], packed: Mapping[str, np.ndarray] | None = None) -> Trace:
    """Points of the learning curves as the store takes them; `packed` as in pack_draws."""
    shots = [m.snapshot for m in moments]
    values = _statistics(shots) if packed is None else packed
    kept = {name: value for name, value in values.items() if name not in _DRAWS_ONLY}
    return Trace(step=np.array([s.step for s in shots]), values=kept)


def _statistics(shots: Sequence[Snapshot]) -> dict[str, np.ndarray]:
    """Per-replica numbers stacked over moments: name -> [D, R, ...]; a moment that is no draw has fewer."""
    own = {
        name: np.stack([getattr(s, name) for s in shots]) for name in ("energy", "kinetic_temperature", "thermostat")
    }
    of_all = set(shots[0].statistics).intersection(*(s.statistics for s in shots))
    return own | {name: np.stack([s.statistics[name] for s in shots]) for name in shots[0].statistics if name in of_all}
