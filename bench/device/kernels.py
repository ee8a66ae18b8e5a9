"""Every kernel on a device against the CPU: fused engine, batched engine, predictions; poisoned outputs, bits that must
not change.
"""

import inspect
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from gpu_thermo.engines import BatchedEngine, FusedEngine, Job
from gpu_thermo.engines import batched as batched_module
from gpu_thermo.engines import fused as fused_module
from gpu_thermo.engines.base import cores
from gpu_thermo.engines.work import RECORDED
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.state import Recorded, Segment, State

from . import jobs

TOLERANCE = {32: 2e-5, 64: 1e-10}
"""Of a state's arrays, scaled to their largest value, after at most ten steps."""
STEPS = (1, 2, 10)
Report = dict[str, Any]


def _poisoned(state: State, segment: Segment) -> Recorded:
    """A ring full of NaN: what a kernel forgets to write stays visible."""
    ring = _empty_record(state, segment)
    for array in (ring.position, ring.thermostat, ring.kinetic_temperature, ring.energy):
        array[...] = np.nan
    return ring


_empty_record = batched_module.empty_record


def advanced(engine: Any, job: Job, steps: int, poison: bool) -> tuple[State, Recorded]:
    """State and ring after `steps` steps from the common start."""
    state = jobs.make_state(job, poison)
    return state, engine.advance(state, Segment(0, steps, tuple(sorted({max(1, steps // 2), steps}))))


def difference(a: Any, b: Any) -> float:
    """Largest difference scaled to the largest value; infinite where NaN or integers differ."""
    if a.dtype.kind != "f":
        return 0.0 if np.array_equal(a, b) else np.inf
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return np.inf
    keep = ~np.isnan(a)
    scale = max(1e-3, float(np.abs(a[keep]).max(initial=0.0)))
    return float(np.abs(a[keep] - b[keep]).max(initial=0.0)) / scale


def compare(reference: Any, engine: Any, job: Job) -> float:
    """Worst difference of states and rings after 1, 2 and 10 steps."""
    worst = 0.0
    for steps in STEPS:
        (a, r), (b, q) = advanced(reference, job, steps, False), advanced(engine, job, steps, True)
        pairs = [(v, b.arrays()[name]) for name, v in a.arrays().items()]
        names = ("position", "thermostat", "kinetic_temperature", "energy", *(RECORDED if job.counts_work else ()))
        pairs += [(getattr(r, n), getattr(q, n)) for n in names]
        worst = max([worst, *(difference(x, y) for x, y in pairs)])
    return worst


def engines(case: jobs.Case, job: Job, device: str) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """For each thing to check: makers of the reference and of what is checked. On the CPU the fused engine stands in
    for a device.
    """
    cpu_fused = find_compiler() is not None
    reference = (lambda: FusedEngine(job)) if cpu_fused and device != "cpu" else (lambda: BatchedEngine(job))
    if device == "cpu":
        return {"fused": (reference, lambda: FusedEngine(job))}
    return {
        "fused": (reference, lambda: FusedEngine(job, device, team=case["team"])),
        "batched": (lambda: BatchedEngine(job), lambda: BatchedEngine(job, device)),
    }


def check(device: str, quick: bool, until: float) -> Iterator[Report]:
    """One report a case, as long as time lasts; kernels compile ahead in threads."""
    pool = ThreadPoolExecutor(cores() if device != "cpu" else 1)
    made: list[tuple[jobs.Case, Job, dict[str, tuple[Future[Any], Future[Any]]]]] = []
    for _, case in jobs.chosen(quick):
        job = jobs.make_job(case)
        makers = engines(case, job, device)
        made.append((case, job, {name: (pool.submit(a), pool.submit(b)) for name, (a, b) in makers.items()}))
    poisoned = [patch.object(module, "empty_record", _poisoned) for module in (fused_module, batched_module)]
    try:
        with poisoned[0], poisoned[1]:
            for case, job, things in made:
                for name, (reference, engine) in things.items():
                    if time.monotonic() > until:
                        return
                    compared = partial(_compare_made, reference, engine, job)
                    yield _one(f"{name}: {jobs.label(case)}", case["bits"], compared)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _compare_made(reference: Future[Any], engine: Future[Any], job: Job) -> float:
    return compare(reference.result(), engine.result(), job)


def _one(what: str, bits: int, work: Callable[[], float]) -> Report:
    try:
        error = work()
    except Exception as trouble:  # a case that breaks must not hide the others
        return {"case": what, "ok": False, "why": f"{type(trouble).__name__}: {trouble}"[:1500]}
    return {"case": what, "ok": bool(error <= TOLERANCE[bits]), "worst": error}


# -- promises on one device --------------------------------------------------------------------------------------------

PLAIN: jobs.Case = {
    "word": "BACDEDCAB",
    "task": "binary",
    "activation": "relu",
    "mode": "subset",
    "partition": "layer",
    "bits": 32,
    "team": 32,
}


def bits_are_kept(device: str) -> Report:
    """Segments may be cut anywhere."""
    job = jobs.make_job(PLAIN)
    engine = FusedEngine(job, device)
    whole, cut = jobs.make_state(job), jobs.make_state(job)
    engine.advance(whole, Segment(0, 24))
    for start, length in ((0, 1), (1, 5), (6, 18)):
        engine.advance(cut, Segment(start, length))
    same = all(np.array_equal(v, cut.arrays()[name]) for name, v in whole.arrays().items())
    return {"case": "bits: segments cut anywhere", "ok": same}


def frozen_alone(device: str) -> Report:
    """A replica that overflows is frozen with cause and step, and no other bit changes."""
    job = jobs.make_job(PLAIN)
    engine, healthy, ill = FusedEngine(job, device), jobs.make_state(job), jobs.make_state(job)
    ill.momentum[9, 5] = np.inf
    for state in (healthy, ill):
        engine.advance(state, Segment(0, 4))
    others = np.arange(job.replicas) != 9
    kept = all(np.array_equal(v[others], ill.arrays()[name][others]) for name, v in healthy.arrays().items())
    return {"case": "freezing: one replica alone", "ok": bool(kept and ill.status[9] != 0 and ill.frozen_step[9] == 1)}


def predictions(device: str) -> Report:
    """The fused prediction kernel, where it exists for the device, against array code."""
    from gpu_thermo.engines.predict.fused import FusedPredictor

    job = jobs.make_job(PLAIN | {"task": "multiclass", "activation": "tanh"})
    target: Any = job.target
    on_device = device != "cpu" and "device" in inspect.signature(FusedPredictor).parameters
    if device != "cpu" and not on_device:
        return {"case": "prediction", "ok": True, "why": "there is no fused prediction on a GPU"}
    options: Any = {"device": device} if on_device else {}
    position, x = jobs.make_state(job).position, target.x_train[0]
    predictor = FusedPredictor(target.model, np.float32, **options)
    error = difference(target.model.predict(position, x), np.asarray(predictor.phi(position, x)))
    return {"case": "prediction", "ok": error <= TOLERANCE[32], "worst": error}


def promises(device: str) -> Iterator[Report]:
    """The checks above, each guarded."""
    for work in (bits_are_kept, frozen_alone, predictions):
        try:
            yield work(device)
        except Exception as trouble:
            yield {"case": work.__name__, "ok": False, "why": f"{type(trouble).__name__}: {trouble}"[:1500]}
