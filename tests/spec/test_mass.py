"""Masses as a spec writes them: every form, what is refused, and how they spread over parameters."""

import numpy as np
import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.spec.mass import scale_of
from gpu_thermo.spec.method import MethodSpec
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.targets.networks import MlpModel

MODEL = MlpModel(3, (4, 2), 1)
LAYOUT, FANS = MODEL.layout, MODEL.weight_fans


def spread(mass):
    return LAYOUT.split(scale_of(MethodSpec(name="langevin", mass=mass).mass, LAYOUT, FANS) ** -2.0)


def test_forms():
    """A number, fan_in, one for each parameter, and tables by tensor and layer, where the narrower name wins."""
    every = np.arange(1.0, LAYOUT.size + 1)
    assert all((part == 4).all() for part in map(np.round, spread(4).values()))
    np.testing.assert_allclose(LAYOUT.join(spread(every)), every)
    np.testing.assert_allclose(LAYOUT.join(spread(every.tolist())), every)
    table = spread({"w2": 7, "hidden": 5, "all": 2, "b1": [1, 2, 3, 4], "hidden2": "fan_in"})
    assert {name: part.ravel().round(9).tolist()[:1] for name, part in table.items()} == {
        "w1": [5], "b1": [1], "w2": [7], "b2": [1], "w3": [2], "b3": [2],
    }  # fmt: skip
    np.testing.assert_allclose(table["b1"], [1, 2, 3, 4])
    matrix = np.arange(1.0, 13).reshape(4, 3)
    np.testing.assert_allclose(spread({"w1": matrix})["w1"], matrix)


@pytest.mark.parametrize(
    ("mass", "message"),
    [
        (0, "mass = 0 must be finite and above 0"), (-1.0, "mass = -1 must"), (float("nan"), "mass = nan must"),
        ([1.0, float("inf")], r"mass = inf \(entry 1\) must"), ({"w1": [1, -2]}, r"mass of w1 = -2 \(entry 1\) must"),
        ({"w1": "auto"}, "mass of w1 = 'auto' is one of many: a run estimates all masses or none"),
        ("auto", r'mass = "auto" needs run.tolerance.* or numbers for mass'),
        ("fanin", "mass = 'fanin' is unknown: give a number above 0, one for each parameter, 'fan_in' or 'prior'"),
        ([], r"mass = \[\] is neither a number"), (True, "mass = True is neither"), ({}, "an empty table"),
        ([[1], [2, 3]], "is neither a number, nor numbers"), ({"w1": None}, "mass of w1 = None is neither a number"),
    ],
)  # fmt: skip
def test_what_no_mass_can_be(mass, message):
    with pytest.raises(SpecError, match=message):
        RunSpec.from_dict({"method": {"name": "langevin", "mass": mass}})


@pytest.mark.parametrize(
    ("mass", "message"),
    [
        ({"w9": 2}, r"method\.mass names 'w9', which is no tensor or layer\. Names: w1, b1, .*hidden"),
        ([1, 2], rf"method\.mass has 2 numbers for {LAYOUT.size} parameters: give one, or one for each"),
        ({"hidden1": [1, 2]}, r"method\.mass\.hidden1 has 2 numbers for 16 parameters"),
        (1e-40, "masses stand between 1e-30 and 1e30"),
    ],
)
def test_what_does_not_fit_the_network(mass, message):
    with pytest.raises(SpecError, match=message):
        spread(mass)
