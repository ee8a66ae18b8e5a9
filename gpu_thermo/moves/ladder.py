"""Ladders of temperatures, and what replica exchange and simulated tempering have in common on them (equations.md
section 5).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from ..errors import SpecError
from ..method.words import Program
from ..state import Hyper, State
from .options import LadderOptions

BY_RUNG = ("friction", "sigma", "epsilon")
"""Partitioned hyperparameters that a rung may set, the temperature aside."""

MEMORY = 50
"""Estimates over which the variance of an energy is smoothed."""

NOISY, NOISY_UNCORRECTED = 1.0, 0.1
"""Variance of the noise of a log acceptance from which it is reported: with the correction it costs acceptance, without
it biases."""

RARE = 0.05
"""Acceptance below which a pair of rungs is reported."""


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
    """

    temperature: np.ndarray
    share: np.ndarray
    reference: int
    heuristic: bool
    values: Mapping[str, np.ndarray]
    base: Hyper
    program: Program

    @property
    def count(self) -> int:
        """Q."""
        return len(self.temperature)

    def hyper(self, rung: np.ndarray, temperature: np.ndarray) -> Hyper:
        """Hyperparameters of replicas on `rung` [R] of a ladder `temperature` [Q], before schedules."""
        changed = {"temperature": temperature[rung][:, None] * self.share}
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
        cooled to 0.
        """
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
        """p *= sqrt(tau_new / tau_old) for the replicas `rows` that went from rungs `old` to `new`."""
        temperature = state.extra["ladder_temperature"]
        scale = np.sqrt(temperature[new] / temperature[old]).astype(state.momentum.dtype)[:, None]
        for k, columns in enumerate(self.program.partition.slices):
            if not np.isnan(self.share[k]):
                state.momentum[rows, columns] *= scale


@dataclass
class OnLadder:
    """A move that walks replicas over a ladder: what exchange and tempering share.

    Attributes
    ----------
    ladder : the rungs. interval : steps between attempts. burn_in : steps during which the move adapts itself; then it
    is frozen.
    correction : whether acceptances allow for noisy energies.
    """

    ladder: Ladder
    interval: int
    burn_in: int
    correction: bool
    _last: tuple[np.ndarray, np.ndarray, Hyper] | None = field(default=None, init=False, repr=False, compare=False)

    def hyper(self, state: State) -> Hyper:
        """Hyperparameters [R] in force, before schedules: the same object until a rung or the ladder changes."""
        rung, temperature = state.extra["rung"], state.extra["ladder_temperature"]
        if self._last is None or not (
            np.array_equal(rung, self._last[0]) and np.array_equal(temperature, self._last[1])
        ):
            self._last = rung.copy(), temperature.copy(), self.ladder.hyper(rung, temperature)
        return self._last[2]

    def log_weight(self, state: State) -> np.ndarray:
        """[R] 0 on the target rung, -inf elsewhere."""
        return np.where(state.extra["rung"] == 0, 0.0, -np.inf)

    def statistics(self, state: State) -> dict[str, np.ndarray]:
        """The rung of each replica [R] float64."""
        return {"rung": state.extra["rung"].astype(np.float64)}

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
    kind, partition = options.kind, program.partition  # type: ignore[attr-defined]
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
    values = _values(options, program)
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
    kind, partition = options.kind, program.partition  # type: ignore[attr-defined]

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
    kind = options.kind  # type: ignore[attr-defined]
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


def _values(options: LadderOptions, program: Program) -> dict[str, np.ndarray]:
    kind = options.kind  # type: ignore[attr-defined]
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


def ratio(part: np.ndarray, whole: np.ndarray) -> list[float | None]:
    """part / whole, None where there is nothing to divide by."""
    return [float(p / w) if w else None for p, w in zip(part, whole, strict=True)]


def noise_warnings(noise: list[float | None], correction: bool) -> list[str]:
    """What to say of log acceptances whose noise has variance `noise`, for each pair of rungs."""
    known = [v for v in noise if v is not None]
    worst = max(known, default=0.0)
    if worst <= (NOISY if correction else NOISY_UNCORRECTED):
        return []
    harm = (
        "costs acceptance, and the correction for it supposes Gaussian noise"
        if correction
        else "biases the draws: correction is off"
    )
    return [
        f"Energies are noisy: the log acceptance has noise of variance {worst:.3g}, which {harm}. Raise energy_batch,"
        " or add rungs."
    ]


def pair_warnings(acceptance: list[float | None], temperatures: np.ndarray) -> list[str]:
    """What to say of pairs of rungs that rarely accept."""
    rare = [(i, a) for i, a in enumerate(acceptance) if a is not None and a < RARE]
    if not rare:
        return []
    i, worst = min(rare, key=lambda pair: pair[1])
    return [
        f"Rungs {i} and {i + 1} (tau {temperatures[i]:.3g} and {temperatures[i + 1]:.3g}) accept {worst:.2g} of their"
        f" attempts{f', and {len(rare) - 1} other pairs few too' if len(rare) > 1 else ''}: add rungs between them."
    ]
