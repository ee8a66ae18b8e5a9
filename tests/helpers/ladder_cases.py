"""Jobs, exact laws and energies on ladders of temperatures, for the tests of exchange and tempering."""

import numpy as np
from linear_maps import job_of, well, z_score

from gpu_thermo.engines import initial_state
from gpu_thermo.moves.base import Energies
from gpu_thermo.moves.exchange import Exchange, ExchangeOptions

TAUS = (0.5, 1.0, 2.5)
SIZE = 4
STIFFNESS = 1.5


def exchange_of(job, burn_in=0, **options):
    """The move on a job."""
    given = {"temperatures": list(TAUS), "interval": 1} | options
    if given["temperatures"] is None:
        del given["temperatures"]
    return Exchange.make(ExchangeOptions(kind="exchange", **given), job.hyper, job.program, job.seed, burn_in)


def langevin(ladders, taus=TAUS, size=SIZE, **hyper):
    """BAOAB on harmonic wells for whole ladders."""
    values = {"temperature": taus[0], "friction": 1.0} | hyper
    return job_of("BAOAB", well(STIFFNESS, size), values.pop("stepsize", 1.0), ladders * len(taus), **values)


def begun(move, job, position=None, step=1):
    """A state with the move's arrays, as after `step` steps."""
    size = job.target.layout.size
    state = initial_state(job, np.zeros((job.replicas, size)) if position is None else position)
    move.begin(state)
    state.step = step
    return state


def exact(values, variance=0.0):
    """Energies as a move sees them."""
    return Energies(np.asarray(values, float), np.broadcast_to(np.asarray(variance, float), np.shape(values)).copy())


def harmonic_energy(position, k=STIFFNESS):
    return k * (position * position).sum(axis=1) / 2


def same(a, b):
    """Equal bits of two states."""
    assert (a.step, a.evaluations) == (b.step, b.evaluations)
    assert a.arrays().keys() == b.arrays().keys()
    for name, value in a.arrays().items():
        np.testing.assert_array_equal(value, b.arrays()[name], err_msg=name)


ADL = {
    "stepsize": [0.1, 0.1, 0.2], "sigma": [0.3, 0.5, 1.1], "epsilon": [0.2, 0.1, 0.4],
}  # fmt: skip


def thermostatted(ladders, **hyper):
    values = {"temperature": TAUS[0], "sigma": 0.3, "epsilon": 0.2, "thermostat": 0.0} | hyper
    return job_of("BACDEDCAB", well(STIFFNESS, SIZE), 0.1, ladders * len(TAUS), **values)


def draw_joint(state, tau, sigma, epsilon, seed=1):
    """(q, p, xi) from the stationary law of adaptive Langevin, tau, sigma and epsilon of each replica."""
    rng, shape = np.random.default_rng(seed), state.position.shape
    state.position[...] = rng.normal(size=shape) * np.sqrt(tau / STIFFNESS)[:, None]
    state.momentum[...] = rng.normal(size=shape) * np.sqrt(tau)[:, None]
    xi = sigma**2 / (2 * tau) + rng.normal(size=len(tau)) * np.sqrt(epsilon * tau)
    state.thermostat[:, 0] = xi


def joint_z(state, moved, factor=1.0):
    """Largest |z| of the moments of q, p, xi on every rung; of p and xi also for the replicas `moved` alone."""
    rung, scores = state.extra["rung"], []
    for i, tau in enumerate(factor * np.array(TAUS)):
        m, v = ADL["sigma"][i] ** 2 / (2 * tau), ADL["epsilon"][i] * tau
        for here, coordinates in ((rung == i, True), ((rung == i) & moved, False)):
            p, xi = state.momentum[here], state.thermostat[here, 0]
            scores += [z_score((p * p).mean(axis=1), tau), z_score(xi, m), z_score((xi - m) ** 2, v)]
            if coordinates:
                q = state.position[here]
                scores += [z_score((q * q).mean(axis=1), tau / STIFFNESS)]
    return np.abs(scores).max()


MODES = ((0.4, -4.0, 0.7), (0.6, 3.0, 0.5))


def mixture_energy(x):
    """U = -log density of .4 N(-4, .7^2) + .6 N(3, .5^2), the density without 1/sqrt(2 pi)."""
    logs = [np.log(w / s) - (x - m) ** 2 / (2 * s * s) for w, m, s in MODES]
    return -np.logaddexp(*logs)


def right_of_zero(taus):
    """P(x > 0) under exp(-U/tau) by quadrature, and log of its normalisation."""
    x = np.linspace(-60, 60, 240_001)
    density = np.exp(-mixture_energy(x) / np.array(taus)[:, None])
    total = density.sum(axis=1)
    return density[:, x > 0].sum(axis=1) / total, np.log(total * (x[1] - x[0]))


def metropolis(x, tau, rng, steps=4):
    """Exact local dynamics of all replicas: random walks of width sqrt(tau), too short to cross at tau = 1."""
    u = mixture_energy(x)
    for _ in range(steps):
        new = x + np.sqrt(tau) * rng.normal(size=len(x))
        v = mixture_energy(new)
        taken = np.log(rng.random(len(x))) < (u - v) / tau
        x, u = np.where(taken, new, x), np.where(taken, v, u)
    return x


def energy_run(job, steps, state=None, burn_in=0, **options):
    """A run on random energies that are a function of replica, rung and step; continues `state` with a new move."""
    move = exchange_of(job, burn_in, **options)
    state = begun(move, job, step=0) if state is None else state
    if state.step == 0:
        state.momentum[...] = 1
        state.thermostat[...] = np.arange(job.replicas)[:, None]
    while state.step < steps:
        state.step += 1
        tau = state.extra["ladder_temperature"][state.extra["rung"]]
        value = np.array([np.random.default_rng((state.step, r)).gamma(SIZE / 2) for r in range(job.replicas)]) * tau
        move.attempt(state, exact(value, 0.01 * tau))
    return state
