"""Compiled noise for the batched engine: the same integers, normals to 1e-6, and the same first steps as array code."""

import numpy as np
import pytest

from gpu_thermo.engines import BatchedEngine, Batching
from gpu_thermo.engines.operations.arrays import NumpyOperations
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.named import METHODS, make_program
from gpu_thermo.spec.run import RunSpec
from gpu_thermo.state import Segment
from gpu_thermo.streams import make_keys
from gpu_thermo.targets.networks import MlpModel

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")

SEEDS = {"one seed": np.full(19, 7, np.uint64), "own seeds": np.arange(19, dtype=np.uint64) * np.uint64(2**40 + 1)}


def both(inputs: int, outputs: int, seeds: np.ndarray, dtype: type) -> tuple[NumpyOperations, NumpyOperations]:
    """Array code and compiled code for AdLaLa on the same network and identities."""
    from gpu_thermo.engines.operations.native import NativeOperations

    model = MlpModel(inputs, 5, outputs, "binary" if outputs == 1 else "multiclass")
    program = make_program(METHODS["adlala"], model.layout.partition("layer"))
    keys = make_keys(seeds, np.arange(len(seeds)) + 3)
    return tuple(kind(program, model.layout.lanes, keys, dtype) for kind in (NumpyOperations, NativeOperations))


@pytest.mark.parametrize("seeds", SEEDS.values(), ids=SEEDS)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize(("inputs", "outputs"), [(2, 1), (7, 3), (64, 10)])
def test_normals_agree(inputs: int, outputs: int, dtype: type, tolerance: float, seeds: np.ndarray) -> None:
    reference, native = both(inputs, outputs, seeds, dtype)
    for step in (0, 1, 2**33 + 5):
        reference.begin_step(step)
        native.begin_step(step)
        for k, sub in ((0, 0), (0, 1), (1, 0)):
            a, b = reference._noise(k, sub), native._noise(k, sub)
            assert a.dtype == b.dtype == dtype
            np.testing.assert_allclose(b, a, atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("mode", ["subset", "epoch", "symmetric", "replacement"])
@pytest.mark.parametrize(("points", "batch"), [(500, 25), (17, 5), (1, 1), (2, 2), (65_536, 50), (60_000, 7)])
def test_minibatches_are_the_same(mode: str, points: int, batch: int) -> None:
    reference, native = both(2, 1, SEEDS["own seeds"], np.float32)
    for ordinal in (0, 1, 12_345, 2**40):
        np.testing.assert_array_equal(
            native.minibatch(Batching(mode, batch), points, ordinal),
            reference.minibatch(Batching(mode, batch), points, ordinal),
        )
    assert native.minibatch(Batching("full", points), points, 0) is None


def test_first_steps_agree_and_replicas_do_not_depend_on_their_company() -> None:
    from gpu_thermo.running.setup import prepare

    spec = RunSpec.from_dict({"data": {"train": 50}, "model": {"hidden": 6}, "run": {"replicas": 21, "batch": 10}})
    ready = prepare(spec)
    states = {native: ready.initial_state() for native in (False, True)}
    for native, state in states.items():
        BatchedEngine(ready.job, native=native).advance(state, Segment(0, 5))
    np.testing.assert_allclose(states[True].position, states[False].position, atol=2e-6)
    cut = ready.initial_state()
    BatchedEngine(ready.job, native=True, block=4, threads=2).advance(cut, Segment(0, 5))
    np.testing.assert_array_equal(cut.position, states[True].position)
