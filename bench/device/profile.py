"""Nsight Compute's view of one launch of each promised kernel: rates of its units, stall reasons, instructions.

The reports stay as files beside the check's JSON: `NAME.ncu-rep`, and its table of instructions as text.
"""

import csv
import io
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Report = dict[str, Any]
CASES = {"d100_B20": (20_000, 50), "d20_B25": (40_000, 100), "4x16_B128": (10_000, 10)}
"""Replicas and steps of the launch that is looked at."""
KEPT = (
    "gpu__time_duration.sum", "smsp__inst_executed.sum", "smsp__cycles_active.avg", "sm__throughput.avg.pct",
    "smsp__issue_active.avg.pct", "smsp__issue_active.avg.per_cycle_active", "sm__warps_active.avg.pct",
    "gpu__compute_memory_throughput.avg.pct", "l1tex__throughput", "lts__throughput", "dram__bytes", "launch__",
    "smsp__average_warps_issue_stalled", "smsp__average_warp", "sm__inst_executed_pipe_", "smsp__thread_inst_executed",
    "smsp__inst_executed_pipe", "l1tex__data_bank", "sm__cycles_elapsed.avg",
    "smsp__warps_eligible", "smsp__warps_active",
)  # fmt: skip
"""Beginnings of the names of metrics that the JSON keeps."""


def run(command: list[str], seconds: float) -> tuple[int | None, str]:
    """A program's exit code and what it said; no code where it did not end in time."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=max(5.0, seconds), check=False)
    except subprocess.TimeoutExpired:
        return None, f"not done after {seconds:.0f} s"
    return done.returncode, done.stdout if done.returncode == 0 else (done.stdout + done.stderr)[-3000:]


def metrics(raw: str) -> dict[str, float | str]:
    """What `ncu --page raw --csv` prints, of its one launch: value by name, KEPT alone."""
    rows = list(csv.reader(io.StringIO(raw[max(0, raw.find('"ID"')) :])))
    if len(rows) < 3:
        return {}
    out: dict[str, float | str] = {}
    for name, text in zip(rows[0], rows[2], strict=False):
        if name.startswith(KEPT):
            try:
                out[name] = float(text.replace(",", ""))
            except ValueError:
                out[name] = text
    return out


def profile(device: str, size: str, until: float, folder: Path = Path()) -> Iterator[Report]:
    """One report a case: the metrics, and instructions executed for each replica-step."""
    tool = shutil.which("ncu")
    if tool is None or device == "cpu":
        yield {"case": "ncu", "why": "not on the PATH" if tool is None else "no GPU asked for"}
        return
    for name, (replicas, steps) in CASES.items():
        left = until - time.monotonic()
        if left < 10:
            return
        path = folder / f"{name}.ncu-rep"
        work = [sys.executable, "-m", "bench.device.launch", name, str(replicas), str(steps), "--device", device]
        options = ["--set", "full", "--kernel-name", "advance", "--launch-skip", "1", "--launch-count", "1"]
        code, said = run([tool, *options, "--clock-control", "none", "-f", "-o", str(path), *work], left)
        if code != 0 or not path.exists():
            yield {"case": f"ncu {name}", "why": said[-1500:] or "no report was written"}
            continue
        _, raw = run([tool, "--import", str(path), "--page", "raw", "--csv"], 30)
        _, source = run([tool, "--import", str(path), "--page", "source", "--csv"], 30)
        path.with_suffix(".sass.csv").write_text(source)
        found = metrics(raw)
        executed = found.get("smsp__inst_executed.sum")
        each = executed / (replicas * steps) if isinstance(executed, float) else None
        yield {"case": f"ncu {name}", "instructions_per_replica_step": each, "metrics": found, "report": path.name}
