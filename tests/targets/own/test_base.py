"""Names, partitions and identity of a network's tensors."""

import numpy as np
import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.targets.own import NumpyNetwork, as_network
from gpu_thermo.targets.own.base import plain, require


def made(**shapes):
    return NumpyNetwork({name: np.ones(shape) for name, shape in shapes.items()}, lambda p, x: x)


@pytest.mark.parametrize(
    ("path", "name"),
    [("w", "w"), ("encoder.weight", "encoder_weight"), ("0.weight", "layer0_weight"), ("a/~/w", "a___w"), ("_w_", "w")],
)
def test_paths_become_plain_words(path, name):
    assert plain(path) == name


def test_the_first_part_of_a_name_is_its_partition():
    network = made(**{"enc.a.w": (2, 3), "enc.b": 2, "head.w": (1, 2), "scale": ()})
    assert network.tensors == {"enc_a_w": (2, 3), "enc_b": (2,), "head_w": (1, 2), "scale": ()}
    assert network.layers == {"enc": ("enc_a_w", "enc_b"), "head": ("head_w",), "scale": ("scale",)}
    assert network.size == 11
    position = np.arange(22.0).reshape(2, 11)
    assert [part.shape for part in network.split(position)] == [(2, 2, 3), (2, 2), (2, 1, 2), (2,)]
    np.testing.assert_array_equal(network.split(position)[3], [10, 21])


def test_a_level_params_alone_is_left_out():
    network = made(**{"params.d0.w": (2,), "params.d1.w": (1,)})
    assert list(network.layers) == ["d0", "d1"]
    assert list(made(**{"params.w": (2,), "more.w": (1,)}).layers) == ["params", "more"]


def test_identity_is_of_names_and_shapes():
    one = made(w=(2, 3), b=(2,))
    assert one.sha256 == NumpyNetwork({"w": np.zeros((2, 3)), "b": np.ones(2)}, lambda p, x: x).sha256
    for other in (made(w=(3, 2), b=(2,)), made(v=(2, 3), b=(2,)), made(b=(2,), w=(2, 3))):
        assert other.sha256 != one.sha256


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({}, "no parameters"),
        ({"w": np.ones((0, 3))}, "no parameters"),
        ({"w": np.ones(2, int)}, "'w' holds int64"),
        ({"w": np.array([1.0, np.nan])}, "'w' is not finite"),
        ({"a.b": np.ones(1), "a_b": np.ones(1)}, "one name"),
        ({"all.w": np.ones(1)}, "a part 'all'"),
        ([np.ones(1)], "is a dictionary"),
    ],
)
def test_parameters_that_cannot_be_sampled_are_refused(params, said):
    with pytest.raises(SpecError, match=said):
        NumpyNetwork(params, lambda p, x: x)


def test_what_is_no_network_is_refused():
    for given in (3, lambda x: x, (np.ones(1), np.ones(1))):
        with pytest.raises(SpecError, match=r"give a torch.nn.Module, a pair"):
            as_network(given)
    with pytest.raises(SpecError, match="are functions"):
        NumpyNetwork({"w": np.ones(1)}, 3)
    network = made(w=2)
    assert as_network(network) is network


def test_a_missing_library_is_named():
    with pytest.raises(SpecError, match=r"A network in X needs no_such_library.*pip install no_such_library"):
        require("no_such_library", "A network in X")
