"""Contour SGLD: a histogram of energies, learned on the way, flattens the energy landscape; draws are weighted back.

Deng, Liang, Lin 2020 (CSGLD) and Deng et al. 2022 (interacting CSGLD), with the piecewise linear Psi of equations.md
section 5, whose fixed points are exact for any bin width. Of a replica that samples ``exp(-U/tau) / Psi^zeta`` a draw
has weight ``Psi^zeta``.
"""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from ..errors import SpecError
from ..method.words import Program
from ..state import Hyper, State
from .base import Context, EnergiesOf, Move, MoveOptions, NonNegative, Positive, kind_of
from .report import Report, Verdict

Array = Any
Extra = MutableMapping[str, Array]

MOST_REPORTED = 16
"""Ensembles whose histograms are reported one by one; more are pooled."""
MOST_OUTSIDE = 0.01
"""Part of the energies outside the bins that is reported."""
MOST_CLIPPED, MOST_CLIPPED_IN_ENSEMBLE = 0.05, 0.1
"""Part of the evaluations with a clipped multiplier that is warned of, and that a diagnosis mentions."""


class ContourOptions(MoveOptions):
    """Contour SGLD: energies are flattened on the way, and draws are weighted back (Deng et al. 2020, 2022; mended,
    equations.md).
    """

    takes: ClassVar[str] = "law"
    weighted: ClassVar[bool] = True

    kind: Literal["contour"]
    zeta: NonNegative = Field(0.75, description="how much is flattened; 0 changes nothing")
    bins: int = Field(100, ge=2, le=100_000, description="m")
    lowest: float | None = Field(
        None, allow_inf_nan=False, description="u_0, lower end of the first bin; 0 for classification"
    )
    width: Positive | None = Field(
        None, description="du, energy width of a bin; several times a step's change of energy, or its edges are felt"
    )
    omega_max: float = Field(3e-3, gt=0, lt=1, description="largest step of the histogram")
    omega: tuple[Positive, NonNegative, NonNegative] = Field(
        (10.0, 0.8, 100.0), description="c, a, b of the step c / (k^a + b)"
    )
    learn: int | None = Field(
        None, ge=1, description="steps in which the histogram learns; then the draws' law is fixed. Not given: always"
    )
    clip: tuple[float, float] = Field((-5.0, 5.0), description="bounds of the gradient's multiplier")
    interacting: bool = Field(False, description="one histogram for each ensemble instead of one for each replica")
    interval: int = Field(1, ge=1, description="steps between merges of an interacting histogram; 1 as published")
    published: bool = Field(False, description="the published step function w_J for Psi, biased by O(du)")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.interacting and self.zeta > 1:
            raise ValueError(
                f"zeta = {self.zeta} is for histograms of single replicas: an interacting one takes at most 1"
            )
        if not self.clip[0] < 1 < self.clip[1]:
            raise ValueError(f"clip = {list(self.clip)} must enclose 1")
        return self

    @property
    def interacts(self) -> bool:
        """Whether a histogram is shared."""
        return self.interacting

    @property
    def bytes_per_replica(self) -> int:
        """A weight, a flag and a count for each bin."""
        return 13 * self.bins

    def make(self, hyper: Hyper, context: Context) -> "tuple[Contour, Hyper]":
        """The histograms of a run, with bins where energies are expected unless they are given."""
        lowest, width = self.lowest, self.width
        if (lowest is None or width is None) and context.energy_range is None:
            raise SpecError(
                "A contour needs lowest and width here: the energy where the bins begin, and the width of one of them."
            )
        if context.energy_range is not None:
            lowest = context.energy_range[0] if lowest is None else lowest
            if width is None and lowest >= context.energy_range[1]:
                raise SpecError(
                    f"contour: lowest = {lowest:g} is above what these energies are expected to be: give width too."
                )
            width = (context.energy_range[1] - lowest) / self.bins if width is None else width
        assert lowest is not None
        assert width is not None
        learn = None if self.learn is None else context.program.gradients_before(self.learn)
        contour = replace(Contour.make(self, lowest, width, learn), group=context.group)
        contour.check(context.program, hyper)
        return contour, hyper

    @classmethod
    def report(cls, facts: Mapping[str, Any], warnings: Sequence[str]) -> Report:
        """`facts`: those of `Contour.summary`."""
        bins = len(facts["edges"]) - 1
        rare = f"energies outside {max(facts['outside']):.1%}, multipliers clipped {max(facts['clipped']):.1%}"
        line = f"{bins - min(facts['never_seen'])} of {bins} bins seen; {rare}"
        judged = tuple(_verdict(facts, i) for i in range(len(facts["outside"])))
        return Report(kind_of(cls), facts, {"contour": line}, judged, tuple(warnings))


