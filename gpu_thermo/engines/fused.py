"""The fused engine: whole segments in one kernel call, one C++ source for CPU and GPU (kernels/).

On the CPU each thread carries as many replicas as its vector registers have lanes through the whole segment, in cache;
on a GPU a warp or more carries one replica in registers. Results do not depend on how replicas are cut, on segment
lengths or on threads, bit for bit.
"""

import ctypes
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np

from ..errors import CompileError, DeviceError
from ..kernels.emit import MOST_KEPT, Emitter
from ..kernels.nvrtc import cupy_module
from ..kernels.passes import Coefficient
from ..kernels.sharing import Sharing
from ..kernels.toolchain import host_library
from ..method.operations import kept_names
from ..method.words import InForce, Substep
from ..state import PARTITIONED, Hyper, Recorded, Segment, State, alike
from ..targets.records import CONSTANTS, packed
from .base import Job, Needs, Start, cores, cut, empty_record, own_arrays, permutation_grid, state_bytes
from .coefficients import Coefficients
from .gpu import cuda_errors, open_gpu
from .resident import ResidentState, begun, visit
from .rings import RingBuffers
from .work import RECORDED, kept_arrays

Array = Any
_TABLE_BYTES = 8 * 2**20
"""Largest table of scheduled coefficients: longer segments are cut, which changes no bit."""
_VECTOR_BYTES = 64
"""Of the widest vector registers."""
PARTS = 4
"""Launches that a recording segment takes on a GPU."""
_POINTERS = (
    "position", "momentum", "gradient", *(f"kept_{i}" for i in range(MOST_KEPT)),
    "thermostat", "energy", "status", "frozen_step", "seed_low",
    "seed_high", "stream", "dataset", "group", "coefficients", "wide_coefficients", "data",
    "prior", "own_centre", "slot", "track", "ring_position",
    "ring_thermostat",
    "ring_kinetic", "ring_energy", "contour_log_weight", "contour_shift", "contour_multiplier", "contour_seen",
    "contour_visits",
    "contour_clipped", "contour_outside", "contour_log_omega", "power",
    "block_position", "block_momentum", "block_gradient", "block_energy", "block_work", "block_steps", "block",
    "work_sums", *(f"ring_{name}" for name in RECORDED),
)  # fmt: skip
_SWITCHES = ("contour_bins", "contour_interacting", "contour_published")
_LEVELS = ("contour_zeta", "contour_lowest", "contour_width", "contour_low", "contour_high")


class Arguments(ctypes.Structure):
    """`Arguments` of kernels/step.h, field by field."""

    _fields_ = (
        *[(name, ctypes.c_void_p) for name in _POINTERS],
        *[
            (name, ctypes.c_int64)
            for name in ("start", "ordinal", "replicas", "groups", "steps", "scheduled", "initial", *_SWITCHES)
        ],
        *[(name, ctypes.c_uint32) for name in ("points", "grid_a", "grid_b", "grid_inverse")],
        ("likelihood", CONSTANTS * ctypes.c_double),
        *[(name, ctypes.c_double) for name in _LEVELS],
    )


