"""Kernels by other compilers and for other processors (helpers/foreign.py), where those are installed.

Some of each here; `python tests/cross.py` runs the slow ones too, and the tests of kernels with Clang as the compiler.
"""

import ctypes

import numpy as np
import pytest
from contour_cases import METHODS, begin, contour_job
from foreign import MACHINES, Fields, running
from fused_cases import AT_EVERY_WIDTH, CASES, assert_close, check_against_batched, make_job, make_state
from kernel_cases import FUNCTIONS, REFERENCE, Probe, probe_source

from gpu_thermo import streams
from gpu_thermo.engines.base import permutation_grid
from gpu_thermo.engines.fused import Arguments, FusedEngine, make_emitter
from gpu_thermo.engines.operations.native import _Grid, _Identity, noise_source
from gpu_thermo.engines.predict.fused import FusedPredictor, PredictArguments
from gpu_thermo.kernels.emit import MODES, predict_source
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.state import Segment
from gpu_thermo.targets.networks import MlpModel
from gpu_thermo.targets.records import packed

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
slow = pytest.mark.slow


@pytest.fixture(params=MACHINES.values(), ids=MACHINES)
def machine(request):
    if reason := request.param.missing(run=False):
        pytest.skip(reason)
    return request.param


def test_kernels_compile(machine, dtype):
    bits = np.dtype(dtype).itemsize * 8
    jobs = [make_job(**CASES[case] | {"dtype": dtype}) for case in QUICK]
    sources = [make_emitter(job).source("host") for job in jobs]
    for source in (*sources, noise_source(bits), probe_source(bits, None), predict_source(MODEL, bits)):
        assert machine.library(source).exists()


# -- headers -----------------------------------------------------------------------------------------------------------


def test_functions_and_random_numbers(machine, dtype):
    """A call of each; test_kernels.py has the rest."""
    bits = np.dtype(dtype).itemsize * 8
    probe = Probe(bits, running(machine, probe_source(bits, None)))
    assert not machine.emulator or probe.lanes == {32: 4, 64: 1}[bits]
    x = np.abs(np.random.default_rng(0).normal(size=997)).clip(1e-3, 1).astype(dtype)
    for name in FUNCTIONS[:-1]:
        exact = REFERENCE[name](x.astype(np.float64))
        np.testing.assert_allclose(probe(name, x), exact, rtol=6 * np.finfo(dtype).eps, err_msg=name)
    random_numbers_agree(probe)


def random_numbers_agree(probe):
    """Uniforms and minibatches exactly, normals to rounding."""
    words = np.random.default_rng(0).integers(0, 2**32, 997, np.uint32)
    out, stream = np.empty(997, probe.dtype), np.arange(probe.lanes, dtype=np.uint32)
    probe.call("uniform_of", words, len(words), out)
    np.testing.assert_array_equal(out, streams.uniform(words.astype(np.uint64), probe.dtype))
    keys, step, blocks = streams.make_keys(np.full(probe.lanes, 9), stream), 2**32 + 7, 50
    drawn = np.empty((probe.lanes, 4 * blocks), probe.dtype)
    probe.call("normals_of", 9, 0, stream, step, 3, blocks, drawn)
    expected = streams.normals(keys, np.arange(blocks, dtype=np.uint64), streams.Purpose.STEP, step, 3, probe.dtype)
    np.testing.assert_allclose(drawn, expected, rtol=0, atol=1e-6 if probe.dtype == np.float32 else 1e-14)
    for mode in ("subset", "epoch", "symmetric", "replacement"):
        grid, index = np.array(list(permutation_grid(97).values()), np.uint32), np.empty((probe.lanes, 13), np.uint32)
        probe.call("batch_of", MODES.index(mode), 9, stream, grid, 1001, 13, index)
        np.testing.assert_array_equal(index, streams.minibatch(keys, mode, 97, 13, 1001))


def test_noise_of_the_batched_engine(machine, dtype):
    """Blocks of normals, the first column left out, and minibatches for 11 replicas."""
    library = running(machine, noise_source(np.dtype(dtype).itemsize * 8))
    keys = streams.make_keys(np.full(11, 2**40 + 5), np.arange(11) * 7)
    words = {name: np.array(np.broadcast_to(np.ravel(v), 11), np.uint32) for name, v in keys._asdict().items()}
    who, blocks = Fields(_Identity, words, {"replicas": 11}), np.array([0, 1, 5, 8, 9], np.uint32)
    out, where, purpose = np.zeros((11, 19), dtype), np.arange(20, dtype=np.int32) - 1, streams.Purpose.STEP
    library.call("fill_normals", who, purpose, 3, 1, blocks, len(blocks), where, out, out.shape[1])
    expected = streams.normals(keys, blocks.astype(np.uint64), purpose, 3, 1, dtype)[:, 1:]
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6 if dtype == np.float32 else 1e-14)
    names, index = ("n", "a", "b", "inverse"), np.zeros((11, 13), np.int64)
    grid = Fields(_Grid, {}, dict(zip(names, permutation_grid(97).values(), strict=True)))
    for mode in ("subset", "epoch", "symmetric", "replacement"):
        library.call("fill_minibatch", who, MODES.index(mode), grid, 5, 13, index)
        np.testing.assert_array_equal(index, streams.minibatch(keys, mode, 97, 13, 5))


