"""What a run is about (a Subject), what is seen of it on the way (an Observer), and a run made ready (a Setup).

Store, loop, studies and plans ask the subject; none of them asks what kind it is. A network on its data is in
network.py, a potential in potential.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np

from ..averages.moments import BLOCK, RunningMoments
from ..engines import Engine, Job, initial_state
from ..engines.base import Needs, drawn_at_once, normal_momenta, with_fixed_length
from ..engines.work import STATISTICS as WORK
from ..method.words import Program
from ..moves import fold
from ..moves.base import Energies
from ..moves.fold import Moves, Weigh
from ..spec.run import RunSpec
from ..state import PARTITIONED, Hyper, State
from ..streams import Keys, make_keys, some_keys
from ..targets.base import Potential, Target
from .agenda import Agenda
from .starts import Starts


@dataclass
class Observation:
    """Numbers of one moment: `statistics` name -> [R] float64; `predictions` [R, probe, n] and `log_likelihood` [R, N]
    where asked for.
    """

    statistics: dict[str, np.ndarray]
    predictions: np.ndarray | None
    log_likelihood: np.ndarray | None = None


class Observer(Protocol):
    """Evaluates replicas at the recorded moments, and feeds the running moments."""

    def __call__(
        self, position: np.ndarray, is_draw: bool, weigh: Weigh | None = None, there: Any = None
    ) -> Observation:
        """Observe the replicas at `position` [R, P]; frozen ones (NaN) give NaN. Draws count with their weights. Where
        positions also stand on a device, `there` [R, P], they may be looked at there.
        """
        ...

    def energy(self, position: np.ndarray) -> np.ndarray:
        """Full-batch U [R]."""
        ...

    def watch(self, position: Any) -> np.ndarray:
        """[R, Q] float64 of the quantities by which a run that tunes itself judges; NaN where frozen. `position` may
        stand on a device.
        """
        ...

    def some(self, there: Any, rows: Any) -> Any:
        """Some replicas of positions [R, P] that stand on this observer's device; None where they do not."""
        ...

    def look_at(self, state: State) -> Any:
        """Positions [R, P] of a state where this observer looks at them best."""
        ...

    def energies(self, position: np.ndarray, attempt: int, batch: int | None = None) -> Energies:
        """Energies for a move, with their noise, fresh at each attempt; of `batch` points where it wants so few.
        `position` may stand on a device.
        """
        ...


class Subject(Protocol):
    """What a run is about: it knows its target and where replicas start, what is seen of them, and what of it a store
    holds.

    Attributes
    ----------
    spec : of the run, with what was chosen by the data.
    target : what is sampled; its layout names the parameters. dtype : float32 or float64, as a type.
    dataset : [R] int64, the data set of each replica.
    fingerprint : identity of what the spec alone does not say: the data, or the user's function.
    energy_range : energies that are not left downwards and rarely upwards; None where nothing is known.
    scores : names of the numbers each replica is tested by. parts : names of the parts of its energy.
    points_seen : points of the passes at a recorded moment.
    watched : how many quantities a run that tunes itself judges by, and the sd up to which one of them is settled.
    proper : whether the density can be normalised, so that the virial is known.
    potential : the potential, whose exact energies can be had; None for what is defined by data.
    """

    @property
    def spec(self) -> RunSpec: ...
    @property
    def target(self) -> Target: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def dataset(self) -> np.ndarray: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def energy_range(self) -> tuple[float, float] | None: ...
    @property
    def scores(self) -> tuple[str, ...]: ...
    @property
    def parts(self) -> tuple[str, ...]: ...
    @property
    def points_seen(self) -> int: ...
    @property
    def watched(self) -> tuple[int, float]: ...
    @property
    def proper(self) -> bool: ...
    @property
    def potential(self) -> Potential | None: ...

    def initial_position(self, keys: Keys, xp: Any = np) -> Any:
        """Initial parameters [R, P] at purpose 0, as an array of the library of `keys`."""
        ...

    def moments(self, ensembles: int) -> RunningMoments:
        """Empty running averages of that many ensembles."""
        ...

    def observer(self, setup: "Setup", moments: RunningMoments, device: str, threads: int | None) -> Observer:
        """Who sees the replicas of a run of this subject, and feeds `moments`."""
        ...

    def needs(self, setup: "Setup", device: str, threads: int | None) -> Needs:
        """What its observer would take while it looks at a moment, results aside."""
        ...

    def judge(
        self, mean: np.ndarray, dataset: np.ndarray, log_density: np.ndarray | None = None
    ) -> list[dict[str, float]]:
        """Scores of averaged predictions `mean` [E, point, n] on their data sets' test points [E]; each {} where there
        is nothing to test on, or no average.
        """
        ...

    def header(self) -> Mapping[str, Any]:
        """Fields of a store's Header: outputs, features, probes, constant, keep, attributes; about, of its data; and
        tensors, where they are stored otherwise than the layout has them.
        """
        ...

    def assumptions(self) -> list[str]:
        """What is assumed of answers and parameters, in words, for who runs it."""
        ...

    def columns(self) -> list[str]:
        """What became of the columns of a table, where they are not simply numbers, in words."""
        ...

    def notices(self) -> Iterator[str]:
        """What the user should know before the run: what is allowed but rarely meant."""
        ...

    def with_replicas(self, spec: RunSpec) -> Self:
        """The same of as many replicas as the spec has, more than its own."""
        ...

    def with_dataset(self, dataset: np.ndarray) -> Self:
        """The same with other data sets of the replicas [R]."""
        ...


