"""Transients on harmonic wells: every word is x' = M x + L r, so means and lagged moments are powers of M (equations.md
sections 2, 10).

Stationary laws of BAOAB and OBABO do not depend on the friction, nor does any on the number of steps taken; transients
do.
"""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from linear_maps import job_of, step_map, well
from scipy.linalg import solve_discrete_lyapunov

from gpu_thermo.engines import BatchedEngine, FusedEngine, initial_state
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.method.words import Substep
from gpu_thermo.state import Segment
from gpu_thermo.verify.sampling import silent_network

WORDS = (
    "BAOAB",
    "OBABO",
    "ABOBA",
    "OABAO",
    "OBA",
    "BAOA",
    "VRORV",
    "AOB",
    "ABO",
    "BABO",
    "OBAB",
    "BAOAOAB",
    "BABOBAB",
    "OAOBAO",
    "AABBOO",
    "UBU",
    "BUB",
    "BUBUB",
)
FIXED_XI = ("BACDCAB", "BACDEDCAB", "BAFAB", "BAEFEAB", "ACDB", "FBAB")
GROUPS = np.array([(1.0, 1.0, 1.0), (0.6, 0.3, 0.04), (0.8, 3.0, 25.0), (1.2, 2.0, 1.0)])
"""(h, gamma, tau): each replica has one of them, all in one batch."""
STIFFNESS = np.array([1.0, 0.5, 1.4])
PER_GROUP = 300
LAGS = (1, 2, 3, 5, 8)
BURN, ORIGINS = 60, 60


def job_for(word, target=None, noise=0.0, dtype=np.float64, groups=GROUPS, partition="all"):
    """All groups in one job, words with C, D or F at constant xi = gamma (epsilon = 0)."""
    h, gamma, tau = np.tile(groups, (PER_GROUP, 1)).T
    target = target or well(np.broadcast_to(STIFFNESS, (len(h), 3)), 3, noise)
    if word == "sgld":
        values = {"temperature": tau}
    elif set(word) & set("CDF"):
        values = {"thermostat": gamma, "sigma": np.sqrt(2 * gamma * tau), "temperature": tau, "epsilon": 0 * h}
    else:
        values = {"temperature": tau, "friction": gamma}
    columns = {name: value[:, None] for name, value in values.items()}
    return job_of(word, target, h, len(h), dtype=dtype, partition=partition, **columns)


def maps(word, noise=0.0, stiffness=STIFFNESS):
    """(M [3, 3], stationary covariance [3, 3]) for each group and stiffness; x = (q, p, noise of the last force)."""
    out = np.empty((len(GROUPS), len(stiffness), 2, 3, 3))
    for g, (h, gamma, tau) in enumerate(GROUPS):
        for i, k in enumerate(stiffness):
            if word == "sgld":
                m, l = np.diag([1 - h * k, 0, 0]), np.array([[np.sqrt(2 * h * tau), h * noise], [0, 0], [0, 0]])
            elif set(word) & set("CDF"):
                m, l = step_map(word, h, xi=gamma, sigma=np.sqrt(2 * gamma * tau), k=k, noise=noise)
            else:
                m, l = step_map(word.translate(str.maketrans("VR", "BA")), h, gamma=gamma, tau=tau, k=k, noise=noise)
            out[g, i] = m, solve_discrete_lyapunov(m, l @ l.T)
    return out


def z_score(values, exact):
    """(mean - exact) / standard error over replicas; what no noise has reached yet must be right to rounding."""
    error = np.hypot(values.std(axis=0, ddof=1) / np.sqrt(len(values)), 1e-9 * abs(exact) + 1e-12)
    return (values.mean(axis=0) - exact) / error


def walk(engine, state, steps):
    """(q, p) [R, P, 2] float64 after each step."""
    for _ in range(steps):
        engine.advance(state, Segment(state.step, 1))
        yield np.stack([state.position, state.momentum], axis=-1).astype(np.float64)


def displaced(job, size=20.0):
    """All replicas of a group at the same distant point, in units of sqrt(tau)."""
    root = np.sqrt(job.hyper.temperature) * np.ones(job.target.layout.size)
    return initial_state(job, size * root, -0.75 * size * root)


def mean_scores(word, job, law=None, stiffness=STIFFNESS, make=BatchedEngine):
    """The z of mean position and momentum at the lags, from a displaced start, against M^t x_0; momenta of SGLD do not
    exist.
    """
    law = maps(word, stiffness=stiffness) if law is None else law
    state, engine = displaced(job), make(job)
    start, scores, size = np.array([20.0, -15.0, 0.0]), [], 1 + (word != "sgld")
    for lag, x in enumerate(walk(engine, state, max(LAGS)), 1):
        if lag not in LAGS:
            continue
        for g, (_, _, tau) in enumerate(GROUPS):
            for i in range(len(stiffness)):
                exact = np.linalg.matrix_power(law[g, i, 0], lag) @ start * np.sqrt(tau)
                own = x[g :: len(GROUPS), i :: len(stiffness)].mean(axis=1)
                scores.append(z_score(own[:, :size], exact[:size]))
    return np.array(scores).ravel()


