"""An engine made of engines: the replicas of one run shared out, each share with a device or a process of its own.

Streams are numbers of replicas and sums are taken by who looks at all of them, so that how replicas are cut changes no
bit. Whoever carries a share is a Part: a thread of this process here, a worker elsewhere (running/workers.py).
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, Protocol

import numpy as np

from ..errors import SpecError
from ..state import Hyper, Reading, Recorded, Segment, State
from .base import Engine, Job, Start, own_arrays
from .resident import ResidentState, read_only, visit

Array = Any
Arrays = Mapping[str, np.ndarray]
_BLOCKS, _LEAST = (256, 16, 1), 8
"""Shares are multiples of the first of these of which each gets so many."""


def cut_rows(replicas: int, parts: int, together: int = 1) -> list[slice]:
    """Rows of each share: as equal as may be, and none cuts the `together` neighbours of a ladder.

    Raises
    ------
    SpecError
        There are fewer replicas, or ladders, than shares.
    """
    if replicas // together < parts:
        what = f"{replicas} replicas" if together == 1 else f"{replicas // together} ladders of {together} replicas"
        raise SpecError(
            f"{what} cannot be shared out among {parts} devices or workers: use at most {replicas // together}, or more"
            " replicas."
        )
    units = [math.lcm(block, together) for block in _BLOCKS]
    unit = next((u for u in units if replicas // u >= _LEAST * parts), units[-1])
    ends = [round(i * (replicas // unit) / parts) * unit for i in range(parts)] + [replicas]
    return [slice(first, last) for first, last in itertools.pairwise(ends)]


class Runner:
    """An engine with the state of one share; lives where that is computed.

    Parameters
    ----------
    engine : of the share's job.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._state: State | None = None

    def load(self, arrays: Arrays, step: int, evaluations: int) -> None:
        """Begin at a state of the share's rows, which are copied."""
        own = {name: np.array(value) for name, value in arrays.items()}
        self._state = self.engine.load(State.from_arrays(own, step, evaluations))

    def begin(self, make: Start, rows: slice) -> dict[str, int]:
        """Begin at the state of the run's `rows` that is made here: bytes of its arrays by name."""
        self._state = self.engine.begin(lambda xp, mine: make(xp, within(rows, mine)))
        return {name: value.nbytes for name, value in own_arrays(self._state).items()}

    def fill(self, name: str, make: Callable[[Any, slice], Array], rows: slice) -> None:
        """See State.fill, of the run's `rows`."""
        assert self._state is not None
        self._state.fill(name, lambda xp, mine: make(xp, within(rows, mine)))

    def read(self, names: Sequence[str], function: Reading, rows: slice, among: slice) -> np.ndarray:
        """See State.read, of the run's `rows`, those of the share being `among`."""
        assert self._state is not None
        first, last = max(rows.start, among.start), min(rows.stop, among.stop)
        if first >= last:
            return np.empty(0)
        own, before = slice(first - among.start, last - among.start), first - rows.start
        return self._state.read(names, lambda xp, a, r: function(xp, a, slice(before, before + r.stop)), own)

    def advance(self, segment: Segment, hyper: Hyper | None, edits: Arrays) -> tuple[Recorded, int]:
        """What a segment records, once arrays are as `edits` say; and how many replicas still run."""
        assert self._state is not None
        for name, value in edits.items():
            self._state.edit(name)[...] = value
        return self.engine.advance(self._state, segment, hyper), self._state.running

    def look(self, name: str) -> Array:
        """See State."""
        assert self._state is not None
        return self._state.look(name)

    def scale(self, name: str, rows: Array, columns: slice, factor: Array) -> None:
        """See State, of the share's own rows."""
        assert self._state is not None
        self._state.scale(name, rows, columns, factor)

    def fetch(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Arrays of the state by name, on the host."""
        assert self._state is not None
        arrays = self._state.arrays()
        return {name: np.asarray(arrays[name]) for name in names}


class Waiting(Protocol):
    """Something that was begun."""

    def result(self) -> Any:
        """What came of it, or the error it ended in."""
        ...


class Part(Protocol):
    """Who carries a share: the methods of a Runner, begun here and waited for later.

    Attributes
    ----------
    where : its device or address, for people. burden : bytes it keeps to begin anew from the last anchor.
    """

    where: str
    burden: int

    def load(self, arrays: Arrays, step: int, evaluations: int) -> Waiting: ...
    def advance(self, segment: Segment, hyper: Hyper | None, edits: Arrays) -> Waiting: ...
    def fetch(self, names: Sequence[str]) -> Waiting: ...

    def anchor(self, arrays: Arrays, step: int, evaluations: int) -> None:
        """The state is known to be this, and stays so: if the part is lost it may begin anew from here."""
        ...


class ThreadPart:
    """A share carried by a thread of this process.

    Parameters
    ----------
    make : makes the engine of a job on a device.
    """

    burden = 0

    def __init__(self, job: Job, device: str, make: Callable[[Job, str], Engine]) -> None:
        self.where = device
        self._pool = ThreadPoolExecutor(1)
        self._runner = self._pool.submit(lambda: Runner(make(job, device)))

    def load(self, arrays: Arrays, step: int, evaluations: int) -> Waiting:
        return self._pool.submit(lambda: self._runner.result().load(arrays, step, evaluations))

    def advance(self, segment: Segment, hyper: Hyper | None, edits: Arrays) -> Waiting:
        return self._pool.submit(lambda: self._runner.result().advance(segment, hyper, edits))

    def fetch(self, names: Sequence[str]) -> Waiting:
        return self._pool.submit(lambda: self._runner.result().fetch(names))

    def begin(self, make: Start, rows: slice) -> Waiting:
        """The share begins at a state that is made here."""
        return self._pool.submit(lambda: self._runner.result().begin(make, rows))

    def fill(self, name: str, make: Callable[[Any, slice], Array], rows: slice) -> Waiting:
        """An array of the share's is made anew."""
        return self._pool.submit(lambda: self._runner.result().fill(name, make, rows))

    def scale(self, name: str, rows: Array, columns: slice, factor: Array) -> Waiting:
        """Rows of an array of the share's are multiplied."""
        return self._pool.submit(lambda: self._runner.result().scale(name, rows, columns, factor))

    def look(self, name: str) -> Waiting:
        """An array of the share's where it stands."""
        return self._pool.submit(lambda: self._runner.result().look(name))

    def read(self, names: Sequence[str], function: Reading, rows: slice, among: slice) -> Waiting:
        """Numbers of some replicas of the share, from its arrays."""
        return self._pool.submit(lambda: self._runner.result().read(names, function, rows, among))

    def anchor(self, arrays: Arrays, step: int, evaluations: int) -> None:
        """Threads are not lost."""


class ShardedEngine:
    """Advances all replicas of a job, each share by its own part.

    Parameters
    ----------
    job : of all replicas. rows : of each share, in order (`cut_rows`). parts : who carries them. name, device : of the
    engines and devices in them.
    """

    def __init__(self, job: Job, rows: Sequence[slice], parts: Sequence[Part], name: str, device: str) -> None:
        self.job, self.rows, self.parts, self.name, self.device = job, tuple(rows), tuple(parts), name, device
        self._hyper: tuple[Hyper | None, list[Hyper | None]] = None, [None] * len(rows)

    @classmethod
    def on(
        cls, job: Job, devices: Sequence[str], make: Callable[[Job, str], Engine], name: str, together: int = 1
    ) -> "ShardedEngine":
        """Shares on several devices of this process."""
        rows = cut_rows(job.replicas, len(devices), together)
        parts = [ThreadPart(job.take(r), device, make) for r, device in zip(rows, devices, strict=True)]
        for part in parts:
            part._runner.result()  # what cannot be made is refused now
        return cls(job, rows, parts, name, ",".join(devices))

    def load(self, state: State) -> State:
        """See Engine."""
        if isinstance(state, ShardedState):
            return state
        found = ShardedState(state, self)
        own = {name: np.asarray(value) for name, value in own_arrays(state).items()}
        self.everywhere("load", [(self._of(own, r), state.step, state.evaluations) for r in self.rows])
        return found

    def begin(self, make: Start) -> State:
        """See Engine: by each part of this process; to workers, of other processes, it is sent."""
        if not self.makes:
            return self.load(make(np, slice(0, self.job.replicas)))
        sizes = self.everywhere("begin", [(make, r) for r in self.rows])
        return ShardedState.begun(self, {name: sum(s[name] for s in sizes) for name in sizes[0]})

    @property
    def makes(self) -> bool:
        """Whether all parts can be told how to make what they begin with."""
        return all(isinstance(part, ThreadPart) for part in self.parts)

    def advance(self, state: State, segment: Segment, hyper: Hyper | None = None) -> Recorded:
        """Advance `state` in place through `segment`; see Engine."""
        if not isinstance(state, ShardedState):
            return visit(self, state, segment, hyper)
        edits, hypers = state.taken(), self._taken(hyper)
        each = [(segment, h, self._of(edits, r)) for h, r in zip(hypers, self.rows, strict=True)]
        found = self.everywhere("advance", each)
        state.step = segment.start + segment.steps
        state.evaluations = self.job.program.gradients_before(state.step)
        state.advanced(sum(running for _, running in found))
        if sum(part.burden for part in self.parts) > state.nbytes:
            state.arrays()  # a new place to begin from
        return joined([recorded for recorded, _ in found], self.rows)

    def fetch(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Arrays of all replicas by name."""
        each = self.everywhere("fetch", [(tuple(names),)] * len(self.parts))
        return {name: np.concatenate([one[name] for one in each]) for name in names}

    def anchor(self, arrays: Arrays, step: int, evaluations: int) -> None:
        """All parts' state is known to be this."""
        for part, rows in zip(self.parts, self.rows, strict=True):
            part.anchor(self._of(arrays, rows), step, evaluations)

    def everywhere(self, what: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Begin something in all parts, and wait for all of them, also where one fails."""
        waiting = [getattr(part, what)(*given) for part, given in zip(self.parts, arguments, strict=True)]
        found, errors = [], []
        for one in waiting:
            try:
                found.append(one.result())
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return found

    def _taken(self, hyper: Hyper | None) -> list[Hyper | None]:
        """Hyperparameters of each share: the same objects for the same object."""
        if hyper is not self._hyper[0]:
            self._hyper = hyper, [None if hyper is None else hyper.take(r) for r in self.rows]
        return self._hyper[1]

    @staticmethod
    def _of(arrays: Arrays, rows: slice) -> dict[str, np.ndarray]:
        return {name: value[rows] for name, value in arrays.items()}


def within(rows: slice, mine: slice) -> slice:
    """Numbers among all of the replicas `mine` of a share."""
    return slice(rows.start + mine.start, rows.start + mine.stop)


@dataclass(frozen=True)
class Spread:
    """An array [R, ...] that stands on several devices, share by share.

    Attributes
    ----------
    rows : of each share, in order. arrays : each [r, ...], where it stands.
    """

    rows: tuple[slice, ...]
    arrays: tuple[Array, ...]

    def __len__(self) -> int:
        return int(self.rows[-1].stop)

    def __getitem__(self, rows: slice) -> Array:
        """Neighbouring rows: where they stand, if one share has all of them, else on the host."""
        first, last, _ = rows.indices(len(self))
        found = [a[max(first - s.start, 0) : last - s.start] for s, a in zip(self.rows, self.arrays, strict=True)
                 if s.start < last and first < s.stop]  # fmt: skip
        return found[0] if len(found) == 1 else np.concatenate([a.get() for a in found])

    def head(self, count: int) -> "Spread":
        """The first rows alone."""
        kept = [i for i, s in enumerate(self.rows) if s.start < count]
        rows = tuple(slice(self.rows[i].start, min(self.rows[i].stop, count)) for i in kept)
        return Spread(rows, tuple(self.arrays[i][: count - self.rows[i].start] for i in kept))


def joined(parts: Sequence[Recorded], rows: Sequence[slice] = ()) -> Recorded:
    """The ring of all replicas, from those of the shares, whose rows are needed for what stands on devices."""
    values: dict[str, Any] = {"steps": parts[0].steps}
    for name in (f.name for f in fields(Recorded) if f.name not in ("steps", "there")):
        each = [getattr(part, name) for part in parts]
        values[name] = None if each[0] is None else np.concatenate(each, axis=1)
    if rows and (there := [part.there for part in parts if part.there is not None]) and len(there) == len(parts):
        values["there"] = tuple(Spread(tuple(rows), arrays) for arrays in zip(*there, strict=True))
    return Recorded(**values)


class ShardedState(ResidentState):
    """A state whose engine's arrays are with the parts of a sharded engine; those of moves are here.

    What was read after one segment comes at once when something is read after the next: moves read the same each time.
    """

    def __init__(self, state: State, engine: ShardedEngine) -> None:
        self._engine = engine
        self._begin(state, own_arrays(state))
        self._there = dict.fromkeys(own_arrays(state))
        self.nbytes = sum(value.nbytes for value in self._here.values())
        self._count = state.replicas
        self._read: set[str] = set()
        self._habit: set[str] = set()

    @classmethod
    def begun(cls, engine: ShardedEngine, sizes: Mapping[str, int]) -> "ShardedState":
        """A state at step 0 that the parts have made, whose arrays take so many bytes."""
        empty = np.empty((engine.job.replicas, 0))
        found = cls(State.at(empty, empty, empty), engine)
        found._here, found._there, found.nbytes = {}, dict.fromkeys(sizes), sum(sizes.values())
        return found

    def fill(self, name: str, make: Callable[[Any, slice], Array]) -> None:
        """See State: by the parts, where they can."""
        if not self._engine.makes:
            State.fill(self, name, make)
            return
        self._engine.everywhere("fill", [(name, make, r) for r in self._engine.rows])
        self._edited.discard(name)
        self._here.pop(name, None)

    def read(self, names: Iterable[str], function: Reading, rows: slice) -> np.ndarray:
        """See State: by the parts, where they can."""
        wanted = tuple(names)
        if not self._engine.makes or any(name in self._edited for name in wanted):
            return State.read(self, wanted, function, rows)
        whole = slice(*rows.indices(self.replicas)[:2])
        each = self._engine.everywhere("read", [(wanted, function, whole, r) for r in self._engine.rows])
        return np.concatenate(each)

    @property
    def replicas(self) -> int:
        """R."""
        return self._count

    @property
    def dtype(self) -> Any:
        """Of positions."""
        return np.dtype(self._engine.job.dtype)

    def look(self, name: str) -> np.ndarray:
        """See State: shares are looked at together, on the host."""
        return self.fetch(name)

    def spread(self, name: str) -> Spread | None:
        """An array where its shares stand; None where it was edited here, or workers have it."""
        if not self._engine.makes or name in self._edited:
            return None
        arrays = self._engine.everywhere("look", [(name,)] * len(self._engine.parts))
        return Spread(self._engine.rows, tuple(arrays))

    def scale(self, name: str, rows: Array, columns: slice, factor: Array) -> None:
        """See State: by the parts, where they can."""
        if not self._engine.makes or name in self._edited:
            self.edit(name)[rows, columns] *= factor
            return
        shares = self._engine.rows
        mine = [(rows >= s.start) & (rows < s.stop) for s in shares]
        each = [(name, rows[m] - s.start, columns, factor[m]) for m, s in zip(mine, shares, strict=True)]
        self._engine.everywhere("scale", each)
        self._here.pop(name, None)

    @property
    def running(self) -> int:
        """Replicas that are not frozen."""
        if self._running is None:
            self._running = int(np.count_nonzero(np.asarray(self.status) == 0))
        return self._running

    def fetch(self, name: str) -> np.ndarray:
        """An array of the engine's, on the host."""
        self._read.add(name)
        if name not in self._here:
            self._bring({name} | self._habit)
        return self._here[name]

    def _bring(self, names: set[str]) -> None:
        """Arrays of all replicas from the parts, in one go."""
        if missing := sorted(names - self._here.keys()):
            self._here |= {n: read_only(value) for n, value in self._engine.fetch(missing).items()}

    def where(self) -> dict[str, Array]:
        """All arrays by name, on the host."""
        return super(ResidentState, self).arrays()

    def arrays(self) -> dict[str, Array]:
        """All arrays by name, on the host. Parts may begin anew from here, if they are lost."""
        read = self._read.copy()
        self._bring({*self._there})
        found = super().arrays()
        self._read = read
        self._engine.anchor({name: found[name] for name in self._there}, self.step, self.evaluations)
        return found

    def taken(self) -> dict[str, np.ndarray]:
        """Copies of the arrays that were edited, for the parts to take over."""
        edits = {name: np.array(self._here[name]) for name in self._edited}
        self._edited.clear()
        return edits

    def advanced(self, running: int) -> None:
        """The parts have advanced, and so many replicas run."""
        self.moved()
        self._running = running
        if self._read:
            self._habit, self._read = self._read, set()
