"""Ladders of temperatures, and what replica exchange and simulated tempering have in common on them (equations.md
section 5).
"""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from ..errors import SpecError
from ..method.words import Program
from ..state import Hyper, State
from .base import Context, Energies, EnergiesOf, Move, MoveOptions, NonNegative, Positive, kind_of
from .ladder_report import lines, verdicts
from .report import Report

Rungs = Annotated[list[Positive], Field(min_length=2)]
Values = Annotated[list[NonNegative], Field(min_length=2)]

BY_RUNG = ("friction", "sigma", "epsilon")
"""Partitioned hyperparameters that a rung may set, the temperature aside."""

MEMORY = 50
"""Estimates over which the variance of an energy is smoothed."""


class LadderOptions(MoveOptions):
    """What moves between temperatures share: the ladder, rung 0 being the target, and where energies come from."""

    takes: ClassVar[str] = "law"

    temperatures: Rungs | None = Field(None, description="tau of every rung, the target first, increasing")
    rungs: int | None = Field(
        None, ge=2, le=1000, description="Q of a geometric ladder from the method's temperature to `hottest`"
    )
    hottest: Positive | None = Field(None, description="last tau of a geometric ladder")
    stepsize: Rungs | None = Field(None, description="stepsize of every rung; the method's for all")
    friction: Values | None = Field(None, description="friction of every rung")
    sigma: Values | None = Field(None, description="sigma of every rung")
    epsilon: Values | None = Field(None, description="epsilon of every rung")
    interval: int = Field(100, ge=1, description="steps between attempts")
    energy_batch: int | None = Field(
        None,
        ge=2,
        description="points of a fresh minibatch for each energy, its noise corrected for; all points unless set",
    )
    correction: bool = Field(True, description="whether acceptances are corrected for noisy energies")
    reference: str | None = Field(
        None,
        description="partition whose temperature is the ladder's, where partitions differ; the run is then heuristic",
    )

    @model_validator(mode="after")
    def _one_ladder(self) -> Self:
        geometric = (self.rungs is not None, self.hottest is not None)
        if self.temperatures is not None:
            if any(geometric):
                raise ValueError("temperatures gives the whole ladder: leave out rungs and hottest")
            if any(b <= a for a, b in zip(self.temperatures, self.temperatures[1:], strict=False)):
                raise ValueError(f"temperatures = {self.temperatures} must increase: rung 0 is the target")
        elif not all(geometric) and not (self.of_powers and geometric[0]) and not (self.finds_rungs and geometric[1]):
            raise ValueError("give temperatures (one for each rung), or rungs and hottest for a geometric ladder")
        for name in ("stepsize", "friction", "sigma", "epsilon"):
            given = getattr(self, name)
            if given is not None and len(given) != self.count:
                raise ValueError(f"{name} has {len(given)} values for {self.count} rungs: give one for each")
        return self

    @property
    def of_powers(self) -> bool:
        """Whether rungs differ in the power of their likelihood, and not in the temperature of all."""
        return False

    @property
    def count(self) -> int:
        """Q, the number of rungs; 1 where the run is to find them."""
        return int(self.rungs or 1) if self.temperatures is None else len(self.temperatures)

    @abstractmethod
    def on_ladder(self, hyper: Hyper, context: Context) -> "OnLadder":
        """The move itself, over the method's own hyperparameters `hyper` [R]."""

    def make(self, hyper: Hyper, context: Context) -> "tuple[OnLadder, Hyper]":
        """The move, and the hyperparameters of the target rung for all."""
        if self.interval > context.steps:
            raise SpecError(
                f"{self.kind}: interval = {self.interval} is longer than the run of {context.steps} steps, and nothing"
                " would ever move: lower it."
            )
        _check_batch(self.energy_batch, context.points)
        move = self.on_ladder(hyper, context)
        return move, move.ladder.hyper(np.zeros(hyper.replicas, np.int64), move.ladder.temperature)

    @classmethod
    def report(cls, facts: Mapping[str, Any], warnings: Sequence[str]) -> Report:
        """`facts`: acceptance, round_trips, round_trips_per_replica, heuristic."""
        kind = kind_of(cls)
        return Report(kind, facts, lines(kind, facts), verdicts(kind, facts, warnings), tuple(warnings))