@dataclass(frozen=True)
class Contour(Move):
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
    group : [R] int64, which replicas share a histogram; of no matter where each has its own.
    """

    options: ClassVar[type[MoveOptions]] = ContourOptions
    weighs: ClassVar[bool] = True

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
    group: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), compare=False)

    @classmethod
    def make(cls, options: ContourOptions, lowest: float, width: float, learn: int | None = None) -> "Contour":
        """From the options of a spec, with bins from `lowest` in steps of `width`; `learn` in evaluations."""
        o = options
        return cls(
            o.zeta, o.bins, lowest, width, o.omega_max, o.omega, o.clip, o.interacting, o.interval, o.published, learn
        )

    @property
    def weighted(self) -> bool:
        """Whether anything is flattened."""
        return self.zeta > 0

    @property
    def gradient(self) -> "Contour":
        """Itself: it scales gradients."""
        return self

    @property
    def edges(self) -> np.ndarray:
        """[m + 1] float64."""
        return self.lowest + self.width * np.arange(self.bins + 1)

    def begin(self, state: State, xp: Any = np) -> None:
        """Add the histograms to `state.extra`, all bins alike, as arrays of the library `xp`.

        ``w_i = exp(contour_log_weight[:, i] + contour_shift)``: an update decays all bins through the shift, and
        touches one of them.
        """
        state.extra |= {name: xp.zeros(shape, dtype) for name, (shape, dtype) in self.arrays(state.replicas).items()}
        state.extra["contour_log_weight"][:] = -np.log(self.bins)
        state.extra["contour_multiplier"][:] = 1

    def arrays(self, replicas: int) -> dict[str, tuple[tuple[int, ...], Any]]:
        """Shape and type of each array in `State.extra`."""
        one, each = (replicas,), (replicas, self.bins)
        return {
            "contour_log_weight": (each, np.float64), "contour_shift": (one, np.float64),
            "contour_multiplier": (one, np.float64),
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

    def log_psi(self, extra: Extra, energy: Array, xp: Any = np) -> Array:
        """[R] log Psi at the full-batch energies [R] of a draw, with w as it is; NaN where the energy is."""
        energy = xp.asarray(energy, np.float64)
        rows = xp.flatnonzero(~xp.isnan(energy))
        out = xp.full(len(energy), np.nan)
        out[rows] = self._read(extra, energy[rows], rows, xp)[3]
        return out

    def log_weight(self, state: State, energy: np.ndarray, rows: slice) -> np.ndarray:
        """[r] logarithm of the weight of a draw, zeta log Psi: where the histograms are."""

        def read(xp: Any, arrays: Mapping[str, Array], mine: slice) -> Array:
            extra = {name.removeprefix("extra/"): value for name, value in arrays.items()}
            return self.log_psi(extra, energy[mine], xp)

        names = ("log_weight", "shift", "seen")
        return self.zeta * state.read([f"extra/contour_{name}" for name in names], read, rows)

    def next_stop(self, step: int, next_draw: int) -> int:
        """The next draw, which is weighted by the histogram as it is then, or the next merge."""
        return min(next_draw, (step // self.interval + 1) * self.interval) if self.interacting else next_draw

    def act(self, state: State, energies: EnergiesOf) -> None:
        """Merge what is interacting."""
        if self.interacting and state.step % self.interval == 0:
            merged = {name: state.edit(f"extra/contour_{name}") for name in ("log_weight", "seen", "shift")}
            self.merge({f"contour_{name}": array for name, array in merged.items()}, self.group, state.status)

    def watched(self, state: State) -> dict[str, np.ndarray]:
        """The multiplier of the last gradient [R] float64."""
        return {"multiplier": state.extra["contour_multiplier"].copy()}

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
            "zeta": self.zeta, "interacting": self.interacting, "published": self.published,
            "edges": self.edges.tolist(), "weight": np.exp(log_w).tolist(),
            "probability": (power / power.sum(axis=1, keepdims=True)).tolist(),
            "visits": sums["visits"].tolist(), "never_seen": (sums["visits"] == 0).sum(axis=1).tolist(),
            "clipped": (sums["clipped"] / evaluations).tolist(), "outside": (sums["outside"] / evaluations).tolist(),
        }  # fmt: skip

    def outcomes(self, state: State) -> dict[str, np.ndarray]:
        """Of each replica [R]: evaluations whose energy was outside the bins, and whose multiplier was clipped, of
        all.
        """
        extra = state.extra
        evaluations = np.maximum(extra["contour_visits"].sum(axis=1), 1)
        return {f"contour_{name}": extra[f"contour_{name}"] / evaluations for name in ("outside", "clipped")}

    def facts(self, state: State) -> dict[str, Any]:
        """`summary` of each ensemble, or of all together where there are many."""
        group = self.group if self.group.max() < MOST_REPORTED else np.zeros_like(self.group)
        return self.summary(state.extra, group)

    def report(self, state: State) -> Report:
        """Facts, and the warnings that follow from them: histograms are summed up once."""
        facts = self.facts(state)
        return self.options.report(facts, _warnings(facts))


def _warnings(facts: Mapping[str, Any]) -> list[str]:
    """Energies out of range, and clipped multipliers."""
    out, (outside, clipped) = [], (max(facts[name]) for name in ("outside", "clipped"))
    if outside > MOST_OUTSIDE:
        low, high = facts["edges"][0], facts["edges"][-1]
        out.append(
            f"{outside:.0%} of the energies were outside the contour's bins ({low:g} to {high:g}), where nothing is"
            " flattened: move them."
        )
    if clipped > MOST_CLIPPED:
        out.append(
            f"{clipped:.0%} of the contour's multipliers were clipped, which weights cannot undo: use wider bins or a"
            " smaller zeta."
        )
    return out


def _verdict(facts: Mapping[str, Any], ensemble: int) -> Verdict:
    """Bins seen, energies out of range and clipped multipliers of an ensemble's histogram."""
    outside, clipped, edges = facts["outside"][ensemble], facts["clipped"][ensemble], facts["edges"]
    bins = len(edges) - 1
    text = (
        f"Contour: {bins - facts['never_seen'][ensemble]} of {bins} bins from {edges[0]:.3g} to {edges[-1]:.3g} were"
        f" seen, {outside:.2%} of the energies were outside them, {clipped:.2%} of the gradient multipliers were"
        " clipped."
    )
    if outside > MOST_OUTSIDE:
        remedy = "Move lowest, or use wider or more bins."
        return Verdict("contour: energies outside the bins", False, f"{text} {remedy}", ensemble)
    if clipped > MOST_CLIPPED_IN_ENSEMBLE:
        remedy = "Weights are exact only where nothing is clipped: widen clip, or lower zeta."
        return Verdict("contour: clipped multipliers", None, f"{text} {remedy}", ensemble)
    return Verdict("contour", True, text, ensemble)


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
