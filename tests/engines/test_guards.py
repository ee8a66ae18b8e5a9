"""The compiled kernels write nowhere but where they should: guard bytes around arrays, replicas no lanes' multiple."""

import ctypes

import numpy as np
import pytest
from contour_cases import contour_job
from fused_cases import AT_EVERY_WIDTH, CASES, DEEP, assert_same, make_job, make_state, narrower
from guarded import Guarded, call, guarded
from widths import at_width, widths

from gpu_thermo.engines.base import permutation_grid
from gpu_thermo.engines.fused import FusedEngine
from gpu_thermo.engines.operations.native import _Grid, _Identity, noise_library
from gpu_thermo.engines.predict.fused import FusedPredictor
from gpu_thermo.kernels.emit import MODES
from gpu_thermo.kernels.toolchain import find_compiler, host_library
from gpu_thermo.state import Segment
from gpu_thermo.streams import Keys, Purpose, make_keys, minibatch, normals
from gpu_thermo.targets.networks import MlpModel

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")

REPLICAS = (1, 11, 37)  # of 4, 8 and 16 lanes: one alone, all but a few of a vector, a few beyond
WRITER = 'extern "C" void put(long long at, float* x, long long n) { for (long long i = 0; i < n; ++i) x[at + i] = 1; }'


@pytest.mark.parametrize(
    ("at", "count", "message"),
    [(5, 1, r"4 bytes outside were written, at \+20 from its start to \+3 from its end"),
     (-1, 2, r"4 bytes outside .* at -4 from its start"), (3, 7, r"20 bytes outside .* to \+19 from its end")],
)  # fmt: skip
def test_what_is_written_outside_is_found(at, count, message):
    library, x = host_library(WRITER), np.zeros(5, np.float32)
    call(library.put, 1, x, 3)
    np.testing.assert_array_equal(x, [0, 1, 1, 1, 0])
    with pytest.raises(AssertionError, match=message):
        call(library.put, at, x, count)


def test_arithmetic_in_place_outside_is_found(dtype):
    """... though what it finds there is NaN, which stays NaN."""
    name = {4: "float", 8: "double"}[np.dtype(dtype).itemsize]
    library = host_library(
        f'extern "C" void twice({name}* x, long long n) {{ for (long long i = 0; i < n; ++i) x[i] *= 2; }}'
    )
    x = np.ones(5, dtype)
    call(library.twice, x, 5)
    assert (x == 2).all()
    with pytest.raises(AssertionError, match="bytes outside were written"):
        call(library.twice, x, 6)


def test_gaps_of_a_view_and_constants_are_guarded():
    library, x = host_library(WRITER), np.zeros((3, 4), np.float32)
    call(library.put, 4, x[:, :2], 2)  # row 1
    np.testing.assert_array_equal(x, [[0] * 4, [1, 1, 0, 0], [0] * 4])
    with pytest.raises(AssertionError, match="4 bytes outside were written"):
        call(library.put, 4, x[:, :2], 3)
    with pytest.raises(AssertionError, match="'x' is constant"), guarded({"x": x}, constant=frozenset("x")) as there:
        there["x"][2, 2] = 7
    assert x[2, 2] == 0


def guard(engine):
    """Every launch of a fused engine on guarded arrays, with guarded workspaces."""
    launch, spaces = engine._launch, [Guarded(space, aligned=True) for space in engine._launch._workspaces]
    launch._workspaces = [space.array for space in spaces]

    def guarded_launch(arrays, numbers, written):
        with guarded(arrays, constant=frozenset(arrays) - frozenset(written)) as there:
            launch(there, numbers, written)
        for space in spaces:
            space.check("workspace")

    engine._launch = guarded_launch
    return engine


JOBS = {name: (make_job, kind) for name, kind in (CASES | DEEP).items()}
JOBS |= {f"contour, {d}": (contour_job, {"method": "sgld", "dtype": np.dtype(d).type}) for d in ("float32", "float64")}


@pytest.mark.parametrize("case", JOBS)
@pytest.mark.parametrize("replicas", REPLICAS)
def test_segments(case, replicas):
    """... and the numbers are those without guards."""
    check_segments(case, replicas)


@pytest.mark.parametrize(("case", "bits", "dtype"), narrower((*AT_EVERY_WIDTH, "deep adlala", "contour, float32")))
@pytest.mark.parametrize("replicas", REPLICAS)
def test_segments_of_narrower_vectors(case, replicas, bits, dtype):
    """The kernels that test_fused.py compares."""
    with at_width(bits):
        check_segments(case, replicas, dtype=dtype)


