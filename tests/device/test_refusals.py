"""What CuPy refuses, so does the stand-in: the same tests hold for both."""

import numpy as np
import pytest

pytestmark = pytest.mark.gpu
DOUBLE = """
extern "C" __global__ void twice(double* x, long long count) {
  const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count) x[i] *= 2;
}
"""


@pytest.fixture
def cp():
    """CuPy, or what stands in for it."""
    import cupy

    return cupy


def test_arrays_meet_no_arrays_of_the_host(cp):
    there = cp.asarray(np.arange(4.0))
    with pytest.raises(TypeError):
        np.asarray(there)
    with pytest.raises(TypeError):
        there + np.ones(4)
    with pytest.raises(TypeError):
        np.ones(4) + there
    np.testing.assert_array_equal((there + np.float64(1)).get(), [1, 2, 3, 4])
    np.testing.assert_array_equal(np.exp(there * 0).get(), np.ones(4))


def test_what_cupy_lacks_is_not_found(cp):
    there = cp.zeros(3)
    for missing in ("nosuchfunction", "chararray", "nditer"):
        assert not hasattr(cp, missing)
    for missing in ("ctypes", "setfield", "resize"):
        assert not hasattr(there, missing)


def test_kernels_run_and_refuse_impossible_launches(cp):
    kernel = cp.RawModule(code=DOUBLE).get_function("twice")
    there = cp.asarray(np.arange(5.0))
    kernel((1,), (32,), (there, np.int64(5)))
    np.testing.assert_array_equal(there.get(), [0, 2, 4, 6, 8])
    with pytest.raises(cp.cuda.driver.CUDADriverError):
        kernel((1,), (2048,), (there, np.int64(5)))
    with pytest.raises(TypeError):
        kernel((1,), (32,), (np.arange(5.0), np.int64(5)))
    with pytest.raises(cp.cuda.compiler.CompileException):
        cp.RawModule(code=DOUBLE.replace("x[i]", "y[i]")).compile()


def test_devices_and_memory_end_somewhere(cp):
    with pytest.raises(cp.cuda.runtime.CUDARuntimeError, match="cudaErrorInvalidDevice"), cp.cuda.Device(99):
        pass
    with pytest.raises(cp.cuda.memory.OutOfMemoryError):
        cp.empty(2**45)


def test_copies_beside_other_work_arrive_when_they_are_waited_for(cp):
    stream, event = cp.cuda.Stream(non_blocking=True), cp.cuda.Event()
    there = cp.asarray(np.arange(1000.0)) * 2
    here = np.frombuffer(cp.cuda.alloc_pinned_memory(there.nbytes), np.float64, 1000)
    event.record()
    stream.wait_event(event)
    there.get(stream=stream, out=here, blocking=False)
    stream.synchronize()
    np.testing.assert_array_equal(here, 2 * np.arange(1000.0))
