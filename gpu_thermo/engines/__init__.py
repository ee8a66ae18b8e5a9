"""Engines: two ways to compute the same segments."""

import logging
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from ..errors import DeviceError, SpecError
from ..kernels.elementwise import elementwise_source
from ..kernels.emit import predict_device_source, predict_source
from ..kernels.sharing import TOO_LARGE
from ..kernels.toolchain import NO_COMPILER, find_compiler, missing_compiler
from ..targets.networks import MlpModel
from .ahead import in_background
from .base import Batching, Engine, Job, Needs, initial_state
from .batched import BatchedEngine
from .builds import Build, differences, make_build
from .devices import each_device, resolve_device, resolve_devices
from .fused import FusedEngine, make_emitter
from .operations.native import noise_source
from .predict.arrays import ArrayPredictor, Predictor
from .predict.fused import FusedPredictor
from .predict.pooled import PooledPredictor
from .sharded import ShardedEngine
from .timed import TimedEngine

ENGINES = ("auto", "batched", "fused")

__all__ = [
    "ENGINES",
    "BatchedEngine",
    "Batching",
    "Engine",
    "FusedEngine",
    "Job",
    "choose_engine",
    "compile_ahead",
    "describe_build",
    "engine_needs",
    "initial_state",
    "make_engine",
    "make_predictor",
    "predictor_needs",
    "resolve_device",
    "resolve_devices",
    "why_batched",
]


def choose_engine(job: Job, engine: str, device: str) -> str:
    """The engine that will carry out `job`: the one asked for, or the fastest that can.

    Raises
    ------
    SpecError
        The engine is unknown, or cannot carry out this job; the message says why.
    """
    if engine not in ENGINES:
        raise SpecError(f"engine = {engine!r} is unknown. Engines: {', '.join(ENGINES)}.")
    if device != "cpu" and (arrays_only := _without_kernels(job)):
        raise SpecError(f"{arrays_only}, and a GPU needs one: give it, or use --device cpu.")
    if engine == "batched":
        return engine
    obstacle = _obstacle(job, device)
    if engine == "fused" and obstacle:
        raise SpecError(f"engine = 'fused' cannot run this: {obstacle}. Use --engine batched.")
    if engine == "auto" and (obstacle or not _fits(job, device)):
        if obstacle.startswith(NO_COMPILER):
            _say_once(f"{obstacle}: using the slower batched engine. Install g++ or clang++, or set CXX.")
        if obstacle.startswith(TOO_LARGE):
            _say_once(f"The fused engine is left out: {obstacle}. Using the batched engine.")
        return "batched"
    return "fused"


FUSED_INPUTS, FUSED_HIDDEN, FUSED_OUTPUTS = {"cpu": 64, "cuda": 16}, 1024, 16
"""Largest networks that auto gives to the fused engine. On the CPU it was measured to win up to the digits' 64 inputs
(3 times; beyond, compiling takes seconds); on a GPU a thread's registers set the limit."""
FUSED_DEEP_BYTES, VECTOR_BYTES, FUSED_DEEP_UNITS = 12 * 2**20, 64, 64
"""The same for several hidden layers. On the CPU: what the replicas of a vector's lanes hold in all. It was measured to
win there by 1.6 to 3.3 times (2 x 256, minibatches of 128 and 20; second-level cache 1 MB, third 32 MB), and by 3 to 6
times where it fits the second-level cache. On a GPU: units of a layer, whose values a thread holds in predictions; in
sampling the chip sets the limit (kernels/sharing.py)."""


def _obstacle(job: Job, device: str) -> str:
    """Why the fused engine cannot carry out `job`; empty if it can."""
    target = job.target
    if target.library:
        return f"what {target.library} computes is code of your own, which has no C++ text"
    if target.fused is None:
        return "it samples perceptrons only, whose records have C++ texts"
    if arrays_only := _without_kernels(job):
        return arrays_only
    if target.bounds is not None:
        return "it knows no walls (bounds)"
    if device != "cpu" and target.fused.outputs > 32:
        return f"{target.fused.outputs} outputs are more than a warp has threads"
    if device == "cpu":
        return missing_compiler() if find_compiler() is None else ""
    try:
        make_emitter(job).sharing()
    except DeviceError as error:
        return str(error)
    return ""


def _without_kernels(job: Job) -> str:
    """Which operation of `job` has no C++ text, if any."""
    named = [record.symbol for record in job.program.records if not record.compiled]
    return f"{' and '.join(named)} has no C++ text" if named else ""


def why_batched(job: Job, device: str) -> str:
    """Why `auto` leaves a job to array code; empty where it does not."""
    if obstacle := _obstacle(job, device):
        return f"not fused: {obstacle}"
    return "" if _fits(job, device) else "the network is too large for the fused engine to be faster"


def _fits(job: Job, device: str) -> bool:
    """Whether the network is small enough to be sampled on chip."""
    return _small(job.target.fused, device, 3 + len(job.program.keeps))