def _check_batch(batch: int | None, points: int) -> None:
    if batch is not None and points == 0:
        raise SpecError("energy_batch is for data; a target without data has energy_noise_sd. Leave energy_batch out.")
    if batch is not None and batch > points:
        raise SpecError(
            f"energy_batch = {batch} is larger than the training set of {points} points: use at most {points}, or leave"
            " it out."
        )


@dataclass(frozen=True)
class Ladder:
    """Q rungs, rung 0 the target, and what each of them does to the hyperparameters of R replicas.

    Attributes
    ----------
    temperature : [Q] float64, tau of every rung at the start of the run.
    share : [K] float64, tau of partition k divided by the rung's; 1 unless `heuristic`, NaN where the partition reads
    none.
    reference : the partition whose tau is the rung's. heuristic : partitions differ in tau, and no acceptance is exact.
    values : stepsize, friction, sigma, epsilon of every rung, [Q] float64 each, as far as the rungs set them.
    base : Hyper of R replicas for all the rest. program : the compiled method.
    points : N where rungs are powers 1/T of the likelihood, `temperature` being T; 0 where they are temperatures.
    """

    temperature: np.ndarray
    share: np.ndarray
    reference: int
    heuristic: bool
    values: Mapping[str, np.ndarray]
    base: Hyper
    program: Program
    points: int = 0

    @property
    def count(self) -> int:
        """Q."""
        return len(self.temperature)

    def hyper(self, rung: np.ndarray, temperature: np.ndarray) -> Hyper:
        """Hyperparameters of replicas on `rung` [R] of a ladder `temperature` [Q], before schedules."""
        changed: dict[str, Any] = {"temperature": temperature[rung][:, None] * self.share}
        if self.points:
            changed = {"power": 1 / temperature[rung]}
        for name, value in self.values.items():
            base = getattr(self.base, name)
            changed[name] = (
                value[rung] if name == "stepsize" else np.where(np.isnan(base), np.nan, value[rung][:, None])
            )
        return replace(self.base, **changed)

    def factor(self, name: str, k: int, step: int) -> float:
        """Schedule's factor on hyperparameter `name` of partition k in the last of `step` steps done."""
        schedule = self.base.schedules.get((name, k))
        return 1.0 if schedule is None else float(schedule.tabulate(step - 1, 1, self.base.total)[0])

    def inverse(self, temperature: np.ndarray, step: int) -> np.ndarray:
        """1 / tau in force on every rung [Q], tau as in the last of `step` steps done; infinite where a schedule has
        cooled to 0. Of powers b, N b: what multiplies a mean loss.
        """
        if self.points:
            return np.asarray(self.points / temperature)
        with np.errstate(divide="ignore"):
            return 1 / (temperature * self.factor("temperature", self.reference, step))

    def warnings(self) -> list[str]:
        """What to say of a heuristic ladder."""
        if not self.heuristic:
            return []
        name = self.program.partition.names[self.reference]
        return [
            f"Partitions differ in temperature and acceptances go by that of {name} alone: the run is heuristic, its"
            " law is not known."
        ]

    def rescale_momenta(self, state: State, rows: np.ndarray, old: np.ndarray, new: np.ndarray) -> None:
        """p *= sqrt(tau_new / tau_old) for the replicas `rows` that went from rungs `old` to `new`.

        A momentum of fixed length stays as it is, and so do all where rungs share one temperature; a velocity goes by h
        tau.
        """
        if self.points:
            return
        temperature = state.extra["ladder_temperature"]
        scale = np.sqrt(temperature[new] / temperature[old]).astype(state.dtype)[:, None]
        for k, columns in enumerate(self.program.partition.slices):
            if not np.isnan(self.share[k]) and not self.program.has_fixed_length(k):
                state.scale("momentum", rows, columns, scale)
            if self.program.has_velocity(k) and "stepsize" in self.values:
                faster = np.sqrt(self.values["stepsize"][new] / self.values["stepsize"][old])[:, None]
                state.scale("momentum", rows, columns, faster)


