"""Every activation, likelihood and prior, in every combination: values and gradients against formulas written here and
differentiated by a complex step; the fused engine against the batched one in a cover of the combinations.

A record without a formula here fails the first test, and so does a formula without a record.
"""

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from cover import covering
from record_cases import DOF, NOISE_SD, SCALE, SCALES, SHAPES, SPREAD, make_job, make_target
from scipy.special import gamma, gammaln

from gpu_thermo.engines.base import initial_state
from gpu_thermo.engines.batched import BatchedEngine
from gpu_thermo.engines.fused import FusedEngine, make_emitter
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.state import Segment
from gpu_thermo.targets.activations import ACTIVATIONS
from gpu_thermo.targets.base import Batch
from gpu_thermo.targets.likelihoods import LIKELIHOODS
from gpu_thermo.targets.priors import PRIORS

STEP = 1e-200
"""Of the complex step: no difference is taken, so it may be as small as numbers are."""

# -- formulas, for complex arguments -----------------------------------------------------------------------------------


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def bent(g):
    """Logarithm of the noise sd from a raw output."""
    return -7 + np.log(1 + np.exp(g + 7)) - np.log(1 + np.exp(g - 3))


def normal_nll(f, eta, y):
    return (f - y) ** 2 * np.exp(-2 * eta) / 2 + eta + np.log(2 * np.pi) / 2


ACTIVATE = {
    "relu": lambda z: np.where(z.real > 0, z, 0),
    "leaky_relu": lambda z: np.where(z.real > 0, z, 0.01 * z),
    "tanh": np.tanh,
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "silu": lambda z: z * sigmoid(z),
    "gelu": lambda z: z / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))),
    "sine": np.sin,
    "identity": lambda z: z,
}
POINT_NLL = {  # of outputs [N, n] and targets [N] or [N, n], summed over outputs
    "bernoulli": lambda f, y: np.log(1 + np.exp(f[:, 0])) - y * f[:, 0],
    "categorical": lambda f, y: np.log(np.exp(f).sum(axis=1)) - f[np.arange(len(y)), y],
    "gaussian": lambda f, y: (((f - y) / NOISE_SD) ** 2 / 2 + np.log(NOISE_SD * np.sqrt(2 * np.pi))).sum(axis=1),
    "student_t": lambda f, y: (
        (DOF + 1) / 2 * np.log(1 + ((f - y) / NOISE_SD) ** 2 / DOF)
        + np.log(NOISE_SD * np.sqrt(DOF * np.pi) * gamma(DOF / 2) / gamma((DOF + 1) / 2))
    ).sum(axis=1),
    "heteroscedastic": lambda f, y: normal_nll(f[:, : y.shape[1]], bent(f[:, y.shape[1] :]), y).sum(axis=1),
    "gaussian_learned": lambda f, y, eta: normal_nll(f, eta, y).sum(axis=1),
    "student_t_learned": lambda f, y, eta: (
        (DOF + 1) / 2 * np.log(1 + ((f - y) * np.exp(-eta)) ** 2 / DOF)
        + eta
        + np.log(np.sqrt(DOF * np.pi) * gamma(DOF / 2) / gamma((DOF + 1) / 2))
    ).sum(axis=1),
    "poisson": lambda f, y: (np.exp(f) - y * f + gammaln(y + 1)).sum(axis=1),
}
MINUS_LOG_PRIOR = {  # of parameters and their scales
    None: lambda theta, b: 0 * theta.sum(),
    "normal": lambda theta, b: (theta * theta / (2 * b**2)).sum(),
    "laplace": lambda theta, b: (theta * np.sign(theta.real) / b).sum(),
    "student_t": lambda theta, b: (2 * np.log(1 + (theta / b) ** 2 / 3)).sum(),
}


COVERED = covering(
    {
        "activation": list(ACTIVATIONS), "likelihood": list(LIKELIHOODS), "prior": [None, *PRIORS],
        "shape": list(SHAPES), "scale": list(SCALES), "weighted": [False, True],
    },
    strength=3,
)  # fmt: skip


