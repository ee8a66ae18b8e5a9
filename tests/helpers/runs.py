"""A small run, longer ones in processes of their own, and stores compared."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.store import open_run, read_checkpoint, read_header

SMALL = {
    "data": {"name": "spirals", "turns": 1, "train": 60, "test": 30, "seeds": [0, 1]},
    "model": {"hidden": 6},
    "method": {"name": "adlala", "temperature": 1e-4},
    "run": {"replicas": 10, "steps": 600, "burn_in": 120, "thin": 20, "trace": 50, "batch": 10},
}


def changed(**sections: dict) -> dict:
    """SMALL with some keys changed."""
    return {name: {**section, **sections.get(name, {})} for name, section in SMALL.items()}


def differences(one: Path, other: Path) -> list[str]:
    """Variables whose values differ between two runs, the checkpoint's state included; times are not compared."""
    a, b = open_run(one), open_run(other)
    out = [f"groups {sorted(set(a.children) ^ set(b.children))}"] if set(a.children) != set(b.children) else []
    for group in a.children:
        for name in a[group].variables:
            x, y = a[group][name].to_numpy(), b[group][name].to_numpy()
            if not np.array_equal(x, y, equal_nan=x.dtype.kind == "f"):
                out.append(f"{group}/{name}")
    one_state, other_state = read_checkpoint(one).state, read_checkpoint(other).state
    assert one_state is not None
    assert other_state is not None
    ours, theirs = one_state.arrays(), other_state.arrays()
    out += [f"state/{k}" for k in ours if not np.array_equal(ours[k], theirs[k], equal_nan=ours[k].dtype.kind == "f")]
    return out + (
        []
        if one_state.step == other_state.step and one_state.evaluations == other_state.evaluations
        else ["state/step"]
    )


CHILD = """
import json, sys
from gpu_thermo.run import resume, sample
from gpu_thermo.errors import GpuThermoError
from pathlib import Path
path = Path(sys.argv[1])
try:
    spec, options = json.loads(sys.argv[2]), {"engine": sys.argv[3], "commit_seconds": 0.02}
    options["on_progress"] = lambda progress: print("running", flush=True)
    resume(path, **options) if path.exists() else sample(spec, path, **options)
except GpuThermoError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""


def child(path: Path, engine: str, spec: dict[str, Any] | None = None) -> subprocess.Popen:
    """A process that starts the run, or resumes it."""
    import json

    command = [sys.executable, "-c", CHILD, str(path), json.dumps(spec or LONGER[engine]), engine]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


LONGER = {
    "batched": changed(run={"steps": 6_000, "thin": 20}),
    "fused": changed(run={"steps": 1_200_120, "thin": 5_000, "trace": 20_000}),
}
"""Runs of some seconds on each engine."""
ENDLESS = {
    "batched": changed(run={"steps": 60_000_120, "thin": 200_000, "trace": 1_000_000}),
    "fused": changed(run={"steps": 1_200_000_120, "thin": 5_000_000, "trace": 20_000_000}),
}
"""Runs of hours, which somebody stops."""
NEEDS_COMPILER = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
ON_EACH_ENGINE = pytest.mark.parametrize("engine", ["batched", pytest.param("fused", marks=NEEDS_COMPILER)])


def wait_for_start(path: Path, process: subprocess.Popen) -> None:
    """Until the store is there."""
    while not path.exists() and process.poll() is None:
        time.sleep(0.005)


def committed(path: Path) -> int:
    """Steps the store holds."""
    return read_header(path).step if path.exists() else 0


def wait_for_progress(path: Path, process: subprocess.Popen) -> None:
    """Until the process has committed more steps than there were."""
    before = committed(path)
    while committed(path) <= before and process.poll() is None:
        time.sleep(0.002)
