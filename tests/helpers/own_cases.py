"""One small network in four libraries, ours among them: 2-10-1 with tanh, partitions hidden and output."""

import numpy as np
import pytest

from gpu_thermo.targets.own import JaxNetwork, NumpyNetwork, TorchNetwork

M, D, N = 2, 10, 1
RNG = np.random.default_rng(5)
OURS = {
    "w1": RNG.normal(size=(D, M)), "b1": RNG.normal(size=D), "w2": RNG.normal(size=(N, D)), "b2": RNG.normal(size=N)
}  # fmt: skip
NAMES = {
    "numpy": {"hidden_w": "w1", "hidden_b": "b1", "output_w": "w2", "output_b": "b2"},
    "jax": {"hidden_b": "b1", "hidden_w": "w1", "output_b": "b2", "output_w": "w2"},
    "torch": {"hidden_weight": "w1", "hidden_bias": "b1", "output_weight": "w2", "output_bias": "b2"},
}
"""Our name of each of their tensors, in their order."""
LIBRARIES = tuple(NAMES)


def forward(p, x):
    """Outputs [R, B, n]."""
    h = np.tanh(x @ p["hidden.w"].swapaxes(-1, -2) + p["hidden.b"][:, None])
    return h @ p["output.w"].swapaxes(-1, -2) + p["output.b"][:, None]


def vjp(p, x, d_out):
    """Gradients by name."""
    h = np.tanh(x @ p["hidden.w"].swapaxes(-1, -2) + p["hidden.b"][:, None])
    d_h = (d_out @ p["output.w"]) * (1 - h * h)
    return {
        "hidden.w": d_h.swapaxes(-1, -2) @ x, "hidden.b": d_h.sum(axis=1), "output.w": d_out.swapaxes(-1, -2) @ h,
        "output.b": d_out.sum(axis=1),
    }  # fmt: skip


def numpy_network(vjp=vjp, forward=forward):
    """As plain functions."""
    p = {"hidden.w": OURS["w1"], "hidden.b": OURS["b1"], "output.w": OURS["w2"], "output.b": OURS["b2"]}
    return NumpyNetwork(p, forward, vjp, label="plain")


def jax_network():
    """As a JAX function."""
    jax = pytest.importorskip("jax")

    def apply(p, x):
        hidden = jax.numpy.tanh(x @ p["hidden"]["w"].T + p["hidden"]["b"])
        return hidden @ p["output"]["w"].T + p["output"]["b"]

    tree = {"hidden": {"w": OURS["w1"], "b": OURS["b1"]}, "output": {"w": OURS["w2"], "b": OURS["b2"]}}
    return JaxNetwork(apply, tree)


def torch_network():
    """As a PyTorch module."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # its own beside those of other tests would wait for each other
    from collections import OrderedDict

    parts = OrderedDict(hidden=torch.nn.Linear(M, D), act=torch.nn.Tanh(), output=torch.nn.Linear(D, N))
    module = torch.nn.Sequential(parts).double()
    for layer, weight, bias in ((module.hidden, "w1", "b1"), (module.output, "w2", "b2")):
        layer.weight.data, layer.bias.data = torch.tensor(OURS[weight]), torch.tensor(OURS[bias])
    return TorchNetwork(module)


def network(library):
    """The network in that library; skipped where it is not installed."""
    return {"numpy": numpy_network, "jax": jax_network, "torch": torch_network}[library]()


def dtype_of(library):
    """The widest precision it computes in here."""
    if library == "jax":
        jax = pytest.importorskip("jax")
        return "float64" if jax.config.jax_enable_x64 else "float32"
    return "float64"


def to_ours(library, position):
    """Positions [.., P] in their order in ours."""
    parts, first = {}, 0
    for ours in NAMES[library].values():
        size = OURS[ours].size
        parts[ours] = position[..., first : first + size]
        first += size
    return np.concatenate([parts[name] for name in OURS], axis=-1)