@dataclass
class OnLadder(Move):
    """A move that walks replicas over a ladder: what exchange and tempering share.

    Attributes
    ----------
    ladder : the rungs. interval : steps between attempts. burn_in : steps during which the move adapts itself; then it
    is frozen.
    correction : whether acceptances allow for noisy energies. energy_batch : points of the energies it is given, None
    for all.
    """

    names: ClassVar[tuple[str, ...]] = ("rung",)
    about: ClassVar[Mapping[str, tuple[str, str]]] = {"rung": ("1", "rung of the ladder, 0 the target")}
    weighs: ClassVar[bool] = True
    wanders: ClassVar[bool] = True

    ladder: Ladder
    interval: int
    burn_in: int
    correction: bool
    energy_batch: int | None
    _last: tuple[np.ndarray, np.ndarray, Hyper] | None = field(default=None, init=False, repr=False, compare=False)

    def hyper(self, state: State) -> Hyper:
        """Hyperparameters [R] in force, before schedules: the same object until a rung or the ladder changes."""
        rung, temperature = state.extra["rung"], state.extra["ladder_temperature"]
        if self._last is None or not (
            np.array_equal(rung, self._last[0]) and np.array_equal(temperature, self._last[1])
        ):
            self._last = rung.copy(), temperature.copy(), self.ladder.hyper(rung, temperature)
        return self._last[2]

    @property
    def pace(self) -> int:
        """Steps between attempts."""
        return self.interval

    def next_stop(self, step: int, next_draw: int) -> int:
        """The next attempt."""
        return (step // self.interval + 1) * self.interval

    def act(self, state: State, energies: EnergiesOf) -> None:
        """Attempt what is due."""
        if state.step % self.interval == 0:
            self.attempt(state, energies(state.step // self.interval - 1, self.energy_batch))

    @abstractmethod
    def attempt(self, state: State, energies: Energies) -> None:
        """Try to move replicas to other rungs."""

    def log_weight(self, state: State, energy: np.ndarray, rows: slice) -> np.ndarray:
        """[r] 0 on the target rung, -inf elsewhere."""
        return np.where(state.extra["rung"][rows] == 0, 0.0, -np.inf)

    def statistics(self, state: State, step: int) -> dict[str, np.ndarray]:
        """The rung of each replica [R] float64."""
        return {"rung": state.extra["rung"].astype(np.float64)}

    def watched(self, state: State) -> dict[str, np.ndarray]:
        """The rung of each replica [R] int32."""
        return {"rung": state.extra["rung"].copy()}

    def notices(self) -> list[str]:
        """Whether the ladder is heuristic."""
        if not self.ladder.heuristic:
            return []
        return [
            "the ladder is about one partition's temperature only: exchanges are heuristic, and no density is sampled"
            " exactly."
        ]

    def _passes(self, state: State, end: int) -> bool:
        """Whether this attempt is the first one after `end` steps."""
        return state.step - self.interval <= end < state.step


# -- from options ------------------------------------------------------------------------------------------------------


def make_ladder(options: LadderOptions, hyper: Hyper, program: Program) -> Ladder:
    """The ladder that `options` describe, over the method's own hyperparameters `hyper` [R].

    Raises
    ------
    SpecError
        A method without temperature, a temperature by replica, partitions at different temperatures and no `reference`,
        a ladder that does not rise from a target above 0, a value by rung that no word reads.
    """
    kind, partition = options.kind, program.partition
    reading = [k for k in range(len(partition.names)) if "temperature" in program.reads(k)]
    if not reading:
        raise SpecError(
            f"{kind} trades temperatures, and {_texts(program)} reads none: use a method with one, such as sgld or"
            " langevin."
        )
    tau = hyper.temperature
    for k in reading:
        if (tau[:, k] != tau[0, k]).any():
            listed = ", ".join(f"{t:g}" for t in tau[:3, k])
            raise SpecError(
                f"{kind} sets the temperatures of the replicas, and the method lists its own ({listed}, ...): give one"
                " number."
            )
    reference, heuristic = _reference(options, hyper, program, reading)
    temperature = _temperatures(options, float(tau[0, reference]), heuristic)
    share = np.full(len(partition.names), np.nan)
    share[reading] = tau[0, reading] / tau[0, reference] if heuristic else 1.0
    values = make_values(options, program)
    for name in values:
        rows = np.nan_to_num(getattr(hyper, name))
        if (rows != rows[0]).any():
            raise SpecError(
                f"{kind} sets {name} by rung, and the method lists its own by replica: give the method one number."
            )
    return Ladder(temperature, share, reference, heuristic, values, hyper, program)


def _texts(program: Program) -> str:
    return ", ".join(
        f"{text or 'frozen'} ({name})" for name, text in zip(program.partition.names, program.texts, strict=True)
    )


def _reference(options: LadderOptions, hyper: Hyper, program: Program, reading: list[int]) -> tuple[int, bool]:
    """The partition whose temperature is the ladder's, and whether others differ from it."""
    kind, partition = options.kind, program.partition

    def law(k: int) -> tuple[object, object]:
        return hyper.temperature[0, k], hyper.schedules.get(("temperature", k))

    active = [k for k, text in enumerate(program.texts) if text is not None]
    named = [k for k in partition.resolve(options.reference) if k in reading] if options.reference is not None else []
    if active == reading and all(law(k) == law(reading[0]) for k in reading):
        return reading[0], False
    if options.reference is None:
        taus = ", ".join(
            f"{partition.names[k]} {f'{hyper.temperature[0, k]:g}' if k in reading else 'none'}" for k in active
        )
        raise SpecError(
            f"{kind} needs one temperature, and one schedule of it, for all partitions; here they differ (temperature:"
            f" {taus}). Give "
            f'all the same, or name the one to go by, reference = "{partition.names[reading[0]]}": such a run is'
            " labelled heuristic."
        )
    if not named or any(law(k) != law(named[0]) for k in named):
        raise SpecError(
            f'{kind}: reference = "{options.reference}" has no temperature of its own, or several. Name one partition'
            " that has: "
            f"{', '.join(partition.names[k] for k in reading)}."
        )
    return named[0], True


def _temperatures(options: LadderOptions, target: float, heuristic: bool) -> np.ndarray:
    kind = options.kind
    if options.temperatures is not None:
        if not math.isclose(options.temperatures[0], target, rel_tol=1e-9):
            raise SpecError(
                f"{kind}: temperatures start at {options.temperatures[0]:g}, and the"
                f" method{' (its reference)' if heuristic else ''} is at {target:g}: rung 0 is the target, so start"
                " there, or give the method that temperature."
            )
        return np.array(options.temperatures, np.float64)
    assert options.rungs is not None
    assert options.hottest is not None
    if not target > 0:
        raise SpecError(
            f"{kind} needs a target temperature above 0, not {target:g}: raise the method's temperature, or give"
            " temperatures."
        )
    if options.hottest <= target:
        raise SpecError(
            f"{kind}: hottest = {options.hottest:g} is not above the method's temperature {target:g}: raise it."
        )
    ladder = np.geomspace(target, options.hottest, options.rungs)
    ladder[[0, -1]] = target, options.hottest
    return ladder


def make_values(options: LadderOptions, program: Program) -> dict[str, np.ndarray]:
    """Stepsize, friction, sigma and epsilon of every rung, [Q] each, as far as the options set them."""
    """Stepsize, friction, sigma and epsilon of every rung, [Q] each, as far as the options set them."""
    kind = options.kind
    given = {name: getattr(options, name) for name in ("stepsize", *BY_RUNG) if getattr(options, name) is not None}
    for name in given:
        if name != "stepsize" and not any(name in program.reads(k) for k in range(len(program.texts))):
            raise SpecError(f"{kind}: {name} = {given[name]} is not used by {_texts(program)}: leave it out.")
    return {name: np.array(value, np.float64) for name, value in given.items()}


# -- bookkeeping -------------------------------------------------------------------------------------------------------


def smooth(old: np.ndarray, new: np.ndarray, seen: np.ndarray | int) -> np.ndarray:
    """Mean of the first MEMORY estimates, exponential average from then on; `seen` counts those in `old`, NaN in `new`
    is passed over.
    """
    moved = np.where(np.equal(seen, 0) | np.isnan(old), new, old + (new - old) / np.minimum(np.add(seen, 1), MEMORY))
    return np.where(np.isnan(new), old, moved)


def follow_trips(rung: np.ndarray, top: int, direction: np.ndarray, round_trips: np.ndarray) -> None:
    """Count round trips 0 -> `top` -> 0 in place, all arrays [R].

    `direction` is 1 for a replica that was on rung 0 and not yet on the top since, -1 once it was there, 0 before it
    first meets rung 0.
    """
    bottom = rung == 0
    round_trips += bottom & (direction < 0)
    direction[bottom] = 1
    direction[(rung == top) & (direction > 0)] = -1
