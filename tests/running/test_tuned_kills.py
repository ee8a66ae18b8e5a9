"""kill -9 in every phase of a run that tunes itself: what is gone on with ends as one that was never killed, bit for
bit, and with the same course.
"""

import os
import random
from pathlib import Path
from typing import Any

import pytest
from kill_children import server, tune_on
from runs import NEEDS_COMPILER, differences
from tuned_cases import well

from gpu_thermo import sample
from gpu_thermo.store import read_header
from gpu_thermo.tuning.course import ADAPTATION, BURN_IN, DESCENT, FALL, LADDER, PHASES, SAMPLING

KILLS = int(os.environ.get("GPU_THERMO_TUNED_KILLS", "5"))
"""In each phase."""
NETWORK = {
    "data": {"name": "spirals", "turns": 1, "train": 60, "test": 32},
    "model": {"hidden": 6, "activation": "tanh", "prior_sd": 2.0},
    "method": {"name": "langevin", "posterior_temperature": 1.0},
    "run": {"replicas": 64, "tolerance": 0.015},
}
LADDERED = {"moves": [{"kind": "exchange", "hottest": 0.04}], "run": {"replicas": 32, "tolerance": 0.025}}
FALLING = {"run": {"replicas": 32, "tolerance": 0.1, "path": "falling", "max_steps": 4_000}}
ORDINARY = (DESCENT, ADAPTATION, BURN_IN, SAMPLING)
CASES = {
    "batched": (well(2, tolerance=0.025), "batched", ORDINARY),
    "fused": (NETWORK, "fused", ORDINARY),
    "a ladder": (NETWORK | LADDERED, "fused", (DESCENT, ADAPTATION, LADDER, BURN_IN, SAMPLING)),
    "falling": (NETWORK | FALLING, "fused", (DESCENT, FALL, SAMPLING)),
}
"""Spec, engine, and the phases in which it is killed; draws of the window that ends burn-in count, and more follow."""


def course(path: Path) -> dict[str, Any]:
    return read_header(path).attributes["tuning"]["course"]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["batched", *(pytest.param(c, marks=NEEDS_COMPILER) for c in list(CASES)[1:])])
def test_kills_in_every_phase_lose_nothing(case: str, tmp_path: Path) -> None:
    spec, engine, phases = CASES[case]
    sample(spec, tmp_path / "whole.zarr", engine=engine, threads=1)
    cut, context, rng = tmp_path / "cut.zarr", server(), random.Random(case)
    for i, phase in enumerate(p for p in phases for _ in range(KILLS)):
        heard = context.Value("q", -1)
        child = context.Process(target=tune_on, args=(str(cut), spec, engine, heard, 5 + i % 3))
        child.start()
        while child.exitcode is None and heard.value < PHASES.index(phase):
            child.join(0.001)
        child.join(rng.expovariate(50))
        assert child.exitcode is None, "it ended before it was killed: make it longer"
        child.kill()
        child.join()
    last = context.Value("q", -1)
    ended = context.Process(target=tune_on, args=(str(cut), spec, engine, last, 400))
    ended.start()
    ended.join(120)
    assert ended.exitcode == 0
    assert differences(tmp_path / "whole.zarr", cut) == []
    assert course(tmp_path / "whole.zarr") == course(cut)
    assert any(line.get("counted") for line in course(cut)["log"]) or case == "falling"
