"""Every variable of every kind of store says its unit and what it means."""

import pytest
import xarray as xr
from move_runs import MOVES, spec

from gpu_thermo.run import sample

ALL = ["parameters", "predictions", "momenta", "log_likelihood"]


@pytest.mark.parametrize("kind", [None, *MOVES])
def test_every_variable_says_its_unit_and_meaning(kind: str | None) -> None:
    """In every group of every kind of store, coordinates too."""
    _all_said(sample(spec(MOVES[kind] if kind else None, keep=ALL)))


@pytest.mark.parametrize(
    "given",
    [
        {"data": {"name": "trig", "train": 40, "test": 10}, "model": {"hidden": [3, 3], "prior_sd": 1.0},
         "method": {"name": "adlala"}},
        {"data": {"name": "gap", "train": 40, "test": 0}, "model": {"hidden": 3, "prior_sd": 1.0},
         "method": {"name": "coolmomentum"}},
        {"target": {"name": "mixture", "preset": "two_modes"},
         "method": {"name": "langevin", "stepsize": [0.1] * 4 + [0.2] * 4}},
    ],
    ids=["classes", "regression", "potential"],
)  # fmt: skip
def test_every_variable_of_other_runs_too(given: dict) -> None:  # type: ignore[type-arg]
    run = {"replicas": 8, "steps": 60, "burn_in": 20, "thin": 10, "trace": 20}
    tree = sample(given | {"run": run})
    _all_said(tree)
    if "target" in given:
        assert tree["predictive"]["label"].to_numpy().tolist() == ["stepsize 0.1", "stepsize 0.2"]
        assert tree["predictive"]["stepsize"].to_numpy().tolist() == [0.1, 0.2]


def _all_said(tree: xr.DataTree) -> None:
    for group in tree.children:
        for name, values in tree[group].to_dataset().variables.items():
            assert values.attrs.get("units"), f"{group}/{name} has no units"
            assert len(values.attrs.get("long_name", "")) > 3, f"{group}/{name} has no long_name"
