"""Agreement of chains in function space: R-hat, nested R-hat and effective sample sizes of predictions at the probe
points.

Weights are permutation-symmetric, so chains are compared by what they predict (equations.md section 10). The estimators
are arviz-stats':
rank-normalised split R-hat, bulk and tail ESS (Vehtari et al. 2021), nested R-hat (Margossian et al. 2024).
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

RHAT_LIMIT = 1.05
ESS_LIMIT = 400
MIN_DRAWS = 4
SETTLED = 1e-3
"""A prediction whose standard deviation over all draws is below this (of a probability; regression: in noise sd) is
called settled."""
_MOST_PAIRS = 2**18
_MOST_VALUES = 2**24


@dataclass(frozen=True)
class Convergence:
    """What the predictions of one ensemble say; NaN where it cannot be told.

    Attributes
    ----------
    chains, draws : used, at most about 2.6e5 pairs and evenly chosen. quantities : predictions at probes; settled :
    those that hardly vary.
    rhat, nested_rhat : largest over the quantities. ess_bulk, ess_tail : smallest over the quantities, of the chains
    used. ess_mean, ess_mean_median : of the mean, smallest and median over the quantities.
    groups, group_size, shared_start : superchains of nested R-hat; whether chains of one share their initial state.
    common_start : whether all chains were given one start.
    average_error : Monte Carlo error of the average over all chains used, in sd of the draws, from nested R-hat.
    """

    chains: int
    draws: int
    quantities: int
    settled: int
    rhat: float = math.nan
    nested_rhat: float = math.nan
    groups: int = 0
    group_size: int = 0
    shared_start: bool = False
    common_start: bool = False
    average_error: float = math.nan
    ess_bulk: float = math.nan
    ess_tail: float = math.nan
    ess_mean: float = math.nan
    ess_mean_median: float = math.nan


def used_chains(chains: np.ndarray, draws: int, quantities: int) -> np.ndarray:
    """Evenly chosen ones of `chains`, as many as can be judged in seconds and in bounded memory."""
    most = max(4, min(_MOST_PAIRS // max(1, draws), _MOST_VALUES // max(1, draws * quantities)))
    return chains if len(chains) <= most else chains[np.linspace(0, len(chains) - 1, most).round().astype(int)]


def convergence(predictions: np.ndarray, scale: float, superchain: np.ndarray | None) -> Convergence:
    """Judge `predictions` [chain, draw, quantity] without NaN, which vary on `scale`; `superchain` [chain] names shared
    initial states.

    In float64: the middle two of an even number of draws are equally far from the median, and R-hat ranks those
    distances. A median rounded to float32 breaks the tie, which moves R-hat of a few hundred draws in the fourth digit.
    """
    chains, draws, quantities = predictions.shape
    spread = predictions.std(axis=(0, 1), dtype=np.float64)
    moving = np.moveaxis(predictions[..., spread > SETTLED * scale], -1, 0).astype(np.float64)
    found = Convergence(chains, draws, quantities, quantities - len(moving))
    if len(moving) == 0 or draws < MIN_DRAWS:
        return found
    from arviz_stats.base import array_stats

    with np.errstate(all="ignore"):
        bulk, tail = (
            float(np.min(array_stats.ess(moving, method=m, prob=p))) for m, p in (("bulk", None), ("tail", 0.05))
        )
        each = np.atleast_1d(np.asarray(array_stats.ess(moving, method="mean"), np.float64))
        found = replace(
            found, ess_bulk=bulk, ess_tail=tail, ess_mean=float(each.min()), ess_mean_median=float(np.median(each))
        )
        if chains < 2:
            return found
        return replace(found, rhat=float(np.max(array_stats.rhat(moving))), **_nested(moving, superchain, array_stats))


def _nested(moving: np.ndarray, superchain: np.ndarray | None, array_stats: Any) -> dict[str, Any]:
    """Nested R-hat over superchains, or over groups of about sqrt(chains) where every chain has its own start."""
    rows, ids = superchains(moving.shape[1], superchain)
    if len(rows) == 0:
        return {}
    values = array_stats.rhat_nested(moving[:, rows], superchain_ids=ids)
    worst, groups = float(np.max(values)), int(ids[-1]) + 1
    error = math.sqrt(max(worst**2 - 1, 0) / groups)
    return {"nested_rhat": worst, "groups": groups, "group_size": len(ids) // groups,
            "shared_start": superchain is not None, "average_error": error}  # fmt: skip


def superchains(chains: int, superchain: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Rows and their group (0, 0, .., 1, 1, ..), all groups of one size of at least 2; empty where there are not two
    groups.
    """
    if superchain is None:
        size = math.isqrt(chains)
        groups = chains // size if size >= 2 else 0
        rows = np.arange(groups * size)
    else:
        members = [np.flatnonzero(superchain == name) for name in np.unique(superchain)]
        members = [m for m in members if len(m) >= 2]
        size, groups = min(map(len, members), default=0), len(members)
        rows = np.concatenate([m[:size] for m in members]) if members else np.zeros(0, int)
    if groups < 2:
        return np.zeros(0, int), np.zeros(0, int)
    return rows, np.repeat(np.arange(groups), size)
