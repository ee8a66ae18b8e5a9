"""Exact laws of splitting words on harmonic wells, written from the equations and sharing no code with the package's
letters.

A word on U = k q^2 / 2 is a linear map x' = M x + L r with r standard normal and x = (q, p, eta), eta the noise of the
last force evaluation (which a reused gradient carries into the next step). Its stationary covariance solves P = M P M^T
+ L L^T.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import solve_discrete_lyapunov

from gpu_thermo.engines import BatchedEngine, Batching, Job, initial_state
from gpu_thermo.method.words import compile_program, compile_update, parse_word
from gpu_thermo.state import Hyper, Segment
from gpu_thermo.targets.analytic.wells import Harmonic
from gpu_thermo.targets.base import Layout


def step_map(word, h, gamma=0.0, tau=1.0, k=1.0, xi=0.0, sigma=0.0, noise=0.0, reuse=True):
    """M [3, 3] and L [3, n] of one step of `word` with constant friction xi; `reuse=False` evaluates at every B."""
    draws = 2 * len(word)  # room for one normal for each letter, and one for each evaluation
    basis = np.eye(3 + draws)
    (q, p, eta), fresh = basis[:3], iter(basis[3:])
    letters = "".join(c for c in word if c in "ABU")
    moved = not letters.endswith("B")  # the first B of a step may use the last gradient of the one before
    for letter in word:
        t = h / word.count(letter)
        if letter == "A":
            q, moved = q + t * p, True
        elif letter == "B":
            if moved or not reuse:
                eta, moved = noise * next(fresh), False
            p = p - t * (k * q + eta)
        elif letter == "O":
            a = 0.0 if np.isinf(gamma) else np.exp(-gamma * t)
            p = a * p + np.sqrt(tau * (1 - a * a)) * next(fresh)
        elif letter == "U":
            (q, p), moved = flight_with_friction(q, p, t, gamma, tau, next(fresh), next(fresh)), True
        elif letter == "C":
            p = np.exp(-t * xi) * p
        elif letter == "D":
            p = p + sigma * np.sqrt(t) * next(fresh)
        elif letter == "F":
            variance = sigma**2 * (t if xi == 0 else (1 - np.exp(-2 * xi * t)) / (2 * xi))
            p = np.exp(-xi * t) * p + np.sqrt(variance) * next(fresh)
        elif letter != "E":  # it moves xi, which is constant here
            raise ValueError(f"the law of {letter!r} is not known: add it here")
    full = np.array([q, p, eta])
    return full[:, :3], full[:, 3:]


def flight_with_friction(q, p, t, gamma, tau, r, other):
    """U by its variances as they are printed in equations.md section 16; gamma = 0 is free flight."""
    if gamma == 0:
        return q + t * p, p
    eta = 0.0 if np.isinf(gamma) else np.exp(-gamma * t)
    x = 0.0 if np.isinf(gamma) else 2 * gamma * t - 3 + 4 * eta - eta**2
    reach, of_p, of_q, both = (1 - eta) / gamma, tau * (1 - eta**2), tau / gamma**2 * x, tau / gamma * (1 - eta) ** 2
    along = both / np.sqrt(of_p)
    return q + reach * p + along * r + np.sqrt(of_q - along**2) * other, eta * p + np.sqrt(of_p) * r


def moments(word, h, **values):
    """Exact stationary (<q^2>, <p^2>, <qp>) at the end of the step."""
    m, l = step_map(word, h, **values)
    assert abs(np.linalg.eigvals(m)).max() < 1, "unstable: no stationary law"
    p = solve_discrete_lyapunov(m, l @ l.T)
    return np.array([p[0, 0], p[1, 1], p[0, 1]])


def sghmc_moments(lr, k, mu, tau, noise=0.0):
    """<q^2>, <v^2>, <q v> of v = mu v + lr G + sqrt(2 (1 - mu) lr tau) R; q += v, force noise of sd `noise`."""
    m = np.array([[1 - lr * k, mu], [-lr * k, mu]])
    variance = 2 * (1 - mu) * lr * tau + (lr * noise) ** 2
    p = solve_discrete_lyapunov(m, variance * np.ones((2, 2)))
    return np.array([p[0, 0], p[1, 1], p[0, 1]])


# -- jobs on wells --------


def well(stiffness, size, noise_sd=0.0, split=None):
    """Harmonic wells; `split` = n makes two layers, `hidden` of the first n coordinates and `output` of the others."""
    target = Harmonic(stiffness, size, noise_sd)
    if split is not None:
        layers = {"hidden": ("first",), "output": ("second",)}
        target.layout = Layout({"first": (split,), "second": (size - split,)}, layers, np.arange(size))
    return target


def job_of(
    word,
    target,
    stepsize,
    replicas,
    *,
    dtype=np.float64,
    seed=1,
    batching=None,
    total=1,
    schedules=None,
    partition=None,
    **hyper,
):
    """A job for one word, {partition: word or None}, or the name of a whole-step update; hyperparameters broadcast to
    [R, K].
    """
    kind = partition or ("all" if isinstance(word, str) else "layer")
    ranges = target.layout.partition(kind)
    if isinstance(word, str) and word.islower():
        program = compile_update(word, ranges)
    else:
        texts = word if isinstance(word, Mapping) else dict.fromkeys(ranges.names, word)
        program = compile_program({name: text and parse_word(text) for name, text in texts.items()}, ranges)
    values = Hyper.constant(replicas, len(ranges.names), stepsize, total, **hyper)
    if schedules:
        values = replace(values, schedules=schedules)
    stream = np.arange(replicas, dtype=np.uint64)
    return Job(program, target, values, batching or Batching(), np.full(replicas, seed, np.uint64), stream, dtype)


def start(job, scale=1.0, momentum=None):
    """A state at random positions of standard deviation `scale`, the same for replica r whatever R is."""
    size = job.target.layout.size
    rows = [np.random.default_rng(int(s)).normal(size=size) * scale for s in job.stream]
    return initial_state(job, np.array(rows), momentum)


def advance(job, state, steps, record=(), **engine):
    """Advance `state` by `steps`; returns what was recorded."""
    return BatchedEngine(job, **engine).advance(state, Segment(state.step, steps, tuple(record)))


# -- statistics with the replica as unit --------


@dataclass
class Averages:
    """Time averages of each replica and coordinate, [R, P]; `thermostat` and its square [R, K]."""

    qq: np.ndarray
    pp: np.ndarray
    qp: np.ndarray
    xi: np.ndarray
    xi2: np.ndarray


def average(job, burn, draws, thin, state=None) -> Averages:
    """Time averages of q^2, p^2, qp and xi over `draws` states `thin` steps apart, after `burn` steps."""
    engine, state = BatchedEngine(job), start(job) if state is None else state
    engine.advance(state, Segment(state.step, burn))
    sums: Any = [0.0] * 5
    for _ in range(draws):
        engine.advance(state, Segment(state.step, thin))
        q, p, xi = state.position.astype(float), state.momentum.astype(float), state.thermostat
        sums = [a + b for a, b in zip(sums, (q * q, p * p, q * p, xi, xi * xi), strict=True)]
    assert (state.status == 0).all()
    return Averages(*(s / draws for s in sums))


def z_score(values, exact, axis=0):
    """(mean - exact) / standard error over independent replicas."""
    error = values.std(axis=axis, ddof=1) / np.sqrt(values.shape[axis])
    return (values.mean(axis=axis) - exact) / error
