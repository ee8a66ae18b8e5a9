"""The batched engine: array code with replicas as the leading axis, for NumPy and CuPy, for any target.

On the CPU the replicas are worked off in blocks that stay in cache, one thread a core, each block through the whole
segment; on a GPU all replicas are one block. Blocks share nothing, so results do not depend on how replicas are cut.
"""

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from ..errors import Status
from ..kernels.toolchain import find_compiler
from ..method.letters import LETTERS
from ..method.words import Evaluate, Substep
from ..moves.contour import Contour, active_partition
from ..state import Hyper, Recorded, Segment, State
from ..streams import make_keys
from ..targets.base import Batch
from .base import Job, cores, empty_record, own_arrays
from .operations.arrays import NumpyOperations

Array = Any
Coefficients = tuple[Array, ...]
Action = Callable[..., object]

_CACHE_BYTES = 16 * 2**20
"""Working set of one block: small enough to stay in a core's share of the caches, large enough to drown the
interpreter's overhead."""

_THREAD_VALUES = 500_000
"""Values per array operation above which one more thread was measured to pay (2-core machine: 1.6 times at 1 M, a loss
at 0.25 M)."""


class BatchedEngine:
    """Advances R replicas with array code.

    Parameters
    ----------
    job : what to compute. device : "cpu" or "cuda[:i]". threads : CPU threads, as many as pay by default. block :
    replicas per block.
    native : whether noise comes from the compiled kernels; by default where there is a compiler.
    """

    name = "batched"

    def __init__(
        self,
        job: Job,
        device: str = "cpu",
        threads: int | None = None,
        block: int | None = None,
        native: bool | None = None,
    ) -> None:
        self.job, self.device = job, device
        if job.contour is not None:
            job.contour.check(job.program, job.hyper)
        self._operations: Any = NumpyOperations
        self._place: Any = nullcontext()
        if device != "cpu":
            import cupy

            from .operations.device import CupyOperations

            self._operations = CupyOperations
            self._place = cupy.cuda.Device(int(device.partition(":")[2] or 0))
            with self._place:
                self.job = replace(job, target=job.target.to(cupy))
        elif native or (native is None and find_compiler() is not None):
            from .operations.native import NativeOperations

            self._operations = NativeOperations
        keep_freed_memory()
        threads = threads or _useful_threads(job)
        size = job.replicas if device != "cpu" else min(block or _block_size(job), -(-job.replicas // threads))
        self._rows = [slice(i, min(i + size, job.replicas)) for i in range(0, job.replicas, size)]
        self._pool = ThreadPoolExecutor(threads) if device == "cpu" and threads > 1 and len(self._rows) > 1 else None

    def advance(self, state: State, segment: Segment, hyper: Hyper | None = None) -> Recorded:
        """Advance `state` in place through `segment`; see Engine."""
        recorded = empty_record(state, segment)
        job = self.job if hyper is None else replace(self.job, hyper=hyper)
        with self._place:
            work = [_Block(job, self._operations, rows, state, segment, recorded) for rows in self._rows]
            for _ in self._pool.map(_Block.run, work) if self._pool else map(_Block.run, work):
                pass
        state.step = segment.start + segment.steps
        state.evaluations = self.job.program.gradients_before(state.step)
        return recorded


@cache
def keep_freed_memory() -> None:
    """Ask glibc to keep freed arrays in the process instead of handing them back: page faults would double the cost of
    a step.

    Freed blocks stay below the peak the run needs anyway. Elsewhere than on glibc nothing happens.
    """
    trim_threshold, mmap_threshold = -1, -3  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_threshold, 32 * 2**20)
        mallopt(trim_threshold, 512 * 2**20)


def _widest(job: Job) -> int:
    """Values of a replica in the largest array of a step: hidden activations of a batch, or the parameters."""
    hidden = getattr(getattr(job.target, "model", None), "hidden", 0)
    batch = job.batching.size if job.batching.mode != "full" else job.target.points
    return max(hidden * batch, job.target.layout.size)


def _block_size(job: Job) -> int:
    """Replicas per CPU block, so that state, noise and one batch of hidden activations fit the cache budget."""
    parameters = job.target.layout.size
    per_replica = np.dtype(job.dtype).itemsize * (8 * parameters + 3 * _widest(job)) + 64 * parameters
    return int(np.clip(_CACHE_BYTES // per_replica, 16, 1024))


def _useful_threads(job: Job) -> int:
    """Threads that pay: with less work per array operation they only pass the interpreter's lock to and fro."""
    return max(1, min(cores(), job.replicas * _widest(job) // _THREAD_VALUES))


class _Block:
    """Some replicas, carried through one segment."""

    def __init__(
        self, job: Job, operations: Any, rows: slice, state: State, segment: Segment, recorded: Recorded
    ) -> None:
        self.job, self.rows, self.segment, self.recorded, self.state = job, rows, segment, recorded, state
        self.program, self.slices = job.program, job.program.partition.slices
        keys = make_keys(job.seed[rows], job.stream[rows], operations.xp)
        self.ops = operations(job.program, job.target.layout.lanes, keys, job.dtype)
        self.xp, self.keys = operations.xp, keys
        self.replica = self.xp.arange(rows.start, rows.stop)
        self.hyper = job.hyper.take(rows)
        self.factors = job.hyper.factors(segment.start, segment.steps)
        own = {name: self.xp.asarray(value[rows]).copy() for name, value in own_arrays(state).items()}
        self.local = State.from_arrays(own, state.step, state.evaluations)
        bounds = getattr(job.target, "bounds", None)
        self.box = None if bounds is None else _Box(self.local, float(bounds), self.xp)
        self.actions = _pair(job.program.substeps)
        self.plan = [self._action(group) for group in self.actions]
        self.coefficients: list[Coefficients] = []
        if job.contour is not None:
            self.first = job.program.gradients_before(segment.start) if segment.start else 0
            self.log_omega = job.contour.log_omega(
                self.first, job.program.gradients_before(segment.start + segment.steps) - self.first
            )

    def run(self) -> None:
        """All steps of the segment, then hand the state back."""
        record = {step: i for i, step in enumerate(self.segment.record)}
        with np.errstate(all="ignore"):
            self._load(0)
            self._initial_gradient()
            for i in range(self.segment.steps):
                if i and self.factors:
                    self._load(i)
                self._step(self.segment.start + i)
                slot = record.get(self.segment.start + i + 1)
                if slot is not None:
                    self._record(slot)
        for name, value in self.local.arrays().items():
            self.state.arrays()[name][self.rows] = _host(value)

    def _initial_gradient(self) -> None:
        if self.program.leading_gradient and self.segment.start == 0:
            self.local.evaluations = 0
            self._evaluate()

    def _step(self, step: int) -> None:
        self.ops.begin_step(step)
        if self.box:
            self.box.begin_step()
        for action, values in zip(self.plan, self.coefficients, strict=True):
            action(*values)
        if self.box:
            self.box.end_step()
        self._freeze(step)
        self.local.step = step + 1

    def _evaluate(self) -> None:
        """Energy and gradient on the next minibatch."""
        local = self.local
        index = self.ops.minibatch(self.job.batching, self.job.target.points, local.evaluations)
        batch = Batch(index, self.replica, self.keys, local.evaluations)
        local.energy, local.gradient[...] = self.job.target.energy_and_gradient(local.position, batch)
        if self.job.contour is not None:
            self._flatten(self.job.contour)
        local.evaluations += 1
        if self.box:
            self.box.evaluated()

    def _flatten(self, contour: Contour) -> None:
        """The gradient move; a position beyond a wall, which the step will not keep, counts as another visit of the one
        it started from.
        """
        s = self.local
        energy = self.box.energy() if self.box else s.energy
        log_omega = float(self.log_omega[s.evaluations - self.first])
        multiplier = contour.flatten(s.extra, energy, self.tau, log_omega, s.status == 0, self.xp)
        s.gradient *= multiplier.astype(s.gradient.dtype)[:, None]

    def _freeze(self, step: int) -> None:
        """Mark replicas that are no longer finite, with the cause, and fill them with NaN; the others are not
        touched.
        """
        s = self.local
        suspects = self.ops.suspects((s.position, s.momentum, s.thermostat)) & (s.status == 0)
        if not suspects.any():
            return
        xp = self.xp
        fresh = xp.zeros(len(s.status), bool)
        for cause, array in (
            (Status.NONFINITE_THERMOSTAT, s.thermostat), (Status.NONFINITE_GRADIENT, s.gradient),
            (Status.NONFINITE_MOMENTUM, s.momentum), (Status.NONFINITE_POSITION, s.position),
        ):  # fmt: skip
            bad = ~xp.isfinite(array).all(axis=-1) & suspects & (s.status == 0)
            s.status[bad] = cause
            fresh |= bad
        if fresh.any():
            s.frozen_step[fresh] = step + 1
            moments = (array for name, array in s.extra.items() if name.startswith("adam_"))
            for array in (s.position, s.momentum, s.gradient, s.thermostat, s.energy, *moments):
                array[fresh] = np.nan

    def _record(self, slot: int) -> None:
        r, s = self.recorded, self.local
        r.position[slot, self.rows] = _host(s.position)
        r.thermostat[slot, self.rows] = _host(s.thermostat)
        r.energy[slot, self.rows] = _host(s.energy)
        for k, (columns, count) in enumerate(zip(self.slices, self.program.partition.counts, strict=True)):
            r.kinetic_temperature[slot, self.rows, k] = _host(self.ops.square_sum(s.momentum[:, columns])) / count

    # -- the step as a list of actions, and their coefficients ---------------------------------------------------------

    def _load(self, i: int) -> None:
        """Arguments of every action at the segment's i-th step, and the temperature a contour reads."""
        self.coefficients = [tuple(v for s in group for v in self._arguments(s, i)) for group in self.actions]
        if self.job.contour is not None:
            self.tau = self.xp.asarray(self._in_force("temperature", active_partition(self.program), i)[:, 0])

    def _in_force(self, name: str, k: int, i: int) -> Array:
        """Hyperparameter [R, 1] float64 at the segment's i-th step."""
        base = self.hyper.stepsize if name == "stepsize" else getattr(self.hyper, name)[:, k]
        factor = self.factors.get((name, k))
        return (base if factor is None else base * factor[i])[:, None]

    def _arguments(self, substep: Evaluate | Substep, i: int) -> Coefficients:
        if isinstance(substep, Evaluate):
            return ()
        k = substep.partitions[0]
        h = self._in_force("stepsize", 0, i) * substep.fraction.numerator / substep.fraction.denominator
        if substep.operation in LETTERS:
            letter = LETTERS[substep.operation]
            hyper = {name: self._in_force(name, k, i) for name in letter.reads} | {
                "count": self.program.partition.counts[k]
            }
            values = letter.coefficients(h, hyper)
            return tuple(self.xp.asarray(v if letter.thermostat else v.astype(self.job.dtype)) for v in values)
        return tuple(
            self.xp.asarray(v.astype(self.job.dtype)) for v in self._update_coefficients(substep.operation, k, h, i)
        )

    def _update_coefficients(self, update: str, k: int, h: Array, i: int) -> Coefficients:
        """Coefficients of whole-step updates; h is the learning rate (equations.md section 3)."""
        if update == "sgld":
            return h, np.sqrt(2 * h * self._in_force("temperature", k, i))
        if update in ("sgd", "adam"):
            return (h,)
        mu = self._in_force("momentum", k, i)
        one = np.ones_like(h)
        return {"momentum": (mu, h, one), "momentum2": (mu, 1 - mu, h), "coolmomentum": (mu, h * (1 + mu) / 2, one)}[
            update
        ]

    def _action(self, group: tuple[Evaluate | Substep, ...]) -> Action:
        """The substep, or C-D pair, as a function of its coefficients."""
        substep = group[-1]
        if isinstance(substep, Evaluate):
            return self._evaluate
        s, ops, sub = self.local, self.ops, substep.sub
        ranges = _merge([self.slices[k] for k in substep.partitions])
        if substep.operation == "A":
            return lambda h: [ops.drift(s.position[:, c], s.momentum[:, c], h) for c in ranges]
        if substep.operation == "B":
            return lambda h: [ops.kick(s.momentum[:, c], s.gradient[:, c], h) for c in ranges]
        (k,), c = substep.partitions, ranges[0]
        p, xi = s.momentum[:, c], s.thermostat[:, k : k + 1]
        if len(group) == 2:
            return lambda h, scale: ops.damp_diffuse(p, xi, k, sub, h, scale)
        if substep.operation in LETTERS:
            actions: dict[str, Action] = {
                "C": lambda h: ops.damp(p, xi, h),
                "D": lambda scale: ops.diffuse(p, k, sub, scale),
                "E": lambda rate, target: ops.regulate(xi, p, rate, target),
                "F": lambda h, scale: ops.thermostat_exact(p, xi, k, sub, h, scale),
                "O": lambda a, root_v: ops.ornstein_uhlenbeck(p, k, sub, a, root_v),
            }
            return actions[substep.operation]
        return self._update(substep, c)

    def _update(self, substep: Substep, c: slice) -> Action:
        """A whole-step update of one range of parameters as a function of its coefficients."""
        s, ops, sub, (k,) = self.local, self.ops, substep.sub, substep.partitions
        theta, p, gradient = s.position[:, c], s.momentum[:, c], s.gradient[:, c]
        if substep.operation == "sgd":
            return lambda h: ops.descend(theta, gradient, h)
        if substep.operation == "sgld":
            return lambda h, scale: (ops.descend(theta, gradient, h), ops.perturb(theta, k, sub, scale))
        if substep.operation == "adam":
            m, v = s.extra["adam_mean"][:, c], s.extra["adam_square"][:, c]
            return lambda h: ops.adam(theta, m, v, gradient, h, s.step)
        return lambda keep, gain, rate: ops.heavy_ball(theta, p, gradient, keep, gain, rate)


class _Box:
    """Walls around a target with `bounds`: a step that ends outside |q_i| <= bounds is rejected.

    The replica is then as before the step with its momentum negated; gradient and energy are those of the last
    evaluation at the position it keeps. A position that is not finite is left to be frozen.
    """

    def __init__(self, local: State, bounds: float, xp: Any) -> None:
        self._local, self._bounds, self._xp = local, bounds, xp
        self._before: State | None = None

    def begin_step(self) -> None:
        """Remember where the step starts."""
        s = self._local
        names = ("position", "momentum", "gradient", "thermostat", "energy")
        self._before = replace(s, **{name: getattr(s, name).copy() for name in names})

    def energy(self) -> Array:
        """[R] of the last evaluation, but as before the step where it was made outside."""
        s = self._local
        return s.energy if self._before is None else self._xp.where(self._outside(), self._before.energy, s.energy)

    def evaluated(self) -> None:
        """Keep energy and gradient where nothing has moved yet."""
        if self._before is None:  # the initial evaluation
            return
        s, before = self._local, self._before
        still = (s.position == before.position).all(axis=-1)
        before.energy[still], before.gradient[still] = s.energy[still], s.gradient[still]

    def end_step(self) -> None:
        """Take back the steps that left the box."""
        s, before = self._local, self._before
        assert before is not None
        back = self._outside()
        if back.any():
            for name in ("position", "gradient", "thermostat", "energy"):
                getattr(s, name)[back] = getattr(before, name)[back]
            s.momentum[back] = -before.momentum[back]

    def _outside(self) -> Array:
        size = abs(self._local.position)
        return (size > self._bounds).any(axis=-1) & self._xp.isfinite(size).all(axis=-1)


def _pair(substeps: tuple[Evaluate | Substep, ...]) -> list[tuple[Evaluate | Substep, ...]]:
    """Substeps one by one, but a D right after a C of the same partition together with it: one pass over the
    momenta.
    """
    out: list[tuple[Evaluate | Substep, ...]] = []
    for s in substeps:
        last = out[-1][-1] if out else None
        if isinstance(s, Substep) and s.operation == "D" and last == replace(s, operation="C", sub=0):
            out[-1] = (*out[-1], s)
        else:
            out.append((s,))
    return out


def _merge(ranges: list[slice]) -> list[slice]:
    """Neighbouring column ranges joined."""
    out = [ranges[0]]
    for r in ranges[1:]:
        if r.start == out[-1].stop:
            out[-1] = slice(out[-1].start, r.stop)
        else:
            out.append(r)
    return out


def _host(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.get()
