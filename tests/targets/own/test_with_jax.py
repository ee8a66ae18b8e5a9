"""Networks in JAX: pytrees of any form, precision, and mistakes."""

import numpy as np
import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.targets.own import JaxNetwork, as_network
from gpu_thermo.targets.own.check import check_network

jax = pytest.importorskip("jax")
jnp = jax.numpy


def test_any_pytree_has_names():
    tree = [(np.ones((2, 3)), np.ones(3)), {"w": np.ones((3, 1)), "b": np.ones(1)}]
    network = as_network((lambda p, x: x @ p[0][0] @ p[1]["w"], tree))
    assert list(network.tensors) == ["layer0_0", "layer0_1", "layer1_b", "layer1_w"]
    assert network.layers == {"layer0": ("layer0_0", "layer0_1"), "layer1": ("layer1_b", "layer1_w")}
    assert list(JaxNetwork(lambda p, x: x * p, np.ones(1)).tensors) == ["parameters"]
    flax = {"params": {"Dense_0": {"kernel": np.ones((2, 1)), "bias": np.ones(1)}}}
    assert JaxNetwork(lambda p, x: x @ p["params"]["Dense_0"]["kernel"], flax).layers == {
        "Dense_0": ("Dense_0_bias", "Dense_0_kernel")
    }


def test_starts_may_be_a_pytree_of_the_same_form():
    network = JaxNetwork(lambda p, x: x @ p["w"], {"w": np.ones((2, 1))})
    given = {"w": np.zeros((5, 2, 1))}
    assert network.named(given)["w"].shape == (5, 2, 1)
    nested = JaxNetwork(lambda p, x: x @ p["a"]["w"], {"a": {"w": np.ones((2, 1))}})
    assert list(nested.named({"a": {"w": np.zeros((2, 1))}})) == ["a_w"]
    assert list(nested.named({"a.w": 1.0})) == ["a_w"]


def test_one_output_may_have_no_axis():
    network = JaxNetwork(lambda p, x: jnp.sin(x @ p), np.ones(2))
    assert check_network(network, 2, 1, "it", np.float32).shape == (3, 6, 1)


def test_precision_follows_jax():
    network = JaxNetwork(lambda p, x: x @ p, np.ones((2, 1)))
    if jax.config.jax_enable_x64:
        assert check_network(network, 2, 1, "it", np.float64).dtype == np.float64
        return
    with pytest.raises(SpecError, match=r"JAX computes in float32: call jax.config.update"):
        check_network(network, 2, 1, "it", np.float64)


@pytest.mark.parametrize(
    ("apply", "said"),
    [
        (lambda p, x: x @ p.T, "cannot be evaluated at 6 points of 2 features"),
        (lambda p, x: (x @ p).sum(), r"returns shape \(\) for 6 points"),
        (lambda p, x: float(p[0, 0]) * x, "cannot be evaluated"),
        (lambda p, x: jnp.concatenate([x, x], axis=1) @ jnp.vstack([p, p]) * jnp.ones(3, x.dtype), "has 3 outputs"),
        (lambda p, x: x @ p - (x @ p).mean(), "depends on the other points"),
    ],
)
def test_mistakes_are_named(apply, said):
    with pytest.raises(SpecError, match=said):
        check_network(JaxNetwork(apply, np.ones((2, 1))), 2, 1, "it", np.float32)


def test_numbers_that_are_no_parameters_are_refused():
    with pytest.raises(SpecError, match="'steps' holds int"):
        JaxNetwork(lambda p, x: x, {"w": np.ones(2), "steps": 3})
    with pytest.raises(SpecError, match="is no function"):
        JaxNetwork(3, {})


def test_what_a_point_takes_is_counted_by_pixels_and_channels():
    def apply(p, x):
        seen = jax.lax.conv(x.reshape(-1, 1, 8, 8), p["kernel"], (1, 1), "VALID")
        return jax.jit(lambda h: h.reshape(len(x), -1) @ p["last"])(seen)

    params = {"kernel": np.ones((6, 1, 3, 3), np.float32), "last": np.ones((6 * 36, 10), np.float32)}
    assert JaxNetwork(apply, params).width(64) == 6 * 36 + 10
    assert JaxNetwork(apply, params).width(63) == 118  # no image: from its weights, roughly
