"""Contour SGLD: a histogram of energies, learned on the way, flattens the energy landscape; draws are weighted back.

Deng, Liang, Lin 2020 (CSGLD) and Deng et al. 2022 (interacting CSGLD), with the piecewise linear Psi of equations.md
section 5, whose fixed points are exact for any bin width. Of a replica that samples ``exp(-U/tau) / Psi^zeta`` a draw
has weight ``Psi^zeta``.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import SpecError
from ..method.words import Program
from ..state import Hyper, State
from .options import Contour as ContourOptions

Array = Any
Extra = MutableMapping[str, Array]


@dataclass(frozen=True)
class Contour:
    """What does not change during a run; all that does is in `State.extra`, as `begin` lists it.

    Attributes
    ----------
    zeta : how much is flattened. bins : m. lowest, width : u_0 and du; bin i covers [u_0 + i du, u_0 + (i + 1) du).
    omega_max, omega : step k of the histogram is min(omega_max, c / (k^a + b)), omega = (c, a, b).
    clip : bounds of the gradient's multiplier. interacting, interval : one histogram for a group, merged every so many
    steps.
    published : w_J for Psi in updates and weights.
    learn : evaluations that update the histogram, all if None. Fixed, whatever it is, it makes the weights exact; one
    that still learns
        follows the mode its replica is in (analysis/MULTIMODAL.md).
    """

    zeta: float
    bins: int
    lowest: float
    width: float
    omega_max: float = 3e-3
    omega: tuple[float, float, float] = (10.0, 0.8, 100.0)
    clip: tuple[float, float] = (-5.0, 5.0)
    interacting: bool = False
    interval: int = 1
    published: bool = False
    learn: int | None = None

    @classmethod
    def make(cls, options: ContourOptions, lowest: float, width: float, learn: int | None = None) -> "Contour":
        """From the options of a spec, with bins from `lowest` in steps of `width`; `learn` in evaluations."""
        o = options
        return cls(
            o.zeta, o.bins, lowest, width, o.omega_max, o.omega, o.clip, o.interacting, o.interval, o.published, learn
        )

    @property
    def edges(self) -> np.ndarray:
        """[m + 1] float64."""
        return self.lowest + self.width * np.arange(self.bins + 1)

    def begin(self, state: State) -> None:
        """Add the histograms to `state.extra`, all bins alike.

        ``w_i = exp(contour_log_weight[:, i] + contour_shift)``: an update decays all bins through the shift, and
        touches one of them.
        """
        state.extra |= {name: np.zeros(shape, dtype) for name, (shape, dtype) in self.arrays(state.replicas).items()}
        state.extra["contour_log_weight"][:] = -np.log(self.bins)
        state.extra["contour_multiplier"][:] = 1

    def arrays(self, replicas: int) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and type of each array in `State.extra`."""
        one, each = (replicas,), (replicas, self.bins)
        return {
            "contour_log_weight": (each, np.float64), "contour_shift": (one, np.float64), "contour_multiplier": (one, np.float64),
            "contour_seen": (each, np.uint8), "contour_visits": (each, np.int32), "contour_clipped": (one, np.int64),
            "contour_outside": (one, np.int64),
        }  # fmt: skip

    def check(self, program: Program, hyper: Hyper) -> None:
        """Refuse a method without one temperature for all partitions that move.

        Raises
        ------
        SpecError
            A word that reads no temperature, or temperatures or their schedules that differ.
        """
        names, first = program.partition.names, active_partition(program)
        for k, text in enumerate(program.texts):
            if text is None:
                continue
            if "temperature" not in program.reads(k):
                raise SpecError(
                    f"contour needs a temperature, and '{text}' ({names[k]}) reads none. Use sgld, or words with O"
                    " or E."
                )
            same = np.array_equal(hyper.temperature[:, k], hyper.temperature[:, first])
            if not same or hyper.schedules.get(("temperature", k)) != hyper.schedules.get(("temperature", first)):
                raise SpecError(
                    f"contour needs one temperature for all partitions: that of {names[k]} differs from that of"
                    f" {names[first]}. Give temperature as one number."
                )

    # -- in the step ---------------------------------------------------------------------------------------------------

    def log_omega(self, first: int, count: int) -> np.ndarray:
        """[count] float64, log omega_k of the evaluations first, first + 1, ...; -inf once all is learned."""
        c, a, b = self.omega
        k = np.arange(first, first + count)
        with np.errstate(divide="ignore"):
            out = np.log(np.minimum(self.omega_max, c / (k.astype(np.float64) ** a + b)))
        return out if self.learn is None else np.where(k < self.learn, out, -np.inf)

    def flatten(self, extra: Extra, energy: Array, tau: Array, log_omega: float, running: Array, xp: Any = np) -> Array:
        """Multiplier [R] float64 of the gradients, and one update of each histogram, unless `log_omega` is -inf.

        Parameters
        ----------
        energy, tau : [R] float64, of this evaluation. running : [R] bool. Replicas that are not, or whose energy is
        NaN, keep everything and have multiplier 1. kernels/contour.h does the same.
        """
        rows = xp.flatnonzero(running & ~xp.isnan(energy))
        u = energy[rows]
        j, inside, slope, log_psi = self._read(extra, u, rows, xp)
        raw = 1 + self.zeta * tau[rows] * slope
        multiplier = xp.clip(raw, *self.clip)
        if log_omega > -np.inf:
            self._learn(extra, rows, j, log_psi, log_omega, xp)
        extra["contour_visits"][rows, j] += 1
        extra["contour_clipped"][rows] += raw != multiplier
        extra["contour_outside"][rows] += ~inside
        extra["contour_multiplier"][rows] = multiplier
        out = xp.ones(len(energy))
        out[rows] = multiplier
        return out

    def _learn(self, extra: Extra, rows: Array, j: Array, log_psi: Array, log_omega: float, xp: Any) -> None:
        """Add omega Psi^zeta to the bins j [n] and take as much from the sum of all."""
        log_w = extra["contour_log_weight"][rows, j] + extra["contour_shift"][rows]
        log_c = log_omega + self.zeta * log_psi
        if self.interacting:
            log_c += (1 - self.zeta) * log_w
        decay = xp.log1p(-xp.exp(log_c))
        extra["contour_shift"][rows] += decay
        extra["contour_log_weight"][rows, j] = xp.logaddexp(log_w + decay, log_c) - extra["contour_shift"][rows]
        extra["contour_seen"][rows, j] = 1

    def _read(self, extra: Extra, u: Array, rows: Array, xp: Any) -> tuple[Array, Array, Array, Array]:
        """Bin J, whether U is in range, slope l and log Psi of the energies u [n] (not NaN) of the replicas `rows`
        [n].
        """
        x = (u - self.lowest) / self.width
        inside = (x >= 0) & (x < self.bins)
        j = xp.clip(x, 0, self.bins - 1).astype(np.int64)
        below = xp.maximum(j - 1, 0)
        log_w, under = (extra["contour_log_weight"][rows, i] for i in (j, below))
        sloped = inside & (j > 0) & (extra["contour_seen"][rows, below] != 0)
        slope = xp.where(sloped, (log_w - under) / self.width, 0.0)
        log_psi = log_w
        if not self.published:
            rise = slope * xp.where(sloped, u - (self.lowest + self.width * j), 0.0)
            log_psi = xp.where(sloped, under + rise, log_w)
        return j, inside, slope, log_psi + extra["contour_shift"][rows]

    # -- between segments ----------------------------------------------------------------------------------------------

    def log_psi(self, extra: Extra, energy: np.ndarray) -> np.ndarray:
        """[R] log Psi at the full-batch energies [R] of a draw, with w as it is; NaN where the energy is."""
        energy = np.asarray(energy, np.float64)
        rows = np.flatnonzero(~np.isnan(energy))
        out = np.full(len(energy), np.nan)
        out[rows] = self._read(extra, energy[rows], rows, np)[3]
        return out

    def log_weight(self, extra: Extra, energy: np.ndarray) -> np.ndarray:
        """[R] logarithm of the weight of a draw, zeta log Psi."""
        return self.zeta * self.log_psi(extra, energy)

    def merge(self, extra: Extra, group: np.ndarray, status: np.ndarray) -> None:
        """Interacting form: within each group [R] w becomes its mean over running replicas, and a bin seen by one is
        seen by all.

        The update is linear in w, so after every step this is the published mean over the group of updates from one old
        w.
        """
        rows, start, count = _grouped(group, np.flatnonzero(status == 0))
        if len(rows):
            log_mean = _log_mean(_log_weights(extra)[rows], start, count)
            extra["contour_log_weight"][rows] = np.repeat(log_mean, count, axis=0)
            extra["contour_seen"][rows] = np.repeat(
                np.maximum.reduceat(extra["contour_seen"][rows], start, axis=0), count, axis=0
            )
            extra["contour_shift"][rows] = 0

    def summary(self, extra: Extra, group: np.ndarray) -> dict[str, Any]:
        """Bin edges, and for each group [R], in order: mean w, probability and visits of each bin, and how many bins
        were never seen.

        `clipped` and `outside` are the fractions of evaluations whose multiplier was clipped, and whose energy was out
        of range.
        """
        rows, start, count = _grouped(group, np.arange(len(group)))
        counts = {name: extra[f"contour_{name}"][rows] for name in ("visits", "clipped", "outside")}
        sums = {name: np.add.reduceat(value, start, axis=0, dtype=np.int64) for name, value in counts.items()}
        log_w = _log_mean(_log_weights(extra)[rows], start, count)
        power = np.exp((self.zeta if self.interacting else 1.0) * log_w)
        evaluations = np.maximum(sums["visits"].sum(axis=1), 1)
        return {
            "zeta": self.zeta, "interacting": self.interacting, "published": self.published, "edges": self.edges.tolist(),
            "weight": np.exp(log_w).tolist(), "probability": (power / power.sum(axis=1, keepdims=True)).tolist(),
            "visits": sums["visits"].tolist(), "never_seen": (sums["visits"] == 0).sum(axis=1).tolist(),
            "clipped": (sums["clipped"] / evaluations).tolist(), "outside": (sums["outside"] / evaluations).tolist(),
        }  # fmt: skip


def active_partition(program: Program) -> int:
    """The first partition that moves; with contour they all have its temperature."""
    return next(k for k, text in enumerate(program.texts) if text is not None)


def _log_weights(extra: Extra) -> np.ndarray:
    """log w [R, m]."""
    return np.asarray(extra["contour_log_weight"] + extra["contour_shift"][:, None])


def _grouped(group: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`rows` group by group, where each group starts among them, and how many it has."""
    rows = rows[np.argsort(group[rows], kind="stable")]
    _, start, count = np.unique(group[rows], return_index=True, return_counts=True)
    return rows, start, count


def _log_mean(log_w: np.ndarray, start: np.ndarray, count: np.ndarray) -> np.ndarray:
    """[groups, m] log of the mean of w over each group's rows."""
    top = np.maximum.reduceat(log_w, start, axis=0)
    total = np.add.reduceat(np.exp(log_w - np.repeat(top, count, axis=0)), start, axis=0)
    return top + np.log(total / count[:, None])
