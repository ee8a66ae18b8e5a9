"""What the batched engine asks of an array library for one block of replicas; here for NumPy, in device.py for CuPy.

Arrays are [R, n_k] views of one partition (or [R, P] ranges of several), coefficients broadcast as [R, 1].
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ... import streams
from ...errors import Status
from ...method.letters import square_sum
from ...method.operations import operation
from ...method.record import Operation
from ...method.words import Program, Substep
from ...state import State
from ...streams import Keys, Purpose
from ..base import Batching

Array = Any
Action = Callable[..., None]


def noise_blocks(program: Program, lanes: np.ndarray) -> dict[int, tuple[np.ndarray, dict[int, np.ndarray]]]:
    """For each noise index: the Philox blocks to draw, and for each partition the columns of its parameters among their
    words.

    Partitions that draw at the same index share the call: lanes are global, so each block is drawn once.
    """
    users: dict[int, list[int]] = {}
    for s in program.substeps:
        if isinstance(s, Substep):
            for i in range(operation(s.operation).normals):
                users.setdefault(s.sub + i, []).extend(s.partitions)
    plan = {}
    for sub, partitions in users.items():
        lane = {k: lanes[program.partition.slices[k]] for k in partitions}
        blocks = np.unique(np.concatenate(list(lane.values())) // 4)
        columns = {k: np.searchsorted(blocks, lane[k] // 4) * 4 + lane[k] % 4 for k in partitions}
        plan[sub] = blocks.astype(np.uint64), columns
    return plan


def ranges(program: Program, partitions: Sequence[int]) -> list[slice]:
    """Columns of `partitions`, neighbours joined."""
    out: list[slice] = []
    for r in (program.partition.slices[k] for k in partitions):
        if out and out[-1].stop == r.start:
            out[-1] = slice(out[-1].start, r.stop)
        else:
            out.append(r)
    return out


def views(state: State, names: Sequence[str], columns: slice, k: int) -> list[Array]:
    """The arrays that records call `names`: views [R, n] of `columns`, xi [R, 1] of partition k."""
    own = {"q": state.position, "p": state.momentum, "g": state.gradient}
    return [
        state.thermostat[:, k : k + 1]
        if name == "xi"
        else (own[name] if name in own else state.extra[name])[:, columns]
        for name in names
    ]


class NumpyOperations:
    """Operations, noise and minibatches of one block of replicas as plain NumPy."""

    xp: Any = np

    def __init__(self, program: Program, lanes: np.ndarray, keys: Keys, dtype: Any) -> None:
        self._program, self._keys, self._dtype = program, keys, np.dtype(dtype).type
        self._plan = noise_blocks(program, lanes)
        self._drawn: dict[int, Array] = {}
        self._step = 0

    @staticmethod
    def share(first: Operation, second: Operation) -> bool:
        """Whether two neighbouring operations are bound together: never, as nothing is won."""
        return False

    def bind(self, substeps: Sequence[Substep], state: State) -> Action:
        """One substep of `state` as a function of its coefficients."""
        (substep,) = substeps
        record, k = operation(substep.operation), substep.partitions[0]
        where = [views(state, record.operands, c, k) for c in ranges(self._program, substep.partitions)]
        subs = range(substep.sub, substep.sub + record.normals)

        def act(*values: Array) -> None:
            """The operation on every partition, at the step that is under way."""
            noise = [self._noise(k, sub) for sub in subs]
            ticks = [self._dtype(number) for number in record.of_step(self._step)]
            for there in where:
                record.act(*there, *noise, *values, *ticks)

        return act

    def coefficient(self, value: Array, dtype: Any) -> Array:
        """A coefficient [1, R], or one number for all replicas, as operations take it."""
        return np.asarray(value, dtype).T

    def begin_step(self, step: int) -> None:
        """Noise asked for from now on belongs to `step`."""
        self._step = step
        self._drawn.clear()

    def _noise(self, k: int, sub: int) -> Array:
        """Standard normals [R, n_k] of partition k at noise index `sub`."""
        blocks, columns = self._plan[sub]
        if sub not in self._drawn:
            self._drawn[sub] = streams.normals(self._keys, blocks, Purpose.STEP, self._step, sub, self._dtype)
        return np.take(self._drawn[sub], columns[k], axis=1)

    def minibatch(self, batching: Batching, points: int, ordinal: int) -> Array | None:
        """Training-point indices [R, B] of gradient `ordinal`; None for all points."""
        if batching.mode == "full":
            return None
        return streams.minibatch(self._keys, batching.mode, points, batching.size, ordinal)

    def square_sum(self, p: Array) -> Array:
        """p.p [R] in float64."""
        return square_sum(p)

    def freeze(self, state: State, step: int) -> None:
        """Mark replicas that are no longer finite after `step`, with the cause, and fill them with NaN; the others are
        not touched.
        """
        s = state
        suspects = self._suspects((s.position, s.momentum, s.thermostat)) & (s.status == 0)
        if not suspects.any():
            return
        fresh = np.zeros(len(s.status), bool)
        for cause, array in (
            (Status.NONFINITE_THERMOSTAT, s.thermostat), (Status.NONFINITE_GRADIENT, s.gradient),
            (Status.NONFINITE_MOMENTUM, s.momentum), (Status.NONFINITE_POSITION, s.position),
        ):  # fmt: skip
            bad = ~np.isfinite(array).all(axis=-1) & suspects & (s.status == 0)
            s.status[bad] = cause
            fresh |= bad
        if fresh.any():
            s.frozen_step[fresh] = step + 1
            kept = (s.extra[name] for name in self._program.keeps)
            for array in (s.position, s.momentum, s.gradient, s.thermostat, s.energy, *kept):
                array[fresh] = np.nan

    def finish(self, state: State) -> None:
        """Whatever is put off to the end of a segment: nothing."""

    def _suspects(self, arrays: Sequence[Array]) -> Array:
        """Rows [R] whose sum over any of the arrays is not finite: all non-finite rows, and perhaps a few finite
        ones.
        """
        with np.errstate(all="ignore"):
            total = sum(a.sum(axis=-1, dtype=a.dtype).astype(np.float64) for a in arrays)
        return ~np.isfinite(total)
