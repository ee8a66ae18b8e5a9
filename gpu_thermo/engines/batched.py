"""The batched engine: array code with replicas as the leading axis, for NumPy and CuPy, for any target.

On the CPU the replicas are worked off in blocks that stay in cache, one thread a core, each block through the whole
segment; on a GPU all replicas are one block. Blocks share nothing, so results do not depend on how replicas are cut.
"""

import ctypes
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from ..kernels.toolchain import find_compiler
from ..method.operations import operation
from ..method.words import Evaluate, Substep
from ..moves.contour import Contour, active_partition
from ..state import Hyper, Recorded, Segment, State, Track
from ..streams import make_keys
from ..targets.base import Batch
from .base import Job, Needs, Start, cores, empty_record, own_arrays, state_bytes
from .coefficients import Coefficients
from .gpu import cuda_errors, open_gpu
from .operations.arrays import NumpyOperations, ranges, views
from .proposals import Proposals
from .resident import ResidentState, begun, visit
from .work import SUMS, write_record

Array = Any
Action = Callable[..., object]

_CACHE_BYTES = 16 * 2**20
"""Working set of one block: small enough to stay in a core's share of the caches, large enough to drown the
interpreter's overhead."""

_HELD = 2
"""What the arrays of a block take, its evaluation aside, in multiples of their bytes: of those that were freed the
process keeps pieces that do not always fit the next (1 to 2.2 was measured)."""

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
        self._kept: dict[str, Any] | None = None
        if device != "cpu":
            from .operations.device import CupyOperations

            self._operations, self._kept = CupyOperations, {}
            self._cupy, self._place = open_gpu(device)
            with self._place, cuda_errors(device, job.replicas, begun=False):
                self.job = replace(job, target=job.target.to(self._cupy))
        elif native or (native is None and find_compiler() is not None):
            from .operations.native import NativeOperations

            self._operations = NativeOperations
        keep_freed_memory()
        threads = threads or _useful_threads(job)
        size = job.replicas if device != "cpu" else min(block or _block_size(job), -(-job.replicas // threads))
        self._rows = [slice(i, min(i + size, job.replicas)) for i in range(0, job.replicas, size)]
        self._pool = ThreadPoolExecutor(threads) if device == "cpu" and threads > 1 and len(self._rows) > 1 else None

    def load(self, state: State) -> State:
        """See Engine."""
        if self._kept is None or isinstance(state, ResidentState):
            return state
        with cuda_errors(self.device, self.job.replicas, begun=state.step > 0):
            return ResidentState(state, self._cupy, self._place)

    def begin(self, make: Start) -> State:
        """See Engine."""
        return begun(self.device, self.job.replicas, make)

    @staticmethod
    def needs(job: Job, device: str, threads: int | None = None) -> Needs:
        """Each block under way, a copy of its own, its noise, an evaluation's arrays; on a GPU all are one block."""
        if device != "cpu":
            return Needs(0, state_bytes(job) + job.replicas * _block_bytes(job))
        threads = threads or _useful_threads(job)
        rows = min(_block_size(job), -(-job.replicas // threads))
        return Needs(min(threads * rows, job.replicas) * _block_bytes(job))

    def advance(self, state: State, segment: Segment, hyper: Hyper | None = None) -> Recorded:
        """Advance `state` in place through `segment`; see Engine."""
        if self._kept is not None and not isinstance(state, ResidentState):
            return visit(self, state, segment, hyper)
        recorded = empty_record(state, segment)
        job = self.job if hyper is None else replace(self.job, hyper=hyper)
        with self._place, nullcontext() if self._kept is None else cuda_errors(self.device, job.replicas):

            def work(rows: slice) -> None:
                _Block(job, self._operations, rows, state, segment, recorded, self._kept).run()

            for _ in self._pool.map(work, self._rows) if self._pool else map(work, self._rows):
                pass
        if recorded.there is not None and len(recorded.there) < len(recorded.steps):
            recorded.there = None  # there was no room for all of them
        state.step = segment.start + segment.steps
        state.evaluations = self.job.program.gradients_before(state.step)
        return recorded


@cache
def keep_freed_memory() -> None:
    """Ask glibc to keep freed arrays in the process instead of handing them back: page faults would double the cost of
    a step.

    Freed blocks stay below the peak the run needs anyway. Elsewhere than on glibc nothing happens.
    """
    trim_threshold, mmap_threshold, arenas = -1, -3, -8  # malloc.h: M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX
    with suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(arenas, 1)  # what one thread freed serves the others
        mallopt(mmap_threshold, 32 * 2**20)
        mallopt(trim_threshold, 512 * 2**20)


def _widest(job: Job) -> int:
    """Values of a replica in the largest array of a step."""
    return job.target.widest(job.batching.size if job.batching.mode != "full" else job.target.points)


def _block_bytes(job: Job) -> int:
    """Bytes of a replica in a block: state, normals of each letter, what operations and the evaluation put between."""
    draws = [s for s in job.program.substeps if isinstance(s, Substep) and operation(s.operation).normals]
    walls = 5 if job.target.bounds is not None else 0
    masses = 2 if job.scale is not None else 0
    arrays = 3 + len(job.program.keeps) + len({s.sub for s in draws}) + 2 + walls + masses
    points = job.batching.size if job.batching.mode != "full" else job.target.points
    values = _HELD * arrays * job.target.layout.size + job.target.evaluation_values(points)
    return values * np.dtype(job.dtype).itemsize + 8 * points


def _block_size(job: Job) -> int:
    """Replicas per CPU block, so that state, noise and one batch of hidden activations fit the cache budget."""
    parameters = job.target.layout.size
    per_replica = np.dtype(job.dtype).itemsize * (8 * parameters + 3 * _widest(job)) + 64 * parameters
    return int(np.clip(_CACHE_BYTES // per_replica, 16, 1024))


def _useful_threads(job: Job) -> int:
    """Threads that pay: with less work per array operation they only pass the interpreter's lock to and fro."""
    return max(1, min(cores(), job.replicas * _widest(job) // _THREAD_VALUES))


class _Block:
    """Some replicas, carried through one segment. `kept` holds, on a device, what does not change between segments."""

    def __init__(
        self, job: Job, operations: Any, rows: slice, state: State, segment: Segment, recorded: Recorded,
        kept: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        self.job, self.rows, self.segment, self.recorded, self.state = job, rows, segment, recorded, state
        self.program, self.slices = job.program, job.program.partition.slices
        self.xp, self._kept = operations.xp, {} if kept is None else kept
        if "ops" not in self._kept:
            keys = make_keys(job.seed[rows], job.stream[rows], operations.xp)
            self._kept["ops"] = operations(job.program, job.target.layout.lanes, keys, job.dtype)
            self._kept["who"] = job.first + self.xp.arange(rows.start, rows.stop), keys
        self.ops, (self.replica, self.keys) = self._kept["ops"], self._kept["who"]
        self.in_force = Coefficients(job.program, job.hyper.take(rows), segment.start, segment.steps)
        own = own_arrays(state)
        if not isinstance(state, ResidentState):
            own = {name: value[rows].copy() for name, value in own.items()}
        self.local = State.from_arrays(own, state.step, state.evaluations)
        bounds = job.target.bounds
        self.box = None if bounds is None else _Box(self.local, float(bounds), self.xp)
        scale = job.scale if job.scale is None or job.scale.ndim == 1 else job.scale[rows]
        self.scale = None if scale is None else self.xp.asarray(scale, job.dtype)
        power = job.hyper.power
        self.power = None if power is None else self.xp.asarray(power[rows], job.dtype)
        self.proposals = self._proposals() if job.counts_work else None
        self.groups: list[tuple[Evaluate | Substep, ...]] = []
        self.plan: list[Action] = []
        self._make_plan()
        self.coefficients: list[tuple[Array, ...]] = []
        self.tau: Array = None
        self._now = segment.start
        if job.contour is not None:
            self.first = job.program.gradients_before(segment.start) if segment.start else 0
            self.log_omega = job.contour.log_omega(
                self.first, job.program.gradients_before(segment.start + segment.steps) - self.first
            )

    def run(self) -> None:
        """All steps of the segment, then hand the state back."""
        due = self._due()
        with np.errstate(all="ignore"):
            self._load(0)
            self._initial_gradient()
            for i in range(self.segment.steps):
                if i and self.job.hyper.schedules:
                    self._load(i)
                self._step(self.segment.start + i)
                for slot, some in due.get(self.segment.start + i + 1, ()):
                    self._record(slot, some)
        self.ops.finish(self.local)
        self.plan.clear()  # its functions know this block: what it recorded goes with the last who looks, not with a gc
        if isinstance(self.state, ResidentState):
            self.state.moved(self.local.arrays())
            return
        for name, value in self.local.arrays().items():
            self.state.arrays()[name][self.rows] = value

    def _initial_gradient(self) -> None:
        if self.program.leading_gradient and self.segment.start == 0:
            self.local.evaluations = 0
            self._evaluate()
        elif self.proposals and self.segment.start == 0:
            self.local.energy = self._energy()

    def _step(self, step: int) -> None:
        self._now = step
        self.ops.begin_step(step)
        if self.box:
            self.box.begin_step()
        if self.proposals:
            self.proposals.begin_step()
        for action, values in zip(self.plan, self.coefficients, strict=True):
            action(*values)
        if self.box:
            self.box.end_step()
        if self.proposals:
            self.proposals.spare(lambda: self.ops.freeze(self.local, step))
        else:
            self.ops.freeze(self.local, step)
        self.local.step = step + 1

    def _evaluate(self) -> None:
        """Energy and gradient on the next minibatch."""
        local = self.local
        index = self.ops.minibatch(self.job.batching, self.job.target.points, local.evaluations)
        batch = Batch(index, self.replica, self.keys, local.evaluations)
        more = {} if self.power is None else {"power": self.power}
        energy, local.gradient[...] = self.job.target.energy_and_gradient(local.position, batch, **more)
        if self.proposals is None or self.program.ends_at_evaluation:
            local.energy = energy
        if self.job.contour is not None:
            self._flatten(self.job.contour)
        if self.scale is not None:
            local.gradient *= self.scale
        local.evaluations += 1
        if self.box:
            self.box.evaluated()

    def _energy(self) -> Array:
        """U [r] where the replicas are, on all points."""
        return self.job.target.energy_on(self.local.position, Batch(None, self.replica, self.keys))

    def _close(self) -> None:
        """The end of a proposal, or of a plain step; a word that evaluates elsewhere takes one more energy."""
        assert self.proposals is not None
        if not self.program.ends_at_evaluation:
            wanted = self.proposals.wants_energy
            if self._kept is not None or wanted.any():
                self.local.energy = self.xp.where(wanted, self._energy(), self.local.energy)
        self.proposals.close(self._now)

    def _flatten(self, contour: Contour) -> None:
        """The gradient move; a position beyond a wall, which the step will not keep, counts as another visit of the one
        it started from.
        """
        s = self.local
        energy = self.box.energy() if self.box else s.energy
        log_omega = float(self.log_omega[s.evaluations - self.first])
        multiplier = contour.flatten(s.extra, energy, self.tau, log_omega, s.status == 0, self.xp)
        s.gradient *= multiplier.astype(s.gradient.dtype)[:, None]

    def _due(self) -> dict[int, list[tuple[int, slice]]]:
        """Of each step after which something is recorded: slots of the ring, and which of the block's replicas."""
        first, last = self.rows.start, self.rows.stop
        out: dict[int, list[tuple[int, slice]]] = {}
        for rows, record in self.segment.tracks or (Track(self.rows, self.segment.record),):
            mine = slice(max(rows.start, first) - first, min(rows.stop, last) - first)
            for slot, step in enumerate(record if mine.start < mine.stop else ()):
                out.setdefault(step, []).append((slot, mine))
        return out

    def _record(self, slot: int, some: slice) -> None:
        r, s = self.recorded, self.local
        at = slice(self.rows.start + some.start, self.rows.start + some.stop)
        r.position[slot, at] = _host(s.position[some])
        if isinstance(self.state, ResidentState) and not self.segment.tracks:  # for who looks at them there
            try:
                r.there = (*(r.there or ()), s.position.copy())
            except MemoryError:
                r.there = ()
        r.thermostat[slot, at] = _host(s.thermostat[some])
        r.energy[slot, at] = _host(s.energy[some])
        for k, (columns, count) in enumerate(zip(self.slices, self.program.partition.counts, strict=True)):
            r.kinetic_temperature[slot, at, k] = _host(self.ops.square_sum(s.momentum[some, columns])) / count
        if self.proposals:
            write_record(r, slot, at, _host(s.extra[SUMS][some]), _host(s.status[some]) == 0)
            s.extra[SUMS][some] = 0

    # -- the step as a list of actions, and their coefficients ---------------------------------------------------------

    def _proposals(self) -> Proposals:
        block = self.xp.asarray(self.job.hyper.block[self.rows])
        return Proposals(self.program, self.local, block, self.keys, self.xp, self.ops.square_sum)

    def _make_plan(self) -> None:
        """Groups of substeps and what each does; where work is counted, braces stand among them as empty groups."""
        substeps, begin, end = self.program.substeps, 0, len(self.program.substeps)
        if self.program.braces is not None:
            begin, end = self.program.braces
        for part, brace in ((substeps[:begin], "open"), (substeps[begin:end], "close"), (substeps[end:], "")):
            groups = self._grouped(part)
            self.groups += groups
            self.plan += [self._counted(group) for group in groups]
            if self.proposals and (brace == "close" or (brace and self.program.braces is not None)):
                self.groups.append(())
                self.plan.append(self._close if brace == "close" else self.proposals.open)

    def _counted(self, group: tuple[Evaluate | Substep, ...]) -> Action:
        """`group` as a function of its coefficients, its work counted where it is asked for."""
        action, substeps = self._action(group), [s for s in group if isinstance(s, Substep)]
        if self.proposals is None or not substeps:
            return action
        last, names = substeps[-1], operation(substeps[-1].operation).operands
        (columns, *_) = ranges(self.program, last.partitions)
        return self.proposals.counted(action, substeps, views(self.local, names, columns, last.partitions[0]))

    def _load(self, i: int) -> None:
        """Arguments of every action at the segment's i-th step, and the temperature a contour or work reads; equal
        substeps share theirs.
        """
        hyper, kept = self.job.hyper, self._kept.get("coefficients")
        if kept is not None and kept[0] is hyper and not hyper.schedules:
            _, self.coefficients, self.tau = kept
            self._heat()
            return
        formed = {
            key: tuple(self._values(s, i)) for key, s in {_key(s): s for group in self.groups for s in group}.items()
        }
        self.coefficients = [tuple(v for s in group for v in formed[_key(s)]) for group in self.groups]
        if self.job.contour is not None:
            self.tau = self.xp.asarray(self.in_force.in_force("temperature", active_partition(self.program), i)[0])
        elif self.proposals:
            tau = np.broadcast_to(self.in_force.temperature(i)[0], self.replica.shape)
            self.tau = self.xp.asarray(np.ascontiguousarray(tau))
        self._kept["coefficients"] = hyper, self.coefficients, self.tau
        self._heat()

    def _heat(self) -> None:
        if self.proposals:
            self.proposals.tau = self.tau

    def _values(self, substep: Evaluate | Substep, i: int) -> Iterator[Array]:
        """Coefficients of one substep at the segment's i-th step, as the array library's operations take them."""
        if isinstance(substep, Substep):
            dtype = np.float64 if operation(substep.operation).wide else self.job.dtype
            yield from (self.ops.coefficient(v, dtype) for v in self.in_force.values(substep, i))

    def _grouped(self, substeps: tuple[Evaluate | Substep, ...]) -> list[tuple[Evaluate | Substep, ...]]:
        """Substeps one by one, but two together where the array library gives them one pass over the parameters."""
        out: list[tuple[Evaluate | Substep, ...]] = []
        for s in substeps:
            last = out[-1] if out else ()
            if len(last) == 1 and self._share(last[0], s):
                out[-1] = (*last, s)
            else:
                out.append((s,))
        return out

    def _share(self, first: Evaluate | Substep, second: Evaluate | Substep) -> bool:
        if not isinstance(first, Substep) or not isinstance(second, Substep) or first.partitions != second.partitions:
            return False
        if self.scale is not None and operation(first.operation).drifts:
            return False
        return len(first.partitions) == 1 and self.ops.share(operation(first.operation), operation(second.operation))

    def _action(self, group: tuple[Evaluate | Substep, ...]) -> Action:
        """Substeps that go together as a function of their coefficients."""
        substeps = [s for s in group if isinstance(s, Substep)]
        if not substeps:
            return self._evaluate
        if self.scale is None or not any(operation(s.operation).drifts for s in substeps):
            return self.ops.bind(substeps, self.local)
        return self._flight(substeps, self.scale)

    def _flight(self, substeps: list[Substep], scale: Array) -> Action:
        """Substeps that move positions, where parameters have masses: what they add is multiplied by m^(-1/2)."""
        local, flown = self.local, self.xp.zeros_like(self.local.position)
        action = self.ops.bind(substeps, replace(local, position=flown))

        def act(*values: Array) -> None:
            flown[...] = 0
            action(*values)
            local.position += scale * flown

        return act


def _key(s: Evaluate | Substep) -> tuple[object, ...]:
    """Substeps with one key have equal coefficients."""
    return (s.operation, s.fraction, s.partitions[0]) if isinstance(s, Substep) else ()


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


def _host(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.get()
