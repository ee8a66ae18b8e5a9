"""What is chosen where nothing is said."""

import numpy as np
import pytest

from gpu_thermo.errors import DataError
from gpu_thermo.estimators import defaults
from gpu_thermo.estimators.inputs import dataset
from gpu_thermo.spec.run import RunSpec


def data(rows=40, inputs=4, classes=(), transform=None):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(rows, inputs))
    y = rng.integers(0, 2, rows) if classes else np.exp(x[:, :1])
    names = tuple(f"x{i}" for i in range(inputs))
    task = "binary" if classes else "regression"
    return dataset(task, x, y, None, names, classes, () if classes else ("y",), transform=transform)


def test_they_are_a_spec():
    for one in (data(), data(classes=("no", "yes"))):
        spec = RunSpec.from_dict({"data": {"name": "arrays"}, **defaults.sections(one, seed=3)})
        assert spec.model.layers == (defaults.UNITS,)
        assert spec.run.tolerance == 0.1
        assert spec.run.seed == 3
        assert (spec.model.prior_sd, spec.method.mass) == ("auto", "prior")


def test_the_noise_by_the_number_of_rows():
    assert defaults.likelihood("auto", data(299)) == "gaussian"
    assert defaults.likelihood("auto", data(300)) == "heteroscedastic"
    assert defaults.likelihood("auto", data(300, transform="log")) == "gaussian"
    assert defaults.likelihood("auto", data(classes=("no", "yes"))) is None
    assert defaults.likelihood("student_t", data()) == "student_t"


def test_work_is_bounded():
    """By rows, parameters and replicas, between the fewest and the most gradients."""
    fewest, most = defaults.GRADIENTS
    assert defaults.gradients(data(20), 50, 48) == most
    assert defaults.gradients(data(2_000), 5_000_000, 48) == fewest
    between = defaults.gradients(data(1_000), 1_000, 48)
    assert fewest < between < most
    assert between * 1_000 * 1_000 * 48 == pytest.approx(defaults.RATE * defaults.SECONDS, rel=0.02)
    asked = defaults.gradients(data(20), 50, 48, seconds=60)
    assert most < asked <= defaults.MOST_GRADIENTS


def test_too_many_inputs():
    with pytest.raises(DataError, match="3,000 inputs, and at most 2,000"):
        defaults.sections(data(inputs=3_000))
