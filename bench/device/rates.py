"""Replica-steps per second of the kernels alone: states that stay on the device, nothing recorded, timed by events.

R 1e3 to 1e6 at one hidden layer of 20 and 100 units, and at 4 x 16.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from gpu_thermo.cost import count, total
from gpu_thermo.running.speed import measured_peak

from ..contenders import Ours
from .facts import PROMISED

Report = dict[str, Any]
_FULL = [
    ("d20_B25", 10**5), ("d100_B20", 10**5), ("d20_B25", 10**3), ("d100_B20", 10**3), ("4x16_B128", 10**4),
    ("4x16_B128", 10**3), ("d20_B25", 10**4), ("d100_B20", 10**4), ("d20_B25", 10**6), ("d100_B20", 10**6),
]  # fmt: skip
GRID = {"full": _FULL, "quick": _FULL[:4], "tiny": [("d20_B25", 8)]}
"""Cases and replicas, the most telling first."""
SECONDS, TRIES = 0.2, 5
"""A measured segment takes about so long; so many of them."""


def clock(device: str) -> Callable[[Callable[[], Any]], tuple[float, float]]:
    """What times a call: seconds between CUDA's events on its stream, and of wall time."""

    def by_host(work: Callable[[], Any]) -> tuple[float, float]:
        begin = time.perf_counter()
        work()
        return (elapsed := time.perf_counter() - begin), elapsed

    def by_events(work: Callable[[], Any]) -> tuple[float, float]:
        import cupy

        first, last = cupy.cuda.Event(), cupy.cuda.Event()
        begin = time.perf_counter()
        first.record()
        work()
        last.record()
        last.synchronize()
        return cupy.cuda.get_elapsed_time(first, last) / 1e3, time.perf_counter() - begin

    return by_host if device == "cpu" else by_events


def rate(ours: Ours, device: str, seconds: float = SECONDS, tries: int = TRIES) -> Report:
    """Median and range of the rate of segments that take about `seconds`, and their steps."""
    timed, steps = clock(device), 1
    while (found := timed(partial(ours.advance, steps))[0]) < seconds / 4:
        steps = max(steps + 1, int(steps * min(10.0, seconds / max(found, 1e-6))))
    steps = max(1, round(steps * seconds / found))
    times = [timed(partial(ours.advance, steps)) for _ in range(tries)]
    rates = [steps * ours.replicas / device_seconds for device_seconds, _ in times]
    return {
        "rate": statistics.median(rates), "lowest": min(rates), "highest": max(rates), "steps": steps,
        "seconds": statistics.median(t[0] for t in times), "wall_seconds": statistics.median(t[1] for t in times),
    }  # fmt: skip


def rates(device: str, size: str, until: float) -> Iterator[Report]:
    """The peak, then one report a case, as long as time lasts."""
    peak, how = measured_peak(device, product=8192 if size != "tiny" else 64)
    yield {"case": "peak", "peak": peak, "by": how}
    for name, replicas in GRID[size]:
        if time.monotonic() > until:
            return
        try:
            ours = Ours(PROMISED[name], replicas, "fused", device)
            report = rate(ours, device, SECONDS if size != "tiny" else SECONDS / 20)
            report["fraction_of_peak"] = report["rate"] * total(count(ours.job)).operations / peak
        except Exception as trouble:  # out of memory at the largest sizes must not end the part
            report = {"ok": False, "why": f"{type(trouble).__name__}: {trouble}"[:1500]}
        yield {"case": name, "replicas": replicas, "contender": "fused", **report}
        ours = None
        free(device)


def free(device: str) -> None:
    """Give CuPy's unused memory back."""
    if device != "cpu":
        import cupy

        cupy.get_default_memory_pool().free_all_blocks()
        cupy.get_default_pinned_memory_pool().free_all_blocks()
