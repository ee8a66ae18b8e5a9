"""Gradients on all points by the kernel of the descent: what array code says, lost replicas, and who gets them."""

import numpy as np
import pytest
from runs import NEEDS_COMPILER
from tuned_networks import network

from gpu_thermo.running import gradients
from gpu_thermo.running.given import Given, as_spec, make_ready
from gpu_thermo.running.launch import Launch


@pytest.fixture(scope="module")
def launch():
    spec, data = network(0)
    given = Given(data, None, None, None)
    made, folder = as_spec(spec, given)
    return Launch.of(make_ready(made, folder, given))


@pytest.fixture
def position(launch):
    return launch.whole.initial_state().position


@NEEDS_COMPILER
def test_they_are_those_of_array_code(launch, position, monkeypatch):
    """Of any number of replicas; to rounding in float32."""
    monkeypatch.setattr(gradients, "LARGE", 0)
    there = launch.on("fused", "cpu", 1)
    assert there.kernel is not None
    for count in (5, gradients.AT_ONCE, gradients.AT_ONCE + 7):
        energy, gradient = launch.full_gradient(position[:count], np.arange(count))
        found = there.full_gradient(position[:count], np.arange(count))
        np.testing.assert_allclose(found[0], energy, rtol=1e-5)
        np.testing.assert_allclose(found[1], gradient, rtol=1e-4, atol=1e-4 * np.abs(gradient).max())
        assert gradient.any()


@NEEDS_COMPILER
def test_of_a_lost_replica_they_are_nan_and_of_its_neighbours_not(launch, position, monkeypatch):
    monkeypatch.setattr(gradients, "LARGE", 0)
    there, some = launch.on("fused", "cpu", 1), position[:4].copy()
    some[2, 1] = np.inf
    energy, gradient = there.full_gradient(some, np.arange(4))
    assert np.isnan(energy).tolist() == np.isnan(gradient).all(axis=1).tolist() == [False, False, True, False]


@pytest.mark.parametrize(
    ("engine", "device", "large"), [("batched", "cpu", 0), ("fused", "cuda:0", 0), ("fused", "cpu", 10**9)]
)
def test_few_points_other_engines_and_gpus_keep_array_code(launch, monkeypatch, engine, device, large):
    monkeypatch.setattr(gradients, "LARGE", large)
    assert launch.on(engine, device, None).kernel is None
