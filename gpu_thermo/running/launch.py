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
from ..engines.base import why_no_work, with_fixed_length
from ..errors import SpecError
from ..method.words import Program, compile_program, compile_update, parse_word
from ..moves.exchange import Exchange
from ..spec.method import AUTO
from ..spec.run import RunSpec
from ..state import Hyper, State
from ..streams import Purpose, make_keys, minibatch, normals
from ..targets.base import Batch
from ..tuning import batches, masses
from ..tuning.course import BURN_IN, LADDER, SAMPLING, Course
from ..tuning.lost import outlying, replaced
from ..tuning.rules import DESCENT_RATE
from ..tuning.tuner import Tuner
from .gradients import Gradients
from .rungs import Rungs, exchange_of, ladder_of, ladder_rules
from .setup import make_setup
from .subject import Setup

GROUP = 4
"""The group at h/2 is so much smaller than the ensemble, and 32 at least."""
_AT_ONCE, _SAMPLE, _ITERATIONS, _NUDGE = 32, 32, 6, 0.01
"""Replicas whose gradients are computed together; replicas whose curvature is taken, by so many power iterations, by
differences of gradients at points so far apart, in units of |theta|."""
_PLACES = 33
"""On the line between two replicas, the ends included."""
_PAIRS = 4
"""Of minibatches by which the noise of a size is measured."""
_ONE_BY_ONE = 512
"""Coordinates of a potential that has no tensors up to which each has a mass of its own."""
_TURNED = str.maketrans("{}", "}{")
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
        replicas, program = ready.spec.run.replicas, _in_braces(ready)
        group = 0 if program is not None else max(32, replicas // GROUP)
        spec = _with_replicas(ready.spec, replicas + group)
        whole = make_setup(spec, ready.subject.with_replicas(spec))
        if program is not None:
            whole = replace(whole, job=replace(whole.job, program=program, work=False))
        starts = None if ready.starts is None else ready.starts.repeated(replicas + group)
        return cls(ready, replace(whole, starts=starts), make_tuner(ready, spec, program is not None))

    @property
    def replicas(self) -> int:
        """R, those that count."""
        return self.ready.job.replicas

    @property
    def job(self) -> Job:
        """The main dynamics, of R + B replicas."""
        return self.whole.job

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
        ready, group = self.ready, max(32, self.replicas // GROUP)
        spec = _with_replicas(ready.spec, self.replicas + group)
        whole = make_setup(spec, ready.subject.with_replicas(spec))
        job = replace(whole.job, batching=Batching(ready.spec.run.minibatch, size), work=False, scale=self.job.scale)
        starts = None if ready.starts is None else ready.starts.repeated(job.replicas)
        return replace(
            self, whole=replace(whole, job=job, starts=starts), tuner=replace(self.tuner, braces=False)
        )  # fmt: skip

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

    def curvature(self, position: np.ndarray, apart: float = _NUDGE) -> float:
        """The 90 % quantile over replicas of the largest curvature of U along a unit direction, masses taken off, from
        gradients `apart` in units of |theta|.
        """
        job = self.job
        rows = np.unique(np.linspace(0, job.replicas - 1, min(_SAMPLE, job.replicas)).round().astype(int))
        scale = np.ones(1) if job.scale is None else np.broadcast_to(job.scale, position.shape)[rows]
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
        rows = np.unique(np.linspace(0, self.replicas - 1, min(2 * _SAMPLE, self.replicas)).round().astype(int))
        scale = np.ones(1) if job.scale is None else np.broadcast_to(job.scale, position.shape)[rows]
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
        rows = np.unique(np.linspace(0, self.replicas - 1, min(_SAMPLE, self.replicas)).round().astype(int))
        keys, (mode, size) = make_keys(job.seed[rows], job.stream[rows]), (batching.mode, batching.size)
        scale = np.ones(1) if job.scale is None else np.broadcast_to(job.scale, position.shape)[rows]
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


def _with_replicas(spec: RunSpec, replicas: int) -> RunSpec:
    return spec.model_copy(update={"run": spec.run.model_copy(update={"replicas": replicas})})


def _in_braces(ready: Setup) -> Program | None:
    """The run's program with its words in braces; None where that is not exact: words that do not read the same
    backwards, thermostats, minibatches, noisy gradients, several temperatures.
    """
    job, partition = ready.job, ready.program.partition
    if job.program.braces is not None:
        return job.program
    tau = job.hyper.temperature[0][[text is not None for text in job.program.texts]]
    if why_no_work(job.program, job.target, job.batching, job.contour) or not (tau > 0).all() or np.ptp(tau):
        return None
    texts = zip(partition.names, job.program.texts, strict=True)
    try:
        words = {name: None if text is None else parse_word("{" + text + "}") for name, text in texts}
        return compile_program(words, partition)
    except SpecError:
        return None


def make_tuner(ready: Setup, spec: RunSpec, braces: bool) -> Tuner:
    """The rules of a run from its spec and what it is about."""
    job, run, method = ready.job, spec.run, spec.method
    partition, tau = job.program.partition, job.hyper.temperature[0]
    free = tuple(k for k, text in enumerate(job.program.texts) if text is not None)
    words = [text for text in job.program.texts if text]
    outputs, settled = ready.subject.watched
    return Tuner(
        tolerance=float(run.tolerance or 0.0), max_steps=int(run.max_steps or run.steps),
        parameters=tuple(partition.counts[k] if k in free else 0 for k in range(len(tau))),
        temperature=tuple(float(t) for t in np.nan_to_num(tau)), replicas=ready.job.replicas, outputs=outputs,
        settled=settled, braces=braces, isokinetic=any(job.program.has_fixed_length(k) for k in free),
        first_order=any(word != word[::-1].translate(_TURNED) for word in words), proper=ready.subject.proper,
        stepsize=None if method.stepsize in (None, AUTO) else float(job.hyper.stepsize[0]),
        friction=_given_friction(ready), overdamped=job.program.update is not None, masses=method.mass == AUTO,
        seed=int(run.seed if run.seed_dynamics is None else run.seed_dynamics),
        thermostat=any(set(word) & set("CDEF") for word in words), superchain=run.superchain or 0,
        batches=run.batch == AUTO, **ladder_rules(ready),
    )  # fmt: skip


def _given_friction(ready: Setup) -> tuple[float | None, ...] | None:
    """gamma of each partition that the spec names and None of others; None where it names none."""
    given, partition = ready.spec.method.friction, ready.program.partition
    if given is None or given == AUTO:
        return None
    named = {k for place in given for k in partition.resolve(place)}
    values = np.nan_to_num(ready.job.hyper.friction[0], posinf=np.inf)
    return tuple(float(v) if k in named else None for k, v in enumerate(values))
