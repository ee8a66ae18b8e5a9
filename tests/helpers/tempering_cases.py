"""The move of simulated tempering on jobs, and states on its rungs."""

import numpy as np
from ladder_cases import (
    SIZE,
    STIFFNESS,
    TAUS,
)
from linear_maps import job_of, well

from gpu_thermo.engines import initial_state
from gpu_thermo.moves.tempering import Tempering, TemperingOptions

WEIGHTS = -SIZE / 2 * np.log(np.array(TAUS) / TAUS[0])
"""g = -log Z of every rung of a harmonic well in SIZE dimensions, rung 0 at 0: with them all rungs are visited
alike."""


def tempering_of(job, burn_in=1, **options):
    given = {"temperatures": list(TAUS), "interval": 1} | options
    return Tempering.make(
        TemperingOptions(kind="tempering", **given), job.hyper, job.program, job.seed, job.stream, burn_in
    )


def langevin(replicas, size=SIZE, **hyper):
    values = {"temperature": TAUS[0], "friction": 1.0} | hyper
    return job_of("BAOAB", well(STIFFNESS, size), 1.0, replicas, **values)


def begun(move, job, position=None, step=2, rung=None, weight=None):
    """A state with the move's arrays, as after `step` steps, past burn-in unless said."""
    state = initial_state(job, np.zeros((job.replicas, job.target.layout.size)) if position is None else position)
    move.begin(state)
    state.step = step
    if rung is not None:
        state.extra["rung"][...] = rung
    if weight is not None:
        state.extra["tempering_weight"][...] = weight
    return state
