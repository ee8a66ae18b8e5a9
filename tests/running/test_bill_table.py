"""The memory bill against what runs of many kinds take at their peak, each in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHILD = """
import json, sys
from pathlib import Path
from gpu_thermo.run import sample
spec, engine, store = json.loads(sys.argv[1])
bills = []
sample(spec, store, engine=engine, on_plan=bills.append)
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(json.dumps([bills[0].memory, int(peak.split()[1]) * 1024]))
"""
SPIRALS = {"name": "spirals", "turns": 1, "train": 100, "test": 100}
LANGEVIN = {"name": "langevin", "stepsize": 0.02, "temperature": 1e-3, "friction": 1.0}


def net(hidden: int | list[int], replicas: int, steps: int, thin: int, data: Any = SPIRALS, **more: Any) -> dict:
    """A network's run without burn-in."""
    run = {"replicas": replicas, "steps": steps, "burn_in": 0, "thin": thin, **more.pop("run", {})}
    return {"data": data, "model": {"hidden": hidden, **more.pop("model", {})}, "run": run, "method": LANGEVIN, **more}


def well(replicas: int, size: int, steps: int, thin: int, **more: Any) -> dict:
    """A potential's run without burn-in."""
    run = {"replicas": replicas, "steps": steps, "burn_in": 0, "thin": thin}
    return {"target": {"name": "harmonic", "size": size}, "method": {**LANGEVIN, "stepsize": 0.5}, "run": run, **more}


MANY = {**SPIRALS, "train": 2000, "test": 20_000}
TABLE = {
    "tiny": (net(6, 16, 400, 20), "fused", True),
    "narrow, many replicas, fused": (net(2, 200_000, 8, 4), "fused", True),
    "narrow, many replicas, batched": (net(2, 200_000, 8, 4), "batched", True),
    "parameters alone": (net(2, 200_000, 8, 4, run={"keep": ["parameters"]}), "fused", True),
    "nothing kept": (net(2, 200_000, 8, 4, run={"keep": []}), "batched", True),
    "medical, batched": (net(20, 2048, 40, 10, {"name": "breast_cancer"}), "batched", True),
    "wide, few replicas": (net(3000, 64, 8, 4, {"name": "digits"}, run={"batch": 10}), "batched", True),
    "wide, fused": (net(1000, 256, 20, 10), "fused", True),
    "deep": (net([64, 64], 512, 20, 10), "batched", True),
    "many draws": (net(4, 16, 10_000, 1), "fused", True),
    "many points": (net(10, 256, 20, 10, MANY), "fused", True),
    "all points at once": (net(50, 128, 10, 5, MANY, run={"minibatch": "full"}), "batched", True),
    "potential": (well(100_000, 10, 8, 4), "batched", True),
    "a ladder": (well(100_000, 10, 8, 4, moves=[{"kind": "exchange", "rungs": 4, "hottest": 4.0, "interval": 4}]),
                 "batched", True),
    "in memory": (net(20, 4096, 400, 10), "fused", False),
}  # fmt: skip
"""Spec, engine, whether there is a store."""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peaks are read from /proc")
@pytest.mark.parametrize("name", TABLE)
def test_the_bill_is_within_a_fifth_of_the_peak(name: str, tmp_path: Path) -> None:
    """Run with -s for the table."""
    spec, engine, stored = TABLE[name]
    what = json.dumps([spec, engine, str(tmp_path / "run.zarr") if stored else None])
    done = subprocess.run([sys.executable, "-c", CHILD, what], stdout=subprocess.PIPE, text=True, check=True)
    terms, peak = json.loads(done.stdout.splitlines()[-1])
    total = sum(terms.values())
    parts = ", ".join(f"{term} {size / 1e6:.0f}" for term, size in terms.items())
    print(f"\n| {name} | {total / 1e6:.0f} | {peak / 1e6:.0f} | {total / peak:.2f} | {parts} |")
    assert total == pytest.approx(peak, rel=0.2)
