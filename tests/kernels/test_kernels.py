"""Kernel headers on the host against NumPy and scipy, and as CUDA through NVRTC without a GPU."""

import ctypes
import re
from pathlib import Path

import numpy as np
import pytest
from foreign import MACHINES, running
from guarded import Here
from kernel_cases import FUNCTIONS, REFERENCE, Probe, probe_source
from widths import at_width, lanes, widths

import gpu_thermo.kernels
from gpu_thermo import streams
from gpu_thermo.averages.moments import entropy
from gpu_thermo.engines.base import permutation_grid
from gpu_thermo.engines.predict.fused import FusedPredictor
from gpu_thermo.kernels.emit import MODES, Emitter
from gpu_thermo.kernels.nvrtc import has_nvrtc, nvrtc_compile, resources
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method import letters
from gpu_thermo.method.named import get_method, make_program
from gpu_thermo.targets.networks import MlpModel

KERNELS = Path(gpu_thermo.kernels.__file__).parent

needs_compiler = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
slow = pytest.mark.slow
needs_nvrtc = pytest.mark.skipif(not has_nvrtc(), reason="nvidia-cuda-nvrtc is not installed")


HERE = {f"float{bits}, {w} bits": (bits, None, w) for bits in (32, 64) for w in widths()} | {"one lane": (32, 1, 128)}
ELSEWHERE = [pytest.param((bits, m, 0), id=f"float{bits}, {m}", marks=slow) for bits in (32, 64) for m in MACHINES]


def test_no_array_of_vectors_is_aligned_less_than_they_are():
    """GCC lets it pass, Clang is right to refuse it where vectors are wider than 16 bytes."""
    headers = "".join(path.read_text() for path in sorted(KERNELS.glob("*.h")))
    aligned = re.findall(r"((?:alignas\([^)]*\) )+)(?:real|Vector) \w+\[", headers)
    assert aligned
    assert all("alignas(real)" in said for said in aligned)


@pytest.fixture(scope="module", params=[*(pytest.param(p, id=name) for name, p in HERE.items()), *ELSEWHERE])
def probe(request):
    bits, lanes, width = request.param
    if lanes in MACHINES:
        return Probe(bits, running(MACHINES[lanes], probe_source(bits, None)))
    if find_compiler() is None:
        pytest.skip("no C++ compiler")
    with at_width(width):
        return Probe(bits, Here(probe_source(bits, lanes)))