class FusedEngine:
    """Advances R replicas of a perceptron.

    Parameters
    ----------
    job : what to compute; its target is an MlpTarget on NumPy arrays. device : "cpu" or "cuda[:i]". threads : CPU
    threads, all cores by default. team : threads per replica on a GPU, or how they share it (kernels/sharing.py);
    chosen from the network by default.

    Raises
    ------
    DeviceError
        If the target is no perceptron, or one that does not fit on a GPU's chip, or there is no compiler.
    """

    name = "fused"

    def __init__(
        self, job: Job, device: str = "cpu", threads: int | None = None, team: int | Sharing | None = None
    ) -> None:
        if job.target.fused is None:
            raise DeviceError("The fused engine samples perceptrons only. Use the batched engine for other targets.")
        if job.contour is not None:
            job.contour.check(job.program, job.hyper)
        self.job, self.device = job, device
        self.emitter = make_emitter(job)
        self._tables = Tables(job, self.emitter.plan.coefficients)
        self._constants, self._numbers, self._scale = _constant_arrays(job), _numbers(job), _scale(job)
        self._there = None if device == "cpu" else _Device(self.emitter, device, team, job.replicas)
        self._launch: Any = self._there or _Host(self.emitter, threads)

    def load(self, state: State) -> State:
        """See Engine."""
        return state if self._there is None or isinstance(state, ResidentState) else self._there.load(state)

    def begin(self, make: Start) -> State:
        """See Engine."""
        return begun(self.device, self.job.replicas, make)

    @staticmethod
    def needs(job: Job, device: str, threads: int | None = None) -> Needs:
        """The data in rows, the replicas' identities; the vectors of replicas that threads carry, or, on a GPU, a copy
        of the state; tables of scheduled coefficients.
        """
        target: Any = job.target
        item, parameters = np.dtype(job.dtype).itemsize, target.layout.size
        data = target.x_train.size + target.y_train.size
        constant = data * item + job.replicas * (5 * 4 + (parameters * item if job.scale is not None else 0))
        tables = 3 * _TABLE_BYTES if job.hyper.schedules else 0
        if device != "cpu":
            return Needs(constant + tables, constant + _TABLE_BYTES + state_bytes(job))
        vectors = (threads or cores()) * _VECTOR_BYTES * parameters * (4 + len(job.program.keeps))
        return Needs(constant + data * item + tables + vectors)

    def advance(self, state: State, segment: Segment, hyper: Hyper | None = None) -> Recorded:
        """Advance `state` in place through `segment`; see Engine."""
        if self._there is not None and not isinstance(state, ResidentState):
            return visit(self, state, segment, hyper)
        hyper = self.job.hyper if hyper is None else hyper
        if hyper is not self._tables.hyper:
            self._tables = Tables(self.job, self.emitter.plan.coefficients, hyper)
        recorded = empty_record(state, segment)
        self._parts(state, segment, recorded)
        state.step = segment.start + segment.steps
        state.evaluations = self.job.program.gradients_before(state.step)
        if isinstance(state, ResidentState):
            state.moved()
        return recorded

    def _parts(self, state: State, segment: Segment, recorded: Recorded) -> None:
        """All of it: at once on the CPU; on a GPU in a few launches, each of which records while what the one before
        recorded comes down. Where the device's memory is full less is asked for at once.
        """
        most = self._tables.longest if self._tables.scheduled else segment.steps
        start, end, there = segment.start, segment.start + segment.steps, self._there
        if there is None:
            while start < end:
                part = segment if segment.tracks else cut(segment, start, most)
                self._part(state, part, recorded)
                start += part.steps
            return
        draws = -(-len(segment.record) // PARTS)
        with there.errors():
            there.open(recorded.position)
            if segment.tracks:
                self._part(state, segment, recorded)
                start = end
            while start < end:
                part = cut(segment, start, min(most, there.most_steps), min(max(1, draws), there.most_draws))
                try:
                    self._part(state, part, recorded)
                except MemoryError:
                    if not there.halved(part):
                        raise
                else:
                    start += part.steps
            recorded.there = there.finish()

    def _part(self, state: State, segment: Segment, recorded: Recorded) -> None:
        program = self.job.program
        first = recorded.steps.index(segment.record[0]) if segment.record else 0
        ring = slice(first, first + segment.slots)
        arrays = self._constants | self._tables.at(segment) | _slots(segment) | {
            "group": self._tables.group, "ring_position": recorded.position[ring],
            "ring_thermostat": recorded.thermostat[ring],
            "ring_kinetic": recorded.kinetic_temperature[ring], "ring_energy": recorded.energy[ring],
        }  # fmt: skip
        if self.job.counts_work:
            arrays |= {f"ring_{name}": getattr(recorded, name)[ring] for name in RECORDED}
            arrays["block"] = self._tables.hyper.block
        if self._tables.hyper.power is not None:
            arrays["power"] = self._tables.hyper.power
        own = {name.removeprefix("extra/"): value for name, value in own_arrays(state).items()}
        _check_state(own, self.job)
        kept = {name: own.pop(name) for name in kept_names() if name in own}
        own |= {f"kept_{i}": kept[name] for i, name in enumerate(program.keeps)}
        if self._scale is not None:
            arrays[f"kept_{len(program.keeps)}"] = self._scale
        arrays |= own
        ordinal, initial = program.gradients_before(segment.start), program.leading_gradient and segment.start == 0
        if self.job.contour is not None:
            evaluations = segment.steps * program.gradients_per_step + initial
            arrays["contour_log_omega"] = self.job.contour.log_omega(ordinal - initial, evaluations)
        numbers = self._numbers | {
            "start": segment.start, "ordinal": ordinal, "replicas": self.job.replicas, "groups": self._tables.groups,
            "steps": segment.steps, "scheduled": self._tables.scheduled, "initial": initial,
        }  # fmt: skip
        self._launch(arrays, numbers, written=(*own, *(n for n in _POINTERS if n.startswith("ring_"))))


def _slots(segment: Segment) -> dict[str, np.ndarray]:
    """[tracks, steps] slots of the ring, -1 where nothing is recorded; of several tracks also [R], that of each
    replica.
    """
    records = [track.record for track in segment.tracks] or [segment.record]
    slot = np.full((len(records), segment.steps), -1, np.int32)
    for row, record in zip(slot, records, strict=True):
        row[np.array(record, np.int64) - segment.start - 1] = np.arange(len(record))
    sizes = [track.rows.stop - track.rows.start for track in segment.tracks]
    return {"slot": slot} | ({"track": np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)} if sizes else {})