# -- engines -----------------------------------------------------------------------------------------------------------


class ForeignEngine(FusedEngine):
    """The fused engine with its kernel on another machine."""

    def __init__(self, job, machine):
        super().__init__(job, threads=1)
        self._library = running(machine, self.emitter.source("host"))
        assert self._library.call("arguments_bytes") == ctypes.sizeof(Arguments)
        self._space = np.zeros(self._library.call("workspace_bytes"), np.uint8)
        self._launch = self._far

    def _far(self, arrays, numbers, written):
        self._library.call("advance", Fields(Arguments, arrays, numbers), self._space, 0, numbers["replicas"])


QUICK = ("adlala", "multiclass, tanh, three dimensions")


@pytest.mark.parametrize("case", [c if c in QUICK else pytest.param(c, marks=slow) for c in AT_EVERY_WIDTH])
def test_fused_engine_agrees_with_batched(machine, case, dtype):
    """After 1, 2 and 10 steps, with what is recorded on the way."""
    job = make_job(**CASES[case] | {"dtype": dtype})
    check_against_batched(job, ForeignEngine(job, machine))


def test_adlala_on_twenty_units(machine):
    job = make_job(d=20, replicas=21, batch=25)
    check_against_batched(job, ForeignEngine(job, machine))


def test_a_replica_that_overflows_is_frozen_alone(machine):
    job = make_job(**CASES["adlala"])
    state, healthy, engine = make_state(job), make_state(job), ForeignEngine(job, machine)
    state.momentum[9] = np.inf
    for s in (state, healthy):
        engine.advance(s, Segment(0, 3))
    assert list(state.frozen_step) == [1 if r == 9 else -1 for r in range(job.replicas)]
    assert np.isnan(state.position[9]).all()
    np.testing.assert_array_equal(np.delete(state.position, 9, 0), np.delete(healthy.position, 9, 0))


@slow
@pytest.mark.parametrize("method", ["sgld", "BAOAB"])
def test_a_contour_agrees_with_this_machine(machine, method, dtype):
    job = contour_job(dtype=dtype, **METHODS[method])
    states = begin(job), begin(job)
    for state, engine in zip(states, (FusedEngine(job, threads=1), ForeignEngine(job, machine)), strict=True):
        engine.advance(state, Segment(0, 8))
    assert (states[0].extra["contour_multiplier"] != 1).any()
    assert_close(*states, job.dtype)


MODEL = MlpModel(3, 9, 3, "multiclass", "tanh")


def test_predictions(machine, dtype):
    """More points than a tile has, and an odd number of replicas."""
    g, library = np.random.default_rng(0), running(machine, predict_source(MODEL, np.dtype(dtype).itemsize * 8))
    here, space = FusedPredictor(MODEL, dtype, threads=1), np.zeros(library.call("workspace_bytes"), np.uint8)
    position, x, w = (
        g.normal(size=(21, MODEL.layout.size)).astype(dtype),
        g.normal(size=(131, 3)).astype(dtype),
        g.random(21),
    )
    y = g.integers(0, 3, (131, 1)).astype(dtype)

    def far(kernel, size, count, **arrays):
        numbers = {"replicas": 21, "points": 131, "likelihood": packed(MODEL.constants)}
        arguments = Fields(PredictArguments, arrays, numbers)
        for i in range(0, count, size):
            library.call(kernel, arguments, space, i, min(i + size, count))

    tolerance = {"rtol": 2e-5, "atol": 1e-5} if dtype == np.float32 else {"rtol": 1e-12, "atol": 1e-12}
    tile, phi, loss, right = library.call("tile"), np.zeros((131, 3), dtype), np.zeros(21), np.zeros(21)
    sums = {"sum": np.zeros((131, 3)), "square": np.zeros((131, 3)), "entropy": np.zeros(131)}
    phi = np.zeros((21, 131, 3), dtype)
    far("predict_phi", tile, 131, position=position, x=x, phi=phi)
    np.testing.assert_allclose(phi, here.phi(position, x), **tolerance)
    far("predict_moments", tile, 131, position=position, x=x, weight=w, **sums)
    for ours, theirs in zip(sums.values(), here.moments(position, x, w).values(), strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)
    far("predict_scores", 21, 21, position=position, x=x, y=y, loss=loss, right=right)
    for ours, theirs in zip((loss, right), here.scores(position, x, y), strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)