def check_segments(case, replicas, **more):
    make, kind = JOBS[case]
    job = make(**kind | {"replicas": replicas} | more)
    states = [make_state(job), make_state(job)]
    for engine, state in zip((guard(FusedEngine(job, threads=2)), FusedEngine(job, threads=1)), states, strict=True):
        if job.contour:
            job.contour.begin(state)
        engine.advance(state, Segment(0, 3, (1, 3)))
    assert_same(*states)


NETWORKS = [
    ("binary", "relu", 1, np.float32),
    ("multiclass", "tanh", 3, np.float64),
    ("regression", "softplus", 2, np.float64),
]


PREDICTED = [(network, (9,), bits) for network in NETWORKS for bits in widths()]
PREDICTED += [(network, (6, 11), widths()[i % len(widths())]) for i, network in enumerate(NETWORKS) if widths()]


@pytest.mark.parametrize(("network", "hidden", "bits"), PREDICTED)
@pytest.mark.parametrize("replicas", REPLICAS)
def test_predictions(network, hidden, bits, replicas):
    """More points than a tile has, and not a multiple of it; at depth each network in vectors of another width."""
    with at_width(bits):
        check_predictions(*network, hidden, replicas)


def check_predictions(task, activation, outputs, dtype, hidden, replicas):
    g, model = np.random.default_rng(0), MlpModel(3, hidden, outputs, task, activation, None, 0.7)
    position, x = g.normal(size=(replicas, model.layout.size)).astype(dtype), g.normal(size=(131, 3)).astype(dtype)
    y, w = g.normal(size=(131, 2)) if task == "regression" else g.integers(0, max(2, outputs), 131), g.random(replicas)
    bare, predictor = FusedPredictor(model, dtype, threads=1), FusedPredictor(model, dtype, threads=1)
    space = Guarded(np.zeros(predictor._on._library.workspace_bytes(), np.uint8), aligned=True)
    predictor._on._spaces.put(space.array)
    run = predictor._on._run

    def guarded_run(kernel, size, count, **arrays):
        with guarded(arrays, constant=frozenset({"position", "x", "y", "weight"})) as there:
            run(kernel, size, count, **there)
        space.check("workspace")

    predictor._on._run = guarded_run
    np.testing.assert_array_equal(predictor.phi(position, x), bare.phi(position, x))
    for name, value in bare.moments(position, x, w).items():
        np.testing.assert_array_equal(predictor.moments(position, x, w)[name], value, err_msg=name)
    np.testing.assert_array_equal(predictor.scores(position, x, y), bare.scores(position, x, y))


@pytest.mark.parametrize("replicas", REPLICAS)
def test_noise_and_minibatches(replicas, dtype, width):
    """... at an odd number of blocks, with columns left out."""
    library = noise_library(np.dtype(dtype).itemsize * 8)
    keys = make_keys(np.full(replicas, 2**40 + 5), np.arange(replicas) * 7)
    whole = (np.array(np.broadcast_to(np.ravel(v), replicas), np.uint32) for v in keys)
    words = dict(zip(Keys._fields, whole, strict=True))
    with guarded(words, constant=frozenset(words)) as there:
        who = ctypes.byref(_Identity(*(there[name].ctypes.data for name in ("low", "high", "stream")), replicas))
        blocks = np.array([0, 1, 5, 8, 9], np.uint32)
        where = np.arange(20, dtype=np.int32) - 1  # the first column is left out
        out, u32, u64 = np.zeros((replicas, 19), dtype), ctypes.c_uint32, ctypes.c_uint64
        at = u32(Purpose.STEP), u64(3), u32(1)
        call(library.fill_normals, who, *at, blocks, len(blocks), where, out, out.shape[1])
        expected = normals(keys, blocks.astype(np.uint64), Purpose.STEP, 3, 1, dtype)[:, 1:]
        np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6 if dtype == np.float32 else 1e-14)
        for mode in ("subset", "epoch", "symmetric", "replacement"):
            grid, index = ctypes.byref(_Grid(*permutation_grid(97).values())), np.zeros((replicas, 13), np.int64)
            call(library.fill_minibatch, who, ctypes.c_int32(MODES.index(mode)), grid, u64(5), index.shape[1], index)
            np.testing.assert_array_equal(index, minibatch(keys, mode, 97, 13, 5))
