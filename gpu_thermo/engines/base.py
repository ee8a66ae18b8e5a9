"""What every engine is given, and the Engine protocol."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from ..clock import Clock
from ..errors import SpecError
from ..method.operations import kept_names
from ..method.words import Program
from ..moves.contour import Contour
from ..state import Hyper, Recorded, Segment, State
from ..streams import Keys, Purpose, make_keys, normals, some_keys
from ..targets.base import Target
from .work import SUMS, is_kept, kept_arrays, open_record

Array = Any

_DRAWN, _DRAWN_THERE = 2**18, 2**22
"""Random numbers of an initial state drawn at once, on the host and on a GPU."""


@dataclass(frozen=True)
class Batching:
    """How minibatches are chosen: `mode` is subset, epoch, symmetric, replacement or full; `size` is B (N for full)."""

    mode: str = "full"
    size: int = 0


@dataclass(frozen=True)
class Job:
    """Everything that defines the dynamics of R replicas; an engine adds only how it is computed.

    Attributes
    ----------
    program, target, hyper, batching : what one step does.
    seed, stream : [R] uint64, the replicas' random identities (equations.md section 7). dtype : float32 or float64.
    contour : the gradient move, if any; its histograms are in the state's `extra`.
    scale : [P] or [R, P], m^(-1/2) of each parameter's mass m, or None where all are 1 (equations.md section 16).
    work : whether the work of a plain word's steps is counted, too (`why_no_work` says where it can be); that of a word
        in braces always is.
    clock : how many steps each replica does of so many of the run's, or None where all do as many (timed.py).
    first : the target's number of the first of these replicas, where they are a share of a run's.
    """

    program: Program
    target: Target
    hyper: Hyper
    batching: Batching
    seed: np.ndarray
    stream: np.ndarray
    dtype: Any = np.float32
    contour: Contour | None = None
    scale: np.ndarray | None = None
    work: bool = False
    clock: Clock | None = None
    first: int = 0

    @property
    def replicas(self) -> int:
        """R."""
        return self.hyper.replicas

    def take(self, rows: slice) -> "Job":
        """The same for the replicas `rows`, a run of neighbours: each as it is among all."""
        return replace(self.pick(rows), first=self.first + rows.start)

    def pick(self, rows: slice | np.ndarray) -> "Job":
        """The same for any replicas `rows`, as far as the job itself knows them; their places in the target are not."""
        scale = self.scale if self.scale is None or self.scale.ndim == 1 else self.scale[rows]
        return replace(
            self, hyper=self.hyper.take(rows), seed=self.seed[rows], stream=self.stream[rows], scale=scale,
            clock=None if self.clock is None else self.clock.take(rows),
        )  # fmt: skip

    @property
    def counts_work(self) -> bool:
        """Whether the shadow work of steps or proposals is counted (equations.md section 13)."""
        return self.work or self.program.braces is not None


def why_no_work(program: Program, target: Any, batching: Batching, contour: Contour | None) -> str:
    """Why the work of a step cannot be counted, for people, or nothing where it can be (equations.md section 13)."""
    if not program.has_work:
        unknown = ", ".join(record.symbol for record in program.records if record.work is None)
        return f"the work of {unknown} is not known"
    if batching.mode != "full":
        return f'minibatch = "{batching.mode}" changes U from step to step: use run.minibatch = "full"'
    if any(np.any(getattr(target, name, 0.0)) for name in ("gradient_noise_sd", "energy_noise_sd")):
        return "the target's gradients or energies are noisy: take out their noise"
    if target.bounds is not None:
        return f"walls at {target.bounds:g} turn back what leaves the box: leave out bounds"
    if contour is not None:
        return "a contour flattens U while it learns: leave out that move"
    return ""


class Needs(NamedTuple):
    """Bytes that an engine or predictor takes beside what it is given: on the host, and on its GPU."""

    host: int
    device: int = 0


Start = Callable[[Any, slice], State]
"""(array library, rows) -> the state at step 0 of these replicas, with arrays of that library."""


class Engine(Protocol):
    """Advances states; the same job on any engine gives the same law, and the first steps agree to rounding."""

    name: str
    device: str

    def load(self, state: State) -> State:
        """`state` as it lives with the engine: itself on the CPU; on a GPU one whose arrays stay there from segment to
        segment, and come to the host when somebody asks for them.
        """
        ...

    def begin(self, make: Start) -> State:
        """As `load`, of a state that is made where it lives with the engine."""
        ...

    def advance(self, state: State, segment: Segment, hyper: Hyper | None = None) -> Recorded:
        """Advance `state` in place through `segment` and return what was recorded on the way. On a GPU a state that was
        not loaded travels there and back.

        `hyper` holds the base hyperparameters [R] in force during this call, in place of the job's: rungs move between
        segments. It is recognised by identity, so changed values need another object. Arrays of `state.extra` that are
        not the engine's stay as they are.
        """
        ...


def own_arrays(state: State) -> dict[str, Array]:
    """The arrays of `state` that engines advance, each [R, ...], by the names of State.arrays; the rest of `extra`
    belongs to moves.
    """
    extra = {f"extra/{name}" for name in kept_names()}
    return {
        name: value
        for name, value in state.where().items()
        if not name.startswith("extra/")
        or name in extra
        or name.startswith("extra/contour_")
        or is_kept(name.removeprefix("extra/"))
    }


def initial_state(
    job: Job, position: Array, momentum: Array | None = None, keys: Keys | None = None, xp: Any = np
) -> State:
    """The state at step 0 from `position` [R, P]: momenta 0 unless given, xi at its initial value (0 where a partition
    has none). All arrays are of the library `xp`, as `position` and `keys` are.

    Where a word holds momenta at a fixed length, they are random directions, addressed by `keys` (the job's own unless
    given), and given ones are normalised.

    Raises
    ------
    SpecError
        A momentum of fixed length is given as 0, or not finite: it has no direction.
    """
    position = xp.ascontiguousarray(position, dtype=job.dtype)
    if momentum is None:
        given = xp.zeros_like(position)
        if any(job.program.has_fixed_length(k) for k in range(len(job.program.texts))):
            _directions(job, given, make_keys(job.seed, job.stream, xp) if keys is None else keys, xp)
    else:
        given = with_fixed_length(job, xp.array(momentum, dtype=job.dtype, order="C"), xp)
    state = State.at(position, given, np.nan_to_num(job.hyper.thermostat), xp)
    state.extra = {name: xp.zeros_like(position) for name in job.program.keeps}
    if job.counts_work:
        replicas, parameters = position.shape
        kept = kept_arrays(job.program, replicas, parameters, job.dtype)
        state.extra |= {name: xp.zeros(a.shape, a.dtype) for name, a in kept.items()}
    if job.contour is not None:
        job.contour.begin(state, xp)
    return state


def _directions(job: Job, momentum: Array, keys: Keys, xp: Any) -> None:
    """Write random directions to the momenta of fixed length."""
    for rows in drawn_at_once(job, xp):
        drawn = normal_momenta(job, some_keys(keys, rows), xp)
        for k, columns in enumerate(job.program.partition.slices):
            if job.program.has_fixed_length(k):
                momentum[rows, columns] = drawn[:, columns]
        with_fixed_length(job, momentum[rows], xp)


def drawn_at_once(job: Job, xp: Any) -> Iterator[slice]:
    """Blocks that random numbers are drawn for at once: their words take several times their own memory."""
    size = max(1, (_DRAWN if xp is np else _DRAWN_THERE) // job.target.layout.size)
    for i in range(0, job.replicas, size):
        yield slice(i, min(i + size, job.replicas))


def normal_momenta(job: Job, keys: Keys, xp: Any = np) -> Array:
    """[R, P] standard normals at purpose 1, addressed by `keys`."""
    lanes = xp.asarray(job.target.layout.lanes)
    blocks = xp.arange(int(job.target.layout.lanes.max()) // 4 + 1, dtype=np.uint64)
    return normals(keys, blocks, Purpose.MOMENTUM, 0, dtype=np.dtype(job.dtype).type, xp=xp)[:, lanes]


def with_fixed_length(job: Job, momentum: Array, xp: Any = np) -> Array:
    """`momentum` [R, P] with |p| = sqrt(n_k) in partitions whose word holds it there (equations.md section 16), in
    place.
    """
    partition = job.program.partition
    for k, columns in enumerate(partition.slices):
        if job.program.has_fixed_length(k):
            p = momentum[:, columns].astype(np.float64)
            size = xp.sqrt((p * p).sum(axis=1, keepdims=True))
            if not (xp.isfinite(size) & (size > 0)).all():
                row = int(xp.argmin((xp.isfinite(size) & (size > 0))[:, 0]))
                raise SpecError(
                    f"The momentum of replica {row} has length {float(size[row, 0]):g}, and {job.program.texts[k]} goes"
                    " by its direction: give momenta that are finite and not 0, or none."
                )
            momentum[:, columns] = p * (np.sqrt(partition.counts[k]) / size)
    return momentum


def empty_record(state: State, segment: Segment) -> Recorded:
    """A ring of the segment's size, to be filled."""
    own = state.where()
    draws, position, (replicas, partitions) = segment.slots, own["position"], own["thermostat"].shape
    recorded = Recorded(
        steps=segment.record,
        position=np.empty((draws, *position.shape), position.dtype),
        thermostat=np.empty((draws, replicas, partitions)),
        kinetic_temperature=np.empty((draws, replicas, partitions)),
        energy=np.empty((draws, replicas)),
    )
    if f"extra/{SUMS}" in own:
        open_record(recorded, draws, replicas)
    return recorded