def test_a_forced_width_is_that_of_the_vectors(width):
    assert lanes(32) == width // 32 or (width == 128 and lanes(32) == 1)
    assert lanes(64) == (width // 64 if width > 128 else 1)


POSITIVE, UNIT = ("log_of", "root"), ("log1p_of",)


@pytest.mark.parametrize("name", FUNCTIONS[:-1])
def test_functions_are_right_to_a_few_units_in_the_last_place(probe, name):
    g = np.random.default_rng(0)
    x = np.concatenate([g.normal(size=19999) * scale for scale in (1e-6, 1e-3, 0.1, 1, 10, 60)])
    if name in POSITIVE:
        x = np.abs(x) + 1e-9
    if name in UNIT:
        x = np.clip(np.abs(x), 0, 1)
    x = x.astype(probe.dtype)
    with np.errstate(all="ignore"):
        exact = REFERENCE[name](x.astype(np.longdouble if probe.dtype == np.float64 else np.float64))
        ulp = np.spacing(np.abs(exact.astype(probe.dtype)))
        error = np.abs(probe(name, x) - exact) / ulp
        normal = np.isfinite(exact.astype(probe.dtype)) & (np.abs(exact) > np.finfo(probe.dtype).tiny * 4)
    assert error[normal].max() < 3


def test_phi_is_the_references(probe):
    x = np.concatenate([np.linspace(-80, 80, 4001), np.linspace(-2e-3, 2e-3, 4001)]).astype(probe.dtype)
    rtol = 1e-6 if probe.dtype == np.float32 else 2e-15 * 1e3  # expm1 near the switch at 1e-3 is divided by x
    np.testing.assert_allclose(probe("phi", x), letters.phi(x.astype(np.float64)), rtol=rtol)


def test_ends_of_the_range(probe):
    with np.errstate(all="ignore"):
        for name in ("exp_of", "expm1_of", "tanh_of", "sigmoid_of", "softplus_of"):
            x = np.array([np.inf, -np.inf, np.nan, 1e4, -1e4, 0.0], probe.dtype)
            np.testing.assert_allclose(probe(name, x)[[0, 1, 3, 4, 5]], REFERENCE[name](x)[[0, 1, 3, 4, 5]], rtol=1e-6)
            assert np.isnan(probe(name, x)[2])


def test_uniforms_round_as_the_reference(probe):
    ends = [0, 1, 2**32 - 1, 2**24 + 1, 2**31, 2**25 + 3, 2**32 - 129, 7]
    w = np.concatenate([np.random.default_rng(0).integers(0, 2**32, 4093), ends])  # an odd count: no vector divides it
    out, words = np.empty(len(w), probe.dtype), w.astype(np.uint32)
    probe.call("uniform_of", words, len(w), out)
    np.testing.assert_array_equal(out, streams.uniform(w.astype(np.uint64), probe.dtype))


@pytest.mark.parametrize("step", [0, 5, 2**32 + 7, 2**48 - 1])
def test_normals_have_the_addresses_of_the_reference(probe, step):
    seed, stream, blocks = 2**40 + 12345, np.arange(probe.lanes) * 7 + 2**31, 4000
    out = np.empty((probe.lanes, blocks * 4), probe.dtype)
    key = ctypes.c_uint32(seed & 0xFFFFFFFF), ctypes.c_uint32(seed >> 32), stream.astype(np.uint32)
    probe.call("normals_of", *key, ctypes.c_uint64(step), ctypes.c_uint32(3), blocks, out)
    keys = streams.make_keys(np.full(probe.lanes, seed), stream)
    expected = streams.normals(keys, np.arange(blocks, dtype=np.uint64), streams.Purpose.STEP, step, 3, probe.dtype)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6 if probe.dtype == np.float32 else 1e-14)


@pytest.mark.parametrize("mode", ["subset", "epoch", "symmetric", "replacement"])
@pytest.mark.parametrize("points", [1, 2, 3, 7, 64, 97, 1000, 60000])
def test_minibatches_are_exactly_the_references(probe, mode, points):
    stream, batch = np.arange(probe.lanes, dtype=np.uint32), min(points, 50)
    grid = np.array(list(permutation_grid(points).values()), np.uint32)
    keys = streams.make_keys(np.full(probe.lanes, 9), stream)
    for ordinal in (0, 1, 1001, 2**33):
        out = np.empty((probe.lanes, batch), np.uint32)
        number = ctypes.c_int(MODES.index(mode))
        probe.call("batch_of", number, ctypes.c_uint32(9), stream, grid, ctypes.c_uint64(ordinal), batch, out)
        np.testing.assert_array_equal(out, streams.minibatch(keys, mode, points, batch, ordinal))


# -- predictions -------------------------------------------------------------------------------------------------------


