"""A study of a million runs: opened lazily, summarised and compared in bounded memory. The runs themselves are made
up.
"""

import json
import subprocess
import sys

import numpy as np
import pytest

from gpu_thermo.study import StudySpec, run_study, tuned
from gpu_thermo.study.launch import run_shard

RUNS = 1_000_000
SUMMARISE = """
import json, resource, sys
from gpu_thermo.study import comparisons, open_study, summaries
study = open_study(sys.argv[1])
opened = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
lazy = not any(study.variables[name]._in_memory for name in ("accuracy", "curve_accuracy") if name in study)
curves = [name for name in study if study[name].dims == ("chain", "step")]
table = summaries(study)
against = comparisons(study)
last = study[curves[0]].isel(chain=slice(0, 10)).to_numpy()
print(json.dumps({
    "opened": opened, "lazy": lazy, "runs": study.sizes["chain"],
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    "groups": {name: [s.count, s.mean] for name, s in table.items()}, "comparisons": len(against),
    "curves": len(curves), "finite": bool((last == last).all()),
}))
"""


@pytest.mark.slow
def test_a_million_runs_are_summarised_in_bounded_memory(tmp_path, monkeypatch):
    """Five methods x 200,000 seeds with learning curves of 20 points; the arrays of one real shard are repeated,
    accuracies drawn.
    """
    spec = StudySpec.from_dict(
        {
            "data": {"name": "spirals", "train": 20, "test": 10},
            "model": {"hidden": 4},
            "run": {"steps": 40, "batch": 5, "trace": 2},
            "grid": {"method.stepsize": [0.05, 0.1, 0.15, 0.2, 0.25]},
            "seeds": {"count": RUNS // 5},
        }
    )
    template = {}
    rng = np.random.default_rng(0)

    def made_up(shard, *rest):
        if not template:
            template.update(run_shard(shard, *rest))
        out = {"steps": template["steps"]}
        for name, values in template.items():
            if name != "steps":
                out[name] = np.resize(values, (shard.replicas, *values.shape[1:])) if values.ndim else values
        out["rows"] = shard.rows
        cell = shard.rows // (RUNS // 5)
        out["accuracy"] = (0.5 + 0.05 * cell + 0.1 * rng.normal(size=shard.replicas)).astype(template["accuracy"].dtype)
        return out

    monkeypatch.setattr(tuned, "run_shard", made_up)
    run_study(spec, tmp_path / "study.zarr")
    done = subprocess.run(
        [sys.executable, "-c", SUMMARISE, str(tmp_path / "study.zarr")], capture_output=True, text=True, check=True
    )
    found = json.loads(done.stdout)
    assert found["runs"] == RUNS
    assert found["lazy"]
    assert found["curves"] > 0
    assert found["finite"]
    assert found["opened"] < 2**30
    print(found["opened"] / 2**20, found["peak"] / 2**20)
    assert found["peak"] < 2 * 2**30, found
    assert found["comparisons"] == 10
    for k, (count, mean) in enumerate(found["groups"].values()):
        assert count == RUNS // 5
        assert mean == pytest.approx(0.5 + 0.05 * k, abs=2e-3)
