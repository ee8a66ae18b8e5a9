"""Hyperparameters: temperatures converted in one place, and all spread over replicas and partitions."""

import numpy as np
import pytest
from setup_cases import N, build, hyper

from gpu_thermo.errors import SpecError
from gpu_thermo.method.schedules import Cooling, Linear

# -- lists over replicas -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0.1, 0.2], [0.1, 0.2, 0.1, 0.2]),
        ([0.1, 0.2, 0.3], [0.1, 0.2, 0.3, 0.1]),
        ({"values": [0.1, 0.2], "repeat": 2}, [0.1, 0.1, 0.2, 0.2]),
        ({"values": [0.3, 0.4], "repeat": 1}, [0.3, 0.4, 0.3, 0.4]),
        ({"values": [0.1, 0.2]}, [0.1, 0.2, 0.1, 0.2]),
        ({"values": [0.1], "repeat": 3}, [0.1, 0.1, 0.1, 0.1]),
    ],
)
def test_shorter_lists_are_taken_again_and_again(given, expected):
    np.testing.assert_array_equal(hyper({"name": "langevin", "stepsize": given}).stepsize, expected)
    by_partition = hyper({"name": "lala", "friction": {"hidden": given, "output": 1.0}}).friction
    np.testing.assert_array_equal(by_partition, np.column_stack([expected, np.ones(4)]))


def test_values_with_a_schedule():
    got = hyper({"name": "langevin", "stepsize": {"values": [0.1, 0.2], "repeat": 2, "schedule": "linear"}})
    np.testing.assert_array_equal(got.stepsize, [0.1, 0.1, 0.2, 0.2])
    assert isinstance(got.schedules["stepsize", 0], Linear)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"values": [0.1], "repeat": 0}, "repeat = 0 is no number of neighbouring replicas"),
        ({"values": [0.1], "repeat": True}, "repeat = True is no number"),
        ({"value": 0.1, "repeat": 2}, "repeat goes with a list of values in place of value"),
        ({"values": 0.1, "repeat": 2}, "repeat goes with a list of values"),
        ({"values": [], "repeat": 2}, "repeat goes with a list of values"),
        ({"repeat": 2}, "repeat goes with a list of values"),
    ],
)
def test_repeats_that_are_refused(given, message):
    with pytest.raises(SpecError, match=message):
        hyper({"name": "langevin", "stepsize": given})


# -- one place converts temperatures --------


def test_posterior_temperature_is_n_tau():
    got = hyper({"name": "langevin", "posterior_temperature": 1.0})
    np.testing.assert_array_equal(got.temperature, np.full((4, 1), 1 / N))
    mixed = hyper({"name": "lala", "posterior_temperature": {"hidden": [1, 2, 3, 4], "output": 0.5}})
    np.testing.assert_array_equal(mixed.temperature, np.array([[1, 0.5], [2, 0.5], [3, 0.5], [4, 0.5]]) / N)


def test_temperature_is_tau_itself():
    np.testing.assert_array_equal(hyper({"name": "langevin", "temperature": 1e-4}).temperature, np.full((4, 1), 1e-4))


def test_sigma_of_sgld_is_root_two_tau():
    np.testing.assert_array_equal(hyper({"name": "sgld", "sigma": 0.01}).temperature, np.full((4, 1), 0.01**2 / 2))
    np.testing.assert_array_equal(
        hyper({"name": "sgld", "sigma": [1, 2, 3, 4]}).temperature[:, 0], np.array([1, 4, 9, 16]) / 2
    )
    assert np.isnan(hyper({"name": "sgld", "sigma": 0.01}).sigma).all()


def test_schedules_survive_the_conversion():
    got = hyper({"name": "langevin", "posterior_temperature": {"value": 2.0, "schedule": "linear", "final": 0.5}})
    assert got.temperature[0, 0] == 2 / N
    assert got.schedules == {("temperature", 0): Linear(schedule="linear", final=0.5)}


# -- spreading --------


def test_each_partition_reads_what_its_word_uses():
    got = hyper(
        {"name": "adlala", "temperature": 1e-4, "sigma": 0.02, "epsilon": 0.05, "friction": 0.3, "thermostat": 0.7}
    )
    nan = np.nan
    for name, row in {
        "temperature": (1e-4, 1e-4), "sigma": (0.02, nan), "epsilon": (0.05, nan), "friction": (nan, 0.3),
        "thermostat": (0.7, nan),
        "momentum": (nan, nan),
    }.items():  # fmt: skip
        np.testing.assert_array_equal(getattr(got, name), np.tile(row, (4, 1)))


