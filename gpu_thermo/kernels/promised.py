"""Kernels whose speed is promised, and how many warp instructions they may execute for a replica-step (executed.py).

The record is what one version of NVRTC makes of the sources as they are: who makes a kernel better, or has a reason to
make it worse, writes down what `python -m gpu_thermo.kernels.check` then counts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

ARCH = "sm_90"
TOLERANCE = 0.03
"""Share by which a count may exceed its record."""
RECORD: dict[str, dict[str, float]] = {
    "13.0": {"d20_B25": 993, "d100_B20": 3341, "4x16_B128": 49491},
    "13.5": {"d20_B25": 901, "d100_B20": 3318, "4x16_B128": 48389},
}
"""By version of NVRTC, of each promised kernel."""


@dataclass(frozen=True)
class Promise:
    """A promised kernel: what differs from `kernels.check`'s standard row, and the points it draws its batches from."""

    row: Mapping[str, Any]
    points: int


PROMISES = {
    "d20_B25": Promise({"network": (2, 20, 32), "batch": 25}, 500),
    "d100_B20": Promise({"network": (2, 100, 32)}, 1000),
    "4x16_B128": Promise(
        {"network": (5, (16, 16, 16, 16), 32), "dynamics": "langevin", "partition": "all", "task": "regression",
         "activation": "silu", "prior": 1.0, "batch": 128}, 1202),
}  # fmt: skip
"""By name, as `bench.device` measures them."""


def most(name: str, nvrtc: str) -> float | None:
    """Instructions that a promised kernel may execute for a replica-step; None where there is no record."""
    found = RECORD.get(nvrtc, {}).get(name)
    return None if found is None else found * (1 + TOLERANCE)