@dataclass(frozen=True)
class Setup:
    """A run made ready: what it is about, the job an engine can carry out, and what happens to the ensemble beside it.

    Attributes
    ----------
    ensemble : [R] int64, replicas alike in data set and hyperparameters, numbered in order of appearance.
    starts : tensors that replicas start from, where they are not drawn.
    """

    spec: RunSpec
    subject: Subject
    job: Job
    ensemble: np.ndarray
    moves: Moves = ()
    starts: Starts | None = None

    @property
    def program(self) -> Program:
        """The compiled method."""
        return self.job.program

    @property
    def dataset(self) -> np.ndarray:
        """[R] int64, the data set of each replica."""
        return self.subject.dataset

    @cached_property
    def agenda(self) -> Agenda:
        """When the run records."""
        return Agenda.of(self.spec)

    @cached_property
    def fingerprint(self) -> str:
        """Identity of the run, its data included."""
        return self.spec.fingerprint(self.subject.fingerprint)

    @cached_property
    def ensemble_dataset(self) -> np.ndarray:
        """[E] the data set of each ensemble."""
        return self.dataset[np.unique(self.ensemble, return_index=True)[1]]

    def moments(self) -> RunningMoments:
        """Empty running averages of the ensembles."""
        return self.subject.moments(len(self.ensemble_dataset))

    @property
    def statistics(self) -> tuple[str, ...]:
        """Names of the further numbers each draw has: parts of its energy, test scores, and what the moves, the method
        and its work say.
        """
        of_method, of_work = tuple(self.method_statistics(1)), WORK if self.job.counts_work else ()
        return (*self.subject.parts, *self.subject.scores, *fold.names(self.moves), *of_method, *of_work)

    def method_statistics(self, step: int) -> dict[str, np.ndarray]:
        """Per-replica numbers [R] that the method itself has at the moment after `step`: CoolMomentum's equivalent
        temperature.
        """
        if self.program.update != "coolmomentum":
            return {}
        hyper = self.job.hyper
        k = next(k for name, k in hyper.schedules if name == "momentum")
        rho = hyper.momentum[:, k] * hyper.factors(step - 1, 1)["momentum", k]
        return {"equivalent_temperature": (1 + rho) / (1 - rho)}

    def chain_coordinates(self) -> dict[str, np.ndarray]:
        """Static coordinates of each replica, [R]: identity, and every hyperparameter in use (on a ladder, that of the
        target rung).
        """
        hyper, partition = self.job.hyper, self.program.partition
        block = {} if self.program.braces is None else {"block": hyper.block}
        time = {} if self.job.clock is None else {"thin": self.job.clock.between}
        out = {
            "ensemble": self.ensemble, "dataset": self.dataset, "seed": self.job.seed, "stream": self.job.stream,
            "stepsize": hyper.stepsize, **block, **time,
        }  # fmt: skip
        if self.spec.run.superchain is not None:
            out["superchain"] = self.leaders // self.spec.run.superchain
        for name in PARTITIONED:
            for k, column in enumerate(getattr(hyper, name).T):
                if not np.isnan(column).all():
                    out[f"{name}_{partition.names[k]}"] = column
        return out

    @property
    def tuned(self) -> tuple[str, ...]:
        """Coordinates of each replica that the run finds itself: none, or stepsize, frictions, and sigma where the spec
        gives none.
        """
        if self.spec.run.tolerance is None:
            return ()
        hyper, names = self.job.hyper, self.program.partition.names
        found = {"friction": hyper.friction} | ({} if self.spec.method.sigma is not None else {"sigma": hyper.sigma})
        used = (
            (kind, k) for kind, table in found.items() for k in range(len(names)) if not np.isnan(table[:, k]).any()
        )
        return ("stepsize", *(f"{kind}_{names[k]}" for kind, k in used))

    def initial_state(self) -> State:
        """The state at step 0, on the host."""
        state = self._complete(self._drawn(np, slice(0, self.job.replicas)))
        if self.starts is not None:
            self.starts.write(state.position, state.momentum)
            if self.starts.momentum:
                with_fixed_length(self.job, state.momentum)
        return state

    def begin(self, engine: Engine) -> State:
        """The state at step 0 where it lives with an engine of this job: made there, unless starts are given."""
        if self.starts is not None:
            return engine.load(self.initial_state())
        return self._complete(engine.begin(self._drawn))

    def drawn_positions(self, xp: Any, rows: slice) -> Any:
        """[r, P] where some replicas start, as an array of the library `xp`."""
        job = self.job.take(rows)
        position, keys = (
            xp.empty((job.replicas, job.target.layout.size), job.dtype),
            self._initial_keys(xp, self.leaders[rows]),
        )
        for r in drawn_at_once(job, xp):
            position[r] = self.subject.initial_position(some_keys(keys, r), xp)
        return position

    def _drawn(self, xp: Any, rows: slice) -> State:
        """Some replicas at step 0, what moves keep and thermal momenta aside."""
        position = self.drawn_positions(xp, rows)
        return initial_state(self.job.take(rows), position, keys=self._initial_keys(xp, rows), xp=xp)

    def _complete(self, state: State) -> State:
        fold.begin(self.moves, state)
        if self.spec.run.momenta == "thermal":
            hyper = fold.hyper(self.moves, state) or self.job.hyper
            state.fill("momentum", lambda xp, rows: self._thermal(hyper.take(rows), xp, rows))
        return state

    def _thermal(self, hyper: Hyper, xp: Any, rows: slice) -> Any:
        """[r, P] momenta of some replicas, at their temperatures."""
        job, keys = self.job.take(rows), self._initial_keys(xp, rows)
        momentum = xp.empty((job.replicas, job.target.layout.size), job.dtype)
        for r in drawn_at_once(job, xp):
            momentum[r] = _thermal_momenta(job, hyper.take(r), some_keys(keys, r), xp)
        return momentum

    @property
    def leaders(self) -> np.ndarray:
        """[R] int64, the replica at whose start each begins: its own, or the first of its superchain."""
        rows, size = np.arange(self.job.replicas), self.spec.run.superchain or 1
        return rows // size * size

    def _initial_keys(self, xp: Any, rows: slice | np.ndarray) -> Keys:
        run, stream = self.spec.run, self.job.stream[rows]
        seed = np.uint64(run.seed if run.seed_init is None else run.seed_init)
        return make_keys(np.full(len(stream), seed), stream, xp)


def _thermal_momenta(job: Job, hyper: Hyper, keys: Keys, xp: Any) -> Any:
    """[r, P] momenta of some replicas at each partition's temperature, velocities where the update has such; directions
    where their length is fixed.
    """
    momentum = normal_momenta(job, keys, xp)
    tau, h = np.nan_to_num(hyper.temperature), hyper.stepsize[:, None]
    for k, columns in enumerate(job.program.partition.slices):
        if not job.program.has_fixed_length(k):
            variance = tau[:, k : k + 1] * (h if job.program.has_velocity(k) else 1)
            momentum[:, columns] *= xp.asarray(np.sqrt(variance).astype(job.dtype))
    return with_fixed_length(job, momentum, xp)


def blocks(replicas: int, size: int = BLOCK) -> list[slice]:
    """Rows of each block of replicas, in order."""
    return [slice(i, min(i + size, replicas)) for i in range(0, replicas, size)]


def counted(log_weight: np.ndarray | None) -> np.ndarray | None:
    """Weights as the running sums want them: a replica of weight 0 is left out, not counted as a draw."""
    return None if log_weight is None else np.where(log_weight == -np.inf, np.nan, log_weight)
