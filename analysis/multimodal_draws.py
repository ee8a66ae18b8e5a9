"""Draws that count, as chains in time: all of a plain run, those on the target rung of a run on a ladder of
temperatures.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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


def counted_draws(stats: xr.Dataset, spec: RunSpec, running: np.ndarray) -> Counted:
    """The draws of the replicas `running` (numbers along the axis) that count.

    A ladder of replica exchange is one chain, its target rung; one with a frozen replica is left out. Of simulated
    tempering a chain is a replica's draws on the target rung, as many of each as nearly all chains have.
    """
    ladder: Any = next((move for move in spec.moves if move.kind in ("exchange", "tempering")), None)
    draws = np.arange(stats.sizes["draw"])
    if ladder is None or len(running) == 0:
        chain, draw = np.broadcast_arrays(running[:, None], draws)
        return Counted(chain, draw, f"{len(running)} chains")
    on_target = stats["rung"].transpose("chain", "draw").isel(chain=running).to_numpy() == 0
    visits = on_target.mean(axis=1)
    count = int(ladder.count)
    if ladder.kind == "exchange":
        return _by_ladder(running, on_target, visits, count)
    chain, draw, left_out = _by_replica(running, on_target)
    return Counted(chain, draw, f"{len(chain)} chains on {count} rungs", visits, count, left_out)


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


# -- what to say of the moves ------------------------------------------------------------------------------------------

FEW_TRIPS = 1.0
"""Round trips of a replica below which a ladder carries nothing."""
MOST_OUTSIDE = 0.01
MOST_CLIPPED = 0.1

Judged = tuple[str, bool | None, str]
"""Topic, passed, sentence."""


def ladder_verdicts(report: dict[str, Any], counted: Counted, draws: int) -> list[Judged]:
    """Visits to the target rung, acceptance and round trips of a run on a ladder."""
    out = [_visits(counted, draws)]
    kind = report.get("kind", "exchange")
    accepted = [a for a in report.get("acceptance", []) if a is not None]
    warnings: Sequence[str] = report.get("warnings", [])
    if accepted:
        text = f"Neighbouring rungs accept {min(accepted):.0%} to {max(accepted):.0%} of their attempts."
        out.append((f"{kind}: acceptance", not warnings, " ".join([text, *warnings])))
    trips = float(report.get("round_trips_per_replica", 0.0))
    text = f"A replica makes {trips:.3g} round trips between the target and the hottest rung on average"
    if trips >= FEW_TRIPS:
        out.append((f"{kind}: round trips", True, f"{text}."))
    else:
        out.append((f"{kind}: round trips", False, f"{text}: run longer, add rungs, or attempt more often."))
    if report.get("heuristic"):
        text = (
            "The ladder is about the temperature of one partition: exchanges are heuristic, and no density is sampled"
            " exactly."
        )
        out.append((f"{kind}: heuristic", None, text))
    return out


def _visits(counted: Counted, draws: int) -> Judged:
    visits = counted.visits if counted.visits is not None and len(counted.visits) else np.zeros(1)
    never = int((visits == 0).sum())
    text = (
        f"Only draws on the target rung count. A chain spends {visits.mean():.1%} of its {draws} draws there"
        f" ({visits.min():.1%} to {visits.max():.1%}; 1 of {counted.rungs} rungs is {1 / counted.rungs:.1%})."
    )
    if never:
        text += f" {never} of {len(visits)} chains are never there: run longer."
    return "visits to the target rung", never <= len(visits) * _LEFT_OUT, text


def contour_verdict(report: dict[str, Any], ensemble: int) -> Judged:
    """Bins seen, energies out of range and clipped multipliers of an ensemble's histogram."""
    outside, clipped = report["outside"][ensemble], report["clipped"][ensemble]
    bins, edges = len(report["edges"]) - 1, report["edges"]
    text = (
        f"Contour: {bins - report['never_seen'][ensemble]} of {bins} bins from {edges[0]:.3g} to {edges[-1]:.3g} were"
        f" seen, {outside:.2%} of the energies were outside them, {clipped:.2%} of the gradient multipliers were"
        " clipped."
    )
    if outside > MOST_OUTSIDE:
        return "contour: energies outside the bins", False, f"{text} Move lowest, or use wider or more bins."
    if clipped > MOST_CLIPPED:
        return (
            "contour: clipped multipliers",
            None,
            f"{text} Weights are exact only where nothing is clipped: widen clip, or lower zeta.",
        )
    return "contour", True, text
