"""Evidence of a network from one run on a ladder of powers of its likelihood (equations.md section 15)."""

import logging
import math
import warnings
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr

from ..data import Dataset
from ..errors import SpecError, StoreError
from ..spec.run import RunSpec
from ..streams import make_keys
from ..targets.networks import MlpModel
from .ensembles import ensemble_labels
from .predictive import model_of, opened, restored_data
from .trees import Run, names_damage

PRIOR_DRAWS = 8192
"""Draws from the prior, for the end of the integral that no chain is at."""
SETTLED = 0.05
"""Nats by which half the rungs may give another answer."""
MOST_MBAR = 20_000
_ROWS = 256


@dataclass(frozen=True)
class Evidence:
    """The log evidence of one ensemble, in nats.

    Attributes
    ----------
    temperatures : 1/b of a ladder with more rungs where the integral asks for them (`more_rungs`), or ().
    log_evidence, error : mean over ladders and its standard error (NaN of one ladder). ladders : how many.
    powers : [n + 1] b of the rungs, 0 first. mean, variance : [n + 1] of log L on them, means over ladders.
    halved : by every second rung. mbar, mbar_error : by pymbar, None where it is not installed; its error supposes that
    draws are independent. label : in what the ensemble differs. warnings : what stands against it.
    """

    ensemble: int
    label: str
    log_evidence: float
    error: float
    ladders: int
    powers: tuple[float, ...]
    mean: tuple[float, ...]
    variance: tuple[float, ...]
    halved: float
    mbar: float | None = None
    mbar_error: float | None = None
    warnings: tuple[str, ...] = field(default=())
    temperatures: tuple[float, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """Plain data; NaN becomes None."""
        return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(self).items()}


@names_damage
def evidence(run: Run, network: Any = None, prior_draws: int = PRIOR_DRAWS) -> list[Evidence]:
    """The log evidence log p(y | X) of each ensemble of a run with temper = "likelihood".

    Thermodynamic integration: log Z = int_0^1 <log L>_b db over the run's rungs, b = 0 from draws of the prior, by the
    trapezoid with the second-order term of Friel, Hurn and Wyse (Stat. Comput. 24, 2014), each ladder by itself.
    Answers are in the run's own units (standardised, where the data are).

    Parameters
    ----------
    run : an opened run, or the path of its store. network : given again, of a run whose network came from Python.
    prior_draws : from the prior.

    Raises
    ------
    SpecError
        The run has no such ladder, or log L has no finite mean under the prior.
    StoreError
        There are no draws, or fewer than two of them.
    """
    tree = opened(run, "sample_stats")
    spec = RunSpec.from_json(tree.attrs["spec"])
    if not any(getattr(move, "of_powers", False) for move in spec.moves) or "sample_stats_rungs" not in tree.children:
        raise SpecError(
            'This run has no ladder of powers: sample it with [[moves]] kind = "exchange", temper = "likelihood" and'
            " rungs = 32, say."
        )
    if not isinstance(prior_draws, int) or prior_draws < 2:
        raise SpecError(f"prior_draws = {prior_draws!r} is no number of draws: use some thousands.")
    stats, every = tree["sample_stats"].to_dataset(), tree["sample_stats_rungs"].to_dataset()
    if stats.sizes["draw"] < 2:
        raise StoreError("The run has fewer than two draws: it is still in its burn-in, or too short.")
    model, data = model_of(tree, network), restored_data(tree)
    labels, of_chain = ensemble_labels(stats), stats["ensemble"].to_numpy()
    out = []
    for e, label in labels.items():
        chains = np.flatnonzero(of_chain == e)
        start = _prior_likelihoods(tree, spec, model, data, int(stats["dataset"].to_numpy()[chains[0]]), prior_draws)
        out.append(_one(int(e), label, every, chains, start, data.points))
    return out


