"""A run in the caller's hands: step through it, change it between two snapshots, stop when one likes.

What was changed, and after which step, is recorded, so that the same run can be made again.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..engines import Engine, Job
from ..errors import SpecError
from ..spec.run import RunSpec
from ..state import Snapshot, State
from .drive import raise_if_frozen
from .loop import Loop
from .network import NetworkSubject
from .setup import make_setup
from .subject import Setup

Make = Callable[[Job], Engine]


@dataclass(frozen=True)
class Change:
    """What was changed after `step`: keys of [method], all of [[moves]], weights of the training points, or several."""

    step: int
    method: Mapping[str, Any] = field(default_factory=dict)
    moves: Sequence[Mapping[str, Any]] | None = None
    weights: Any = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; what was not changed is left out."""
        weights = None if self.weights is None else np.asarray(self.weights).tolist()
        moves = None if self.moves is None else [dict(move) for move in self.moves]
        out = {"step": self.step, "method": dict(self.method) or None, "moves": moves, "weights": weights}
        return {name: value for name, value in out.items() if value is not None}


class Stepping(Iterator[Snapshot]):
    """An iterator over the snapshots of a run: one at every draw and point of the learning curves.

    `steps.change(stepsize=.05)` changes the run from its present step on, `steps.stop()` ends it, `steps.changes` is
    what was changed; `iterate(spec, changes=steps.changes)` is the same run again. A gradient that a word keeps for its
    next step is that of before the change.
    """

    def __init__(
        self, ready: Setup, make: Make, moments: RunningMoments, loop: Loop, threads: int | None,
        changes: Sequence[Change | Mapping[str, Any]] = (),
    ) -> None:  # fmt: skip
        self._make, self._moments, self._loop, self._threads = make, moments, loop, threads
        self._segments, self._stopped, self._spec = loop.segments(), False, ready.spec
        self._script = sorted((_change(c) for c in changes), key=lambda c: c.step)
        self._made: list[Change] = []
        self._pending: deque[Snapshot] = deque()

    @property
    def step(self) -> int:
        """Steps done."""
        return int(self._loop.state.step)

    @property
    def spec(self) -> RunSpec:
        """The spec in force."""
        return self._spec

    @property
    def changes(self) -> list[dict[str, Any]]:
        """What was changed so far, in order, as plain data."""
        return [change.to_dict() for change in self._made]

    def __next__(self) -> Snapshot:
        """The next snapshot.

        Raises
        ------
        StopIteration
            The run is complete, or was stopped.
        RunError
            Every replica is frozen.
        """
        while not self._stopped and not self._pending:
            while self._script and self._script[0].step <= self.step:
                self._apply(self._script.pop(0))
            moments = next(self._segments, None)
            if moments is None:
                raise_if_frozen(self._loop.state)
                break
            self._pending.extend(m.snapshot for m in moments)
        if self._stopped or not self._pending:
            raise StopIteration
        return self._pending.popleft()

    def stop(self) -> None:
        """End the run here: no further snapshot comes."""
        self._stopped = True

    def change(self, *, moves: Sequence[Mapping[str, Any]] | None = None, weights: Any = None, **method: Any) -> None:
        """Change the run from its present step on.

        Parameters
        ----------
        method : keys of [method] and their new values: stepsize, temperature, friction, ... Words, partitions and what
            is frozen stay.
        moves : all of [[moves]], in place of those in force.
        weights : of the training points, [N] or [D, N], in place of those of the data and of classes.

        Raises
        ------
        SpecError
            What the run cannot take, named. Nothing is changed then.
        """
        if not method and moves is None and weights is None:
            raise SpecError("change() was given nothing to change: give keys of [method], moves or weights.")
        self._apply(Change(self.step, method, moves, weights))

    def _apply(self, change: Change) -> None:
        """Carry a change out; the run is as it was where that is refused."""
        old = self._loop.setup
        if type(self._loop) is not Loop:
            raise SpecError("A run with a tolerance tunes itself and cannot be changed on the way: give steps instead.")
        spec = _changed(self._spec, change)
        subject = old.subject if change.weights is None else _weighted(old.subject, change.weights)
        ready = replace(make_setup(spec, subject), starts=old.starts)
        _check(old, ready)
        state = State.from_arrays(
            {name: np.array(value) for name, value in self._loop.state.arrays().items()}, self.step,
            self._loop.state.evaluations,
        )  # fmt: skip
        _fit(state, old, ready)
        self._loop = Loop.make(ready, self._make(ready.job), state, self._moments, self._threads, stops=True)
        self._segments, self._spec = self._loop.segments(), ready.spec
        self._made.append(replace(change, step=self.step))


