"""Shadow work, and proposals that are accepted or rejected, in array code (equations.md section 13); the fused engine's
are in kernels/work.h.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..method.operations import operation
from ..method.words import Program, Substep
from ..state import State
from ..streams import Keys, Purpose, words
from .work import SUMS, block_rows

Array = Any


@dataclass
class Proposals:
    """The work of some replicas, step by step, and the fate of their proposals.

    Parameters
    ----------
    program : what a step does. state : the replicas, changed in place. block : [r] int64, Hyper.block. keys : who
        draws. xp : the array library. square_sum : p.p [r] of rows [r, n], in float64.

    Attributes
    ----------
    tau : [r] the temperature in force, NaN where partitions have not one above 0.
    """

    program: Program
    state: State
    block: Array
    keys: Keys
    xp: Any
    square_sum: Any
    tau: Array = None
    _kinetic: Array = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Nothing under way."""
        self._rows = block_rows(self.program)
        self._none = self.xp.zeros(self.block.shape, bool)
        self._inside = self._none

    def begin_step(self) -> None:
        """From here on the work of a step is counted."""
        self._before = self.state.energy
        self._work = self.xp.zeros(self.block.shape)

    def open(self) -> None:
        """The brace: a proposal begins where none is under way and the energy is a number to compare with."""
        s, xp = self.state, self.xp
        under_way = s.extra["block_steps"] > 0
        fresh = (self.block > 0) & ~under_way & xp.isfinite(s.energy)
        self._inside = under_way | fresh
        for name in self._rows:
            kept = s.extra[f"block_{name}"]
            kept[...] = xp.where(fresh[:, None], getattr(s, name), kept)
        for name, value in (("block_energy", s.energy), ("block_work", 0.0)):
            s.extra[name][...] = xp.where(fresh, value, s.extra[name])

    def counted(self, action: Any, substeps: Sequence[Substep], views: Sequence[Array]) -> Any:
        """`action` of neighbouring `substeps`, with its work; `views` are the operands of the one with work of its
        own.
        """
        records = [operation(s.operation) for s in substeps]
        own = [r.work.act for r in records if r.work is not None and r.work.act is not None]
        if own:
            return self._turning(action, own[0], views)
        if any(r.work is not None and r.work.kinetic for r in records):
            return self._kicking(action)
        return action if all(r.drifts and not r.normals for r in records) else self._heating(action)

    def _kicking(self, action: Any) -> Any:
        """`action`, with the kinetic energy it brings counted as work."""

        def act(*values: Array) -> None:
            """... of each replica, whose p.p is kept for what follows."""
            before = self.square_sum(self.state.momentum) if self._kinetic is None else self._kinetic
            action(*values)
            self._kinetic = self.square_sum(self.state.momentum)
            self._work += (self._kinetic - before) / 2

        return act

    def _turning(self, action: Any, work: Any, views: Sequence[Array]) -> Any:
        def act(*values: Array) -> None:
            self._work += self.tau * work(*views, *values)
            action(*values)

        return act

    def _heating(self, action: Any) -> Any:
        def act(*values: Array) -> None:
            self._kinetic = None
            action(*values)

        return act

    @property
    def wants_energy(self) -> Array:
        """[r] whose U must be known at the end of this step: plain replicas, and those whose proposal ends."""
        if self.program.braces is None:
            return ~self._none
        return ~self._inside | self._ending

    @property
    def _ending(self) -> Array:
        return self._inside & (self.state.extra["block_steps"] + 1 >= self.block)

    def close(self, step: int) -> None:
        """The other brace, or the end of a plain step: count the work of what ended, and undo what is rejected."""
        s, xp, e = self.state, self.xp, self.state.extra
        if self.program.braces is None:
            self._count(self._work, self._before, s.status == 0)
            return
        ending = self._ending
        s.energy = xp.where(ending | ~self._inside, s.energy, self._before)
        e["block_work"] += xp.where(self._inside, self._work, 0.0)
        whole, start = (
            xp.where(self._inside, e["block_work"], self._work),
            xp.where(self._inside, e["block_energy"], self._before),
        )
        chance = self._count(whole, start, (s.status == 0) & (ending | ~self._inside))
        e["block_steps"][...] = xp.where(self._inside & ~ending, e["block_steps"] + 1, 0)
        self._undo(ending & (s.status == 0) & ~(self._uniform(step) < chance))

    def _count(self, forces: Array, start: Array, ended: Array) -> Array:
        """Add the works w [r] that `ended`, of `forces` and of flights from U = `start`, to the sums; returns
        min(1, exp(-w / tau)), 0 where w is no number.
        """
        xp, w = self.xp, forces + (self.state.energy - start)
        finite = xp.isfinite(w)
        safe = xp.where(finite, w, 0.0)
        chance = xp.where(finite, xp.exp(-xp.maximum(safe, 0.0) / self.tau), 0.0)
        sums = self.state.extra[SUMS]
        for i, value in enumerate((1.0, chance, finite, safe, safe * safe)):
            sums[:, i] += xp.where(ended, value, 0.0)
        return chance

    def _uniform(self, step: int) -> Array:
        """[r] the uniforms that decide at the end of `step`."""
        word = words(self.keys, self.xp.zeros(1, np.uint64), Purpose.ACCEPTANCE, step)[0][:, 0]
        return (word.astype(np.float64) + 0.5) * 2.0**-32

    def _undo(self, back: Array) -> None:
        s, xp = self.state, self.xp
        for name in self._rows:
            start, now = s.extra[f"block_{name}"], getattr(s, name)
            now[...] = xp.where(back[:, None], -start if name == "momentum" else start, now)
        s.energy = xp.where(back, s.extra["block_energy"], s.energy)
        self._kinetic = None

    def spare(self, freeze: Any) -> None:
        """`freeze` replicas that are no longer finite, but not those in the middle of a proposal, which is rejected."""
        if self.program.braces is None:
            freeze()
            return
        status, spared = self.state.status, self.state.extra["block_steps"] > 0
        mark = (spared & (status == 0)).astype(status.dtype)
        status -= mark
        freeze()
        status += mark
