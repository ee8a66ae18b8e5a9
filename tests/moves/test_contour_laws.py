"""Contour: fixed points and reweighting against quadrature (equations.md section 5)."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
from contour_cases import weights
from fused_cases import make_data, make_job
from linear_maps import job_of

from gpu_thermo.engines import BatchedEngine, FusedEngine, initial_state
from gpu_thermo.kernels.toolchain import find_compiler
from gpu_thermo.moves.contour import Contour
from gpu_thermo.state import Hyper, Segment
from gpu_thermo.targets.base import Batch, Layout, Target

pytestmark = pytest.mark.skipif(find_compiler() is None, reason="no C++ compiler")


# -- fixed points ------------------------------------------------------------------------------------------------------


class Flipped(Contour):
    """Wrong on purpose: the sign of zeta tau l."""

    def flatten(self, *arguments):
        return 2 - super().flatten(*arguments)


def ratio(values, w):
    """Weighted mean of values [draws, R] with weights w [draws, R] and its standard error over replicas."""
    top, bottom = (values * w).mean(axis=0), w.mean(axis=0)
    mean = top.sum() / bottom.sum()
    return mean, np.sqrt(((top - mean * bottom) ** 2).sum()) / bottom.sum()


def scores(w, exact):
    """z of the mean over rows of w [R, m], where anything is to be seen."""
    w, exact = w[:, exact > 1e-6], exact[exact > 1e-6]
    return (w.mean(axis=0) - exact) / (w.std(axis=0, ddof=1) / len(w) ** 0.5)


# A network whose data say nothing (noise sd 1e6) has U = const + |theta|^2 / 2, of P = 4 parameters: U - const is
# Gamma(2, tau).

TAU = 0.8


def gamma_job(replicas, c=12.0, **form):
    job = make_job(
        "langevin", d=1, m=1, task="regression", points=16, batch=2, prior=0.25, replicas=replicas, dtype=np.float64
    )
    model = dataclasses.replace(job.target.model, noise_sd=1e6)
    target = type(job.target)(model, make_data("regression", 1, 1, 16, 1), np.zeros(replicas, np.int64), np.float64)
    hyper = Hyper.constant(replicas, 1, 0.15, temperature=TAU, friction=1.0, thermostat=0.0)
    lowest = float(target.energy_and_gradient(np.zeros((1, 4)), Batch(None, np.zeros(1, np.int64)))[0][0])
    rule = Contour(0.75, 12, lowest, 1.0, omega_max=0.05, omega=(c, 1.0, 20 * c), **form)
    seed = np.full(replicas, 5, np.uint64)
    return dataclasses.replace(job, target=target, hyper=hyper, contour=rule, seed=seed)


def gamma_exact(c):
    cdf = scipy.stats.gamma(2, scale=TAU).cdf(np.arange(c.bins + 1))
    cdf[-1] = 1  # the last bin takes what is beyond
    return np.diff(cdf)


def gamma_run(job, steps, merge=None):
    """From all bins alike and theta = 0: the final w [R, m], energies and log weights [draws, R] of the second half."""
    state, engine, draws = initial_state(job, np.zeros((job.replicas, 4))), FusedEngine(job, threads=2), []
    while state.step < steps:
        engine.advance(state, Segment(state.step, 40 if merge is None else 5))
        if merge is not None:
            job.contour.merge(state.extra, merge, state.status)
        if state.step > steps // 2:
            u = job.target.energy_and_gradient(state.position, Batch(None, np.arange(job.replicas)))[0]
            draws.append((u - job.contour.lowest, job.contour.log_weight(state, u, slice(None))))
    return weights(state.extra), *np.array(draws).transpose(1, 0, 2)


def test_the_fused_engine_finds_a_gamma_law():
    """w_i = P(bin i), and draws weighted with Psi^zeta have the mean of U, 2 tau; Psi^-zeta and no weights do not."""
    job = gamma_job(600)
    w, u, log_weight = gamma_run(job, 20_000)
    assert np.abs(scores(w, gamma_exact(job.contour))).max() < 5
    factors = {"right": np.exp(log_weight), "inverse": np.exp(-log_weight), "none": np.ones_like(u)}
    z = {name: (mean - 2 * TAU) / error for name, (mean, error) in ((name, ratio(u, w)) for name, w in factors.items())}
    assert abs(z["right"]) < 5
    assert min(abs(z["inverse"]), abs(z["none"])) > 25
    assert u.max() > 11


def test_an_interacting_histogram_finds_its_own_fixed_point():
    """P_i^(1/zeta), normalised, of 40 groups of 15; their draws are weighted back to 2 tau all the same."""
    job, group = gamma_job(600, c=40.0, interacting=True), np.arange(600) % 40
    w, u, log_weight = gamma_run(job, 12_000, group)
    exact = gamma_exact(job.contour) ** (1 / 0.75)
    assert np.abs(scores(w[:40], exact / exact.sum())).max() < 5
    assert np.abs(scores(w[:40], gamma_exact(job.contour))).max() > 25
    values, back = (np.exp(log_weight) * u).mean(axis=0), np.exp(log_weight).mean(axis=0)
    mean, error = ratio(values.reshape(-1, 40) / back.reshape(-1, 40), back.reshape(-1, 40))
    assert abs(mean - 2 * TAU) < 5 * error


# The published demonstration's mixture, .4 N(-6, 1) + .6 N(4, 1), zeta .9 and bins of width 1 from .15.


class Mixture(Target):
    """U = -log density of a one-dimensional Gaussian mixture."""

    points = 0
    layout = Layout({"position": (1,)}, {"all": ("position",)}, np.arange(1))

    def energy_and_gradient(self, position, batch=None):
        z = position - np.array([-6.0, 4.0])
        log = np.log([0.4, 0.6]) - np.log(2 * np.pi) / 2 - z * z / 2
        total = np.logaddexp(*log.T)
        return -total, (np.exp(log - total[:, None]) * z).sum(axis=1, keepdims=True)


def mixture_run(rule, replicas=400, steps=8000):
    """From the exact w, and positions from exp(-U) / Psi^zeta: z scores of w, and of the weighted share of the left
    mode and <x^2>.
    """
    target, grid = Mixture(), np.linspace(-13, 11, 240_001)
    u = target.energy_and_gradient(grid[:, None])[0]
    density = np.exp(-u) / np.exp(-u).sum()
    bins = np.clip((u - rule.lowest) / rule.width, 0, rule.bins - 1).astype(int)
    exact = np.bincount(bins, density, rule.bins)
    job = job_of("BAOAB", target, 0.1, replicas, temperature=1.0, friction=1.0)
    job, g = dataclasses.replace(job, contour=rule), np.random.default_rng(0)
    state = initial_state(job, np.zeros((replicas, 1)), g.normal(size=(replicas, 1)))
    state.extra["contour_log_weight"][:] = np.log(exact + 1e-300)
    state.extra["contour_seen"][:] = exact > 1e-12
    one = {name: np.broadcast_to(value[:1], (len(grid), *value.shape[1:])) for name, value in state.extra.items()}
    flat = np.cumsum(density * np.exp(-rule.zeta * rule.log_psi(one, u)))
    levels = (np.arange(replicas) + g.random(replicas)) / replicas
    state.position[:, 0] = g.permutation(np.interp(levels, flat / flat[-1], grid))
    engine, draws = BatchedEngine(job, threads=1), []
    while state.step < steps:
        engine.advance(state, Segment(state.step, 40))
        energy = target.energy_and_gradient(state.position)[0]
        draws.append((state.position[:, 0].copy(), rule.log_weight(state, energy, slice(None))))
    x, log_weight = np.array(draws).transpose(1, 0, 2)
    left, square = ratio(x < -1, np.exp(log_weight)), ratio(x * x, np.exp(log_weight))
    return scores(weights(state.extra), exact), left, (square[0] - 25) / square[1]


DEMONSTRATION = Contour(0.9, 14, 0.15, 1.0, omega_max=0.05, omega=(2.0, 1.0, 2000.0))


def test_a_mixture_stays_at_its_exact_fixed_point():
    """Two modes ten standard deviations apart: w stays at P(bin i), the left mode at .4 and <x^2> at 25."""
    z, left, square = mixture_run(DEMONSTRATION)
    assert np.abs(z).max() < 5
    assert abs(left[0] - 0.4) < 5 * left[1]
    assert abs(square) < 5


def test_the_published_form_is_biased():
    """w_J for Psi, the interpolation dropped: w leaves the exact values, and the left mode is too light (.37 for
    .4).
    """
    z, left, _ = mixture_run(dataclasses.replace(DEMONSTRATION, published=True))
    assert np.abs(z).max() > 20
    assert left[0] < 0.4 - 1.5 * left[1]


def test_a_wrong_sign_is_found():
    z, *_ = mixture_run(Flipped(**vars(DEMONSTRATION)), steps=2000)
    assert np.abs(z).max() > 20
