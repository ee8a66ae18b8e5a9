"""States: restored, copied, and hyperparameters of some replicas."""

from dataclasses import replace

import numpy as np
import pytest
from engine_cases import METHODS, assert_identical, network, run
from linear_maps import advance

from gpu_thermo.state import State

# -- restarts --------


@pytest.mark.parametrize("method", METHODS)
def test_a_restored_state_goes_on_as_if_nothing_had_happened(method, native):
    """Through arrays and back, as a checkpoint does; nothing else is needed, and nothing is left in the engine."""
    job, state = network(method)
    whole, _ = run(job, state, native=native)
    half, _ = run(job, state, (23,), native=native)
    saved = {name: value.copy() for name, value in half.arrays().items()}
    restored = State.from_arrays(saved, half.step, half.evaluations)
    if method == "adam":
        assert set(restored.extra) == {"adam_mean", "adam_square"}
    advance(job, restored, 17, native=native)
    assert_identical(restored, whole)
    assert restored.evaluations == job.program.gradients_before(40)


def test_a_copy_is_deep():
    job, state = network("adam")
    copy = state.copy()
    advance(job, state, 3)
    assert_identical(copy, network("adam")[1])


def test_hyperparameters_of_some_replicas():
    job, _ = network("scheduled")
    taken = job.hyper.take(np.array([3, 1]))
    np.testing.assert_array_equal(taken.stepsize, job.hyper.stepsize[[3, 1]])
    assert taken.schedules == job.hyper.schedules
    assert taken.total == job.hyper.total


def test_seeds_and_streams_are_what_tells_replicas_apart():
    """Two replicas with the same address and start are equal for ever; another seed or stream differs."""
    job, state = network(replicas=4, seeds=(0,))
    job = replace(job, seed=np.array([1, 1, 2, 1], np.uint64), stream=np.array([0, 0, 0, 1], np.uint64))
    for array in (state.position, state.momentum):
        array[:] = array[:1]
    after, _ = run(job, state)
    np.testing.assert_array_equal(after.position[0], after.position[1])
    assert (after.position[0] != after.position[2]).any()
    assert (after.position[0] != after.position[3]).any()
