"""State, Hyper, Segment, Recorded, Snapshot.

Axis legend, used everywhere: R replicas, P parameters of a replica, K partitions, N training points, B minibatch size,
m features, d hidden units, n outputs, D draws (or data sets, where said).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple, Protocol

import numpy as np

Array = Any

PARTITIONED = ("temperature", "friction", "sigma", "epsilon", "momentum", "thermostat")
"""Hyperparameters with one value per replica and partition; `momentum` is mu (or rho_0), `thermostat` the initial
xi."""


@dataclass
class State:
    """Everything a run needs to go on: all of it is in the checkpoint, and nothing else is.

    Attributes
    ----------
    position, momentum, gradient : [R, P] float32 or float64. `gradient` is that of the energy at the last evaluation,
    on minibatch
        `evaluations - 1`.
    thermostat : [R, K] float64, xi.
    energy : [R] float64, the minibatch energy of the last evaluation; where work is counted, U where the replica
        stands (in the middle of a proposal: where that began).
    status : [R] int32, errors.Status; frozen_step : [R] int64, the step a replica was frozen at, -1 while running.
    step : steps done. evaluations : gradients evaluated, the next one's ordinal.
    extra : named arrays of updates and moves (Adam's moments, contour weights, rungs), with R as first axis unless it
    is the ensemble's.
    """

    position: Array
    momentum: Array
    gradient: Array
    thermostat: Array
    energy: Array
    status: Array
    frozen_step: Array
    step: int = 0
    evaluations: int = 0
    extra: dict[str, Array] = field(default_factory=dict)

    @classmethod
    def at(cls, position: Array, momentum: Array, thermostat: Array, xp: Any = np) -> "State":
        """A fresh state at `position` [R, P], before any gradient was evaluated; arrays of the library `xp`."""
        replicas = position.shape[0]
        return cls(
            position=position,
            momentum=momentum,
            gradient=xp.zeros_like(position),
            thermostat=xp.asarray(thermostat, np.float64),
            energy=xp.full(replicas, np.nan),
            status=xp.zeros(replicas, np.int32),
            frozen_step=xp.full(replicas, -1, np.int64),
        )

    @property
    def replicas(self) -> int:
        """R."""
        return self.position.shape[0]

    @property
    def running(self) -> int:
        """Replicas that are not frozen."""
        return int((self.status == 0).sum())

    def edit(self, name: str) -> Array:
        """The array of that name (as in `arrays`), to be changed in place: whoever is not an engine changes arrays of
        engines through this, wherever the state lives.
        """
        return self.arrays()[name]

    @property
    def dtype(self) -> Any:
        """Of positions, momenta and gradients."""
        return self.position.dtype

    def look(self, name: str) -> Array:
        """An array to be read where it is best read: on a device where the state lives there."""
        return self.arrays()[name]

    def fill(self, name: str, make: Callable[[Any, slice], Array]) -> None:
        """Set an array to what `make` gives for an array library and rows, made wherever the state lives."""
        self.edit(name)[...] = make(np, slice(0, self.replicas))

    def read(self, names: Iterable[str], function: "Reading", rows: slice) -> np.ndarray:
        """[r] what `function` makes of some arrays of the replicas `rows`, wherever the state lives."""
        arrays, (first, last, _) = self.arrays(), rows.indices(self.replicas)
        return np.asarray(function(np, {name: arrays[name][first:last] for name in names}, slice(0, last - first)))

    def scale(self, name: str, rows: Array, columns: slice, factor: Array) -> None:
        """Multiply columns of some rows of an array [R, P] by their factors [r, 1], wherever the state lives."""
        self.edit(name)[rows, columns] *= factor

    def put(self, arrays: Mapping[str, Array], step: int, evaluations: int) -> None:
        """Go on from these arrays of the engine's, copied where the state lives."""
        own = self.arrays()
        for name, value in arrays.items():
            own[name][...] = value
        self.step, self.evaluations = step, evaluations

    def where(self) -> dict[str, Array]:
        """All arrays by name, where they live; as `arrays` for a state on the host."""
        return self.arrays()

    def arrays(self) -> dict[str, Array]:
        """All arrays by name, `extra` as "extra/name"."""
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("step", "evaluations", "extra")}
        return named | {f"extra/{name}": value for name, value in self.extra.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], step: int, evaluations: int) -> "State":
        """Inverse of `arrays`."""
        own = {name: value for name, value in arrays.items() if not name.startswith("extra/")}
        extra = {name.removeprefix("extra/"): value for name, value in arrays.items() if name.startswith("extra/")}
        return cls(**own, step=step, evaluations=evaluations, extra=extra)

    def rows(self, rows: slice) -> "State":
        """Some neighbours alone, where they live: views of these arrays, all of which have R as their first axis."""
        picked = {name: value[rows] for name, value in self.where().items()}
        return State.from_arrays(picked, self.step, self.evaluations)

    def copy(self) -> "State":
        """Deep copy."""
        return State.from_arrays(
            {name: value.copy() for name, value in self.arrays().items()}, self.step, self.evaluations
        )


