"""What shadow work and proposals keep in a state, and what is recorded of them (equations.md section 13)."""

from typing import Any, NamedTuple

import numpy as np

from ..method.words import Program
from ..state import Recorded

Array = Any

SUMS = "work_sums"
"""[R, 5] float64 in State.extra: proposals since the last recorded moment, their acceptance summed; those of finite
work, their work and its square summed."""
STATISTICS = ("acceptance", "shadow_work", "shadow_work_variance")
"""Fields of Recorded that stores keep."""
RECORDED = (*STATISTICS, "proposals")
"""All that is recorded of work."""


class Kept(NamedTuple):
    """An array of State.extra: its shape and type."""

    shape: tuple[int, ...]
    dtype: Any


def block_rows(program: Program) -> tuple[str, ...]:
    """Names of the arrays [R, P] of the state that the start of a proposal is made of."""
    if program.braces is None:
        return ()
    return ("position", "momentum", "gradient") if program.leading_gradient else ("position", "momentum")


def kept_arrays(program: Program, replicas: int, parameters: int, dtype: Any) -> dict[str, Kept]:
    """Arrays that are in State.extra where work is counted, all 0 at the start: beside SUMS, in braces, the state at
    the start of the proposal under way, the work of its forces so far, and its steps so far (0 at the end of a block).
    """
    out = {SUMS: Kept((replicas, 5), np.float64)}
    if program.braces is not None:
        out |= {f"block_{name}": Kept((replicas, parameters), dtype) for name in block_rows(program)}
        out |= {name: Kept((replicas,), np.float64) for name in ("block_energy", "block_work")}
        out["block_steps"] = Kept((replicas,), np.int64)
    return out


def is_kept(name: str) -> bool:
    """Whether an array of State.extra is one of these."""
    return name == SUMS or name.startswith("block_")


def open_record(recorded: Recorded, draws: int, replicas: int) -> None:
    """Room for what is recorded of work."""
    for name in RECORDED:
        setattr(recorded, name, np.full((draws, replicas), np.nan))


def write_record(recorded: Recorded, slot: int, rows: slice, sums: np.ndarray, running: np.ndarray) -> None:
    """What `sums` [r, 5] of some replicas amount to, at one recorded moment; NaN of those not `running` [r]."""
    count, accepted, finite, total, square = np.where(running[:, None], sums, np.nan).T
    with np.errstate(all="ignore"):
        mean = total / finite
        values = accepted / count, mean, np.maximum(square / finite - mean * mean, 0.0), count
    for name, value in zip(RECORDED, values, strict=True):
        getattr(recorded, name)[slot, rows] = value