def _small(model: MlpModel, device: str, arrays: int = 3) -> bool:
    """Whether kernels win: one that holds so many arrays of the parameters, or one of predictions."""
    kind = device.partition(":")[0]
    if not model.has_kernels or model.inputs > FUSED_INPUTS[kind] or model.outputs > FUSED_OUTPUTS:
        return False
    if model.layers == 1:
        return model.hidden[0] <= FUSED_HIDDEN
    if kind == "cuda":
        return max(model.hidden) <= FUSED_DEEP_UNITS
    return arrays * model.parameters * VECTOR_BYTES <= FUSED_DEEP_BYTES


@cache
def _say_once(message: str) -> None:
    logging.getLogger("gpu_thermo").warning(message)


def make_predictor(model: MlpModel, dtype: Any, device: str = "cpu", threads: int | None = None) -> Predictor:
    """Who does forward passes over many points: the fused kernels where they can, array code elsewhere; on several
    devices by turns.
    """
    if len(devices := each_device(device)) > 1:
        return PooledPredictor([make_predictor(model, dtype, one, threads) for one in devices])
    if _predicts_fused(model, device):
        return FusedPredictor(model, dtype, threads, device)
    if device == "cpu":
        return ArrayPredictor(model)
    import cupy

    return ArrayPredictor(model, cupy)


def _predicts_fused(model: MlpModel, device: str) -> bool:
    return _small(model, device) and (device != "cpu" or find_compiler() is not None)


def predictor_needs(model: MlpModel, dtype: Any, points: int, device: str, threads: int | None) -> tuple[Needs, bool]:
    """What the predictor of `make_predictor` would take for a block of replicas at so many points, results aside; and
    whether it sums over replicas by itself.
    """
    chosen: type[FusedPredictor | ArrayPredictor] = FusedPredictor if _predicts_fused(model, device) else ArrayPredictor
    return chosen.needs(model, dtype, points, device, threads), chosen.has_moments


def engine_needs(job: Job, engine: str, device: str, threads: int | None = None) -> Needs:
    """What the engine of that name would take beside state and ring."""
    if job.clock is not None:
        return TimedEngine.needs(job, device, threads, lambda some: engine_needs(some, engine, device, threads))
    return (FusedEngine if engine == "fused" else BatchedEngine).needs(job, device, threads)


def make_engine(job: Job, engine: str, device: str, threads: int | None = None, together: int = 1) -> Engine:
    """The engine of that name; of replicas that keep one time, one for each number of steps. On several devices one on
    each, and no share cuts `together` neighbours.
    """
    if len(devices := each_device(device)) > 1:
        return ShardedEngine.on(
            job, devices, lambda share, one: make_engine(share, engine, one, threads), engine, together
        )
    if job.clock is not None:
        return TimedEngine(job, lambda some: make_engine(some, engine, device, threads))
    if engine == "fused":
        return FusedEngine(job, device, threads)
    return BatchedEngine(job, device, threads)


def describe_build(job: Job, engine: str, device: str) -> Build:
    """What decides the bits of `job` carried out by that engine on that device, its observers included.

    Raises
    ------
    DeviceError
        Several devices are not alike.
    """
    if len(devices := each_device(device)) > 1:
        builds = [describe_build(job, engine, one) for one in devices]
        for one, build in zip(devices, builds, strict=True):
            if text := differences(builds[0].to_dict(), build.to_dict(), devices[0], one):
                raise DeviceError(
                    f"{devices[0]} and {one} are not alike, and give other bits:\n{text}\nUse devices that are."
                )
        return builds[0]
    steps, observed = _step_sources(job, engine, device), _observer_sources(job, device)
    arrays = engine == "batched" or not observed
    return make_build(engine, np.dtype(job.dtype).name, device, (*steps, *observed), arrays, job.target.library)


def compile_ahead(jobs: Sequence[Job], engine: str, device: str) -> None:
    """Begin to compile on idle cores what a run will need of kernels that the host compiles: those of its `jobs`, in
    the order in which it comes to them, but for the first, and its observers'.
    """
    if engine == "fused" and device == "cpu":
        steps = [source for job in jobs[1:] for source in _step_sources(job, engine, device)]
        in_background([*steps[:1], *_observer_sources(jobs[0], device), *steps[1:]])


def _step_sources(job: Job, engine: str, device: str) -> list[str]:
    """Text of what the engine compiles for the steps of `job`."""
    bits = np.dtype(job.dtype).itemsize * 8
    if engine == "fused":
        emitter = make_emitter(job)
        return [emitter.source("host") if device == "cpu" else emitter.source("device", emitter.sharing())]
    if device != "cpu":
        return [elementwise_source(bits, records=job.program.records)]
    return [noise_source(bits)] if find_compiler() else []


def _observer_sources(job: Job, device: str) -> list[str]:
    """Text of the kernels that predict for observers; none where array code does."""
    model, bits = job.target.fused, np.dtype(job.dtype).itemsize * 8
    if model is None or not _predicts_fused(model, device):
        return []
    return [predict_source(model, bits) if device == "cpu" else predict_device_source(model, bits)]
