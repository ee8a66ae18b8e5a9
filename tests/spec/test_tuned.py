"""What a spec may say beside run.tolerance."""

import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.spec.run import FREE, RunSpec

LANGEVIN = {"name": "langevin", "temperature": 1e-3}


def spec(method=None, **run):
    return {"method": LANGEVIN | (method or {}), "run": {"tolerance": 0.05} | run}


def test_reads_back_from_toml_and_json():
    found = RunSpec.from_dict(spec({"stepsize": "auto", "friction": "auto", "mass": "auto"}))
    assert RunSpec.from_toml(found.to_toml()) == found
    assert RunSpec.from_json(found.to_json()) == found
    assert found.run.steps == found.run.max_steps == 200_000
    assert found.run.minibatch == "full"
    assert not {"steps", "burn_in", "thin", "trace"} & found.to_dict()["run"].keys()
    assert RunSpec.from_dict(spec(batch=20)).run.minibatch == "subset"


def test_how_long_a_run_is_does_not_change_what_it_is():
    one, other = RunSpec.from_dict(spec()), RunSpec.from_dict(spec(tolerance=0.01, max_steps=5_000, max_time=60))
    assert one.fingerprint("") == other.fingerprint("")
    assert one.differing_fields(other) == []
    assert "max_time" in FREE


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        *((spec(**{key: 100}), f"{key} = 100 are both given") for key in ("steps", "burn_in", "thin", "trace")),
        ({"run": {"max_steps": 5_000}}, "give run.tolerance too"),
        ({"run": {"max_time": 5}}, "give run.tolerance too"),
        (spec(max_steps=10), "max_steps = 10"),
        (spec(tolerance=0), "tolerance = 0"),
        (spec(tolerance=2), "tolerance = 2"),
        (spec(replicas=8), "need 32 of them at least"),
        ({"method": LANGEVIN | {"stepsize": "auto"}}, "needs run.tolerance"),
        ({"method": LANGEVIN | {"friction": "auto"}}, "needs run.tolerance"),
        ({"method": {"name": "psgld"}, "run": {"tolerance": 0.05}}, "whole-step update"),
        (spec({"stepsize": [0.1, 0.2]}), "one ensemble of replicas alike"),
        (spec({"temperature": {"value": 1e-3, "schedule": "cosine"}}), "samples one law"),
        (spec() | {"moves": [{"kind": "exchange", "rungs": 2, "hottest": 1.0, "interval": 10}]}, "does not go with"),
        (spec(keep=["parameters", "momenta"]), "leave them out"),
        (spec({"word": "{BAOAB}", "block": 3}), "block = 3 is what"),
        (spec({"stepsize": "aut"}), r"method.stepsize = 'aut': .*'auto'"),
    ],
)
def test_contradictions_are_refused(tree, message):
    with pytest.raises(SpecError, match=message):
        RunSpec.from_dict(tree)


def test_the_entries_of_a_comparison_share_one_clock():
    from gpu_thermo.study.entries import ComparisonSpec

    tree = {"target": {"name": "harmonic"}, "run": {"tolerance": 0.05}, "entry": [{"label": "a", "method": LANGEVIN}]}
    with pytest.raises(SpecError, match=r"run\.tolerance|tolerance = 0\.05"):
        ComparisonSpec.from_dict(tree).plan()
