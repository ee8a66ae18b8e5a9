"""Who carries a share of a run that is shared out: a thread of this process, with a GPU of its own, or somebody
elsewhere (running/workers.py); what is asked of them is a Runner's to do.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np

from ..state import Hyper, Reading, Recorded, Segment, State
from .base import Engine, Job, Start, own_arrays

Array = Any
Arrays = Mapping[str, np.ndarray]


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


def within(rows: slice, mine: slice) -> slice:
    """Numbers among all of the replicas `mine` of a share."""
    return slice(rows.start + mine.start, rows.start + mine.stop)
