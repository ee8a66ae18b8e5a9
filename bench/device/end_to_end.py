"""Whole runs with default recording beside JAX on the same device and cells: AdLaLa, d 20 and d 100."""

import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .. import peers
from ..cases import spirals
from ..common import adapted
from ..contenders import Ours
from .rates import free, rate

Report = dict[str, Any]
_FULL = [(spirals(100, 20), 10**5), (spirals(20, 25), 10**5), (spirals(100, 20), 10**3), (spirals(20, 25), 10**3)]
CELLS = {"full": _FULL, "quick": _FULL[:2], "tiny": [(spirals(8, 10), 8)]}
CONTENDERS = ("fused", "recorded", "jax_tuned", "jax_rbg", "batched", "jax_threefry")
"""`recorded` is the command `sample` with its defaults for what is kept; the others record nothing."""
SECONDS = {"full": 4.0, "quick": 2.0, "tiny": 0.2}
THIN = {"full": 2_000, "quick": 2_000, "tiny": 20}
"""Steps between draws."""


def configurations(size: str) -> Iterator[tuple[Any, int, str]]:
    """Sizes and contenders, the promised ones first."""
    for names in (CONTENDERS[:3], CONTENDERS[3:]):
        for case, replicas in CELLS[size]:
            for name in names:
                if not (name.startswith("jax") and find_spec("jax") is None):
                    yield case, replicas, name


def recorded(case: Any, replicas: int, device: str, known: float, size: str) -> Report:
    """`sample` to a store with what it keeps by default, for as many intervals between draws as take SECONDS."""
    from gpu_thermo.run import sample

    thin = THIN[size]
    steps = thin * max(2, round(known * SECONDS[size] / replicas / thin))
    tree = case.tree(replicas)
    tree["run"] = {"replicas": replicas, "batch": case.batch, "steps": steps, "burn_in": 0, "thin": thin, "trace": thin}
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        sample(tree, Path(folder) / "run.zarr", device=device, engine="fused").close()
        elapsed = time.perf_counter() - begin
        written = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file())
    return {
        "rate": steps * replicas / elapsed,
        "seconds": elapsed,
        "steps": steps,
        "draws": steps // thin,
        "bytes": written,
    }


def one(case: Any, replicas: int, name: str, device: str, known: float, size: str) -> Report:
    """One contender at one size; `known` is the rate of the kernel, once it was measured."""
    begin, seconds = time.perf_counter(), SECONDS[size]
    if name == "recorded":
        return recorded(case, replicas, device, known, size)
    if name.startswith("jax"):
        peer = peers.make(name, case, replicas)
        first = time.perf_counter() - begin
        return {"first_seconds": first, "rate": adapted(peer.advance, replicas, seconds / 8)()}
    ours = Ours(case, replicas, name, device)
    first = time.perf_counter() - begin
    found = rate(ours, device, seconds / 16, 3)
    return {"first_seconds": first, "rate": found["rate"] * found["seconds"] / found["wall_seconds"]}


def end_to_end(device: str, size: str, until: float) -> Iterator[Report]:
    """One report a configuration, as long as time lasts, with its ratio to the fused engine's on the same cell."""
    kernel: dict[tuple[str, int], float] = {}
    for case, replicas, name in configurations(size):
        if time.monotonic() > until:
            return
        cell = case.name, replicas
        report: Report = {"case": case.name, "replicas": replicas, "contender": name}
        try:
            report |= one(case, replicas, name, device, kernel.get(cell, 1e5), size)
        except Exception as trouble:  # out of memory in one must not end the part
            report |= {"why": f"{type(trouble).__name__}: {trouble}"[:1500]} | ({} if "jax" in name else {"ok": False})
        if name == "fused" and "rate" in report:
            kernel[cell] = report["rate"]
        if "rate" in report and cell in kernel:
            report["fused_over_this"] = kernel[cell] / report["rate"]
        free(device)
        yield report
