"""Inside the runs: weights over time, kinetic temperatures."""

from pathlib import Path

import numpy as np
import pytest
from figure_cases import STUDY

from gpu_thermo.study import run_study
from gpu_thermo_analysis.paper import inside

# -- inside the runs ---------------------------------------------------------------------------------------------------


def test_weights_over_time(tmp_path: Path):
    """Every draw at its step, all units of all runs; quantiles of what was kept."""
    study = run_study(
        STUDY
        | {
            "grid": {"method": [{"name": "sgd"}, {"name": "adlala"}]},
            "run": STUDY["run"] | {"thin": 100},
            "study": {"keep": True},
        }
        | {"method": {"name": "sgd"}},
        tmp_path / "s.zarr",
    )
    assert inside.draw_steps(study, 1).tolist() == [100, 200, 300]
    values = inside.pooled(study, 1)
    assert {name: v.shape for name, v in values.items()} == {"w1": (3, 72), "b1": (3, 36), "w2": (3, 36)}
    drawn = inside.weight_distributions(study)
    last = next(row for row in drawn.rows if row[:3] == ("adlala", "w1", 300))
    assert last[6] == pytest.approx(float(np.median(study["w1"].to_numpy()[6:, -1])))
    rms = float(np.sqrt((values["b1"][-1] ** 2).mean()))
    assert rms == pytest.approx(float(np.sqrt((study["rms_b1"].to_numpy()[6:] ** 2).mean())), rel=1e-5)


def test_kinetic_temperatures(tmp_path: Path):
    """Full gradients at high friction are as hot as asked; a hundredfold wrong temperature is seen; layers by name."""
    methods = [
        {"name": "langevin", "stepsize": 0.1, "temperature": 1e-4, "friction": 10.0},
        {"name": "lala", "stepsize": 0.1, "temperature": {"hidden": 1e-2, "output": 1e-4}, "friction": 10.0},
    ]
    run = {"steps": 2000, "minibatch": "full", "trace": 20}
    study = run_study(STUDY | {"grid": {"method": methods}, "run": run, "method": {"name": "sgd"}}, tmp_path / "s.zarr")
    found = inside.temperature_ratios(study)
    assert list(found) == [("langevin", "all"), ("lala", "hidden"), ("lala", "output")]
    for values in found.values():
        assert abs(values.mean() - 1) < 5 * values.std(ddof=1) / 6**0.5 + 0.01
    wrong = study.assign_coords(temperature_hidden=study["temperature_hidden"] / 100)
    assert inside.temperature_ratios(wrong)["lala", "hidden"].mean() > 50
    assert len(inside.kinetic_temperatures(study).rows) == 3 * 100
