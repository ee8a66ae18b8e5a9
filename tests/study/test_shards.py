"""Shards are cut by what their runs cost."""

from pathlib import Path

import numpy as np
import pytest

from gpu_thermo.spec.run import RunSpec
from gpu_thermo.study import StudySpec
from gpu_thermo.study.work import make_work


def test_shards_are_cut_by_the_data_not_by_their_name(tmp_path: Path):
    """The digits under another name cost what they cost as digits; narrow data of the same kind are cheaper."""
    digits = RunSpec.from_dict({"data": {"name": "digits"}, "model": {"hidden": 50}}).data.build()
    np.savez(tmp_path / "same.npz", x=digits.x_train[0], y=digits.y_train[0])
    np.savez(tmp_path / "narrow.npz", x=digits.x_train[0, :, 20:22], y=digits.y_train[0])
    plain = {"model": {"hidden": 50}, "run": {"steps": 5_000, "batch": 10, "trace": 5_000}, "seeds": {"count": 400}}
    sizes, costs = [], []
    for data in ({"name": "digits"}, *({"name": "npz", "path": f"{name}.npz"} for name in ("same", "narrow"))):
        job = make_work(StudySpec.from_dict(plain | {"data": data}), tmp_path, "cpu", "batched")
        sizes.append(len(job.shards[0].rows))
        costs.append(job.groups[0].operations)
    assert costs[1] == pytest.approx(costs[0], rel=0.01)  # fewer points: a smaller pass over all for a learning curve
    assert costs[2] < costs[0] / 3
    assert sizes == [128, 128, 400]