def _one(e: int, label: str, every: xr.Dataset, chains: np.ndarray, start: np.ndarray, points: int) -> Evidence:
    """The evidence of one ensemble, from log L of its ladders and of draws from the prior."""
    powers, found = _by_rung(every, chains, points)
    if len(found) == 0:
        raise StoreError(f"No whole ladder is left in ensemble {e}: gpu-thermo info says what froze.")
    b = np.array([0.0, *powers])
    m = np.concatenate([np.full((len(found), 1), start.mean()), found.mean(axis=2)], axis=1)
    v = np.concatenate([np.full((len(found), 1), start.var(ddof=1)), found.var(axis=2, ddof=1)], axis=1)
    each = integrate(b, m, v)
    half = half_of(b)
    by_half = integrate(b[half], m[:, half], v[:, half])
    halved, noise = float(by_half.mean()), float((each - by_half).std()) / math.sqrt(len(each))
    log_z, count = float(each.mean()), len(each)
    error = float(each.std(ddof=1) / math.sqrt(count)) if count > 1 else math.nan
    said, more = [], tuple(more_rungs(b, m.mean(axis=0), v.mean(axis=0)).tolist())
    if more and abs(log_z - halved) < 2 * noise:
        more = ()
        said.append(
            f"Half the rungs give {halved:.3f}, {abs(log_z - halved):.2f} nat elsewhere, which {count} ladders give by"
            f" chance, too (+- {noise:.2f}): take more draws or ladders to know whether the rungs are enough."
        )
    if more:
        said.append(
            f"Half the rungs give {halved:.3f}, {abs(log_z - halved):.2f} nat elsewhere (more than {SETTLED:g}): take"
            f" the {len(more)} rungs temperatures = [{', '.join(f'{t:.4g}' for t in more)}] in place of {len(powers)}."
        )
    if count < 2:
        said.append("One ladder alone has no error: take several times as many replicas as rungs.")
    mbar = _mbar(b, start, found)
    mean, variance = (tuple(a.mean(axis=0).tolist()) for a in (m, v))
    return Evidence(
        e, label, log_z, error, count, tuple(b.tolist()), mean, variance, halved, *mbar, tuple(said), more,
    )  # fmt: skip


def integrate(b: np.ndarray, m: np.ndarray, v: np.ndarray) -> np.ndarray:
    """[..] sum over intervals of D (m_0 + m_1)/2 - D^2 (v_1 - v_0)/12, from mean and variance [.., n + 1] of log L at
    powers b [n + 1].
    """
    d = np.diff(b)
    return np.asarray((d * (m[..., 1:] + m[..., :-1]) / 2 - d * d * np.diff(v, axis=-1) / 12).sum(axis=-1))


def half_of(b: np.ndarray) -> np.ndarray:
    """Places of every second of the powers b [n + 1], the last one among them."""
    return np.unique([*range(0, len(b), 2), len(b) - 1])


