"""Options of targets: built, read back, refused; starts."""

import numpy as np
import pytest
from potential_cases import OPTIONS
from pydantic import ValidationError
from scipy import stats

from gpu_thermo.errors import SpecError
from gpu_thermo.streams import Purpose, make_keys, normals
from gpu_thermo.targets.analytic.mixture import GaussianMixture
from gpu_thermo.targets.analytic.plane import Plane
from gpu_thermo.targets.analytic.wells import DoubleWell, Harmonic, Quartic
from gpu_thermo.targets.options import TARGETS

# -- options --------


@pytest.mark.parametrize(
    ("given", "kind", "start"),
    [
        ({"name": "mixture", "means": [1, 2]}, GaussianMixture, {"start_sd": 1.0}),
        (
            {"name": "mixture", "means": [[1, 2], [3, 4]], "sd": [[1, 2], [3, 4]], "start": [0, 0]},
            GaussianMixture,
            {"start": [0.0, 0.0]},
        ),
        (
            {"name": "mixture", "preset": "two_narrow", "dtype": "float32", "start_sd": 3},
            GaussianMixture,
            {"start_sd": 3.0},
        ),
        ({"name": "mixture", "preset": "twenty_five"}, GaussianMixture, {"start_range": 10.0}),
        ({"name": "plane", "energy_noise_sd": 0.32}, Plane, {"start": [2.0, 2.0]}),
        ({"name": "double_well", "height": 4, "size": 3}, DoubleWell, {"start_sd": 1.0}),
        ({"name": "quartic", "quadratic": -1, "start_range": 2}, Quartic, {"start_range": 2.0}),
        ({"name": "harmonic", "stiffness": [1, 2, 4]}, Harmonic, {"start_sd": 1.0}),
        ({"name": "harmonic", "size": 5, "gradient_noise_sd": 0.1}, Harmonic, {"start_sd": 1.0}),
    ],
)
def test_options_build_and_read_back(given, kind, start):
    options = OPTIONS.validate_python(given)
    potential = options.build()
    assert type(potential) is kind
    assert potential.layout.size == options.coordinates
    assert potential.gradient_noise_sd == given.get("gradient_noise_sd", 0)
    assert potential.energy_noise_sd == given.get("energy_noise_sd", 0)
    assert potential.bounds == options.box
    assert dict(options.start_in_force) == start
    written = options.model_dump()
    assert None not in written.values()
    assert OPTIONS.validate_python(written) == options
    assert type(options) is TARGETS[given["name"]]
    assert options.__doc__


def test_presets():
    """The published mixtures."""
    preset = lambda name: TARGETS["mixture"](preset=name).build()  # noqa: E731
    for name, (left, right) in {"two_modes": ((-6, 1), (4, 1)), "two_narrow": ((-4, 0.7), (3, 0.5))}.items():
        q = np.linspace(-8, 8, 41)[:, None]
        density = 0.4 * stats.norm.pdf(q, *left) + 0.6 * stats.norm.pdf(q, *right)
        np.testing.assert_allclose(np.exp(-preset(name).energy(q)), density[:, 0], rtol=1e-12)
    many = preset("twenty_five")
    assert sorted(map(tuple, many.means)) == [(x, y) for x in range(-4, 5, 2) for y in range(-4, 5, 2)]
    np.testing.assert_allclose(many.sd**2, 0.03)
    np.testing.assert_allclose(many.weights, 0.04)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"name": "mixture"}, "needs means, or a preset: two_modes"),
        ({"name": "mixture", "preset": "two_modes", "sd": 1}, "both given"),
        ({"name": "mixture", "means": [1, 2], "weights": [0.4, 0.5]}, "divide each by 0.9"),
        ({"name": "mixture", "means": [1, 2], "weights": [1.0]}, "for 2 means"),
        ({"name": "mixture", "means": [1, 2], "sd": 0}, "greater than 0"),
        ({"name": "mixture", "means": [1, 2], "sd": [1, -1]}, "sd = -1 must be above 0"),
        ({"name": "mixture", "means": [[1, 2], [3]]}, "equal length"),
        ({"name": "mixture", "means": [1, 2], "start": [1, 2]}, "2 numbers for 1 coordinates"),
        ({"name": "plane", "start": [0, 0], "start_sd": 1}, r"start = \[0.0, 0.0\] and start_sd = 1.0: give one"),
        ({"name": "plane", "start": [3, 0]}, r"start at 3, outside the box of \+-2.5"),
        ({"name": "plane", "start_range": 4}, "outside the box"),
        ({"name": "plane", "gradient_noise_sd": float("nan")}, "finite"),
        ({"name": "harmonic", "stiffness": [1, 2], "size": 3}, "2 values for size = 3"),
        ({"name": "quartic", "size": 2**21}, "less than or equal"),
        ({"name": "double_well", "hight": 1}, "Extra inputs"),
        ({"name": "donut"}, "does not match any of the expected tags"),
    ],
)
def test_bad_options(given, message):
    with pytest.raises(ValidationError, match=message):
        OPTIONS.validate_python(given)


def test_custom_holds_no_code():
    options = OPTIONS.validate_python({"name": "custom", "size": 3, "label": "ring"})
    with pytest.raises(SpecError, match=r"'ring' is custom.*pass potential="):
        options.build()
    assert options.initial_position(make_keys([1, 1], [0, 1])).shape == (2, 3)


def test_starts(dtype):
    """Normals and uniforms at purpose 0 by the replica's identity, in any company; given starts as they are; clipped to
    the box.
    """
    keys = make_keys(np.full(4000, 9), np.arange(4000))
    wide = TARGETS["double_well"](size=5, start_sd=2.0)
    drawn = wide.initial_position(keys, dtype)
    assert (drawn.shape, drawn.dtype) == ((4000, 5), dtype)
    assert (
        drawn == dtype(2) * normals(keys, np.arange(2, dtype=np.uint64), Purpose.POSITION, 0, dtype=dtype)[:, :5]
    ).all()
    assert (wide.initial_position(make_keys([9, 9], [17, 3]), dtype) == drawn[[17, 3]]).all()
    even = TARGETS["mixture"](preset="twenty_five").initial_position(keys, dtype)
    assert stats.kstest(even.ravel(), stats.uniform(-10, 20).cdf).pvalue > 1e-4
    assert (TARGETS["plane"]().initial_position(keys, dtype) == 2).all()
    boxed = TARGETS["plane"](start_sd=2.0).initial_position(keys, dtype)
    assert abs(boxed).max() == 2.5
    assert TARGETS["plane"](dtype="float32").initial_position(keys).dtype == np.float32
