"""The memory that a study asks for is about what its largest shard takes."""

import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from study_cases import changed

from gpu_thermo.study import StudySpec, plan_study
from gpu_thermo.study.launch import run_shard
from gpu_thermo.study.work import make_work

WIDE = {"data": {"name": "digits"}, "model": {"hidden": 60}, "seeds": {"count": 64}, "grid": None}
CASES: dict[str, dict[str, Any]] = {
    "state": WIDE | {"run": {"steps": 4, "batch": 5, "trace": 4}, "method": {"name": "adam", "stepsize": 0.01}},
    "kept": WIDE | {
        "run": {"steps": 10, "batch": 5, "trace": 10, "burn_in": 0, "thin": 1}, "study": {"keep": True},
        "method": {"name": "sgd", "stepsize": 0.01},
    },
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_shard_takes_what_was_planned(name: str) -> None:
    """Within a factor of two of what Python and NumPy ask for at the peak."""
    study = changed(**CASES[name])
    job = make_work(StudySpec.from_dict(study), Path.cwd(), "cpu", "batched")
    shard = max(job.shards, key=lambda s: s.runs)
    tracemalloc.start()
    try:
        run_shard(shard, "cpu", "batched", 1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    planned = shard.runs * job.groups[0].memory
    assert planned / 2 < peak < 2 * planned + 12e6


def test_a_plan_tells_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """More runs take more, and what is kept as well."""
    monkeypatch.setattr("gpu_thermo.study.bill.resident_memory", lambda: 2**28)
    small, large = (plan_study(changed(seeds={"count": n}, study={"shard": 4096})) for n in (5, 2000))
    assert 0 < small.memory_bytes - 2**27 < large.memory_bytes
    run = {"steps": 200, "batch": 10, "trace": 50, "burn_in": 0, "thin": 2}
    plain = changed(seeds={"count": 2000}, study={"shard": 4096}, run=run)
    kept = plan_study({**plain, "study": {"shard": 4096, "keep": True}})
    assert kept.memory_bytes - plan_study(plain).memory_bytes > 2000 * 100 * 25 * 4
