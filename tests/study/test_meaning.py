"""Every variable of a study has units and a meaning, whatever was studied."""

from pathlib import Path
from typing import Any

import pytest
import xarray as xr
from study_cases import changed

from gpu_thermo.study import open_study, run_study
from gpu_thermo.study.meaning import OWN, meaning

LADDER: dict[str, Any] = {
    "target": {"name": "double_well"}, "method": {"name": "langevin", "stepsize": 0.2, "temperature": 0.2},
    "run": {"steps": 60, "burn_in": 20, "thin": 10},
    "moves": [{"kind": "exchange", "rungs": 2, "hottest": 1.0, "interval": 5}],
    "grid": {"moves.exchange.interval": [5, 10]}, "seeds": {"count": 2},
}  # fmt: skip
TUNED = {**LADDER, "run": {"tolerance": 0.5, "replicas": 32, "max_steps": 1000}, "moves": [], "grid": {}}


def unnamed(found: xr.Dataset) -> list[str]:
    """Variables without units or a meaning of their own words."""
    return [
        str(n) for n, v in found.variables.items()
        if not v.attrs.get("units") or not v.attrs.get("long_name") or v.attrs["long_name"] == f"parameter {n}"
    ]  # fmt: skip


def test_of_networks(small: Path, tmp_path: Path) -> None:
    """As xarray opens the store, too; of an unfinished study as well."""
    assert unnamed(open_study(small)) == []
    assert unnamed(xr.open_zarr(small, consolidated=True)) == []
    kept = run_study(changed(study={"keep": True}), tmp_path / "s.zarr")
    assert unnamed(kept) == ["b1", "b2", "w1", "w2"]
    assert kept["w1"].attrs["long_name"] == "parameter w1"
    assert kept["initial_w1"].attrs["long_name"] == "parameter w1 at the start"


@pytest.mark.parametrize("study", [LADDER, TUNED], ids=["ladder", "tuned"])
def test_of_potentials(study: dict[str, Any], tmp_path: Path) -> None:
    assert unnamed(run_study(study, tmp_path / "s.zarr")) == []


def test_words() -> None:
    assert meaning("average_accuracy")["long_name"] == "test accuracy, of the averaged prediction"
    assert meaning("average_x")["long_name"] == "mean of coordinate x over the draws"
    assert meaning("curve_nll") == {"units": "nat", "long_name": f"{OWN['nll'][1]}, along step"}
    assert meaning("steps_to_99.5")["long_name"].endswith("of 99.5 %")
    assert meaning("friction_hidden")["long_name"] == "friction of partition hidden"
    assert meaning("run.batch")["units"] == "points"
    assert meaning("method.word")["long_name"] == "method.word of the cell's run"