Reading = Callable[[Any, Mapping[str, Array], slice], Array]
"""(array library, arrays by name [r, ...], which of the replicas asked for they are of) -> numbers [r]."""


class Tabulated(Protocol):
    """What Hyper needs of a schedule (schedules.py)."""

    @property
    def spans_run(self) -> bool:
        """Whether a longer run would have had other factors from the start."""
        ...

    def tabulate(self, start: int, steps: int, total: int) -> np.ndarray:
        """Factors [steps]."""
        ...


@dataclass(frozen=True)
class Hyper:
    """Base hyperparameters of R replicas and their schedules; in force at a step = base x schedule.

    Attributes
    ----------
    stepsize : [R] float64, h (words) or the learning rate (whole-step updates).
    temperature, friction, sigma, epsilon, momentum, thermostat : [R, K] float64; NaN where partition k does not read
    it.
        temperature is tau in LMV's units, momentum is mu or rho_0, thermostat the initial xi.
    schedules : (name, k) -> Schedule for the ones that move; k is 0 for the stepsize.
    total : S, steps of the whole run.
    power : [R] float64, of the likelihood (equations.md section 15); None where it is 1 throughout.
    block : [R] int64, steps of a proposal where the program is in braces (equations.md section 13), 1 unless given;
        0 is the plain word, of which nothing is accepted or rejected. To be changed where every replica is at the end
        of a block only.
    """

    stepsize: np.ndarray
    temperature: np.ndarray
    friction: np.ndarray
    sigma: np.ndarray
    epsilon: np.ndarray
    momentum: np.ndarray
    thermostat: np.ndarray
    schedules: Mapping[tuple[str, int], Tabulated] = field(default_factory=dict)
    total: int = 1
    block: np.ndarray = field(default=None)  # type: ignore[arg-type]
    power: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Blocks of one step."""
        if self.block is None:
            object.__setattr__(self, "block", np.ones(self.stepsize.shape[0], np.int64))

    @property
    def replicas(self) -> int:
        """R."""
        return self.stepsize.shape[0]

    def factors(self, start: int, steps: int) -> dict[tuple[str, int], np.ndarray]:
        """Schedule tables of a segment: (name, k) -> [steps] float64."""
        return {key: s.tabulate(start, steps, self.total) for key, s in self.schedules.items()}

    def take(self, rows: slice | np.ndarray) -> "Hyper":
        """The same for some replicas."""
        picked: dict[str, Any] = {name: getattr(self, name)[rows] for name in ("stepsize", "block", *PARTITIONED)}
        power = None if self.power is None else self.power[rows]
        return Hyper(schedules=self.schedules, total=self.total, power=power, **picked)

    @classmethod
    def joined(cls, parts: "Sequence[Hyper]") -> "Hyper":
        """Those of several sets of replicas with the same schedules, one after another."""
        tables: dict[str, Any] = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("stepsize", "block", *PARTITIONED)
        }
        if parts[0].power is not None:
            tables["power"] = np.concatenate([part.power for part in parts if part.power is not None])
        return cls(schedules=parts[0].schedules, total=parts[0].total, **tables)

    @classmethod
    def constant(cls, replicas: int, partitions: int, stepsize: Any, total: int = 1, **values: Any) -> "Hyper":
        """Unscheduled hyperparameters from numbers or arrays that broadcast to [R] and [R, K]; those not given are
        NaN.
        """
        unknown = set(values) - set(PARTITIONED)
        if unknown:
            raise TypeError(f"no hyperparameters named {sorted(unknown)}")
        full: dict[str, Any] = {
            name: np.broadcast_to(np.asarray(values.get(name, np.nan), np.float64), (replicas, partitions)).copy()
            for name in PARTITIONED
        }
        return cls(stepsize=np.broadcast_to(np.asarray(stepsize, np.float64), (replicas,)).copy(), total=total, **full)


def alike(columns: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Groups of rows that agree in every column [R], NaN agreeing with NaN: the first row of each [G] and the group of
    each row [R]; groups are in the order of their values, the first column's first.

    Columns are taken one by one, and those that are one number throughout (most are) cost no memory.
    """
    group, first = None, np.zeros(1, np.int64)
    for column in columns:
        if group is None:
            group = np.zeros(len(column), np.int64)
        if (column == column[0]).all() or (column.dtype.kind == "f" and np.isnan(column).all()):
            continue
        values, inverse = np.unique(column, return_inverse=True)
        _, first, group = np.unique(group * len(values) + inverse, return_index=True, return_inverse=True)
    return first, np.zeros(0, np.int64) if group is None else group