def test_every_record_has_a_formula():
    assert set(ACTIVATE) >= set(ACTIVATIONS)
    assert set(POINT_NLL) >= set(LIKELIHOODS)
    assert set(MINUS_LOG_PRIOR) >= {None, *PRIORS}
    assert set(ACTIVATIONS) >= {"relu", "tanh", "softplus", "identity"}


# -- networks ----------------------------------------------------------------------------------------------------------


def scales(target, scale):
    """The scale of the prior of each parameter, written down."""
    if scale == "one":
        return {name: SCALE for name in target.layout.tensors}
    fans = (target.model.inputs, *target.model.hidden)
    last = f"{len(fans)}"
    out = {"w" + last: 1 / np.sqrt(fans[-1]), "b" + last: 1.0}
    return {name: out.get(name, SCALE) for name in target.layout.tensors}


def energy(target, theta, dataset, activation, likelihood, prior, scale="one", weighted=False):
    """U of one network by the formulas above; `theta` may be complex."""
    w, value, layers = target.layout.split(theta), target.x_train[dataset], len(target.model.hidden)
    for i in range(1, layers + 1):
        value = ACTIVATE[activation](value @ w[f"w{i}"].T + w[f"b{i}"])
    outputs = value @ w[f"w{layers + 1}"].T + w[f"b{layers + 1}"]
    own = w.pop("log_noise", None)
    losses = POINT_NLL[likelihood](outputs, target.y_train[dataset], *(() if own is None else (own,)))
    losses = losses * (target.weight[dataset] if weighted else 1)
    widths = scales(target, scale)
    total = sum(MINUS_LOG_PRIOR[prior](tensor.ravel(), widths[name]) for name, tensor in w.items())
    if own is not None:
        total = total + ((own + 0.1 * np.arange(len(own))) ** 2 / 2).sum()
    return losses.mean() + total / target.points


@pytest.mark.parametrize("case", COVERED, ids=lambda case: "-".join(map(str, case.values())))
def test_value_and_gradient(case):
    """In float64 to 1e-12, by a complex step of every parameter."""
    target = make_target(**case, dtype=np.float64, replicas=2)
    case = {name: value for name, value in case.items() if name != "shape"}
    position = np.random.default_rng(3).normal(size=(2, target.layout.size))
    found_energy, found_gradient = target.energy_and_gradient(position, Batch(None, np.arange(2)))
    for r, theta in enumerate(position):
        steps = theta + 1j * STEP * np.eye(len(theta))
        values = np.array([energy(target, t, r, **case) for t in steps])
        np.testing.assert_allclose(found_energy[r], values[0].real, rtol=1e-13)
        expected = values.imag / STEP
        np.testing.assert_allclose(found_gradient[r], expected, atol=1e-12 * abs(expected).max(), rtol=1e-12)


# -- both engines ------------------------------------------------------------------------------------------------------

FACTORS = {
    "activation": list(ACTIVATIONS), "likelihood": list(LIKELIHOODS), "prior": [None, *PRIORS],
    "scale": list(SCALES), "weighted": [False, True],
    "shape": list(SHAPES), "dtype": [np.float32, np.float64],
    "mode": ["subset", "full", "epoch", "symmetric", "replacement"],
    "method": ["adlala", "langevin", "sgld", "adam"],
}  # fmt: skip
APART = [{"activation", name} for name in ("likelihood", "mode", "method")] + [{"likelihood", "mode"}]
"""An activation or likelihood is known by its struct alone (below): all pairs of these need not be compiled."""
COVER = covering(FACTORS, apart=APART)
PRODUCT = [
    {
        **{name: FACTORS[name][i % len(FACTORS[name])] for name in ("scale", "weighted", "shape", "mode", "method")},
        **dict(zip(("activation", "likelihood", "prior", "dtype"), values, strict=True)),
    }
    for i, values in enumerate(product(*(FACTORS[name] for name in ("activation", "likelihood", "prior", "dtype"))))
]
"""Of these four; the others take turns."""
TOLERANCE = {np.float32: 4e-6, np.float64: 1e-12}


def name_of(case):
    return "-".join(getattr(v, "__name__", str(v)) for v in case.values())


