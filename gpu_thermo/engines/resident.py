"""States that live on a device between segments: uploaded once, fetched array by array when somebody asks.

Reading an array of such a state copies it to the host unless it is there already; what is read may not be written.
Whoever changes it asks `State.edit` for it, and the next segment starts from the change.
"""

from collections import UserDict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from ..state import Hyper, Reading, Recorded, Segment, State
from .base import Engine, Start, own_arrays
from .gpu import cuda_errors, open_gpu

Array = Any


class ResidentState(State):
    """A state whose engine's arrays are on a device; those of moves are on the host.

    Parameters
    ----------
    state : what to upload, unless it is there. xp : the device's array library. place : makes the device current.
    """

    def __init__(self, state: State, xp: Any, place: Any) -> None:
        own = own_arrays(state)
        self._xp, self._place = xp, place
        with place:
            self._there = {name: _there(value, xp) for name, value in own.items()}
        self._begin(state, own)

    def _begin(self, state: State, own: Mapping[str, Array]) -> None:
        """What is on the host: copies of the engine's arrays, and those of moves."""
        self._here = {name: read_only(value) for name, value in own.items() if isinstance(value, np.ndarray)}
        self._edited: set[str] = set()
        self._running: int | None = None
        extra: Any = _Extra(self, {n: v for n, v in state.extra.items() if f"extra/{n}" not in own})
        self.extra, self.step, self.evaluations = extra, state.step, state.evaluations

    @property
    def replicas(self) -> int:
        """R."""
        return int(self._there["position"].shape[0])

    @property
    def running(self) -> int:
        """Replicas that are not frozen, counted on the device."""
        if self._running is None:
            with self._place:
                self._running = int(self._xp.count_nonzero(self._there["status"] == 0))
        return self._running

    def edit(self, name: str) -> Array:
        """See State: the array comes to the host, and goes back before the next segment."""
        if name not in self._there:
            return super().edit(name)
        if name not in self._edited:
            self._here[name] = self.fetch(name).copy()
            self._edited.add(name)
        return self._here[name]

    @property
    def dtype(self) -> Any:
        """Of positions."""
        return self._there["position"].dtype

    def look(self, name: str) -> Array:
        """See State: on the device, with what was edited taken over."""
        return self.where()[name]

    def scale(self, name: str, rows: Array, columns: slice, factor: Array) -> None:
        """See State: on the device, where only rows and factors go."""
        if name in self._edited:
            self.edit(name)[rows, columns] *= factor
            return
        with self._place:
            array, rows = self._there[name], self._xp.asarray(rows)
            array[rows, columns] = array[rows, columns] * self._xp.asarray(factor)
        self._here.pop(name, None)

    def fill(self, name: str, make: Callable[[Any, slice], Array]) -> None:
        """See State: on the device."""
        with self._place:
            self._there[name][...] = make(self._xp, slice(0, self.replicas))
        self._edited.discard(name)
        self._here.pop(name, None)

    def read(self, names: Iterable[str], function: Reading, rows: slice) -> np.ndarray:
        """See State: on the device, where the numbers come from."""
        first, last, _ = rows.indices(self.replicas)
        with self._place:
            arrays = self.where()
            found = function(self._xp, {name: arrays[name][first:last] for name in names}, slice(0, last - first))
            return np.asarray(found.get())

    def fetch(self, name: str) -> np.ndarray:
        """An array of the engine's, on the host."""
        if name not in self._here:
            self._here[name] = read_only(self.download(name))
        return self._here[name]

    def download(self, name: str) -> np.ndarray:
        """An array of the engine's, from where it lives."""
        with self._place:
            return self._there[name].get()

    def where(self) -> dict[str, Array]:
        """All arrays by name, the engine's on the device, with what was edited taken over."""
        with self._place:
            for name in self._edited:
                self._there[name].set(self._here[name])
        self._edited.clear()
        extra: Any = self.extra
        return {**self._there, **{f"extra/{n}": v for n, v in extra.data.items() if f"extra/{n}" not in self._there}}

    def rows(self, rows: slice) -> "ResidentState":
        """See State: on the device."""
        with self._place:
            return ResidentState(super().rows(rows), self._xp, self._place)

    def put(self, arrays: Mapping[str, Array], step: int, evaluations: int) -> None:
        """See State: on the device."""
        with self._place:
            for name, value in arrays.items():
                self._there[name][...] = value
        self._edited.clear()
        self.moved()
        self.step, self.evaluations = step, evaluations

    def moved(self, arrays: Mapping[str, Array] | None = None) -> None:
        """The engine has changed its arrays, or put others in their place: copies on the host are out of date."""
        self._there |= arrays or {}
        self._here.clear()
        self._running = None

    def give(self, state: State) -> None:
        """Copy the engine's arrays into `state`, in place, and the place in the run."""
        state.put({name: self.fetch(name) for name in own_arrays(state)}, self.step, self.evaluations)


def visit(engine: Engine, state: State, segment: Segment, hyper: Hyper | None) -> Recorded:
    """Engine.advance of a state that was not loaded: there and back."""
    there = engine.load(state)
    recorded = engine.advance(there, segment, hyper)
    assert isinstance(there, ResidentState)
    there.give(state)
    return recorded


def begun(device: str, replicas: int, make: Start) -> State:
    """The state that `make` makes on a device, or on the host."""
    if device == "cpu":
        return make(np, slice(0, replicas))
    xp, place = open_gpu(device)
    with place, cuda_errors(device, replicas, begun=False):
        return ResidentState(make(xp, slice(0, replicas)), xp, place)


def _there(value: Array, xp: Any) -> Array:
    return xp.asarray(np.ascontiguousarray(value)) if isinstance(value, np.ndarray) else value


def _fetched(name: str) -> property:
    return property(lambda self: self.fetch(name), doc=f"{name} of all replicas, on the host")


for _name in ("position", "momentum", "gradient", "thermostat", "energy", "status", "frozen_step"):
    setattr(ResidentState, _name, _fetched(_name))


class _Extra(UserDict[str, Array]):
    """`extra` of a state whose arrays are partly on a device."""

    def __init__(self, state: ResidentState, here: dict[str, Array]) -> None:
        self._state = state
        super().__init__(here)

    def __contains__(self, name: object) -> bool:
        return name in self.data or f"extra/{name}" in self._state._there

    def __getitem__(self, name: str) -> Array:
        return self.data[name] if name in self.data else self._state.fetch(f"extra/{name}")

    def __iter__(self) -> Any:
        own = (n.removeprefix("extra/") for n in self._state._there if n.startswith("extra/"))
        return iter([*self.data, *own])

    def __len__(self) -> int:
        return len(list(iter(self)))


def read_only(array: np.ndarray) -> np.ndarray:
    """A view of an array that nobody can write to."""
    view = array.view()
    view.flags.writeable = False
    return view
