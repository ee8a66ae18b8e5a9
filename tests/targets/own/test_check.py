"""What is asked of a network before it runs: each mistake is found, and named."""

import numpy as np
import pytest
from own_cases import LIBRARIES, dtype_of, forward, network, numpy_network, vjp

from gpu_thermo.errors import SpecError
from gpu_thermo.targets.own.check import check_network, check_same


def check(theirs, outputs=1, dtype=np.float64):
    return check_network(theirs, 2, outputs, "the likelihood", dtype)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_probe_does_not_depend_on_where_replicas_start(library):
    kind = np.dtype(dtype_of(library)).type
    one, again = check(network(library), dtype=kind), check(network(library), dtype=kind)
    np.testing.assert_array_equal(one, again)
    other = network(library)
    other.start = {name: 2 * values for name, values in other.start.items()}
    check_same(check(other, dtype=kind), one, kind)
    with pytest.raises(SpecError, match=r"is not the one this run was started with: at the probe.*differ by up to"):
        check_same(1.01 * one, one, kind)


def changed(**how):
    """A vjp with one gradient changed."""
    return lambda p, x, d: {name: how.get(name.replace(".", "_"), lambda g: g)(g) for name, g in vjp(p, x, d).items()}


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (numpy_network(vjp=changed(hidden_w=lambda g: 1.01 * g)), "gradient is not the slope of its outputs"),
        (numpy_network(vjp=changed(output_b=lambda g: -g)), "gradient is not the slope of its outputs"),
        (numpy_network(vjp=changed(output_w=lambda g: g[0])), r"gradient of 'output.w' has shape \(1, 10\)"),
        (numpy_network(vjp=changed(output_w=lambda g: g.astype("f4"))), "is float32 for float64 parameters"),
        (numpy_network(vjp=lambda p, x, d: {"w": d}), "vjp returns w: return a gradient for each of hidden.w"),
        (numpy_network(vjp=lambda p, x, d: 3), "vjp returns int"),
        (numpy_network(vjp=lambda p, x, d: p["no"]), "cannot be differentiated .KeyError: 'no'"),
        (numpy_network(vjp=None), "returns no pair"),
        (numpy_network(forward=lambda p, x: x @ np.ones((3, 1))), "cannot be evaluated at 6 points of 2 features"),
        (numpy_network(forward=lambda p, x: forward(p, x)[..., 0]), r"outputs has shape \(3, 6\): return \[3, 6, n\]"),
        (numpy_network(forward=lambda p, x: forward(p, x).astype("f4")), "outputs is float32"),
        (numpy_network(forward=lambda p, x: forward(p, x) * np.nan), "not finite even at parameters 0"),
        (numpy_network(forward=lambda p, x: forward(p, x) + np.random.rand()), "other outputs when asked again"),  # noqa: NPY002
        (numpy_network(forward=lambda p, x: (f := forward(p, x)) - f.mean(axis=0)), "depend on the other replicas"),
        (numpy_network(forward=lambda p, x: (f := forward(p, x)) - f.mean(1, keepdims=True)), "on the other points"),
        (numpy_network(forward=lambda p, x: np.concatenate([forward(p, x)] * 2, axis=2)), "has 2 outputs, and the"),
    ],
)  # fmt: skip
def test_mistakes_are_named(theirs, said):
    with pytest.raises(SpecError, match=said):
        check(theirs)


def test_a_network_that_writes_to_its_parameters_is_stopped():
    def writes(p, x):
        p["hidden.b"][...] = 0
        return forward(p, x)

    with pytest.raises(SpecError, match="read-only"):
        check(numpy_network(forward=writes))
