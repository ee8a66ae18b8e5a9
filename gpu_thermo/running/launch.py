"""What a run that tunes itself sets out with: one launch of its replicas and the group at h/2, and what is asked of the
target beside the steps: full gradients, curvature, fresh momenta.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..engines import Batching, Engine, Job, initial_state
from ..engines.base import with_fixed_length
from ..method.words import Program, compile_update
from ..moves.exchange import Exchange
from ..spec.run import FALLING, RunSpec
from ..state import Hyper, State
from ..streams import Purpose, make_keys, minibatch, normals
from ..targets.base import Batch
from ..tuning import batches, masses
from ..tuning.course import BURN_IN, LADDER, SAMPLING, Course
from ..tuning.lost import outlying, replaced
from ..tuning.rules import DESCENT_RATE
from ..tuning.tuner import Tuner
from .gradients import Gradients
from .rules import in_braces, make_tuner
from .rungs import Rungs, exchange_of, ladder_of
from .setup import make_setup
from .subject import Setup

GROUP, FEWEST_GROUP = 4, 32
"""The group at h/2 is so much smaller than the ensemble, and so large at least."""
_AT_ONCE, _SAMPLE, _ITERATIONS, _NUDGE = 32, 32, 6, 0.01
"""Replicas whose gradients are computed together; replicas whose curvature is taken, by so many power iterations, by
differences of gradients at points so far apart, in units of |theta|."""
_PLACES = 33
"""On the line between two replicas, the ends included."""
_PAIRS = 4
"""Of minibatches by which the noise of a size is measured."""
_ONE_BY_ONE = 512
"""Coordinates of a potential that has no tensors up to which each has a mass of its own."""
_VERLET = 4
"""Steps by which the acceptance is measured where the engine does not."""


@dataclass(frozen=True)
class Launch:
    """A run that tunes itself, made ready.

    Attributes
    ----------
    ready : the run as its store knows it, of R replicas. whole : the same with the group at h/2 behind them, R + B.
    tuner : its rules. exchange : of ladders, once there are some: then `whole` has Q rows for each replica, and `shown`
    is what it was before. kernel : who gives gradients on all points, where array code would take long.
    """

    ready: Setup
    whole: Setup
    tuner: Tuner
    exchange: Exchange | None = None
    shown: Setup | None = None
    kernel: Gradients | None = None

    @classmethod
    def of(cls, ready: Setup) -> "Launch":
        """From a run made ready: in braces where its word can be, else with a group at h/2."""
        program = in_braces(ready)
        if program is None:
            return cls(ready, _with_group(ready), make_tuner(ready, False))
        whole = with_rows(ready, _with_replicas(ready.spec, ready.job.replicas))
        job = replace(whole.job, program=program, work=False)
        return cls(ready, replace(whole, job=job), make_tuner(ready, True))

    @property
    def replicas(self) -> int:
        """R, those that count."""
        return self.ready.job.replicas

    @property
    def job(self) -> Job:
        """The main dynamics, of R + B replicas."""
        return self.whole.job

    @property
    def jobs(self) -> list[Job]:
        """Those that an ordinary course comes to: the descent, the main dynamics, and these with masses, where it finds
        some.
        """
        if self.ready.spec.run.path == FALLING:
            return [self.descent]
        weighed = replace(self.job, scale=np.ones(self.job.target.layout.size, self.job.dtype))
        return [self.descent, self.job, *([weighed] if self.tuner.masses else [])]

    def on(self, engine: str, device: str, threads: int | None) -> "Launch":
        """The same where it is carried out."""
        return replace(self, kernel=Gradients.of(self.descent, engine, device, threads))

    def coordinates(self, course: Course) -> dict[str, np.ndarray]:
        """[R] of each of `tuned`, NaN until they are found."""
        names = self.ready.program.partition.names
        each = course.friction or (np.nan,)
        gamma = dict(zip(names, each * len(names) if len(each) == 1 else each, strict=True))
        values = {f"friction_{name}": value for name, value in gamma.items()} | {"stepsize": course.stepsize or np.nan}
        if not course.path:  # words of that way have no noise of a thermostat
            values |= {f"sigma_{name}": value for name, value in zip(names, self._sigma(course)[0], strict=True)}
        return {name: np.full(self.replicas, values[name]) for name in self.ready.tuned}

    # -- masses --------------------------------------------------------------------------------------------------------

    @cached_property
    def groups(self) -> dict[str, slice]:
        """Parameters that have one mass: those of a tensor; of a potential without tensors every coordinate alone."""
        parts = self.job.target.layout.partition("tensor")
        names = parts.names
        if self.whole.subject.potential is not None and len(names) == 1 and parts.counts[0] <= _ONE_BY_ONE:
            return {f"{names[0]}[{i}]": slice(i, i + 1) for i in range(parts.counts[0])}
        return dict(zip(names, parts.slices, strict=True))

    def masses(self, position: np.ndarray) -> dict[str, float]:
        """Of each group, from the gradients of the replicas that count."""
        mine = position[: self.replicas]
        free = np.zeros(mine.shape[1], bool)
        for k, columns in enumerate(self.job.program.partition.slices):
            free[columns] = self.job.program.texts[k] is not None
        return masses.estimate(self.full_gradient(mine, np.arange(len(mine)))[1], self.groups, free)

    def with_masses(self, mass: Mapping[str, float]) -> "Launch":
        """The same with these masses; itself where there are none."""
        if not mass:
            return self
        scale = masses.scale(mass, self.groups, self.job.target.layout.size)
        return replace(self, whole=replace(self.whole, job=replace(self.job, scale=scale)))

    # -- minibatches ---------------------------------------------------------------------------------------------------

    def in_batches(self, size: int) -> "Launch":
        """The same by minibatches of so many points, with a group at h/2; itself for 0."""
        if not size:
            return self
        whole, batching = _with_group(self.ready), Batching(self.ready.spec.run.minibatch, size)
        job = replace(whole.job, batching=batching, work=False, scale=self.job.scale)
        return replace(self, whole=replace(whole, job=job), tuner=replace(self.tuner, braces=False))

    def shares(self, course: Course, position: np.ndarray, ordinal: int) -> dict[int, float]:
        """rho of each size of a minibatch that is tried, measured where replicas are, by a few pairs each."""
        mode, points = self.ready.spec.run.minibatch, self.job.target.points
        found = {}
        for size in batches.sizes(points):
            tried = Batching(mode, size)
            noise = np.mean([self.noise(position, ordinal + 2 * k, tried) for k in range(_PAIRS)])
            found[size] = self.tuner.share_of(course, float(noise))
        return found

    def filled(self, position: np.ndarray) -> np.ndarray:
        """[rows, P] of this launch, the group where the first replicas are; itself where it is there already."""
        rows = np.arange(self.job.replicas)
        rows[len(position) :] %= self.replicas
        return position if len(position) == len(rows) else position[rows]

    # -- ladders -------------------------------------------------------------------------------------------------------

    def on_ladder(self, temperatures: Sequence[float]) -> "Launch":
        """The same with every replica a ladder of these rungs, the target first; itself where there are none."""
        if not temperatures:
            return self
        spec = _with_replicas(self.ready.spec, self.rungs.ladders * len(temperatures))
        whole = make_setup(spec, self.ready.subject.with_replicas(spec))
        job = replace(whole.job, program=self.job.program, work=self.job.work, scale=self.job.scale)
        options = exchange_of(spec)
        assert options is not None
        exchange = ladder_of(options, temperatures, job)
        tau = np.tile(np.asarray(temperatures), self.rungs.ladders)[:, None]
        shared = np.where(np.isnan(job.hyper.temperature), np.nan, tau)
        whole = replace(whole, job=replace(job, hyper=replace(job.hyper, temperature=shared)))
        return replace(self, whole=whole, exchange=exchange, shown=self.flat)

    @cached_property
    def rungs(self) -> Rungs:
        """Who stands on which rung."""
        count = 1 if self.exchange is None else self.exchange.ladder.count
        return Rungs(self.job.replicas // count, self.exchange)

    @property
    def flat(self) -> Setup:
        """Of one row for each replica."""
        return self.shown or self.whole

    # -- hyperparameters and starts ------------------------------------------------------------------------------------

    def hyper(self, course: Course) -> Hyper:
        """Hyperparameters of all replicas in this stage; the group has half the stepsize."""
        base = self.job.hyper
        stepsize = np.full(self.job.replicas, course.stepsize)
        stepsize[self.replicas * self.rungs.count :] /= 2
        friction = np.where(np.isnan(base.friction), np.nan, np.asarray(course.friction))
        sigma = base.sigma if self.ready.spec.method.sigma is not None else self._sigma(course)
        in_blocks = self.tuner.braces and course.phase in (LADDER, BURN_IN, SAMPLING)
        block = np.full(self.job.replicas, course.lengths.block if in_blocks else 0, np.int64)
        return replace(base, stepsize=stepsize, friction=friction, sigma=sigma, block=block)

    def _sigma(self, course: Course) -> np.ndarray:
        """[R + B, K] sqrt(2 gamma tau), with which xi has the mean gamma; NaN where a word adds no noise."""
        base = self.job.hyper
        gamma = np.asarray(course.friction or [np.nan] * base.sigma.shape[1])
        return np.where(np.isnan(base.sigma), np.nan, np.sqrt(2 * gamma * np.nan_to_num(base.temperature[:1])))

    @cached_property
    def descent(self) -> Job:
        """Adam on the sampled density, from each replica's own start."""
        job, frozen = self.job, tuple(k for k, text in enumerate(self.job.program.texts) if text is None)
        program: Program = compile_update("adam", job.program.partition, frozen)
        position = self.whole.initial_state().position
        size = float(np.clip(np.sqrt(np.mean(np.square(position, dtype=np.float64))), 0.25, 4.0))
        hyper = Hyper.constant(job.replicas, len(program.texts), DESCENT_RATE * size, job.hyper.total)
        return Job(program, job.target, hyper, job.batching, job.seed, job.stream, job.dtype)

    def start(self, engine: Engine) -> State:
        """Where the descent begins, made where its engine's states live, unless starts are given."""
        whole, job = self.whole, self.descent
        if whole.starts is not None:
            return engine.load(initial_state(job, whole.initial_state().position))
        return engine.begin(lambda xp, r: initial_state(job.take(r), whole.drawn_positions(xp, r), xp=xp))

    def fresh(self, position: np.ndarray, step: int) -> State:
        """The main dynamics at `position` [R + B, P] after `step` steps, with thermal momenta of that step's own."""
        job = self.job
        state = initial_state(job, position, self._momenta(step))
        energy, gradient = self.full_gradient(state.position, np.arange(job.replicas))
        state.energy[...] = energy
        state.gradient[...] = gradient if job.scale is None else gradient * job.scale
        state.step, state.evaluations = step, job.program.gradients_before(step)
        self.rungs.begin(state)
        return state

    def _momenta(self, step: int) -> np.ndarray:
        """[R + B, P] at each partition's temperature, addressed by the step (purpose 1, sub 1)."""
        job = self.job
        lanes = job.target.layout.lanes
        blocks = np.arange(int(lanes.max()) // 4 + 1, dtype=np.uint64)
        keys = make_keys(job.seed, job.stream)
        drawn = normals(keys, blocks, Purpose.MOMENTUM, step, 1, dtype=np.dtype(job.dtype).type)[:, lanes]
        tau = np.nan_to_num(job.hyper.temperature)
        for k, columns in enumerate(job.program.partition.slices):
            if not job.program.has_fixed_length(k):
                drawn[:, columns] *= np.sqrt(tau[:, k : k + 1]).astype(job.dtype)
        return with_fixed_length(job, np.ascontiguousarray(drawn))

    def lost(self, position: np.ndarray) -> np.ndarray:
        """[R + B] who is far outside at these positions, by U on all points."""
        energy, _ = self.full_gradient(position, np.arange(len(position)))
        return outlying(energy, energy * energy, self.tuner.heat)

    def replaced(self, position: np.ndarray, lost: np.ndarray) -> np.ndarray:
        """`position` [R + B, P] with the `lost` [R + B] where others are."""
        return position[replaced(lost, self.replicas, self.tuner.superchain)] if lost.any() else position

    # -- the target ----------------------------------------------------------------------------------------------------

    def full_gradient(self, position: np.ndarray, replica: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """U [r] float64 and its gradient [r, P] on all points, without noise, of the replicas `replica` [r]."""
        energy, gradient = np.empty(len(position)), np.empty_like(position)
        with np.errstate(all="ignore"):
            for i in range(0, len(position), _AT_ONCE):
                rows = slice(i, i + _AT_ONCE)
                energy[rows], gradient[rows] = self._evaluate(position[rows], replica[rows])
        return energy, gradient

    def _evaluate(self, position: np.ndarray, replica: np.ndarray) -> tuple[Any, Any]:
        potential = self.whole.subject.potential
        if potential is not None:
            return potential.energy(position, replica), potential.gradient(position, replica)
        if self.kernel is not None:
            return self.kernel(position)
        return self.job.target.energy_and_gradient(position, Batch(None, replica))

    def _scale(self, position: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """m^(-1/2) of some rows of `position`; [1] ones without masses."""
        scale = self.job.scale
        return np.ones(1) if scale is None else np.broadcast_to(scale, position.shape)[rows]

    def curvature(self, position: np.ndarray, apart: float = _NUDGE) -> float:
        """The 90 % quantile over replicas of the largest curvature of U along a unit direction, masses taken off, from
        gradients `apart` in units of |theta|.
        """
        job = self.job
        rows = _some(job.replicas, _SAMPLE)
        scale = self._scale(position, rows)
        q, v = position[rows].astype(np.float64), self._momenta(0)[rows].astype(np.float64)
        nudge = apart * np.maximum(np.linalg.norm(q, axis=1, keepdims=True), _NUDGE)
        size = np.ones(len(rows))
        for _ in range(_ITERATIONS):
            v /= np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-300)
            ends = [self.full_gradient((q + sign * nudge * scale * v).astype(job.dtype), rows)[1] for sign in (1, -1)]
            v = scale * (ends[0].astype(np.float64) - ends[1]) / (2 * nudge)
            size = np.linalg.norm(v, axis=1)
        found = size[np.isfinite(size) & (size > 0)]
        return float(np.quantile(found, 0.9)) if len(found) else 1.0

    def barrier(self, position: np.ndarray) -> float:
        """By how much U on the straight line between two replicas exceeds it at both, the upper quartile over pairs of
        those that count: as high as what keeps modes apart, or higher.
        """
        mine = position[: self.replicas].astype(np.float64)
        half = min(len(mine) // 2, _SAMPLE)
        one, other = mine[:half], mine[len(mine) // 2 :][:half]
        way = np.linspace(0, 1, _PLACES)[:, None, None]
        places = ((1 - way) * one + way * other).reshape(-1, mine.shape[1]).astype(self.job.dtype)
        energy = self.full_gradient(places, np.tile(np.arange(half), _PLACES))[0].reshape(_PLACES, half)
        rise = energy.max(axis=0) - np.maximum(energy[0], energy[-1])
        rise = rise[np.isfinite(rise)]
        return float(np.quantile(rise, 0.75)) if len(rise) else 0.0

    def acceptance(self, position: np.ndarray, step: int, stepsize: float) -> float:
        """Mean of min(1, exp(-w/tau)) over a few steps B A B on all points, w the change of energy, of some replicas at
        `position` with fresh momenta: for words whose work the engine does not know, and for minibatches.
        """
        job, stepsize = self.job, math.sqrt(2 * stepsize) if self.tuner.overdamped else stepsize
        rows = _some(self.replicas, 2 * _SAMPLE)
        scale = self._scale(position, rows)
        tau = np.repeat(np.nan_to_num(job.hyper.temperature[0]), job.program.partition.counts)
        moves = tau > 0
        q, p = position[rows].astype(np.float64), self._momenta(step)[rows].astype(np.float64) * moves
        energy, g = self.full_gradient(q.astype(job.dtype), rows)
        seen = []
        for _ in range(_VERLET):
            before = energy + (p * p).sum(axis=1) / 2
            p -= stepsize / 2 * moves * scale * g
            q += stepsize * scale * p
            energy, g = self.full_gradient(q.astype(job.dtype), rows)
            p -= stepsize / 2 * moves * scale * g
            with np.errstate(all="ignore"):
                work = (energy + (p * p).sum(axis=1) / 2 - before) / tau[moves].max()
                seen.append(np.where(np.isfinite(work), np.minimum(1, np.exp(-work)), 0.0))
        return float(np.mean(seen))

    def noise(self, position: np.ndarray, ordinal: int, batching: Batching | None = None) -> float:
        """s^2 / tau of a minibatch's gradient, its masses taken off, in the partition where it is largest: half the
        mean square of the difference of two minibatches at one place, over some replicas. 0 on all points. Of the run's
        minibatches, or others.
        """
        job, batching = self.job, batching or self.job.batching
        if batching.mode == "full":
            return 0.0
        rows = _some(self.replicas, _SAMPLE)
        keys, (mode, size) = make_keys(job.seed[rows], job.stream[rows]), (batching.mode, batching.size)
        scale = self._scale(position, rows)
        ends = []
        for k in (0, 1):
            index = minibatch(keys, mode, job.target.points, size, ordinal + k)
            batch = Batch(index, rows, keys, ordinal + k)
            ends.append(job.target.energy_and_gradient(position[rows], batch)[1].astype(np.float64))
        square = (scale * (ends[0] - ends[1])) ** 2 / 2
        tau = np.nan_to_num(job.hyper.temperature[0])
        parts = [square[:, c].mean() / t for c, t in zip(job.program.partition.slices, tau, strict=True) if t > 0]
        return float(max(parts, default=0.0))

    def virials(self, position: np.ndarray) -> np.ndarray:
        """[R + B, K] theta . dU/dtheta / n of each partition."""
        _, gradient = self.full_gradient(position, np.arange(len(position)))
        product = position.astype(np.float64) * gradient
        return np.stack([product[:, c].mean(axis=1) for c in self.job.program.partition.slices], axis=1)

    def variances(self, position: np.ndarray) -> list[float]:
        """Of each partition the mean over parameters of the variance of theta/s over the replicas that count."""
        alive = position[: self.replicas][np.isfinite(position[: self.replicas]).all(axis=1)].astype(np.float64)
        if len(alive) < 2:
            return [float("nan")] * len(self.job.program.partition.names)
        scale = self.job.scale
        spread = alive.var(axis=0, ddof=1) if scale is None else alive.var(axis=0, ddof=1) / np.square(scale)
        return [float(spread[c].mean()) for c in self.job.program.partition.slices]


def _some(count: int, most: int) -> np.ndarray:
    """At most so many of the rows, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int))


def with_rows(ready: Setup, spec: RunSpec) -> Setup:
    """A run by a spec with more replicas, or another word; its starts are repeated."""
    whole = make_setup(spec, ready.subject.with_replicas(spec))
    return whole if ready.starts is None else replace(whole, starts=ready.starts.repeated(spec.run.replicas))


def _with_group(ready: Setup) -> Setup:
    """A run with the group at h/2 behind its replicas."""
    replicas = ready.job.replicas
    return with_rows(ready, _with_replicas(ready.spec, replicas + max(FEWEST_GROUP, replicas // GROUP)))


def _with_replicas(spec: RunSpec, replicas: int) -> RunSpec:
    return spec.model_copy(update={"run": spec.run.model_copy(update={"replicas": replicas})})