def check_agreement(case):
    """The same addresses and minibatches, so that states agree to rounding after 1, 2 and 10 steps."""
    job = make_job(**case)
    spread = SPREAD.get(case["likelihood"], 0.5)
    position = spread * np.random.default_rng(3).normal(size=(job.replicas, job.target.layout.size))
    one, other = (initial_state(job, position.copy()) for _ in range(2))
    batched, fused = BatchedEngine(job), FusedEngine(job, threads=1)
    for steps in (1, 1, 8):
        batched.advance(one, Segment(one.step, steps))
        fused.advance(other, Segment(other.step, steps))
        for name, value in one.arrays().items():
            scale = max(1.0, float(abs(value).max()))
            atol = TOLERANCE[job.dtype] * scale
            np.testing.assert_allclose(other.arrays()[name], value, atol=atol, rtol=0, err_msg=name)


def source_without(struct, **case):
    """The kernel of a case, one struct and the sizes of a likelihood's answers cut out."""
    usual = {"activation": "tanh", "likelihood": "gaussian", "prior": "normal", "dtype": np.float32, "method": "sgld"}
    text = make_emitter(make_job(**usual | case)).source("host")
    rest = re.sub(rf"^struct {struct} \{{.*?^\}};", "", text, flags=re.MULTILINE | re.DOTALL)
    assert len(rest) < len(text)
    sizes = r"^(constexpr int (OUTPUTS|TARGETS|TAIL) |HD constexpr int tail_size).*\n"
    return re.sub(sizes, "", rest, flags=re.MULTILINE)


@pytest.mark.parametrize("mode", ["full", "subset"])
@pytest.mark.parametrize("shape", SHAPES)
def test_activations_and_likelihoods_are_known_by_their_structs_alone(shape, mode):
    """All other text is the same, so that a pair of them can do nothing that each alone does not."""
    where = {"shape": shape, "mode": mode}
    assert len({source_without("Activation", activation=name, **where) for name in ACTIVATIONS}) == 1
    fixed = [name for name in LIKELIHOODS if not name.endswith("_learned")]  # the others have parameters of their own
    assert len({source_without("Likelihood", likelihood=name, **where) for name in fixed}) == 1


needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")


@needs_compiler
@pytest.mark.parametrize("case", COVER, ids=name_of)
def test_engines_agree(case):
    check_agreement(case)


@needs_compiler
@pytest.mark.slow
@pytest.mark.parametrize("case", PRODUCT, ids=name_of)
def test_engines_agree_in_every_combination(case):
    check_agreement(case)


# -- power -------------------------------------------------------------------------------------------------------------


def test_a_record_without_its_cpp_cannot_be():
    """Nothing is left to an "else": what one engine could not carry out is no record."""
    record = ACTIVATIONS["tanh"]
    for name in ("value", "slope"):
        with pytest.raises(ValueError, match=rf"tanh.*{name}"):
            replace(record, code=replace(record.code, **{name: ""}))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_wrong_slope_of_arrays_is_seen(monkeypatch, shape):
    right = ACTIVATIONS["tanh"]
    wrong = replace(right, slope=lambda z, value, xp: 1 - value * value * (1 + 1e-9))
    monkeypatch.setitem(ACTIVATIONS, "tanh", wrong)
    with pytest.raises(AssertionError):
        test_value_and_gradient({"activation": "tanh", "likelihood": "gaussian", "prior": "normal", "shape": shape})


@needs_compiler
@pytest.mark.parametrize("shape", FACTORS["shape"])
def test_a_wrong_slope_of_kernels_is_seen(monkeypatch, shape):
    """One slope wrong by 1e-9 in C++ alone."""
    right = ACTIVATIONS["tanh"]
    texts = {"slope": right.code.slope, "by_value": right.code.by_value}
    code = replace(
        right.code,
        **{
            name: text.replace("return ", "return scalar(1 + 1e-9) * (", 1).replace(";", ");")
            for name, text in texts.items()
        },
    )
    monkeypatch.setitem(ACTIVATIONS, "tanh", replace(right, code=code))
    case = {"activation": "tanh", "likelihood": "gaussian", "prior": None, "shape": shape, "dtype": np.float64}
    with pytest.raises(AssertionError):
        check_agreement({**case, "mode": "full", "method": "sgld"})
