"""Engines: two ways to compute the same segments."""

from ..errors import DeviceError, SpecError
from .base import Batching, Engine, Job, initial_state
from .batched import BatchedEngine

ENGINES = ("auto", "batched", "fused")

__all__ = ["ENGINES", "BatchedEngine", "Batching", "Engine", "Job", "choose_engine", "initial_state", "make_engine", "resolve_device"]


def resolve_device(device: str) -> str:
    """ "cpu" or "cuda:i" from what the user asked for; "auto" takes a GPU where there is one.

    Raises
    ------
    DeviceError
        If a GPU is asked for and CuPy or the GPU is missing.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise SpecError(f"device = {device!r} is unknown. Devices: auto, cpu, cuda, cuda:0, cuda:1, ...")
    if kind == "cpu":
        return "cpu"
    count, why = _count_gpus()
    if count > int(index or 0):
        return f"cuda:{index or 0}"
    if kind == "auto":
        return "cpu"
    raise DeviceError(f"device = {device!r}: {why or f'there are {count} GPUs, numbered from 0'}. Use --device cpu, or see gpu-thermo doctor.")


def _count_gpus() -> tuple[int, str]:
    """Number of usable GPUs, and why there is none."""
    try:
        import cupy
    except ImportError:
        return 0, 'CuPy is not installed: pip install "gpu-thermo[cuda13]" (or cuda12)'
    try:
        return int(cupy.cuda.runtime.getDeviceCount()), ""
    except cupy.cuda.runtime.CUDARuntimeError as error:
        return 0, f"CUDA finds no GPU ({error})"


def choose_engine(job: Job, engine: str, device: str) -> str:
    """The engine that will carry out `job`: the one asked for, or the fastest that can."""
    if engine not in ENGINES:
        raise SpecError(f"engine = {engine!r} is unknown. Engines: {', '.join(ENGINES)}.")
    return "batched" if engine == "auto" else engine


def make_engine(job: Job, engine: str, device: str, threads: int | None = None) -> Engine:
    """The engine of that name."""
    return BatchedEngine(job, device, threads)