def test_specific_values_override_general_ones_in_any_order():
    for table in ({"all": 1e-4, "hidden": 2e-4}, {"hidden": 2e-4, "all": 1e-4}):
        np.testing.assert_array_equal(hyper({"name": "lala", "temperature": table}).temperature[0], [2e-4, 1e-4])
    tensor = hyper({"name": "lala", "partition": "tensor", "friction": {"all": 1, "hidden": 2, "b1": 3}})
    np.testing.assert_array_equal(tensor.friction[0], [2, 3, 1, 1])


def test_a_partial_table_leaves_the_default_elsewhere():
    np.testing.assert_array_equal(hyper({"name": "lol", "temperature": {"hidden": 5e-3}}).temperature[0], [5e-3, 0])


def test_lists_are_over_replicas():
    got = hyper({"name": "adlala", "stepsize": [0.1, 0.2, 0.3, 0.4], "friction": [1, 2, 3, 4]})
    np.testing.assert_array_equal(got.stepsize, [0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(got.friction[:, 1], [1, 2, 3, 4])


def test_cooling_becomes_a_schedule():
    got = hyper({"name": "coolmomentum", "cooling": "exponential", "momentum": 0.9})
    assert got.schedules == {("momentum", 0): Cooling(law="exponential", rho=0.9)}
    assert got.total == 20


def test_schedules_reach_their_partitions():
    scheduled = {"value": 1e-4, "schedule": "linear"}
    assert set(hyper({"name": "lala", "stepsize": scheduled, "temperature": scheduled}).schedules) == {
        ("stepsize", 0), ("temperature", 0), ("temperature", 1),
    }  # fmt: skip
    assert set(hyper({"name": "lala", "temperature": {"output": scheduled}}).schedules) == {("temperature", 1)}


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "langevin", "sigma": 1.0}, r"method.sigma is not used by BAOAB \(all\)"),
        (
            {"name": "adlala", "friction": {"hidden": 1.0}},
            r"method.friction.hidden is not used: .* BACDEDCAB\. It is used by: output",
        ),
        ({"name": "lala", "thermostat": 0.1}, r"method.thermostat is not used by BAOAB \(hidden\), BAOAB \(output\)"),
        ({"name": "splitting", "word": "BACAB", "epsilon": 0.1}, "method.epsilon is not used by BACAB"),
        ({"name": "sgd", "temperature": 1.0}, "method.temperature is not used by sgd"),
        ({"name": "sgd", "posterior_temperature": 1.0}, "method.posterior_temperature is not used by sgd"),
        (
            {"name": "langevin", "posterior_temperature": [1.0] * 6},
            "method.posterior_temperature is a list of 6 values for 4 replicas",
        ),
        (
            {"name": "lol", "freeze": ["hidden"], "temperature": {"hidden": 1e-3}},
            "method.temperature.hidden is not used",
        ),
        ({"name": "adlala", "temperature": {"outptu": 1e-3}}, "There is no partition 'outptu'"),
        (
            {"name": "adlala", "stepsize": {"values": [0.1, 0.2], "repeat": 3}},
            "method.stepsize is a list of 6 values for 4 replicas",
        ),
        ({"name": "adlala", "friction": [0.1] * 5}, "method.friction is a list of 5 values for 4 replicas"),
        ({"name": "sgld", "sigma": 0.1, "temperature": 1.0}, "temperature or sigma"),
        ({"name": "sgld", "sigma": 0.1, "posterior_temperature": 1.0}, "temperature or sigma"),
        ({"name": "sgld", "sigma": {"value": 0.1, "schedule": "linear"}}, "schedule the temperature instead"),
        (
            {"name": "coolmomentum", "momentum": [0.9, 0.9, 0.99, 0.9]},
            "one momentum rho_0 between 0 and 1 for all replicas, not 0.9, 0.99",
        ),
        ({"name": "coolmomentum", "momentum": 0.0}, "one momentum rho_0"),
        ({"name": "langevin", "word": "BACDEDCAB"}, "takes words of A B O"),
        ({"name": "sgd", "word": "BAOAB"}, "takes no word"),
        ({"name": "adlala", "partition": "all"}, "There is no partition 'hidden' under partition = .all"),
    ],
    ids=str,
)
def test_what_no_word_uses_is_refused(method, message):
    with pytest.raises(SpecError, match=message):
        build(method)
