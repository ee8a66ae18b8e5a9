"""The moves of one run as the run loop meets them: each asked in turn."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np

from ..state import Hyper, State
from .base import NEVER, Context, EnergiesOf, Move, MoveOptions
from .table import check_together

Moves = tuple[Move, ...]
Weigh = Callable[[np.ndarray, slice], np.ndarray]
"""(full-batch energies [r] of some replicas, their rows) -> logarithms [r] of their weights as draws."""


def make_moves(options: Sequence[MoveOptions], hyper: Hyper, context: Context) -> tuple[Moves, Hyper]:
    """The moves of a run, in their own order, and the hyperparameters it starts from.

    Raises
    ------
    SpecError
        Two moves that exclude each other, or one that does not fit the method.
    """
    check_together(options)
    context = replace(context, alone=len(options) < 2)
    moves = []
    for o in sorted(options, key=lambda o: o.order):
        move, hyper = o.make(hyper, context)
        moves.append(move)
    return tuple(moves), hyper


def names(moves: Moves) -> tuple[str, ...]:
    """Names of what each draw carries because of the moves; all but log_weight belong to the learning curves too."""
    return (*(name for m in moves for name in m.names), *(("log_weight",) if any(m.weighs for m in moves) else ()))


def about(moves: Moves) -> dict[str, tuple[str, str]]:
    """Units and meaning of what each draw carries because of the moves."""
    return {name: said for m in moves for name, said in m.about.items()}


def together(moves: Moves) -> int:
    """Neighbouring replicas whose draws on the target make one chain."""
    return max((m.together for m in moves), default=1)


def wander(moves: Moves) -> bool:
    """Whether replicas leave the target."""
    return any(m.wanders for m in moves)


def weighted(moves: Moves) -> bool:
    """Whether draws that count have unequal weights."""
    return any(m.weighted for m in moves)


def in_gradients(moves: Moves) -> Any:
    """What acts inside the step, for the job; None without."""
    return next((m.gradient for m in moves if m.gradient is not None), None)


def nbytes(moves: Moves, replicas: int) -> int:
    """Bytes of all their arrays."""
    shapes = [array for m in moves for array in m.arrays(replicas).values()]
    return sum(int(np.prod(shape)) * np.dtype(dtype).itemsize for shape, dtype in shapes)


def begin(moves: Moves, state: State) -> None:
    """Add their arrays to a state at step 0; those of a move inside the step are there already."""
    for m in moves:
        if m.gradient is None:
            m.begin(state)


def hyper(moves: Moves, state: State) -> Hyper | None:
    """Hyperparameters in force, None for the job's own."""
    return next((changed for m in moves if (changed := m.hyper(state)) is not None), None)


def next_stop(moves: Moves, step: int, next_draw: int) -> int:
    """The step at which the loop must look again: moves act between segments."""
    return min((m.next_stop(step, next_draw) for m in moves), default=NEVER)


def act(moves: Moves, state: State, energies: EnergiesOf) -> None:
    """Whatever is due after the step just done."""
    for m in moves:
        m.act(state, energies)


def weigh(moves: Moves, state: State) -> Weigh | None:
    """How draws of this moment are weighted, weights of several moves multiplied; None where all count alike."""
    weighing = [m for m in moves if m.weighs]
    if not weighing:
        return None
    return lambda energy, rows: reduce(np.add, [m.log_weight(state, energy, rows) for m in weighing])


def statistics(moves: Moves, state: State, step: int) -> dict[str, np.ndarray]:
    """Numbers [R] of the moment after `step`, weights aside."""
    return {name: value for m in moves for name, value in m.statistics(state, step).items()}


def outcomes(moves: Moves, state: State) -> dict[str, np.ndarray]:
    """What they came to for each independent part of the run, [R / together]."""
    return {name: value for m in moves for name, value in m.outcomes(state).items()}


def watched(moves: Moves, state: State) -> dict[str, np.ndarray]:
    """Further numbers [R], for pictures of every step."""
    return {name: value for m in moves for name, value in m.watched(state).items()}


def reports(moves: Moves, state: State) -> list[dict[str, Any]]:
    """A report of each move so far, as plain data."""
    return [m.report(state).to_dict() for m in moves]
