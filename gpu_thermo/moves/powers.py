"""Ladders of powers of the likelihood, for evidences (equations.md section 15).

Rung b has U_b = b mean NLL + (1/N) sum -log prior at tau = 1/N, whatever b: stepsizes, momenta and the prior's forces
stay as they are, and replicas trade by `log acceptance = N (b_1 - b_2) (L_1 - L_2)`, L the mean NLL.
"""

import math

import numpy as np

from ..errors import SpecError
from ..method.words import Program
from ..state import Hyper
from .ladder import Ladder, LadderOptions, make_values

BEND = 5
"""Powers (i/n)^5 stand where the integrand of thermodynamic integration is steep: Friel and Pettitt, J. R. Stat. Soc. B
70, 2008."""


def likelihood_ladder(options: LadderOptions, hyper: Hyper, program: Program, points: int, prior: bool) -> Ladder:
    """The ladder of powers that `options` describe, b = 1 first.

    Raises
    ------
    SpecError
        There are no data or no prior, tau is not 1/N everywhere, or temperatures do not start at 1.
    """
    asked = f'{options.kind}: temper = "likelihood"'
    if not points or not prior:
        what = "a prior (model.prior_sd)" if points else "data and a prior"
        raise SpecError(f"{asked} needs {what}: the power 0 is the prior itself. Give one, or temper the temperature.")
    active = [k for k, text in enumerate(program.texts) if text is not None]
    tau = hyper.temperature[:, active]
    if np.isnan(tau).any() or not np.allclose(tau * points, 1, rtol=1e-6) or _scheduled(hyper):
        raise SpecError(
            f"{asked} samples posteriors, tau = 1/N in every partition: use posterior_temperature = 1 without a"
            " schedule and a method with a temperature, such as langevin."
        )
    values, count = make_values(options, program), len(program.partition.names)
    return Ladder(_temperatures(options, asked), np.ones(count), active[0], False, values, hyper, program, points)


def _scheduled(hyper: Hyper) -> bool:
    return any(name == "temperature" for name, _ in hyper.schedules)


def _temperatures(options: LadderOptions, asked: str) -> np.ndarray:
    """T = 1/b of every rung [Q]."""
    if options.temperatures is not None:
        if not math.isclose(options.temperatures[0], 1.0, rel_tol=1e-9):
            raise SpecError(
                f"{asked}: temperatures start at {options.temperatures[0]:g}; T = 1/power, and the target's is 1."
            )
        return np.array(options.temperatures, np.float64)
    if options.hottest is not None:
        if options.hottest <= 1:
            raise SpecError(f"{asked}: hottest = {options.hottest:g} is not above the target's T = 1: raise it.")
        return np.geomspace(1.0, options.hottest, options.count)
    return np.asarray((options.count / np.arange(options.count, 0, -1)) ** BEND, np.float64)


def moved_gradient(gradient: np.ndarray, prior: np.ndarray, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Cached gradients [r, P] of replicas that went from power `old` [r] to `new`, the prior's part being `prior`."""
    return np.asarray(prior + (new / old).astype(gradient.dtype)[:, None] * (gradient - prior))
