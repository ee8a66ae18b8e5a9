"""The main job, and what becomes of it when a key of it is changed."""

import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.spec.default import MAIN, default_spec
from gpu_thermo.spec.run import RunSpec


def test_is_a_posterior_that_tunes_itself():
    spec = default_spec()
    assert spec == RunSpec.from_dict(MAIN)
    assert (spec.run.tolerance, spec.model.prior_sd, spec.run.minibatch) == (0.05, 3.0, "full")
    assert spec.method.posterior_temperature["all"].value == 1.0


def test_a_key_changes_and_the_others_stay():
    spec = default_spec(["run.tolerance=0.02", "model.hidden=20"])
    assert spec.differing_fields(default_spec()) == ["model.hidden"]
    assert spec.run.tolerance == 0.02
    assert default_spec(["data.name=digits"]).data.name == "digits"
    assert MAIN["model"]["hidden"] == 50


@pytest.mark.parametrize("key", ["steps=70_000", "burn_in=40_000", "thin=1_000", "trace=500"])
def test_a_length_takes_the_place_of_the_tolerance(key):
    spec = default_spec([f"run.{key}"])
    assert spec.run.tolerance is None
    assert (spec.method.stepsize.value, spec.method.friction["all"].value) == (0.3, 0.03)
    with pytest.raises(SpecError, match="both given"):
        default_spec([f"run.{key}", "run.tolerance=0.1"])
