"""What the batched engine asks of an array library for one block of replicas; here for NumPy, in cupy_letters.py for
CuPy.

Arrays are [R, n_k] views of one partition (or [R, P] ranges of several), coefficients broadcast as [R, 1].
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import streams
from ...method import letters
from ...method.letters import LETTERS
from ...method.words import Program, Substep
from ...streams import Keys, Purpose
from ..base import Batching

Array = Any


def noise_blocks(program: Program, lanes: np.ndarray) -> dict[int, tuple[np.ndarray, dict[int, np.ndarray]]]:
    """For each noise index: the Philox blocks to draw, and for each partition the columns of its parameters among their
    words.

    Partitions that draw at the same index share the call: lanes are global, so each block is drawn once.
    """
    users: dict[int, list[int]] = {}
    for s in program.substeps:
        if isinstance(s, Substep) and (
            s.operation == "sgld" or (s.operation in LETTERS and LETTERS[s.operation].noise)
        ):
            users.setdefault(s.sub, []).extend(s.partitions)
    plan = {}
    for sub, partitions in users.items():
        lane = {k: lanes[program.partition.slices[k]] for k in partitions}
        blocks = np.unique(np.concatenate(list(lane.values())) // 4)
        columns = {k: np.searchsorted(blocks, lane[k] // 4) * 4 + lane[k] % 4 for k in partitions}
        plan[sub] = blocks.astype(np.uint64), columns
    return plan


class NumpyOperations:
    """Letters, updates, noise and minibatches of one block of replicas as plain NumPy."""

    xp: Any = np

    def __init__(self, program: Program, lanes: np.ndarray, keys: Keys, dtype: Any) -> None:
        self._keys, self._dtype = keys, np.dtype(dtype).type
        self._plan = noise_blocks(program, lanes)
        self._drawn: dict[int, Array] = {}
        self._step = 0

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

    def drift(self, theta: Array, p: Array, h: Array) -> None:
        """A."""
        letters.drift(theta, p, h)

    def kick(self, p: Array, gradient: Array, h: Array) -> None:
        """B."""
        letters.kick(p, gradient, h)

    def damp(self, p: Array, xi: Array, h: Array) -> None:
        """C."""
        letters.damp(p, xi, h)

    def diffuse(self, p: Array, k: int, sub: int, scale: Array) -> None:
        """D."""
        letters.diffuse(p, self._noise(k, sub), scale)

    def damp_diffuse(self, p: Array, xi: Array, k: int, sub: int, h: Array, scale: Array) -> None:
        """C, then D."""
        self.damp(p, xi, h)
        self.diffuse(p, k, sub, scale)

    def regulate(self, xi: Array, p: Array, rate: Array, target: Array) -> None:
        """E."""
        letters.regulate(xi, p, rate, target)

    def thermostat_exact(self, p: Array, xi: Array, k: int, sub: int, h: Array, scale: Array) -> None:
        """F."""
        letters.thermostat_exact(p, xi, self._noise(k, sub), h, scale)

    def ornstein_uhlenbeck(self, p: Array, k: int, sub: int, a: Array, root_v: Array) -> None:
        """O."""
        letters.ornstein_uhlenbeck(p, self._noise(k, sub), a, root_v)

    def descend(self, theta: Array, gradient: Array, h: Array) -> None:
        """SGD: theta += h G."""
        theta -= h * gradient

    def perturb(self, theta: Array, k: int, sub: int, scale: Array) -> None:
        """The noise of SGLD: theta += sqrt(2 h tau) R."""
        theta += scale * self._noise(k, sub)

    def heavy_ball(self, theta: Array, v: Array, gradient: Array, keep: Array, gain: Array, rate: Array) -> None:
        """Every momentum update: v = keep v + gain G; theta += rate v."""
        v *= keep
        v -= gain * gradient
        theta += rate * v

    def adam(self, theta: Array, m: Array, v: Array, gradient: Array, rate: Array, step: int) -> None:
        """Bias-corrected Adam, update number step + 1: .9, .999, 1e-8."""
        one, b1, b2 = self._dtype(1), self._dtype(0.9), self._dtype(0.999)
        m *= b1
        m += (one - b1) * gradient
        v *= b2
        v += (one - b2) * gradient * gradient
        correct1, correct2 = self._dtype(1 - 0.9 ** (step + 1)), self._dtype(1 - 0.999 ** (step + 1))
        theta -= rate * (m / correct1) / (np.sqrt(v / correct2) + self._dtype(1e-8))

    def square_sum(self, p: Array) -> Array:
        """p.p [R] in float64."""
        return letters.square_sum(p)

    def suspects(self, arrays: Sequence[Array]) -> Array:
        """Rows [R] whose sum over any of the arrays is not finite: all non-finite rows, and perhaps a few finite
        ones.
        """
        with np.errstate(all="ignore"):
            total = sum(a.sum(axis=-1, dtype=a.dtype).astype(np.float64) for a in arrays)
        return ~np.isfinite(total)