def lagged_scores(word, job, noise=0.0):
    """The z of E x_s x_(s+t)' (positions and momenta, all four) at the lags t, against M^t P."""
    state, engine = initial_state(job, np.zeros((job.replicas, 3))), BatchedEngine(job)
    engine.advance(state, Segment(0, BURN))
    path = np.stack(list(walk(engine, state, ORIGINS + max(LAGS))))  # [steps, R, P, 2]
    law, size, scores = maps(word, noise), 1 + (word != "sgld"), []
    for lag in LAGS:
        products = np.einsum("srpa,srpb->rpab", path[lag : lag + ORIGINS], path[:ORIGINS]) / ORIGINS
        for g in range(len(GROUPS)):
            m, p = law[g, :, 0], law[g, :, 1]
            exact = (np.linalg.matrix_power(m, lag) @ p)[:, :size, :size]
            scores.append(z_score(products[g :: len(GROUPS), :, :size, :size], exact))
    return np.array(scores).ravel()


@pytest.mark.parametrize("word", [*WORDS, *FIXED_XI, "sgld"])
def test_means_from_a_displaced_start(word):
    """E x_t = M^t x_0, to 0.3 % of the displacement."""
    assert abs(mean_scores(word, job_for(word))).max() < 6


@pytest.mark.parametrize("word", [*WORDS, *FIXED_XI, "sgld"])
def test_autocorrelation(word):
    """E x_s x_(s+t)' = M^t P: momentum and position autocorrelation, and the cross terms of both signs of time."""
    assert abs(lagged_scores(word, job_for(word))).max() < 6


@pytest.mark.parametrize("word", ["BAOAB", "OBABO", "BABOBAB", "BUB", "UBU", "sgld"])
def test_autocorrelation_with_gradient_noise(word):
    """A reused gradient correlates the noise of neighbouring steps."""
    assert abs(lagged_scores(word, job_for(word, noise=0.8), 0.8)).max() < 6


@pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")
@pytest.mark.parametrize("word", ["BAOAB", "OBABO", "UBU", "BACDEDCAB"])
def test_means_in_the_fused_engine(word):
    """The same in float32 on a network whose data say nothing; all its parameters are wells of stiffness 1."""
    stiffness = np.ones(1)
    job = job_for(word, silent_network(len(GROUPS) * PER_GROUP), dtype=np.float32, partition="all")
    law = maps(word, stiffness=stiffness)
    assert abs(mean_scores(word, job, law, stiffness, FusedEngine)).max() < 6
    other = maps("OBABO" if word != "OBABO" else "BAOAB", stiffness=stiffness)
    assert abs(mean_scores(word, job, other, stiffness, FusedEngine)).max() > 30


# -- power -------------------------------------------------------------------------------------------------------------


def longer(letter, factor):
    """Every substep of `letter` takes `factor` times its length."""

    def change(job):
        scaled = [
            replace(s, fraction=s.fraction * factor) if isinstance(s, Substep) and s.operation == letter else s
            for s in job.program.substeps
        ]
        return replace(job, program=replace(job.program, substeps=tuple(scaled)))

    return change


def friction(factor):
    """Another friction at the same temperature: no stationary law of BAOAB sees it."""
    return lambda job: replace(job, hyper=replace(job.hyper, friction=factor * job.hyper.friction))


MISTAKES = {
    "friction doubled": ("BAOAB", friction(2.0)),
    "friction 20 % off": ("OBABO", friction(1.2)),
    "a whole step for each O": ("OBABO", longer("O", 2)),
    "friction per step, not per time": ("BAOAB", lambda job: friction(1 / job.hyper.stepsize[:, None])(job)),
    "a whole step for each U": ("UBU", longer("U", 2)),
    "friction of U 20 % off": ("UBU", friction(1.2)),
    "half the drift": ("OBA", longer("A", Fraction(1, 2))),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_power(mistake):
    """Mistakes that leave the stationary law alone, or nearly, are seen in both."""
    word, change = MISTAKES[mistake]
    wrong = change(job_for(word))
    assert abs(mean_scores(word, wrong)).max() > 12
    assert abs(lagged_scores(word, wrong)).max() > 8


def test_power_against_a_lost_step():
    """One step more or less is seen."""
    law = maps("BAOAB")
    shifted = law.copy()
    shifted[:, :, 0] = law[:, :, 0] @ law[:, :, 0]
    assert abs(mean_scores("BAOAB", job_for("BAOAB"), shifted)).max() > 100
