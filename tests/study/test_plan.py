"""What a study costs before it starts."""

from pathlib import Path

import pytest
from study_cases import SMALL, changed

from gpu_thermo.study import StudySpec, plan_study, run_study
from gpu_thermo.study import plan as study_plan
from gpu_thermo.study.parts import is_done
from gpu_thermo.study.work import make_work


def test_plan(small: Path):
    """The bill, and what is done already."""
    plan = plan_study(SMALL, small, base=Path.cwd())
    assert (plan.cells, plan.seeds, plan.runs, plan.ensembles, plan.shards, plan.done) == (3, 5, 15, 2, 2, 2)
    assert plan.replica_steps == 15 * 200
    assert plan.seconds == 0
    assert all(is_done(small, s) for s in make_work(StudySpec.from_dict(SMALL), Path.cwd(), "cpu", "auto").shards)


def test_planned_time_follows_the_arithmetic(monkeypatch: pytest.MonkeyPatch):
    """Known operations over a known peak; twice the steps take twice as long, and denser learning curves longer."""
    monkeypatch.setattr(study_plan.speed, "measured_peak", lambda device: (1e9, "given"))
    plain = changed(grid=None, method={"name": "sgd"}, run={"steps": 200, "batch": 10, "trace": 200})
    seconds = plan_study(plain, engine="fused").seconds
    step = (
        10 * (6 * (2 * 3 + 1 + 2 * 4 + 2) + 17 + 8) + 92 * 10 + 2 * 25
    )  # equations of cost.count at m 2, d 6, n 1, B 10
    passes = 80 * 6 * (2 * 3 + 1) / 200
    assert seconds == pytest.approx(5 * 200 * (step + passes) / 0.45e9)
    assert plan_study(
        plain | {"run": {"steps": 400, "batch": 10, "trace": 200}}, engine="fused"
    ).seconds == pytest.approx(2 * seconds)
    assert plan_study(plain | {"run": {"steps": 200, "batch": 10, "trace": 10}}, engine="fused").seconds > seconds


def test_disk_bill_of_kept_parameters(tmp_path: Path):
    """The bill counts the network's real parameters."""
    study = {"data": {"name": "digits"}, "model": {"hidden": 30}, "seeds": {"count": 8}}
    study |= {"run": {"steps": 20, "batch": 10, "burn_in": 0, "thin": 1}, "study": {"keep": True}}
    run_study(study, tmp_path / "s.zarr", engine="batched")
    stored = sum(path.stat().st_size for path in (tmp_path / "s.zarr").rglob("*") if path.is_file())
    assert plan_study(study, engine="batched").bytes == pytest.approx(stored, rel=0.1)