@needs_compiler
@pytest.mark.parametrize(
    ("task", "activation", "outputs", "dtype"),
    [
        ("binary", "relu", 1, np.float32),
        ("multiclass", "tanh", 3, np.float64),
        ("regression", "softplus", 2, np.float64),
    ],
)
def test_predictions_and_their_sums(task, activation, outputs, dtype, width):
    g = np.random.default_rng(0)
    model = MlpModel(3, 9, outputs, task, activation, None, 0.7)
    position, x, w = (
        g.normal(size=(21, model.layout.size)).astype(dtype),
        g.normal(size=(150, 3)).astype(dtype),
        g.random(21),
    )
    y = g.normal(size=(150, 2)).astype(dtype) if task == "regression" else g.integers(0, max(2, outputs), 150)
    predictor, phi = FusedPredictor(model, dtype, threads=2), model.predict(position, x).astype(np.float64)
    tolerance = {"rtol": 2e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    np.testing.assert_allclose(predictor.phi(position, x), phi, **tolerance)
    sums = predictor.moments(position, x, w)
    np.testing.assert_allclose(sums["sum_w_phi"], np.einsum("r,rto->to", w, phi), **tolerance)
    np.testing.assert_allclose(sums["sum_w_phi2"], np.einsum("r,rto->to", w, phi * phi), **tolerance)
    if task != "regression":
        np.testing.assert_allclose(sums["sum_w_entropy"], np.einsum("r,rt->t", w, entropy(phi, task)), **tolerance)
    out, labels = model.outputs_at(position, x), np.broadcast_to(y, (21, *y.shape))
    loss, right = predictor.scores(position, x, y)
    np.testing.assert_allclose(loss, model.losses(out, labels).sum(axis=1, dtype=np.float64), **tolerance)
    if task == "regression":
        np.testing.assert_allclose(right, ((out - y) ** 2).sum(axis=(1, 2)), **tolerance)
    else:
        label = out.argmax(-1) if task == "multiclass" else out[..., 0] > 0
        np.testing.assert_array_equal(right, (label == y).sum(axis=1))
    np.testing.assert_array_equal(
        FusedPredictor(model, dtype, threads=1).moments(position, x, w)["sum_w_phi"], sums["sum_w_phi"]
    )


# -- CUDA without a GPU ------------------------------------------------------------------------------------------------


def device_log(method="adlala", arch="sm_90", *, m=2, d=100, n=1, task="binary", activation="relu", mode="subset",
               batch=20, bits=32, partition=None, prior=None, word=None):  # fmt: skip
    model = MlpModel(m, d, n, task, activation, prior)
    program = make_program(get_method(method), model.layout.partition(partition or get_method(method).partition), word)
    emitter = Emitter(program, model, mode, batch, bits)
    _, log = nvrtc_compile(emitter.source("device", emitter.sharing().team), arch, ("--ptxas-options=-v",))
    return resources(log)["advance"]


@pytest.mark.parametrize("hidden", [(20,), (8, 8)])
@pytest.mark.parametrize("entry", ["host", "device"])
def test_kernels_of_all_points_do_not_know_how_many(hidden, entry):
    """One compiled kernel for every N; a minibatch's size is a constant of its loops."""
    model = MlpModel(3, hidden, 1, "regression", "silu", 1.0, 0.5)
    program = make_program(get_method("langevin"), model.layout.partition("all"))
    text = lambda mode, batch: Emitter(program, model, mode, batch, 32).source(entry)  # noqa: E731
    assert text("full", 30) == text("full", 3000)
    assert text("subset", 30) != text("subset", 31)


VARIANTS = [  # every value of every choice, paired differently in each line
    {"method": "adl", "arch": "sm_75", "d": 500, "mode": "epoch", "partition": "tensor"},
    {
        "method": "lol",
        "arch": "sm_120",
        "task": "regression",
        "activation": "identity",
        "n": 2,
        "mode": "full",
        "batch": 100,
        "prior": 1.0,
    },
    {
        "method": "splitting",
        "word": "BAEFEAB",
        "arch": "sm_75",
        "task": "multiclass",
        "n": 5,
        "activation": "tanh",
        "d": 40,
    },
    {"method": "langevin", "arch": "sm_90", "activation": "softplus", "bits": 64, "d": 20, "mode": "replacement"},
    {"method": "adam", "arch": "sm_120", "d": 64, "m": 8, "task": "multiclass", "n": 3},
    {"method": "sgld", "arch": "sm_75", "d": 33, "m": 1, "task": "regression", "activation": "tanh", "bits": 64},
    {"method": "coolmomentum", "arch": "sm_90", "d": 100, "mode": "epoch"},
    {"method": "momentum", "arch": "sm_90", "d": 1000, "prior": 2.0},
    {"method": "sgd", "arch": "sm_120", "d": 16, "m": 16, "n": 10, "task": "multiclass", "batch": 50},
]


@needs_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: f"{v['method']} {v['arch']}")
def test_device_kernels_compile(variant):
    assert device_log(**variant).registers > 0
