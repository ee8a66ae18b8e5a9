"""Replica-steps per second on a device: fused, batched and JAX, d 20, 100, 500, R from a thousand to a million,
memory.
"""

import time
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from gpu_thermo.cost import count, total
from gpu_thermo.running.speed import measured_peak, timed_segments

from .. import peers
from ..cases import Case, spirals
from ..common import adapted
from ..contenders import Ours

GRID = {
    False: [(20, 25, (10**3, 10**4, 10**5, 10**6)), (100, 20, (10**3, 10**4, 10**5, 10**6)),
            (500, 20, (10**3, 10**4, 10**5))],
    True: [(20, 25, (10**3, 10**5)), (100, 20, (10**4,))],
}  # fmt: skip
TINY = [(8, 10, (32,))]


def configurations(device: str, quick: bool) -> Iterator[tuple[Case, int, str]]:
    """Sizes and contenders, the promised ones first."""
    grid = TINY if device == "cpu" else GRID[quick]
    for name in ("fused", "jax_threefry", "jax_rbg", "jax_tuned", "batched"):
        for hidden, batch, counts in grid:
            for replicas in counts:
                if name.startswith("jax") and find_spec("jax") is None:
                    continue
                yield spirals(hidden, batch), replicas, name


def one(case: Case, replicas: int, name: str, device: str, seconds: float) -> dict[str, Any]:
    """One contender at one size."""
    out: dict[str, Any] = {"case": case.name, "replicas": replicas, "contender": name}
    begin = time.perf_counter()
    if name.startswith("jax"):
        peer = peers.make(name, case, replicas)
        out |= {
            "first_seconds": time.perf_counter() - begin,
            "rate": adapted(peer.advance, replicas, seconds / 3)(),
            "memory": _jax_memory(),
        }
    else:
        ours = Ours(case, replicas, name, device)
        out["first_seconds"] = time.perf_counter() - begin
        rates = timed_segments(ours.engine, ours.state, seconds)
        out |= {
            "rate": sorted(rates)[len(rates) // 2],
            "operations": total(count(ours.job)).operations,
            "memory": _memory(ours, device),
        }
    if out["memory"]:
        out["memory_per_replica"] = out["memory"] / replicas
    return out


def _memory(ours: Ours, device: str) -> float:
    """Bytes held: CuPy's pool, or the state on the CPU."""
    if device == "cpu":
        return float(sum(a.nbytes for a in ours.state.arrays().values()))
    import cupy

    return float(cupy.get_default_memory_pool().total_bytes())


def _jax_memory() -> float | None:
    import jax

    stats = jax.devices()[0].memory_stats()
    return float(stats["bytes_in_use"]) if stats else None


def _free(device: str) -> None:
    if device != "cpu":
        import cupy

        cupy.get_default_memory_pool().free_all_blocks()


def run(device: str, quick: bool, until: float) -> Iterator[dict[str, Any]]:
    """The peak, then one report a configuration, as long as time lasts."""
    peak, how = measured_peak(device)
    yield {"contender": "peak", "rate": peak, "by": how}
    seconds = 0.1 if device == "cpu" else 1.5
    for case, replicas, name in configurations(device, quick):
        if time.monotonic() > until:
            return
        try:
            report = one(case, replicas, name, device, seconds)
            if "operations" in report:
                report["fraction_of_peak"] = report["rate"] * report["operations"] / peak
        except Exception as trouble:  # out of memory at the largest sizes must not end the sweep
            report = {
                "case": case.name,
                "replicas": replicas,
                "contender": name,
                "why": f"{type(trouble).__name__}: {trouble}"[:500],
            }
        _free(device)
        yield report