def _check_state(arrays: Mapping[str, np.ndarray], job: Job) -> None:
    """ValueError unless the state has the job's shapes and types: the kernel walks its memory unguarded."""
    rows, partitions = (job.replicas, job.target.layout.size), (job.replicas, len(job.program.partition.names))
    names = ("position", "momentum", "gradient", *job.program.keeps)
    expected: dict[str, tuple[tuple[int, ...], Any]] = {name: (rows, job.dtype) for name in names}
    expected |= {
        "thermostat": (partitions, np.float64),
        "energy": (rows[:1], np.float64),
        "status": (rows[:1], np.int32),
    }
    expected |= {"frozen_step": (rows[:1], np.int64)}
    expected |= {} if job.contour is None else job.contour.arrays(job.replicas)
    expected |= kept_arrays(job.program, *rows, job.dtype) if job.counts_work else {}
    for name, (shape, dtype) in expected.items():
        array = arrays.get(name)
        if array is None or array.shape != shape or array.dtype != dtype:
            found = "missing" if array is None else f"{array.dtype} {list(array.shape)}"
            raise ValueError(f"State.{name} is {found}; this job needs {np.dtype(dtype)} {list(shape)}")


def make_emitter(job: Job) -> Emitter:
    """Source writer for `job`, whose target is an MlpTarget."""
    target: Any = job.target
    batch = target.points if job.batching.mode == "full" else job.batching.size
    return Emitter(
        job.program, target.model, job.batching.mode, batch, np.dtype(job.dtype).itemsize * 8, job.contour is not None,
        job.scale is not None, job.counts_work, job.hyper.power is not None,
    )  # fmt: skip


def _scale(job: Job) -> np.ndarray | None:
    """[R, P] m^(-1/2) of the parameters' masses as kernels read them, or None."""
    if job.scale is None:
        return None
    whole = np.broadcast_to(job.scale, (job.replicas, job.target.layout.size))
    return np.ascontiguousarray(whole, dtype=job.dtype)


def _constant_arrays(job: Job) -> dict[str, np.ndarray]:
    """What no step changes: identities, data sets, data rows [D, N, m + targets]."""
    target: Any = job.target
    model, y = target.model, target.y_train if target.y_train.ndim == 3 else target.y_train[..., None]
    weight = [] if target.weight is None else [target.weight[..., None]]
    seed = np.asarray(job.seed, np.uint64)
    return {
        "seed_low": (seed & np.uint64(0xFFFFFFFF)).astype(np.uint32),
        "seed_high": (seed >> np.uint64(32)).astype(np.uint32),
        "stream": np.asarray(job.stream).astype(np.uint32),
        "dataset": np.asarray(target.dataset[job.first : job.first + job.replicas], np.int32),
        "data": _rows(np.concatenate([target.x_train, y, *weight], axis=-1), job.dtype),
        "prior": np.array([packed(c) for c in model.prior_constants(target.points)]), "own_centre": model.centre,
    }  # fmt: skip


def _rows(values: np.ndarray, dtype: Any) -> np.ndarray:
    """`values` in order, and room behind them: kernels read rows by fours (kernels/portable.h)."""
    room = np.zeros(values.size + 3, dtype)
    rows = room[: values.size].reshape(values.shape)
    rows[...] = values
    return rows


