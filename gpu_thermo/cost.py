"""Operation counts: arithmetic as the mathematics asks for it, whatever an implementation does.

A multiply-add is one instruction and two operations, everything else (sum, product, comparison, shift, exclusive or,
conversion, each half of a 32-bit product, root, quotient) is one of each. Records of operations and networks count with
this, so it imports nothing of the package: programs and targets say their own part of a step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Count:
    """Arithmetic: `fused` multiply-adds and `single` other operations."""

    fused: float = 0.0
    single: float = 0.0

    @property
    def operations(self) -> float:
        """A multiply-add is two."""
        return 2 * self.fused + self.single

    @property
    def instructions(self) -> float:
        """A multiply-add is one."""
        return self.fused + self.single

    def __add__(self, other: "Count") -> "Count":
        return Count(self.fused + other.fused, self.single + other.single)

    def __mul__(self, times: float) -> "Count":
        return Count(times * self.fused, times * self.single)


NORMAL = Count(11.5, 31.5)
"""One standard normal: a quarter of a Philox4x32-10 block (80 integer operations), half of a Box-Muller pair (log, sine
and cosine as polynomials, a root: 23 multiply-adds and 23 others)."""
_PERMUTED = Count(0, 92)
POINT = {
    "subset": _PERMUTED, "epoch": _PERMUTED, "symmetric": _PERMUTED, "replacement": Count(0, 21), "full": Count(),
}  # fmt: skip
"""One training point's index: six rounds of the keyed bijection, or a word of Philox and one product."""


def count(job: Any) -> dict[str, Count]:
    """Arithmetic of one replica-step of a Job by part: forward, backward, minibatch, normals, letters.

    Raises
    ------
    SpecError
        The job's target does not count its arithmetic.
    """
    points = job.target.points if job.batching.mode == "full" else job.batching.size
    points *= job.program.gradients_per_step
    letters, normals = job.program.arithmetic(job.scale is not None)
    return {
        **job.target.arithmetic(points), "minibatch": POINT[job.batching.mode] * points, "normals": NORMAL * normals,
        "letters": letters,
    }  # fmt: skip


def total(parts: Mapping[str, Count]) -> Count:
    """Sum over parts."""
    return sum(parts.values(), Count())


def operations(job: Any, points_seen: int, trace: int) -> float:
    """Operations of one replica-step of a Job that is looked at on `points_seen` points every `trace` steps; SpecError
    as for `count`.
    """
    return total(count(job)).operations + job.target.arithmetic(points_seen)["forward"].operations / trace
