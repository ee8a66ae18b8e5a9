"""A posterior known in closed form, sampled through the whole network: virial, configurational temperature, energies,
two temperatures.

With the hidden layer frozen and a Gaussian likelihood, U is quadratic in the output layer: U = U_min + (theta - m)' H
(theta - m) / 2.
BAOAB then samples positions exactly at any stepsize, and U - U_min is Gamma(n/2) times tau.
"""

from typing import Any

import numpy as np

from ..engines import Batching
from ..state import State
from ..targets.base import Batch
from ..targets.networks import MlpModel
from ..targets.posterior import MlpTarget
from .report import Check, Score, from_scores, score
from .sampling import SEED, Place, Plan, average, job_of, network, program_of, regression, start

STEPSIZE, FRICTION, TEMPERATURES = 1.0, 0.8, (0.05, 0.07)
POINTS, INPUTS, HIDDEN, OUTPUTS = 24, 2, 6, 3
NOISE_SD, PRIOR_STIFFNESS = 2.5, 0.3


def closed_form(place: Place, plan: Plan) -> list[Check]:
    """Means, virial, energy and the two-temperature slope of Bayesian linear regression on frozen random features."""
    target, features, y = _regression(plan.replicas)
    program = program_of({"hidden": None, "output": "BAOAB"}, target.layout.partition("layer"))
    tau = np.resize(TEMPERATURES, plan.replicas)
    values: dict[str, Any] = {"temperature": tau[:, None], "friction": FRICTION}
    job = job_of(place, program, target, Batching("full", POINTS), np.float32, STEPSIZE, plan.replicas, **values)
    state = start(job, 0.3)
    hidden = program.partition.slices[0]
    state.position[:, hidden], state.momentum[:, hidden] = _frozen(), 0
    reference, energies = network(target.model, regression(y, _inputs()), plan.replicas, np.float64), []
    batch = Batch(None, np.arange(plan.replicas))

    def observe(s: State) -> dict[str, np.ndarray]:
        """Output parameters, their virial and U, in float64."""
        position = s.position.astype(np.float64)
        energy, gradient = reference.energy_and_gradient(position, batch)
        energies.append(energy)
        own = program.partition.slices[1]
        return {"theta": position[:, own], "virial": (position * gradient)[:, own].sum(axis=1), "energy": energy}

    averages = average(place, job, plan, observe, state)
    mean, least = _mode(features, y, reference, hidden)
    return [
        _moment_checks(place, averages, mean, least, tau),
        from_scores("posterior", "two temperatures", place.engine, [slope_score(np.array(energies), tau)]),
    ]


def _inputs() -> np.ndarray:
    return np.random.default_rng(SEED).normal(size=(POINTS, INPUTS))


def _frozen() -> np.ndarray:
    return np.random.default_rng(SEED + 1).normal(size=HIDDEN * (INPUTS + 1))


def _regression(replicas: int) -> tuple[MlpTarget, np.ndarray, np.ndarray]:
    """Target, features [N, d + 1] with a last column of ones, and y [N, n]."""
    x, frozen = _inputs(), _frozen()
    w1, b1 = frozen[: HIDDEN * INPUTS].reshape(HIDDEN, INPUTS), frozen[HIDDEN * INPUTS :]
    y = np.random.default_rng(SEED + 2).normal(size=(POINTS, OUTPUTS)) + x @ np.ones((INPUTS, OUTPUTS))
    model = MlpModel(INPUTS, (HIDDEN,), OUTPUTS, "regression", "tanh", (POINTS * PRIOR_STIFFNESS) ** -0.5, NOISE_SD)
    features = np.column_stack([np.tanh(x @ w1.T + b1), np.ones(POINTS)])
    return network(model, regression(y, x), replicas), features, y


def _mode(features: np.ndarray, y: np.ndarray, target: MlpTarget, hidden: slice) -> tuple[np.ndarray, float]:
    """Output layer (w2, b2) at the minimum of U, and U there without the frozen layer's share."""
    precision = features.T @ features / (POINTS * NOISE_SD**2) + PRIOR_STIFFNESS * np.eye(HIDDEN + 1)
    best = np.linalg.solve(precision, features.T @ y / (POINTS * NOISE_SD**2))
    mean = np.concatenate([best[:-1].T.ravel(), best[-1]])
    position = np.concatenate([_frozen(), mean])[None]
    energy, _ = target.energy_and_gradient(position, Batch(None, np.arange(1)))
    return mean, float(energy[0])


def _moment_checks(
    place: Place, averages: dict[str, np.ndarray], mean: np.ndarray, least: float, tau: np.ndarray
) -> Check:
    count = len(mean)
    scores = [
        score(f"mean of theta_{i}", averages["theta"][:, i], m, scale=float(np.abs(mean).max()))
        for i, m in enumerate(mean)
    ]
    for t in TEMPERATURES:
        own = tau == t
        scores.append(score(f"theta . grad U at tau={t:g}", averages["virial"][own], count * t))
        scores.append(score(f"U - U_min at tau={t:g}", averages["energy"][own] - least, count * t / 2))
    return from_scores("posterior", "means, virial, U", place.engine, scores)


def slope_score(energy: np.ndarray, tau: np.ndarray) -> Score:
    """The slope of log P(U | tau_1) / P(U | tau_2), exactly 1/tau_2 - 1/tau_1, by logistic regression of the
    temperature on U.

    `energy` [draws, R]; `tau` [R] of two values. The error allows for correlation in time: scores are summed over each
    replica.
    """
    t1, t2 = np.unique(tau)
    low, centre, unit = tau == t1, energy.mean(), energy.std()
    x = (energy - centre) / unit
    beta = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-(beta[0] + beta[1] * x)))
        r, w = low - p, p * (1 - p)
        per_replica = np.stack([r.sum(axis=0), (r * x).sum(axis=0)], axis=1)
        information = np.array([[w.sum(), (w * x).sum()], [(w * x).sum(), (w * x * x).sum()]])
        step = np.linalg.solve(information, per_replica.sum(axis=0))
        beta += step
        if abs(step).max() < 1e-10:
            break
    inverse = np.linalg.inv(information)
    error = float(np.sqrt((inverse @ (per_replica.T @ per_replica) @ inverse)[1, 1])) / unit
    exact = 1 / t2 - 1 / t1
    z = (beta[1] / unit - exact) / error
    return Score("slope of log P(U|T1)/P(U|T2)", float(z), 6 * error / abs(exact))
