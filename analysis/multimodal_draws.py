"""Draws that count, as chains in time: all of a plain run, those on the target rung of a run on a ladder of
temperatures.
"""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from gpu_thermo.spec.run import RunSpec

MIN_VISITS = 4
"""Draws on the target rung that a tempered chain needs to be judged."""
_LEFT_OUT = 0.1
"""Share of the tempered chains, those with the fewest visits, that may be left out for the sake of longer ones."""


@dataclass(frozen=True)
class Counted:
    """Chains of draws that count.

    Attributes
    ----------
    chain, draw : [C, n], the replica and the draw that every entry is. label : how many chains there are, in words.
    visits : [running replicas] share of each one's draws on the target rung; None without a ladder. rungs : Q, 1
    without.
    left_out : chains with too few draws that count.
    """

    chain: np.ndarray
    draw: np.ndarray
    label: str
    visits: np.ndarray | None = None
    rungs: int = 1
    left_out: int = 0

    def some(self, most: int) -> "Counted":
        """At most so many of the chains, evenly chosen."""
        count = len(self.chain)
        if count <= most:
            return self
        rows = np.linspace(0, count - 1, most).round().astype(int)
        return Counted(self.chain[rows], self.draw[rows], self.label, self.visits, self.rungs, self.left_out)

    def take(self, values: xr.DataArray) -> np.ndarray:
        """[C, n, ...] of an array over chain, draw and more; only the replicas that occur are read."""
        who, place = np.unique(self.chain, return_inverse=True)
        read = values.transpose("chain", "draw", ...).isel(chain=who).to_numpy()
        return np.asarray(read[place.reshape(self.chain.shape), self.draw])


def counted_draws(stats: xr.Dataset, spec: RunSpec, running: np.ndarray, every: xr.Dataset | None = None) -> Counted:
    """The draws of the chains `running` (numbers along the axis) that count; `every` are the statistics of all rungs,
    where they stand apart.

    A ladder of replicas that trade places is one chain, its target rung; one with a frozen replica is left out. Where a
    replica walks a ladder by itself, a chain is its draws on the target rung, as many of each as nearly all chains
    have.
    """
    ladder = next((move for move in spec.moves if move.count > 1), None)
    draws = np.arange(stats.sizes["draw"])
    if ladder is None or len(running) == 0 or "rung" not in stats:
        chain, draw = np.broadcast_arrays(running[:, None], draws)
        if ladder is None or len(running) == 0:
            return Counted(chain, draw, f"{len(running)} chains")
        left_out = stats.sizes["chain"] - len(running)
        label = f"{len(running)} ladders of {ladder.count} rungs"
        return Counted(chain, draw, label, _visits(every, running), ladder.count, left_out)
    on_target = stats["rung"].transpose("chain", "draw").isel(chain=running).to_numpy() == 0
    visits = on_target.mean(axis=1)
    count = ladder.count
    if ladder.together == count:
        return _by_ladder(running, on_target, visits, count)
    chain, draw, left_out = _by_replica(running, on_target)
    return Counted(chain, draw, f"{len(chain)} chains on {count} rungs", visits, count, left_out)


def _visits(every: xr.Dataset | None, running: np.ndarray) -> np.ndarray | None:
    """Share of each replica's draws on the target rung, [replicas of the running ladders]."""
    if every is None:
        return None
    mine = np.isin(every["ladder"].to_numpy(), running)
    return np.asarray((every["rung"].transpose("replica", "draw").to_numpy()[mine] == 0).mean(axis=1))


def _by_ladder(running: np.ndarray, on_target: np.ndarray, visits: np.ndarray, count: int) -> Counted:
    _, start, size = np.unique(running // count, return_index=True, return_counts=True)
    rows = start[size == count]
    members = rows[:, None] + np.arange(count)
    who = on_target[members].argmax(axis=1) if len(rows) else np.zeros((0, on_target.shape[1]), int)
    chain = running[rows[:, None] + who]
    draw = np.broadcast_to(np.arange(on_target.shape[1]), chain.shape)
    return Counted(chain, draw, f"{len(rows)} ladders of {count} rungs", visits, count, int((size != count).sum()))


def _by_replica(running: np.ndarray, on_target: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    found = on_target.sum(axis=1)
    length = max(MIN_VISITS, int(np.quantile(found, _LEFT_OUT, method="lower"))) if len(found) else MIN_VISITS
    rows = np.flatnonzero(found >= length)
    draw = np.array([np.flatnonzero(on_target[r])[_spread(found[r], length)] for r in rows], int).reshape(
        len(rows), length
    )
    return np.broadcast_to(running[rows][:, None], draw.shape), draw, len(running) - len(rows)


def _spread(size: int, count: int) -> np.ndarray:
    return np.linspace(0, size - 1, count).round().astype(int)


def visits_verdict(visits: np.ndarray, rungs: int, draws: int) -> tuple[str, bool, str]:
    """Topic, passed, sentence: how often chains are on the target rung of a ladder of `rungs`; `visits` [r] as in
    Counted.
    """
    visits = visits if len(visits) else np.zeros(1)
    never = int((visits == 0).sum())
    text = (
        f"Only draws on the target rung count. A chain spends {visits.mean():.1%} of its {draws} draws there"
        f" ({visits.min():.1%} to {visits.max():.1%}; 1 of {rungs} rungs is {1 / rungs:.1%})."
    )
    if never:
        text += f" {never} of {len(visits)} chains are never there: run longer."
    return "visits to the target rung", never <= len(visits) * _LEFT_OUT, text