def moment_bytes(job: Job) -> int:
    """Bytes of one slot of the ring: position; xi and kinetic temperature of each partition, energy; of work."""
    numbers = 2 * len(job.program.partition.names) + 1 + 4 * job.counts_work
    return job.replicas * (job.target.layout.size * np.dtype(job.dtype).itemsize + 8 * numbers)


def state_bytes(job: Job) -> int:
    """Bytes of the State, what moves keep in it aside: position, momentum, gradient and what updates keep; xi; energy,
    status, frozen_step; what is kept of work and proposals.
    """
    arrays = 3 + len(job.program.keeps)
    wide = arrays * job.target.layout.size * np.dtype(job.dtype).itemsize
    kept = kept_arrays(job.program, 1, job.target.layout.size, job.dtype).values() if job.counts_work else ()
    of_work = sum(int(np.prod(a.shape)) * np.dtype(a.dtype).itemsize for a in kept)
    return job.replicas * (wide + 8 * len(job.program.partition.names) + 8 + 4 + 8 + of_work)


def cut(segment: Segment, start: int, steps: int, draws: int | None = None) -> Segment:
    """The part of `segment` from `start` on that takes at most `steps` steps and records at most `draws` times."""
    stop = min(start + steps, segment.start + segment.steps)
    record = tuple(s for s in segment.record if start < s <= stop)
    if draws is not None and len(record) > draws:
        record = record[:draws]
        stop = record[-1]
    return Segment(start, stop - start, record)


def permutation_grid(points: int) -> dict[str, int]:
    """The a x b grid of the keyed bijection on [0, N), and floor(2^32 / a) to divide by a with."""
    a = math.isqrt(points - 1) + 1 if points > 1 else 1
    return {"points": points, "grid_a": a, "grid_b": -(-points // a), "grid_inverse": min(2**32 // a, 2**32 - 1)}


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