def _numbers(job: Job) -> dict[str, Any]:
    """Sizes and constants of the network and the permutation (equations.md sections 1 and 6)."""
    target: Any = job.target
    model, n, c = target.model, target.points, job.contour
    levels = () if c is None else (c.zeta, c.lowest, c.width, *c.clip)
    switches = () if c is None else (c.bins, c.interacting, c.published)
    grid = permutation_grid(n)
    return grid | dict(zip(_LEVELS, levels, strict=False)) | dict(zip(_SWITCHES, switches, strict=False)) | {
        "likelihood": packed(model.constants),
    }  # fmt: skip


class Tables:
    """Coefficients of a job's operations, computed in float64 and rounded once, per group of replicas alike in
    hyperparameters.

    Attributes
    ----------
    hyper : what they are made of, the job's by default. group : [R] int32, column of each replica. groups : G.
    scheduled : whether they differ from step to step.
    """

    def __init__(self, job: Job, coefficients: list[Coefficient], hyper: Hyper | None = None) -> None:
        self._job, self._coefficients = job, coefficients
        hyper = self.hyper = job.hyper if hyper is None else hyper
        first, inverse = alike([hyper.stepsize, *(column for name in PARTITIONED for column in getattr(hyper, name).T)])
        self._hyper = hyper.take(first)
        self.group, self.groups = inverse.astype(np.int32), len(first)
        self._constant: dict[str, np.ndarray] = {}
        self.scheduled = bool(hyper.schedules) or any(record.ticks for record in job.program.records)

    @property
    def longest(self) -> int:
        """Most steps one table may cover."""
        return max(1, _TABLE_BYTES // (8 * max(1, len(self._coefficients)) * self.groups))

    def at(self, segment: Segment) -> dict[str, np.ndarray]:
        """Tables [T, values, G] of a segment: T is its steps where scheduled, else 1."""
        if not self.scheduled and self._constant:
            return self._constant
        steps = segment.steps if self.scheduled else 1
        in_force = Coefficients(self._job.program, self._hyper, segment.start, steps)
        tables: dict[str, list[np.ndarray]] = {"r": [], "w": []}
        values: dict[Substep | InForce, tuple[Array, ...]] = {}
        for c in self._coefficients:
            if c.of not in values:
                values[c.of] = (*in_force.values(c.of), *in_force.of_step(c.of))
            tables[c.kind].append(np.broadcast_to(values[c.of][c.index], (steps, self.groups)))
        empty = np.zeros((steps, 0, self.groups))
        real, wide = (np.ascontiguousarray(np.stack(v, axis=1)) if v else empty for v in (tables["r"], tables["w"]))
        self._constant = {"coefficients": real.astype(self._job.dtype), "wide_coefficients": wide}
        return self._constant


class _Host:
    """Launches on CPU threads, each with its own workspace; ctypes lets go of the interpreter during a call."""

    def __init__(self, emitter: Emitter, threads: int | None) -> None:
        library = host_library(emitter.source("host"))
        for name in ("workspace_bytes", "arguments_bytes", "lanes"):
            getattr(library, name).restype = ctypes.c_int64
        if library.arguments_bytes() != ctypes.sizeof(Arguments):
            raise CompileError("The compiler lays out the kernel's arguments unlike Python. Use the batched engine.")
        self._advance, self._lanes = library.advance, library.lanes()
        self._advance.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
        self._advance.restype = None
        self._workspaces = [aligned(library.workspace_bytes()) for _ in range(threads or cores())]
        self._pool = ThreadPoolExecutor(len(self._workspaces))

    def __call__(self, arrays: dict[str, np.ndarray], numbers: dict[str, Any], written: tuple[str, ...]) -> None:
        """Run the segment of `numbers` on `arrays`, in place."""
        arguments = fill(arrays, {name: a.ctypes.data for name, a in arrays.items()}, numbers)
        pieces: SimpleQueue[tuple[int, int]] = SimpleQueue()
        for piece in self._pieces(numbers["replicas"]):
            pieces.put(piece)

        def work(space: np.ndarray) -> None:
            """One thread, as long as there are pieces."""
            try:
                while True:
                    first, last = pieces.get_nowait()
                    self._advance(ctypes.byref(arguments), ctypes.c_void_p(space.ctypes.data), first, last)
            except Empty:
                return

        for _ in self._pool.map(work, self._workspaces):
            pass

    def _pieces(self, replicas: int) -> list[tuple[int, int]]:
        """Several pieces a thread, so that a slow core does not hold up the rest."""
        groups = -(-replicas // self._lanes)
        size = max(1, -(-groups // (4 * len(self._workspaces)))) * self._lanes
        return [(i, min(i + size, replicas)) for i in range(0, replicas, size)]


class _Device:
    """Launches on a GPU through CuPy: constants and loaded states stay there, rings come down beside the next part.

    Attributes
    ----------
    most_steps, most_draws : of one launch, as far as memory allows.
    """

    def __init__(self, emitter: Emitter, device: str, team: int | Sharing | None, replicas: int) -> None:
        self._cupy, self._place = open_gpu(device)
        self._sharing, self._name, self._replicas = emitter.sharing(team), device, replicas
        with self._place, self.errors(begun=False):
            source = emitter.source("device", self._sharing) + _sized()
            self._kernel = cupy_module(source).get_function("advance")
            self._rings = RingBuffers(self._cupy, self._place)
        self._resident: dict[str, tuple[np.ndarray, Any]] = {}
        self.most_steps = self.most_draws = 2**62

    def errors(self, begun: bool = True) -> Any:
        """Around all that CUDA does."""
        return cuda_errors(self._name, self._replicas, begun)

    def load(self, state: State) -> State:
        """The state on the device."""
        with self.errors(begun=state.step > 0):
            return ResidentState(state, self._cupy, self._place)

    def __call__(self, arrays: dict[str, Array], numbers: dict[str, Any], written: tuple[str, ...]) -> None:
        """Launch the segment of `numbers` on `arrays`, whose rings arrive later."""
        rings = {name: a for name, a in arrays.items() if name.startswith("ring_")}
        with self._place:
            there = {name: self._constant(name, a) for name, a in arrays.items() if name not in rings}
            there |= self._rings.take(rings)
            arguments = fill(there, {name: a.data.ptr for name, a in there.items()}, numbers)
            teams = self._sharing.teams
            by_value = np.frombuffer(bytes(arguments), np.dtype((np.void, ctypes.sizeof(arguments))))
            self._kernel((-(-numbers["replicas"] // teams),), (teams * self._sharing.team,), (by_value,))
            self._rings.send(rings)

    def open(self, position: np.ndarray) -> None:
        """Before a segment that records `position`."""
        with self._place:
            self._rings.open(position)

    def finish(self) -> tuple[Array, ...] | None:
        """Wait for kernels and rings; the recorded positions where they stand there, if there was room for all."""
        with self._place:
            self._rings.finish()
            self._cupy.cuda.get_current_stream().synchronize()
        return self._rings.there

    def halved(self, part: Segment) -> bool:
        """Whether less can be asked for after `part` found no memory: half as many draws a launch, and half the steps,
        whose tables take memory, too.
        """
        if len(part.record) < 2 and part.steps < 2:
            return False
        self.most_draws = max(1, min(self.most_draws, len(part.record)) // 2)
        self.most_steps = max(1, part.steps // 2)
        self._resident.clear()
        with self._place:
            self._rings.drop()
            self._cupy.get_default_memory_pool().free_all_blocks()
        return True

    def _constant(self, name: str, array: Array) -> Any:
        if not isinstance(array, np.ndarray):  # of a loaded state
            return array
        held = self._resident.get(name)
        if held is None or held[0] is not array:
            self._resident.pop(name, None)
            held = self._resident[name] = (array, self._cupy.asarray(array))
        return held[1]


def _sized() -> str:
    """What a device's compiler is to check; the host's kernels are asked for their size."""
    return f'\nstatic_assert(sizeof(Arguments) == {ctypes.sizeof(Arguments)}, "Python lays out Arguments otherwise");\n'


def fill(arrays: Mapping[str, np.ndarray], pointers: Mapping[str, int], numbers: Mapping[str, Any]) -> Arguments:
    """Arguments that point to `arrays`, after a check that the kernel may walk them."""
    for name, array in arrays.items():
        if not array.flags.c_contiguous:
            raise ValueError(f"array '{name}' is not C-contiguous")
    return Arguments(**pointers, **numbers)


def aligned(size: int) -> np.ndarray:
    """`size` bytes at a multiple of 64."""
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size]
