"""What every benchmark shares: interleaved timing, the machine's description, the result file."""

import json
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from gpu_thermo.engines.batched import cores

RESULTS = Path(__file__).parent / "results"


def interleave(contenders: Mapping[str, Callable[[], float]], pairs: int) -> dict[str, list[float]]:
    """Run all contenders in turn, `pairs` times; each returns its own figure (higher is better). One unrecorded round first."""
    out: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(pairs + 1):
        for name, run in contenders.items():
            figure = run()
            if i:
                out[name].append(figure)
    return out


def rate(work: float, run: Callable[[], Any]) -> Callable[[], float]:
    """A contender that reports `work` per second."""

    def timed() -> float:
        begin = time.perf_counter()
        run()
        return work / (time.perf_counter() - begin)

    return timed


def summary(figures: list[float]) -> dict[str, float]:
    """Median and range."""
    return {"median": statistics.median(figures), "lowest": min(figures), "highest": max(figures), "runs": len(figures)}


def ratios(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median and range of the pairwise ratios ours / theirs."""
    return summary([a / b for a, b in zip(ours, theirs, strict=True)])


def machine() -> dict[str, Any]:
    """Processor, cores, system and package versions."""
    name = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []:
        if line.startswith("model name"):
            name = line.split(":", 1)[1].strip()
            break
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    vector = next((f for f in ("avx512f", "avx2", "avx") if f in flags), "none")
    packages = {}
    for package in ("numpy", "jax", "torch", "blackjax", "cupy-cuda13x"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": name,
        "vector": vector,
        "cores": cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
        **packages,
    }


def save(name: str, result: Mapping[str, Any]) -> Path:
    """Write bench/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    stamped = {"machine": machine(), "date": datetime.now(UTC).isoformat(timespec="seconds"), **result}
    path.write_text(json.dumps(stamped, indent=1) + "\n")
    print(f"written: {path}")
    return path
