"""Networks in PyTorch: modules with constants, modes, sharing, and mistakes."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gpu_thermo.errors import SpecError
from gpu_thermo.targets.own import TorchNetwork, as_network
from gpu_thermo.targets.own.check import check_network

torch = pytest.importorskip("torch")
nn = torch.nn


def check(module, dtype=np.float64, outputs=1):
    return check_network(TorchNetwork(module), 2, outputs, "it", dtype)


def test_names_and_partitions():
    network = as_network(nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Sequential(nn.Linear(3, 1))))
    assert network.layers == {
        "layer0": ("layer0_weight", "layer0_bias"), "layer2": ("layer2_0_weight", "layer2_0_bias")
    }  # fmt: skip
    assert network.label == "Sequential"
    assert set(network.named({"2.0.bias": 0, "layer0_weight": 1})) == {"layer2_0_bias", "layer0_weight"}


def test_parameters_that_ask_for_no_gradient_and_buffers_are_constants():
    """Batch normalisation in use mode: its moments are constants of the function."""
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)).eval()
    module[0].requires_grad_(False)
    network = TorchNetwork(module)
    assert list(network.layers) == ["layer1", "layer2"]
    before = check(module)
    assert check(module, np.float32).shape == (3, 6, 1)
    module[1].running_var *= 2
    assert abs(check(module) - before).max() > 1e-3


def test_the_module_is_not_changed():
    module = nn.Linear(2, 1)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = TorchNetwork(module)
    module.weight.data += 1
    assert abs(network.start["weight"] - before["weight"].numpy()).max() == 0, "its values when it was given"
    module.weight.data = before["weight"].clone()
    check(module)
    assert module.weight.grad is None
    assert all(module.state_dict()[name].equal(value) for name, value in before.items())


def test_threads_may_share_a_module():
    network = TorchNetwork(nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)))
    rng = np.random.default_rng(0)
    cases = [(rng.normal(size=(r, network.size)), rng.normal(size=(r + 3, 2))) for r in range(2, 40)]
    alone = [network.outputs(*case) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(lambda case: network.outputs(*case), cases), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("module", "said"),
    [
        (nn.Sequential(nn.Linear(2, 1), nn.Dropout()), "module.eval"),
        (nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)), "module.eval"),
        (nn.Linear(3, 1), "cannot be evaluated at 6 points of 2 features"),
        (nn.Linear(2, 2), "has 2 outputs"),
        (nn.Sequential(nn.Linear(2, 1), nn.Flatten(0, 1), nn.Unflatten(0, (1, -1))), "returns shape"),
    ],
)
def test_mistakes_are_named(module, said):
    with pytest.raises(SpecError, match=said):
        check(module)


def test_what_is_no_module_is_refused():
    with pytest.raises(SpecError, match=r"int is no torch.nn.Module"):
        TorchNetwork(3)
    with pytest.raises(SpecError, match="no parameters"):
        TorchNetwork(nn.Tanh())


def test_what_a_point_takes_is_counted_by_pixels_and_channels():
    module = nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 6, 3), nn.Flatten(), nn.Linear(6 * 36, 10))
    assert TorchNetwork(module).width(64) == 6 * 36 + 10
    one_point_at_a_time = nn.Sequential(nn.Linear(2, 50), nn.Unflatten(0, (1, 1)), nn.Flatten(0, 2), nn.Linear(50, 1))
    assert TorchNetwork(one_point_at_a_time).width(2) == 52  # cannot be looked into: from its weights
