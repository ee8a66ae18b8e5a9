"""Potentials written in JAX or PyTorch: gradients are theirs, and mistakes are named."""

import numpy as np
import pytest

import gpu_thermo as gt
from gpu_thermo.errors import SpecError
from gpu_thermo.targets.own.differentiate import differentiated

Q = np.random.default_rng(4).normal(size=(7, 3))
LIBRARIES = ("jax", "torch")


def library(name):
    """The library, able to compute in float64; skipped where it is not."""
    module = pytest.importorskip(name)
    if name == "jax" and not module.config.jax_enable_x64:
        pytest.skip("JAX computes in float32 in this process")
    return module.numpy if name == "jax" else module


def wave(module, name):
    """U = sum q^4 / 4 + sin(q_0 q_1), in that library."""
    return lambda q: (q**4).sum(-1) / 4 + module.sin(q[:, 0] * q[:, 1])


def wave_slope(q):
    slope = q**3
    slope[:, 0] += q[:, 1] * np.cos(q[:, 0] * q[:, 1])
    slope[:, 1] += q[:, 0] * np.cos(q[:, 0] * q[:, 1])
    return slope


@pytest.mark.parametrize("name", LIBRARIES)
def test_energy_and_gradient(name):
    alone, both = differentiated(wave(library(name), name), name)
    energy, gradient = both(Q)
    wanted = (Q**4).sum(-1) / 4 + np.sin(Q[:, 0] * Q[:, 1])
    np.testing.assert_allclose(alone(Q), wanted, rtol=1e-13)
    np.testing.assert_allclose(energy, wanted, rtol=1e-13)
    np.testing.assert_allclose(gradient, wave_slope(Q.copy()), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_run_is_that_of_the_same_potential_in_numpy(name):
    """First steps to rounding: the same noise at the same places."""
    module = library(name)
    spec = {
        "target": {"name": "custom", "size": 3}, "method": {"name": "langevin", "stepsize": 0.1, "temperature": 1.0},
        "run": {"replicas": 5, "steps": 20, "burn_in": 0, "thin": 20, "trace": 20},
    }  # fmt: skip
    spec["method"]["friction"] = 1.0
    plain = gt.UserPotential(
        lambda q: (q**4).sum(-1) / 4 + np.sin(q[:, 0] * q[:, 1]), 3, lambda q: wave_slope(np.array(q))
    )
    own = gt.sample(spec, potential=gt.UserPotential(wave(module, name), 3, library=name))
    ours = gt.sample(spec, potential=plain)
    np.testing.assert_allclose(own["posterior"]["position"], ours["posterior"]["position"], rtol=1e-10)


@pytest.mark.parametrize("name", LIBRARIES)
def test_minibatches(name):
    """A mean over data: with all points it is the mean, on a batch that of the batch."""
    module = library(name)
    data = np.random.default_rng(5).normal(size=(12, 3))
    held = module.asarray(data)
    everyone = module.arange(12)

    def energy(q, batch):
        x = held[everyone if batch is None else batch]
        x = x[None] if batch is None else x
        return ((q[:, None, :] - x) ** 2).sum(-1).mean(-1) / 2

    potential = gt.UserPotential(energy, 3, library=name, points=12)
    index = np.random.default_rng(6).integers(0, 12, (7, 4))
    from gpu_thermo.targets.base import Batch

    for batch, mean in ((None, data.mean(axis=0)[None]), (index, data[index].mean(axis=1))):
        _, gradient = potential.energy_and_gradient(Q, Batch(batch, np.arange(7)))
        np.testing.assert_allclose(gradient, Q - mean, atol=1e-12)


@pytest.mark.parametrize("name", LIBRARIES)
def test_what_cannot_be_differentiated_is_named(name):
    module = library(name)
    for function, said in (
        (lambda q: float(q[0, 0]) * (q * 0).sum(-1) if name == "jax" else q.detach().sum(-1), "cannot be evaluated"),
        (lambda q: module.no_such(q), "cannot be evaluated or differentiated"),
        (lambda q: (q**2).sum(), r"energy has shape \(\)"),
    ):
        with pytest.raises(SpecError, match=said):
            gt.UserPotential(function, 3, library=name)
    with pytest.raises(SpecError, match="leave out gradient"):
        gt.UserPotential(wave(module, name), 3, lambda q: q, library=name)


def test_unknown_libraries_are_refused():
    with pytest.raises(SpecError, match="library = 'tensorflow' is unknown: jax, torch"):
        gt.UserPotential(lambda q: q.sum(-1), 3, library="tensorflow")