class Track(NamedTuple):
    """Neighbouring replicas that are recorded after steps of their own: number i of `record` in slot i of the ring."""

    rows: slice
    record: tuple[int, ...]


@dataclass(frozen=True)
class Segment:
    """`steps` steps from step `start`, recording after each step named in `record` (absolute, in (start, start +
    steps]).

    tracks : where replicas are recorded at different steps, all of them in order, and `record` is empty. Such a segment
    is done in one piece: it is for programs whose coefficients are the same at every step.
    """

    start: int
    steps: int
    record: tuple[int, ...] = ()
    tracks: tuple[Track, ...] = ()

    @property
    def slots(self) -> int:
        """Slots of the ring that it takes."""
        return max((len(track.record) for track in self.tracks), default=len(self.record))


@dataclass
class Recorded:
    """The ring of one segment: what was recorded after each step of `steps`.

    Attributes
    ----------
    steps : the D recorded steps; none where tracks have steps of their own.
    position : [D, R, P]; NaN for replicas frozen by then.
    thermostat : [D, R, K] float64. kinetic_temperature : [D, R, K] float64, p.p / n_k at the end of the step.
    energy : [D, R] float64, minibatch energy of the last evaluation.
    acceptance, shadow_work, shadow_work_variance, proposals : [D, R] float64, or None where work is not counted: over
        the proposals that ended since the last recorded moment (steps, where nothing is accepted or rejected), the mean
        of min(1, exp(-w/tau)), mean and variance of the work w where it is finite, and how many there were. NaN where
        there is nothing to average, or where partitions have not one tau above 0.
    there : positions [R, P] of each recorded moment where they stand on a device, until the next segment begins; None
        where they do not.
    """

    steps: tuple[int, ...]
    position: Array
    thermostat: Array
    kinetic_temperature: Array
    energy: Array
    acceptance: Array | None = None
    shadow_work: Array | None = None
    shadow_work_variance: Array | None = None
    proposals: Array | None = None
    there: tuple[Array, ...] | None = None

    @classmethod
    def joined(cls, parts: "Sequence[Recorded]", axis: int = 0) -> "Recorded":
        """Of the pieces of a segment one after another (axis 0), or of shares of the replicas side by side (axis 1);
        what stood on a device is there no more.
        """
        steps = parts[0].steps if axis else tuple(step for part in parts for step in part.steps)
        names = [f.name for f in fields(cls) if f.name not in ("steps", "there")]
        each = {name: [getattr(part, name) for part in parts] for name in names}
        arrays: dict[str, Any] = {n: None if v[0] is None else np.concatenate(v, axis=axis) for n, v in each.items()}
        return cls(steps, **arrays)

    def of(self, track: Track) -> "Recorded":
        """What was recorded of one track's replicas; where all were recorded at the same steps, after those of its own
        among them.
        """
        steps, rows = track.record, track.rows
        slots = [self.steps.index(step) for step in steps] if self.steps else range(len(steps))
        index: Any = slots if self.steps else slice(len(steps))  # of tracks alone a view
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("steps", "there")}
        picked = {name: None if value is None else value[index][:, rows] for name, value in own.items()}
        there = None if self.there is None else tuple(self.there[i][rows] for i in slots)
        return Recorded(steps=steps, there=there, **picked)


@dataclass(frozen=True)
class Snapshot:
    """One recorded moment of a run, as `iterate` yields it; arrays are the caller's to keep.

    Attributes
    ----------
    step : steps done. is_draw : whether it is a draw (past burn-in, on the thinning grid).
    position : [R, P]. thermostat, kinetic_temperature : [R, K] float64; the latter NaN where momenta are of fixed
    length. energy : [R] float64, full-batch U.
    status : [R] int32. statistics : further per-replica numbers by name (test_accuracy, test_nll, ...), each [R].
    momentum : [R, P], NaN where frozen; None in runs that do not keep it.
    """

    step: int
    is_draw: bool
    position: np.ndarray
    thermostat: np.ndarray
    kinetic_temperature: np.ndarray
    energy: np.ndarray
    status: np.ndarray
    statistics: Mapping[str, np.ndarray]
    momentum: np.ndarray | None = None
