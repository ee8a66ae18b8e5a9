"""Whole posteriors of small networks against NUTS in float64 (reference/nuts.py), through the public functions: shallow
and deep, labels, noise that is learned or differs by input, both engines, and networks of a user's own.

Mean and variance at 50 inputs, on the data and away from them; z counts the errors of both sides.
"""

from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit

from gpu_thermo import predict, sample
from gpu_thermo.verify.references import PACE, load, quantities, scores

NEW = [name for name in PACE if name != "2_5_1"]
LIMIT = 4.5


def run_of(name, replicas=128, steps=4_000, prior=1.0, temperature=1.0, seed=3, word="BAOAB", **given):
    """The posterior by BAOAB, started at the prior; `prior` and `temperature` are factors that spoil it."""
    reference, network = load(name), given.get("network")
    model = reference.model | {"prior_sd": prior * reference.prior_sd}
    if network is not None:
        model = {key: value for key, value in model.items() if key not in ("hidden", "activation")}
    run = {"replicas": replicas, "steps": steps, "burn_in": steps // 4, "thin": 50, "trace": steps, "seed": seed}
    method = reference.method | {"posterior_temperature": temperature, "word": word}
    spec = {"model": model, "method": method, "run": run | {"minibatch": "full", "keep": ["parameters"]}}
    return sample(spec, data=reference.data, threads=2, **given)


def layers_of(run, names=None):
    """Weights and biases [R, draw, ..] of each layer, float64, by a network's own names or ours."""
    depth = sum(name.startswith("w") for name in run["posterior"].data_vars)
    names = names or [(f"w{l}", f"b{l}") for l in range(1, depth + 1)]
    return [tuple(run["posterior"][name].to_numpy().astype(np.float64) for name in pair) for pair in names]


def outputs(layers, inputs):
    """Outputs [R, draw, point, n] by a formula of this file's own."""
    value = np.broadcast_to(inputs.T, (*layers[0][1].shape[:2], *inputs.T.shape))
    for l, (w, b) in enumerate(layers):
        value = w @ (np.tanh(value) if l else value) + b[..., None]
    return value.swapaxes(-1, -2)


def all_scores(name, run, names=None):
    """z of means and variances of each quantity, {name: [2, 50]}."""
    reference = load(name)
    out = outputs(layers_of(run, names), reference.inputs)
    own = run["posterior"]["log_noise"].to_numpy()[..., 0].astype(np.float64) if "student_t" in name else None
    found = quantities(reference, out, own)
    return {
        quantity: scores(found[quantity].mean(axis=1), (found[quantity] ** 2).mean(axis=1), law)
        for quantity, law in reference.laws.items()
    }


def worst(*args, **given):
    """Largest |z|."""
    return max(abs(z).max() for z in all_scores(*args, **given).values())


# -- the references themselves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PACE)
def test_references_converged(name):
    """Chains agree, and errors are a small part of the posterior's spread."""
    reference = load(name)
    assert reference.divergent < 1e-3 * reference.chains * reference.draws
    for law in reference.laws.values():
        assert law.split_rhat < 1.005
        assert law.ess[0] > 35_000
        assert (law.mean_error < 0.0055 * law.variance**0.5).all()
        assert (law.variance_error < 0.03 * law.variance).all()


def test_references_are_the_scripts_own():
    """Each file is of a case of the script, whose text holds no import of this package."""
    script = (Path(__file__).parents[1] / "reference" / "nuts.py").read_text()
    assert "import gpu_thermo" not in script
    assert "from gpu_thermo" not in script
    assert all(f'"{name}": Case(' in script for name in PACE)


# -- both engines ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PACE)
def test_fused(name):
    assert worst(name, run_of(name, engine="fused")) < LIMIT


@pytest.mark.parametrize("name", NEW)
def test_batched(name):
    assert worst(name, run_of(name, 64, 2_400, engine="batched")) < LIMIT


def test_predict_gives_the_same_averages():
    """Of probabilities: `predict` on the run agrees with the formula here."""
    run, inputs = run_of("2_4_4_1", 64, 1_000), load("2_4_4_1").inputs
    averages = predict(run, inputs, ensemble=0)
    p = expit(outputs(layers_of(run), inputs)[..., 0]).reshape(-1, len(inputs))
    np.testing.assert_allclose(averages["mean"].to_numpy()[:, 0], p.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(averages["variance"].to_numpy()[:, 0], p.var(axis=0), atol=1e-6)


MISTAKES = {
    "tau x 1.5": {"temperature": 1.5}, "tau / 1.5": {"temperature": 1 / 1.5}, "prior sd 20 % too large": {"prior": 1.2},
    "prior sd 20 % too small": {"prior": 0.8},
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", PACE)
def test_power(name, mistake):
    assert worst(name, run_of(name, engine="fused", **MISTAKES[mistake])) > 2 * LIMIT


def test_power_of_the_batched_runs():
    """Shorter than the fused ones, and long enough."""
    name = "1_6_6_heteroscedastic"
    assert worst(name, run_of(name, 64, 2_400, temperature=1.5, engine="batched")) > 2 * LIMIT


@pytest.mark.slow
@pytest.mark.parametrize("word", ["BAOAB", "ABOBA"])
@pytest.mark.parametrize("name", PACE)
def test_long_runs(name, word):
    """Some 100,000 draws. (OBABO's own error in h shows at this length: |z| to 6.6.)"""
    assert worst(name, run_of(name, 512, 16_000, word=word, engine="fused")) < LIMIT


# -- networks of a user's own ------------------------------------------------------------------------------------------


def jax_network():
    """2-4-4-1 as a JAX function, and the names of its tensors in a run."""
    jax = pytest.importorskip("jax")

    def apply(params, x):
        for name in ("first", "second"):
            x = jax.numpy.tanh(x @ params[name]["w"].T + params[name]["b"])
        return x @ params["third"]["w"].T + params["third"]["b"]

    shapes = {"first": (4, 2), "second": (4, 4), "third": (1, 4)}
    params = {name: {"w": np.zeros(shape), "b": np.zeros(shape[0])} for name, shape in shapes.items()}
    return (apply, params), [(f"{name}_w", f"{name}_b") for name in shapes]


def torch_network():
    """2-4-4-1 as a PyTorch module, and the names of its tensors in a run."""
    torch = pytest.importorskip("torch")
    torch.set_num_threads(1)  # its own beside those of other tests would wait for each other
    linear, tanh = torch.nn.Linear, torch.nn.Tanh
    module = torch.nn.Sequential(linear(2, 4), tanh(), linear(4, 4), tanh(), linear(4, 1))
    return module, [(f"layer{i}_weight", f"layer{i}_bias") for i in (0, 2, 4)]


@pytest.mark.parametrize("make", [jax_network, torch_network])
def test_a_network_of_ones_own_has_the_same_law(make):
    """As the reference, and as ours: the two samples differ by no more than their errors."""
    network, names = make()
    own = run_of("2_4_4_1", 128, 1_600, network=network)
    assert worst("2_4_4_1", own, names) < LIMIT
    inputs = load("2_4_4_1").inputs
    ours = run_of("2_4_4_1", engine="fused")
    p, q = (
        expit(outputs(layers, inputs)[..., 0]).mean(axis=1)
        for layers in (layers_of(own, names), layers_of(ours))
    )  # fmt: skip
    error = np.hypot(p.std(axis=0, ddof=1) / len(p) ** 0.5, q.std(axis=0, ddof=1) / len(q) ** 0.5)
    assert (abs(p.mean(axis=0) - q.mean(axis=0)) < LIMIT * error).all()


@pytest.mark.parametrize("make", [jax_network, torch_network])
def test_power_with_a_network_of_ones_own(make):
    network, names = make()
    assert worst("2_4_4_1", run_of("2_4_4_1", 128, 1_600, temperature=1.5, network=network), names) > 1.5 * LIMIT
