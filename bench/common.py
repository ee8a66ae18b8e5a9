"""What every benchmark shares: contenders, interleaved timing, the machine's description, the result file."""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gpu_thermo.engines.base import cores

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("GPU_THERMO_BENCH_DATA", "data"))
"""Data that are not in this repository: a folder with `tabular`, `pbp` and `mnist` in it."""
PACKAGES = ("numpy", "jax", "torch", "blackjax", "cupy-cuda13x", "cupy-cuda12x")


def interleave(contenders: Mapping[str, Callable[[], float]], pairs: int) -> dict[str, list[float]]:
    """Run all contenders in turn, `pairs` times; each returns its own figure (higher is better). One unrecorded round
    first.
    """
    out: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(pairs + 1):
        for name, run in contenders.items():
            figure = run()
            if i:
                out[name].append(figure)
    return out


def timed(run: Callable[[], Any]) -> float:
    """Seconds that `run` takes."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def rate(work: float, run: Callable[[], Any]) -> Callable[[], float]:
    """A contender that reports `work` per second."""
    return lambda: work / timed(run)


def adapted(advance: Callable[[int], int], replicas: int, seconds: float) -> Callable[[], float]:
    """Replica-steps per second of `advance(steps)`, which returns the steps it did, with as many steps as take about
    `seconds`.

    The number of steps is found once, here, on a warm contender, and kept.
    """
    steps = 1
    while True:
        begin = time.perf_counter()
        steps = advance(steps)
        elapsed = time.perf_counter() - begin
        if elapsed >= seconds / 3:
            break
        steps = max(steps + 1, int(steps * min(10.0, seconds / max(elapsed, 1e-6))))
    steps = max(1, round(steps * seconds / elapsed))

    def figure() -> float:
        start = time.perf_counter()
        done = advance(steps)
        return done * replicas / (time.perf_counter() - start)

    return figure


def summary(figures: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(figures), "lowest": min(figures), "highest": max(figures), "runs": len(figures)}


def ratios(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median and range of the pairwise ratios ours / theirs."""
    return summary([a / b for a, b in zip(ours, theirs, strict=True)])


def machine() -> dict[str, Any]:
    """Processor, cores, system and package versions."""
    info = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in info.splitlines() if line.startswith("model name")]
    packages = {}
    for package in PACKAGES:
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "vector": next((f for f in ("avx512f", "avx2", "avx") if f in info), "none"),
        "cores": cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **packages,
    }


def save(name: str, result: Mapping[str, Any], folder: Path = RESULTS) -> Path:
    """Write bench/results/NAME.json."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    stamped = {"machine": machine(), "date": datetime.now(UTC).isoformat(timespec="seconds"), **result}
    path.write_text(json.dumps(stamped, indent=1) + "\n")
    print(f"written: {path}")
    return path


def human(number: float) -> str:
    """12.3 k, 4.56 M: three digits and a unit."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(number) >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.3g}"