def _change(given: Change | Mapping[str, Any]) -> Change:
    """A change from its plain data; SpecError for what is none."""
    if isinstance(given, Change):
        return given
    try:
        change = Change(**given)
    except TypeError as error:
        raise SpecError(f"{given!r} is no change ({error}): give those of the attribute `changes`.") from None
    if isinstance(change.step, bool) or not isinstance(change.step, int) or change.step < 0:
        raise SpecError(f"A change is after a step, and {change.step!r} is none: use a whole number from 0 on.")
    return change


_FIXED = {"name", "word", "partition", "freeze", "convention", "mass", "block", "every", "stepsize_ratio"}
"""Keys of [method] that make a program."""


def _changed(spec: RunSpec, change: Change) -> RunSpec:
    """The spec with a change; SpecError for what no change may touch."""
    fixed = sorted(
        {"name", "word", "partition", "freeze", "convention", "mass", "block", "every", "stepsize_ratio"}
        & set(change.method)
    )
    if fixed:
        raise SpecError(f"method.{fixed[0]} makes another run and cannot change on the way: start one with it.")
    if spec.run.equal_times and "stepsize" in change.method:
        raise SpecError(
            "run.equal_times makes each replica's steps of its stepsize, which so cannot change on the way."
        )
    tree = spec.to_dict()
    tree["method"] = {**tree["method"], **change.method}
    if change.moves is not None:
        tree["moves"] = [dict(move) for move in change.moves]
    return RunSpec.from_dict(tree)


def _weighted(subject: Any, weights: Any) -> NetworkSubject:
    """The subject with other weights of its training points."""
    if not isinstance(subject, NetworkSubject):
        raise SpecError("weights are of training points, and this run has none: leave them out.")
    data = subject.target
    try:
        values = np.broadcast_to(np.asarray(weights, np.float64), data.y_train.shape[:2])
    except (TypeError, ValueError):
        raise SpecError(
            f"weights have shape {np.shape(weights)} for {data.y_train.shape[1]} training points: give one for each."
        ) from None
    if not np.isfinite(values).all() or (values < 0).any() or not values.any(axis=1).all():
        raise SpecError("weights must be finite, none negative, and not all 0.")
    return subject.with_weights(np.array(values))


def _check(old: Setup, new: Setup) -> None:
    """SpecError where a change would make another run of it: other recorded steps, or other ensembles."""
    if not np.array_equal(old.ensemble, new.ensemble):
        raise SpecError("The change would put replicas in other ensembles: change them alike, or start another run.")
    if not np.array_equal(old.agenda.draw_steps, new.agenda.draw_steps):
        raise SpecError("The change of moves would move the draws: cyclical moves are begun with a run.")


def _fit(state: State, old: Setup, new: Setup) -> None:
    """Arrays of moves that are gone leave the state, those of new ones begin."""
    replicas = state.replicas
    before = {name: a for move in old.moves for name, a in move.arrays(replicas).items()}
    after = {name: a for move in new.moves for name, a in move.arrays(replicas).items()}
    if before == after and [m.kind for m in old.moves] == [m.kind for m in new.moves]:
        return
    for name in before:
        state.extra.pop(name, None)
    for move in new.moves:
        move.begin(state)
