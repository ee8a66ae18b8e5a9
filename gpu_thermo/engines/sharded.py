"""An engine made of engines: the replicas of one run shared out, each share with a device or a process of its own.

Streams are numbers of replicas and sums are taken by who looks at all of them, so that how replicas are cut changes no
bit. Whoever carries a share is a Part (parts.py).
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import SpecError
from ..state import Hyper, Reading, Recorded, Segment, State
from .base import Engine, Job, Start, own_arrays
from .parts import Arrays, Part, ThreadPart
from .resident import ResidentState, read_only, visit

Array = Any
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
        if len(found) == 1:
            return found[0]
        return np.concatenate([a if isinstance(a, np.ndarray) else a.get() for a in found])

    def head(self, count: int) -> "Spread":
        """The first rows alone."""
        kept = [i for i, s in enumerate(self.rows) if s.start < count]
        rows = tuple(slice(self.rows[i].start, min(self.rows[i].stop, count)) for i in kept)
        return Spread(rows, tuple(self.arrays[i][: count - self.rows[i].start] for i in kept))


def joined(parts: Sequence[Recorded], rows: Sequence[slice] = ()) -> Recorded:
    """The ring of all replicas, from those of the shares, whose rows are needed for what stands on devices."""
    found = Recorded.joined(parts, axis=1)
    if rows and (there := [part.there for part in parts if part.there is not None]) and len(there) == len(parts):
        found.there = tuple(Spread(tuple(rows), arrays) for arrays in zip(*there, strict=True))
    return found


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
