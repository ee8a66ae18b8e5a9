"""Every generated data set and every target given by a formula: what each row of DATASETS and TARGETS promises.

A row without a case here fails the first test.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from gpu_thermo.data import DATASETS
from gpu_thermo.data.sources import Generated
from gpu_thermo.streams import make_keys
from gpu_thermo.targets.base import Batch
from gpu_thermo.targets.options import TARGETS

FROZEN = json.loads((Path(__file__).parents[1] / "reference" / "data.json").read_text())
GENERATED = {name: row for name, row in DATASETS.items() if issubclass(row, Generated)}
FORMULAS = {
    "mixture": {"means": [[0.0, 1.0], [2.0, -1.0]], "sd": [0.8, 1.5], "weights": [0.3, 0.7]},
    "plane": {},
    "double_well": {"height": 2.0, "width": 1.3, "tilt": 0.2, "size": 3},
    "quartic": {"quartic": 0.5, "quadratic": -1.0, "size": 2},
    "harmonic": {"stiffness": [0.5, 3.0]},
}
REPLICAS = 6


def test_every_row_has_a_case():
    assert set(FROZEN) >= set(GENERATED), "freeze some values of the set in tests/reference/data.json"
    assert set(FORMULAS) == set(TARGETS) - {"custom"}


@pytest.mark.parametrize("model", [*DATASETS.values(), *TARGETS.values()], ids=lambda m: m.__name__)
def test_every_key_is_explained(model):
    """What `gpu-thermo datasets` and `gpu-thermo targets` print."""
    assert model.__doc__
    silent = [name for name, field in model.model_fields.items() if not field.description]
    assert set(silent) <= {"name", "dtype"}


# -- data --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GENERATED)
def test_a_set_depends_on_its_own_seed_alone(name):
    """Set d of several is the set of its seed; seeds differ; training points do not depend on the test set."""
    row = GENERATED[name]
    several = row(seeds=[5, 9], train=40, test=10).build()
    for d, seed in enumerate((5, 9)):
        alone = row(seed=seed, train=40, test=20).build()
        np.testing.assert_array_equal(several.x_train[d], alone.x_train[0])
        np.testing.assert_array_equal(several.y_train[d], alone.y_train[0])
        np.testing.assert_array_equal(several.x_test[d], alone.x_test[0, :10])
    assert (several.x_train[0] != several.x_train[1]).any(axis=1).all()


@pytest.mark.parametrize("name", GENERATED)
def test_points_are_finite_and_classes_even(name):
    data = GENERATED[name](train=400, test=10).build()
    assert np.isfinite(data.x_train).all()
    if data.task != "regression":
        assert set(np.bincount(data.y_train[0])) == {400 // len(data.classes)}


# -- formulas ----------------------------------------------------------------------------------------------------------


def made(name, **more):
    """The potential of a case, options, and positions inside its box."""
    options = TARGETS[name](**FORMULAS[name], **more)
    at = np.random.default_rng(3).uniform(-1.9, 1.9, (REPLICAS, options.coordinates))
    return options.build(), options, at


@pytest.mark.parametrize("name", FORMULAS)
def test_the_gradient_is_the_slope_of_the_energy(name):
    potential, _, at = made(name)
    for i in range(at.shape[1]):
        step = 1e-6 * (np.arange(at.shape[1]) == i)
        slope = (potential.energy(at + step) - potential.energy(at - step)) / 2e-6
        np.testing.assert_allclose(potential.gradient(at)[:, i], slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", FORMULAS)
def test_noise_is_addressed_and_absent_from_exact_answers(name):
    """Energy and gradient of an evaluation are those of the replica's own key, whoever else is there."""
    potential, _, at = made(name, gradient_noise_sd=0.3, energy_noise_sd=0.2)
    exact, _, _ = made(name)
    np.testing.assert_array_equal(potential.gradient(at), exact.gradient(at))
    seeds, streams = np.full(REPLICAS, 4, np.uint64), np.arange(REPLICAS, dtype=np.uint64)
    energy, gradient = potential.energy_and_gradient(at, Batch(None, np.arange(REPLICAS), make_keys(seeds, streams), 7))
    assert (gradient != exact.gradient(at)).all()
    assert (energy != exact.energy(at)).all()
    last = slice(REPLICAS - 1, None)
    alone = potential.energy_and_gradient(at[last], Batch(None, np.arange(1), make_keys(seeds[last], streams[last]), 7))
    np.testing.assert_array_equal(alone[0], energy[last])
    np.testing.assert_array_equal(alone[1], gradient[last])


@pytest.mark.parametrize("name", FORMULAS)
def test_starts_belong_to_the_replica(name, dtype):
    """Addressed, in the box, in the precision asked for."""
    _, options, _ = made(name, start_sd=1.0)
    seeds, streams = np.full(REPLICAS, 4, np.uint64), np.arange(REPLICAS, dtype=np.uint64)
    start = options.initial_position(make_keys(seeds, streams), dtype)
    assert start.dtype == dtype
    assert options.box is None or abs(start).max() <= options.box
    alone = options.initial_position(make_keys(seeds[2:3], streams[2:3]), dtype)
    np.testing.assert_array_equal(alone[0], start[2])
