"""A GPU through CuPy: finding it, and CUDA's errors as ours. Importing this imports no CuPy."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import DeviceError, GpuThermoError, ResourceError, RunError


def open_gpu(device: str) -> tuple[Any, Any]:
    """CuPy, and the device of that name ("cuda" or "cuda:i"), which `with` makes current.

    Raises
    ------
    DeviceError
        If CuPy is missing, or there is no such device.
    """
    try:
        import cupy
    except ImportError as error:
        raise DeviceError(f"device = {device!r} needs CuPy: pip install 'gpu-thermo[cuda13]' (or cuda12).") from error
    index = int(device.partition(":")[2] or 0)
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise DeviceError(f"device = {device!r}: CUDA finds no GPU ({error}). Use --device cpu.") from error
    if index >= count:
        raise DeviceError(
            f"device = {device!r}: there are {count} GPUs, numbered from 0. Use one of them, or --device cpu."
        )
    return cupy, cupy.cuda.Device(index)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether CUDA had no memory left, on the device or for pinned copies on the host."""
    return type(error).__name__ == "OutOfMemoryError" or "cudaErrorMemoryAllocation" in str(error)


@contextmanager
def cuda_errors(device: str, replicas: int, begun: bool = True) -> Iterator[None]:
    """Turn what CUDA says on `device` into an error with numbers and a remedy.

    Raises
    ------
    ResourceError, RunError
        The device's memory is full: before a run has begun, and on the way.
    DeviceError, RunError
        Any other error of CUDA's, likewise.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_out_of_memory(error):
            kind: type[GpuThermoError] = ResourceError
            text = f"The memory of {device} is full ({error}; {_memory(device)})"
            remedy = f"Use fewer than {replicas} replicas, a smaller network, or free the GPU of other programs"
        elif type(error).__name__ in ("CUDARuntimeError", "CUDADriverError"):
            kind, text = DeviceError, f"CUDA failed on {device}: {error}"
            remedy = "Try --engine batched or --device cpu; gpu-thermo doctor and verify --device cuda say what works"
        else:
            raise
        after = " What was committed can be resumed." if begun else ""
        raise (RunError if begun else kind)(f"{text}. {remedy}.{after}") from error


def _memory(device: str) -> str:
    """Free and total memory of a device, as far as it still says."""
    try:
        cupy, place = open_gpu(device)
        with place:
            free, total = (n / 2**30 for n in cupy.cuda.runtime.memGetInfo())
    except (DeviceError, RuntimeError):
        return "and it does not answer"
    return f"{free:.2f} of {total:.2f} GiB are free"
