"""Jobs with a contour, advanced, and their weights."""

import dataclasses

import numpy as np
from fused_cases import make_job, make_state

from gpu_thermo.engines import BatchedEngine
from gpu_thermo.engines.operations.arrays import NumpyOperations
from gpu_thermo.moves.contour import Contour
from gpu_thermo.state import Segment

RULE = Contour(zeta=0.75, bins=20, lowest=0.3, width=0.05, omega_max=0.3, omega=(5.0, 0.8, 10.0))
METHODS = {"sgld": {"method": "sgld"}, "BAOAB": {"method": "langevin"}, "BACDEDCAB": {"method": "adl"}}


def contour_job(contour=RULE, **kind):
    """A job whose partitions have one temperature."""
    job = make_job(**kind)
    tau = np.repeat(job.hyper.temperature[:, :1], job.hyper.temperature.shape[1], axis=1)
    return dataclasses.replace(job, hyper=dataclasses.replace(job.hyper, temperature=tau), contour=contour)


def begin(job):
    state = make_state(job)
    if job.contour:
        job.contour.begin(state)
    return state


def advance(engine, job, *lengths):
    state = begin(job)
    for steps in lengths:
        engine.advance(state, Segment(state.step, steps))
    return state


def reference_engine(job):
    engine = BatchedEngine(job)
    engine._operations = NumpyOperations  # not the compiled noise, which is the fused engine's own
    return engine


def weights(extra):
    return np.exp(extra["contour_log_weight"] + extra["contour_shift"][:, None])
