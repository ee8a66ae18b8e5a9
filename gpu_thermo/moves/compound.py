"""The moves of one run, as the run loop meets them: cycles, at most one move between temperatures, or a contour."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..errors import SpecError
from ..method.words import Program
from ..state import Hyper, State
from .base import Energies
from .contour import Contour
from .cyclical import Stages, in_cycles
from .exchange import Exchange
from .options import Contour as ContourOptions
from .options import Cyclical, LadderOptions, MoveOptions
from .options import Exchange as ExchangeOptions
from .tempering import Tempering

MOST_REPORTED = 16
"""Ensembles whose histograms are reported one by one; more are pooled."""


MOST_OUTSIDE = 0.01
"""Part of the energies outside a contour's bins that is reported."""
MOST_CLIPPED = 0.05
"""Part of the evaluations with a clipped multiplier that is reported."""


@dataclass(frozen=True)
class Moves:
    """What happens to an ensemble beside its steps; without moves, nothing.

    Attributes
    ----------
    stages : of a cyclical run. ladder : exchange or tempering. contour : its constants; `group` [R] says which replicas
    share a histogram, merged every `merge` steps (0: never).
    energy_batch : points of the energies a ladder is given, None for all.
    """

    stages: Stages | None = None
    ladder: Exchange | Tempering | None = None
    contour: Contour | None = None
    group: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    merge: int = 0
    energy_batch: int | None = None

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of what each draw carries because of the moves; all but log_weight belong to the learning curves
        too.
        """
        return (
            *(("cycle",) if self.stages else ()), *(("rung",) if self.ladder else ()),
            *(("log_weight",) if self.ladder or self.contour else ()),
        )  # fmt: skip

    @property
    def weighted(self) -> bool:
        """Whether draws that count have unequal weights."""
        return self.contour is not None and self.contour.zeta > 0

    def begin(self, state: State) -> None:
        """Add a ladder's arrays to a state at step 0; those of a contour are the engines'."""
        if self.ladder:
            self.ladder.begin(state)

    def hyper(self, state: State) -> Hyper | None:
        """Hyperparameters in force, None for the job's own."""
        return self.ladder.hyper(state) if self.ladder else None

    def next_stop(self, step: int, next_draw: int) -> int:
        """The step at which the loop must look again: moves act between segments, and a contour's draws are weighted
        there.
        """
        stops = [next_draw] if self.contour else []
        intervals = ([self.ladder.interval] if self.ladder else []) + ([self.merge] if self.merge else [])
        return min([*stops, *((step // i + 1) * i for i in intervals)], default=2**62)

    def act(self, state: State, energies: Callable[[int], Energies]) -> None:
        """Whatever is due after the step just done; `energies` gives those of the attempt of that number."""
        if self.merge and self.contour and state.step % self.merge == 0:
            self.contour.merge(state.extra, self.group, state.status)
        if self.ladder and state.step % self.ladder.interval == 0:
            self.ladder.attempt(state, energies(state.step // self.ladder.interval - 1))

    def weigh(self, state: State) -> Callable[[np.ndarray, slice], np.ndarray] | None:
        """(full-batch energies of some replicas, their rows) -> logarithms of their weights as draws; None where all
        count alike.
        """
        if self.contour:
            extra, contour = state.extra, self.contour
            return lambda energy, rows: contour.log_weight(
                {name: a[rows] for name, a in extra.items() if name.startswith("contour_")}, energy
            )
        if self.ladder:
            log_weight = self.ladder.log_weight(state)
            return lambda energy, rows: log_weight[rows]
        return None

    def at(self, state: State, step: int) -> dict[str, np.ndarray]:
        """Statistics [R] of the moment after `step`, weights aside."""
        out = {} if self.ladder is None else self.ladder.statistics(state)
        if self.stages:
            out["cycle"] = np.full(state.replicas, float(self.stages.cycle(step - 1)))
        return out

    def warnings(self) -> Iterator[str]:
        """What the user should know before the run."""
        if self.ladder and self.ladder.ladder.heuristic:
            yield (
                "the ladder is about one partition's temperature only: exchanges are heuristic, and no density is"
                " sampled exactly."
            )

    def summary(self, state: State) -> list[dict[str, Any]]:
        """A report of each move so far."""
        out = []
        if self.stages:
            out.append({"kind": "cyclical", "length": self.stages.length, "explore": self.stages.explore})
        if self.ladder:
            out.append(self.ladder.summary(state) | {"warnings": self.ladder.warnings(state)})
        if self.contour:
            group = self.group if self.group.max() < MOST_REPORTED else np.zeros_like(self.group)
            report = {"kind": "contour"} | self.contour.summary(state.extra, group)
            out.append(report | {"warnings": _contour_warnings(report)})
        return out


def _contour_warnings(report: dict[str, Any]) -> list[str]:
    """What the user should know of a contour so far."""
    out, (outside, clipped) = [], (max(report[name]) for name in ("outside", "clipped"))
    if outside > MOST_OUTSIDE:
        low, high = report["edges"][0], report["edges"][-1]
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


@dataclass(frozen=True)
class Context:
    """What moves are made for.

    Attributes
    ----------
    program : the method. seed, stream : [R] uint64. group : [R] ensembles. points : N, 0 without data. burn_in, steps :
    of the run.
    energy_range : energies that classification cannot leave downwards and rarely leaves upwards; None where nothing is
    known.
    """

    program: Program
    seed: np.ndarray
    stream: np.ndarray
    group: np.ndarray
    points: int
    burn_in: int
    steps: int
    energy_range: tuple[float, float] | None = None


def make_moves(options: Sequence[MoveOptions], hyper: Hyper, context: Context) -> tuple[Moves, Hyper]:
    """The moves of a run and the hyperparameters they start from.

    Raises
    ------
    SpecError
        Two moves that exclude each other, or one that does not fit the method.
    """
    kinds = [o.kind for o in options]  # type: ignore[attr-defined]
    if len(set(kinds)) != len(kinds):
        raise SpecError(f"moves lists {', '.join(kinds)}: each kind at most once.")
    if len({"exchange", "tempering", "contour"} & set(kinds)) > 1:
        raise SpecError(
            f"moves lists {', '.join(kinds)}: of exchange, tempering and contour a run takes one. Use two runs."
        )
    found: dict[str, Any] = {}
    energy_batch = None
    for o in sorted(
        options, key=lambda o: not isinstance(o, Cyclical)
    ):  # a ladder rests on hyperparameters in their cycles
        if isinstance(o, Cyclical):
            if len(options) > 1:
                _require_one_temperature(o)
            hyper = in_cycles(hyper, context.program, o)
            found["stages"] = Stages.make(o, context.steps)
        elif isinstance(o, LadderOptions):
            _require_attempts(o, context.steps)
            energy_batch = _energy_batch(o, context.points)
            ladder = _ladder(o, hyper, context)
            hyper = ladder.ladder.hyper(np.zeros(hyper.replicas, np.int64), ladder.ladder.temperature)
            found["ladder"] = ladder
        elif isinstance(o, ContourOptions):
            found |= _contour(o, hyper, context)
    return Moves(**found, energy_batch=energy_batch), hyper


def _require_one_temperature(options: Cyclical) -> None:
    """Other moves go by the temperature in force, which must be that of what is sampled."""
    if options.explore_temperature == 0:
        raise SpecError(
            "A cyclical move with explore_temperature = 0 goes with no other move: give it a value above 0, such as 1."
        )
    if options.gradient_noise_sd:
        raise SpecError(
            "gradient_noise_sd of a cyclical move lowers the temperature that other moves go by: leave it out beside"
            " them."
        )


def _require_attempts(options: LadderOptions, steps: int) -> None:
    if options.interval > steps:
        kind = options.kind  # type: ignore[attr-defined]
        raise SpecError(
            f"{kind}: interval = {options.interval} is longer than the run of {steps} steps, and nothing would ever"
            " move: lower it."
        )


def _energy_batch(options: LadderOptions, points: int) -> int | None:
    batch = options.energy_batch
    if batch is not None and points == 0:
        raise SpecError("energy_batch is for data; a target without data has energy_noise_sd. Leave energy_batch out.")
    if batch is not None and batch > points:
        raise SpecError(
            f"energy_batch = {batch} is larger than the training set of {points} points: use at most {points}, or leave"
            " it out."
        )
    return batch


def _ladder(options: LadderOptions, hyper: Hyper, context: Context) -> Exchange | Tempering:
    if isinstance(options, ExchangeOptions):
        return Exchange.make(options, hyper, context.program, context.seed, context.burn_in)
    return Tempering.make(options, hyper, context.program, context.seed, context.stream, context.burn_in)  # type: ignore[arg-type]


def _contour(options: ContourOptions, hyper: Hyper, context: Context) -> dict[str, Any]:
    lowest, width = options.lowest, options.width
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
        width = (context.energy_range[1] - lowest) / options.bins if width is None else width
    assert lowest is not None
    assert width is not None
    contour = Contour.make(
        options, lowest, width, None if options.learn is None else context.program.gradients_before(options.learn)
    )
    contour.check(context.program, hyper)
    return {"contour": contour, "group": context.group, "merge": options.interval if options.interacting else 0}
