"""CUDA's errors become ours, with numbers and a remedy; where memory is short, less is asked for at once."""

import numpy as np
import pytest

from bench.device import jobs
from gpu_thermo.engines import BatchedEngine, FusedEngine
from gpu_thermo.errors import DeviceError, ResourceError, RunError
from gpu_thermo.state import Segment

pytestmark = pytest.mark.gpu
CASE = {"word": "BAOAB", "task": "binary", "activation": "tanh", "mode": "subset", "partition": "layer"}
JOB = jobs.make_job(CASE | {"bits": 32, "team": 32}, 16)
RECORD = tuple(range(5, 21))
ENGINES = (FusedEngine, BatchedEngine)


@pytest.fixture
def standin():
    """The stand-in: a GPU's memory is not so easily filled."""
    import cupy

    if not hasattr(cupy, "COUNTS"):
        pytest.skip("only the stand-in has as little memory as it is told")
    return cupy


def leave(standin, monkeypatch, nbytes):
    """From now on the device has so much memory free."""
    monkeypatch.setattr(standin.devices, "MEMORY", standin.counts.HELD[0] + nbytes)


def advanced(engine):
    state = engine.load(jobs.make_state(JOB))
    return engine.advance(state, Segment(0, 20, RECORD)), state


def test_short_memory_halves_what_is_asked_for_and_changes_no_bit(standin, monkeypatch):
    """A launch that records has two buffers on the device; four draws each are too many, one is not."""
    wanted, expected = advanced(FusedEngine(JOB, "cuda:0"))
    engine = FusedEngine(JOB, "cuda:0")
    state = engine.load(jobs.make_state(JOB))
    engine.advance(state, Segment(0, 4))
    leave(standin, monkeypatch, 5 * wanted.position[0].nbytes)
    found = engine.advance(state, Segment(4, 16, RECORD))
    assert 1 <= engine._there.most_draws <= 2
    assert len(wanted.there) == 16
    assert found.there is None  # no room to keep them: observers take them from the host
    for name in ("position", "thermostat", "kinetic_temperature", "energy"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    np.testing.assert_array_equal(state.momentum, expected.momentum)


@pytest.mark.parametrize("kind", ENGINES)
def test_no_memory_at_all_is_refused_with_numbers(kind, standin, monkeypatch):
    engine = kind(JOB, "cuda:0")
    state = engine.load(jobs.make_state(JOB))
    engine.advance(state, Segment(0, 4))
    leave(standin, monkeypatch, 100)
    with pytest.raises(RunError, match=r"memory of cuda:0 is full .* GiB are free.* fewer than 16 replicas.* resumed"):
        engine.advance(state, Segment(4, 16, RECORD))
    with pytest.raises(ResourceError, match=r"memory of cuda:0 is full .* fewer than 16 replicas"):
        engine.load(jobs.make_state(JOB))


@pytest.mark.parametrize("kind", ENGINES)
def test_a_device_that_is_not_there(kind):
    with pytest.raises(DeviceError, match=r"cuda:99'?: there (is|are) .* numbered from 0"):
        kind(JOB, "cuda:99")


@pytest.mark.parametrize("kind", ENGINES)
def test_a_launch_that_fails_ends_the_run_in_our_words(kind, standin, monkeypatch):
    engine = kind(JOB, "cuda:0")
    state = engine.load(jobs.make_state(JOB))
    engine.advance(state, Segment(0, 2))

    def fails(*_, **__):
        raise standin.cuda.runtime.CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access was encountered")

    monkeypatch.setattr(standin.modules.Function, "__call__", fails)
    with pytest.raises(RunError, match=r"CUDA failed on cuda:0: cudaErrorIllegalAddress.*--device cpu.* resumed"):
        engine.advance(state, Segment(2, 2))


def test_errors_that_are_not_cudas_stay_what_they_are():
    engine = FusedEngine(JOB, "cuda:0")
    with pytest.raises(ValueError, match="this job needs"):
        engine.advance(engine.load(jobs.make_state(jobs.make_job(CASE | {"bits": 32, "team": 32}, 5))), Segment(0, 2))
