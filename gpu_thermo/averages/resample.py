"""Draws of unequal weight as fewer draws of equal weight."""

from typing import Any

import numpy as np
import xarray as xr

from ..errors import SpecError, StoreError
from .ensembles import ensemble_columns
from .trees import Run, names_damage, opened

GROUPS = ("posterior", "momenta", "probes", "log_likelihood", "sample_stats")
MARKS = ("weight", "log_weight", "rung")
"""What told draws of unequal weight apart, and says nothing of equal ones."""


@names_damage
def resample(run: Run, draws: int | None = None, seed: int = 0, chains: bool = False) -> xr.DataTree:
    """Equally weighted draws of a run, drawn within each ensemble, or each of its `chains`, with probabilities in
    proportion to its weights.

    Resampling is systematic (one uniform number for an ensemble: Kitagawa, J. Comput. Graph. Stat. 5, 1996), so that a
    draw of m times the mean weight is taken m times, rounded up or down. Draws of weight 0, those off the target rung
    of simulated tempering among them, and those of frozen chains are never taken.

    Parameters
    ----------
    run : an opened run, or the path of its store. draws : of each ensemble; by default the effective number of draws of
    the ensemble that has fewest, (sum w)^2 / sum w^2. seed : of the uniform numbers and of the order.
    chains : keep chains apart, and their draws in the order of time, so that `arviz_stats.summary` is right as it is
    (R-hat and effective sizes too: who is taken twice follows himself). Then `draws` are of each chain, by default as
    many as count of the chain that has most. Chains count alike; those in which nothing counts are left out.

    Returns
    -------
    xarray.DataTree
        The groups posterior, momenta, probes, log_likelihood and sample_stats of the run, as far as it has them, with
        one chain for each ensemble, its draws in random order, unless `chains`: `source_chain` and `source_draw` say
        where each came from. predictive (which is weighted as it is) and constant_data as they were. In memory;
        `predict` takes it.

    Raises
    ------
    SpecError
        draws is no count.
    StoreError
        An ensemble has no draw that counts.
    """
    tree = opened(run, "sample_stats")
    if draws is not None and (isinstance(draws, bool) or not isinstance(draws, int | np.integer) or draws < 1):
        raise SpecError(f"draws = {draws!r} is no number of draws: give a whole number from 1 on, or leave it out.")
    stats = tree["sample_stats"].to_dataset()
    weight, of_chain = draw_weights(stats), stats["ensemble"].to_numpy()
    rng = np.random.default_rng(seed)
    if chains:
        chain, draw, coords = _by_chain(stats, weight, draws, rng)
    else:
        chain, draw, coords = _by_ensemble(stats, weight, of_chain, draws, rng)
    coords |= {"source_chain": (("chain", "draw"), chain), "source_draw": (("chain", "draw"), draw)}
    groups = {name: _picked(tree[name].to_dataset(), chain, draw, coords) for name in GROUPS if name in tree.children}
    kept = {name: tree[name].to_dataset() for name in ("predictive", "constant_data") if name in tree.children}
    out = xr.DataTree.from_dict(groups | kept)
    out.attrs = dict(tree.attrs) | {
        "resampled": f"{draw.shape[1]} equally weighted draws of each {'chain' if chains else 'ensemble'}, seed {seed}"
    }
    return out


Chosen = tuple[np.ndarray, np.ndarray, dict[str, Any]]
"""Chains and draws [n, count] that were taken, and coordinates of the n new chains."""


def _by_ensemble(
    stats: xr.Dataset, weight: np.ndarray, of_chain: np.ndarray, draws: int | None, rng: np.random.Generator
) -> Chosen:
    """One chain for each ensemble."""
    known = np.unique(of_chain)
    for e in known:
        if not weight[of_chain == e].any():
            raise StoreError(f"Ensemble {e} has no draw that counts: run longer, or look at what gpu-thermo info says.")
    count = int(draws or min(max(1.0, effective(weight[of_chain == e]) * (1 + 1e-12)) for e in known))
    taken = [_taken(weight, np.flatnonzero(of_chain == e), count, rng) for e in known]
    chain, draw = (np.stack([t[i] for t in taken]) for i in (0, 1))
    columns = {name: ("chain", values) for name, values in ensemble_columns(stats).items()}
    return chain, draw, columns | {"ensemble": ("chain", known)}


def _by_chain(stats: xr.Dataset, weight: np.ndarray, draws: int | None, rng: np.random.Generator) -> Chosen:
    """The chains in which something counts, each in the order of time."""
    kept = np.flatnonzero(weight.any(axis=1))
    if not len(kept):
        raise StoreError("No chain has a draw that counts: run longer, or look at what gpu-thermo info says.")
    count = int(draws or np.count_nonzero(weight, axis=1).max())
    draw = np.stack([_systematic(weight[c], count, rng) for c in kept])
    coords = {str(name): ("chain", c.to_numpy()[kept]) for name, c in stats.coords.items() if c.dims == ("chain",)}
    coords.pop("chain", None)
    return np.repeat(kept[:, None], count, axis=1), draw, coords


def draw_weights(stats: xr.Dataset, relative: bool = True) -> np.ndarray:
    """[chain, draw] float64 weights of draws, 0 where a draw does not count; `relative` to the largest of the
    ensemble.
    """
    energy = stats["energy"].transpose("chain", "draw").to_numpy()
    log_w = (
        stats["log_weight"].transpose("chain", "draw").to_numpy() if "log_weight" in stats else np.zeros_like(energy)
    )
    log_w = np.where(np.isfinite(energy) & ~np.isnan(log_w), log_w, -np.inf).astype(np.float64)
    of_chain = stats["ensemble"].to_numpy()
    out = np.zeros_like(log_w)
    for e in np.unique(of_chain):
        mine = log_w[of_chain == e]
        top = mine.max() if relative and np.isfinite(mine).any() else 0.0
        out[of_chain == e] = np.exp(mine - top)
    return out


def effective(weight: np.ndarray) -> float:
    """(sum w)^2 / sum w^2."""
    return float(weight.sum() ** 2 / np.square(weight).sum())


def _taken(
    weight: np.ndarray, chains: np.ndarray, count: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Chain and draw of `count` draws of some chains, in random order."""
    place = rng.permutation(_systematic(weight[chains].ravel(), count, rng))
    return chains[place // weight.shape[1]], place % weight.shape[1]


def _systematic(weight: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """[count] places in `weight`, rising, each as often as it weighs, rounded up or down."""
    edges = np.cumsum(weight)
    at = (rng.uniform() + np.arange(count)) / count * edges[-1]
    return np.minimum(np.searchsorted(edges, at, side="right"), np.flatnonzero(weight)[-1])


def _picked(group: xr.Dataset, chain: np.ndarray, draw: np.ndarray, coords: dict[str, Any]) -> xr.Dataset:
    """The draws (chain, draw) [E, n] of a group."""
    names = {n: v for n, v in group.data_vars.items() if {"chain", "draw"} <= set(v.dims) and n not in MARKS}
    values = {
        str(n): (v.transpose("chain", "draw", ...).dims, v.transpose("chain", "draw", ...).to_numpy()[chain, draw])
        for n, v in names.items()
    }
    own = {n: c for n, c in group.coords.items() if not {"chain", "draw"} & set(c.dims)}
    out = xr.Dataset(values, own | coords | {"chain": np.arange(len(chain)), "draw": np.arange(chain.shape[1])})
    for n, v in names.items():
        out[n].attrs = {k: a for k, a in v.attrs.items() if k in ("units", "long_name")}
    out.attrs = {k: a for k, a in group.attrs.items() if k != "coordinates"}
    return out