def more_rungs(b: np.ndarray, m: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Temperatures 1/b, 1 first, of a ladder with rungs where the integral over powers b [n + 1], 0 first, needs them;
    empty where it does not.

    Of every two neighbouring intervals it is known what they give as one. Where these answers are furthest apart both
    intervals get a rung in their middle (of b^(1/5), in which the first ladder is even), until those of the others come
    to less than half of SETTLED together.
    """
    halved = half_of(b)
    one = lambda i, j: float(integrate(b[[i, j]], m[[i, j]], v[[i, j]]))  # noqa: E731
    gaps = [abs(one(i, j) - sum(one(k, k + 1) for k in range(i, j))) for i, j in pairwise(halved.tolist())]
    if abs(float(integrate(b, m, v) - integrate(b[halved], m[halved], v[halved]))) <= SETTLED:
        return np.empty(0)
    new: list[float] = []
    left = sum(gaps)
    for g in np.argsort(gaps)[::-1]:
        if left <= SETTLED / 2 and new:
            break
        left -= gaps[g]
        new += [((b[k] ** 0.2 + b[k + 1] ** 0.2) / 2) ** 5 for k in range(halved[g], halved[g + 1])]
    return np.asarray(1 / np.sort([*b[1:], *new])[::-1])


def _by_rung(every: xr.Dataset, chains: np.ndarray, points: int) -> tuple[np.ndarray, np.ndarray]:
    """Powers [n], increasing, and log L [ladders, n, draws] of whole ladders."""
    mine = np.isin(every["ladder"].to_numpy(), chains)
    read = {
        name: every[name].transpose("replica", "draw").to_numpy()[mine] for name in ("rung", "power", "energy_data")
    }
    count = int(read["rung"].max()) + 1
    shape = (-1, count, read["rung"].shape[1])
    order = np.argsort(-read["rung"].reshape(shape), axis=1)
    log_l, power = (
        np.take_along_axis(a.reshape(shape), order, axis=1) for a in (-points * read["energy_data"], read["power"])
    )
    whole = np.isfinite(log_l).all(axis=(1, 2))
    return power[0, :, -1], log_l[whole]


def _prior_likelihoods(
    tree: xr.DataTree, spec: RunSpec, model: MlpModel, data: Dataset, dataset: int, count: int
) -> np.ndarray:
    """log L [count] of draws from the prior, what is frozen as it is in the run."""
    keys = make_keys(np.full(count, np.uint64(spec.run.seed)), np.arange(count, dtype=np.uint64))
    position = model.initial_position("prior", 1.0, keys, np.float64)
    for columns, value in _frozen(tree, spec, model):
        position[:, columns] = value
    x, y = data.x_train[dataset], data.y_train[dataset]
    weight = 1.0 if data.weight is None else data.weight[dataset]
    out = np.empty(count)
    with np.errstate(all="ignore"):
        for i in range(0, count, _ROWS):
            q = position[i : i + _ROWS]
            out[i : i + _ROWS] = -(model.losses(model.outputs_at(q, x), y[None], position=q) * weight).sum(axis=1)
    if not np.isfinite(out).all():
        raise SpecError(
            f"The mean of log L under the prior is not finite ({(~np.isfinite(out)).sum()} of {count} draws): the"
            " evidence cannot be had by integration. Use a narrower prior, or another likelihood."
        )
    return out


def _frozen(tree: xr.DataTree, spec: RunSpec, model: MlpModel) -> list[tuple[slice, np.ndarray]]:
    """Columns of frozen tensors and their values, which must be those of all replicas."""
    layout, out, start = model.layout, [], 0
    held = {layer for name in spec.method.freeze for layer in layout.groups.get(name, (name,))}
    names = {tensor for layer in held for tensor in layout.layers.get(layer, (layer,))}
    for name, size in layout.sizes.items():
        if name in names:
            if "posterior_rungs" not in tree.children:
                raise StoreError('Frozen parameters have to be stored: sample the run with keep = ["parameters"].')
            values = tree["posterior_rungs"][name].transpose("replica", "draw", ...).isel(draw=0).to_numpy()
            if (values != values[:1]).any():
                raise SpecError(
                    f"The frozen parameters {name} differ between replicas, so that there is no one model to have an"
                    " evidence: start all replicas at one of them (init)."
                )
            out.append((slice(start, start + size), values[0].astype(np.float64).ravel()))
        start += size
    return out


def _mbar(b: np.ndarray, start: np.ndarray, found: np.ndarray) -> tuple[float | None, float | None]:
    """log Z and its error by the multistate Bennett acceptance ratio (Shirts and Chodera, J. Chem. Phys. 129, 2008)."""
    logging.getLogger("pymbar").setLevel(logging.ERROR)  # what it could run faster with
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            from pymbar import MBAR
        except ImportError:
            return None, None
        return _by_mbar(MBAR, b, start, found)


def _by_mbar(mbar: Any, b: np.ndarray, start: np.ndarray, found: np.ndarray) -> tuple[float, float]:
    every = max(1, -(-found.size // MOST_MBAR))
    rungs = [found[:, q].ravel()[::every] for q in range(found.shape[1])]
    draws = [start[: len(rungs[0])], *rungs]
    log_l = np.concatenate(draws)
    result = mbar(-b[:, None] * log_l, np.array([len(d) for d in draws])).compute_free_energy_differences()
    return -float(result["Delta_f"][0, -1]), float(result["dDelta_f"][0, -1])
