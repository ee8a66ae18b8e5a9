"""Words of K and S (equations.md section 16): the exact flow that K is, directions that S draws, and the law that KASAK
samples.
"""

from dataclasses import replace

import numpy as np
import pytest
from linear_maps import average, job_of, start, well, z_score
from scipy.integrate import solve_ivp

from gpu_thermo.engines.base import initial_state
from gpu_thermo.errors import SpecError
from gpu_thermo.method.letters import LETTERS, K, S, turn, turning

TAU, GAMMA = 0.5, 1.0


def unit(v):
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def turned(u, gradient, h, tau=TAU, dtype=np.float64):
    """K of length h on directions u [R, P] under a constant gradient [P]: the directions afterwards, and |p|."""
    n = u.shape[1]
    p = np.array(np.sqrt(n) * u, dtype)
    coefficients = K.coefficients(np.full((len(u), 1), h), {"temperature": tau, "count": n})
    K.act(p, np.broadcast_to(np.asarray(gradient, dtype), p.shape), *(c.astype(dtype) for c in coefficients))
    return unit(p.astype(float)), np.linalg.norm(p.astype(float), axis=1)


# -- K -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [2, 3, 40])
def test_k_solves_the_isokinetic_equation_on_a_slope(n):
    """du/dt = -(1 - u u^T) g sqrt(n)/(n - 1), g = grad U/tau; and what U loses along the flight of p = sqrt(n) u is
    K's work, tau (n - 1) log(cosh delta + (e.u) sinh delta).
    """
    rng, h = np.random.default_rng(n), 0.7
    u, gradient = unit(rng.normal(size=(6, n))), 0.8 * rng.normal(size=n)
    found, length = turned(u, gradient, h)
    np.testing.assert_allclose(length, np.sqrt(n), rtol=1e-13)
    size = np.linalg.norm(gradient)
    delta, along = h * np.sqrt(n) * size / ((n - 1) * TAU), -u @ gradient / size
    work = TAU * (n - 1) * np.log(np.cosh(delta) + along * np.sinh(delta))

    def flow(t, y):
        v = y[:n]
        force = -gradient / TAU * np.sqrt(n) / (n - 1)
        return np.append(force - v * (v @ force), np.sqrt(n) * gradient @ v)

    for i in range(len(u)):
        end = solve_ivp(flow, (0, h), np.append(u[i], 0.0), rtol=1e-11, atol=1e-13).y[:, -1]
        np.testing.assert_allclose(found[i], end[:n], atol=1e-9)
        assert work[i] == pytest.approx(-end[n], abs=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("h", [1e-12, 1e-3, 1.0, 1e4, 1e30])
def test_k_holds_the_length_whatever_the_force(h, dtype):
    """Across, along and against it: a direction never overflows, and the longer the force the more it is along it."""
    gradient = np.array([3.0, 0.0, 0.0])
    u = unit(np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [1, 0.1, 0], [1, 0, 1], [-1, 1e-3, 2]], float))
    found, length = turned(u, gradient, h, dtype=dtype)
    assert np.isfinite(found).all()
    assert length[0] < np.sqrt(3) * 1.0001  # straight against it, where 1 + e.u is rounding
    np.testing.assert_allclose(length[1:], np.sqrt(3), rtol=1e-4 if dtype == np.float32 else 1e-12)
    assert (found[:, 0] <= u[:, 0] + 1e-6).all()
    if h > 1e3:
        np.testing.assert_allclose(found[:, 0], -1, rtol=1e-5)


def test_k_nearly_against_the_force_is_never_longer():
    """There 1 + e.u is rounding: p may come out shorter, for the next K or S to mend, but not longer."""
    rng = np.random.default_rng(1)
    gradient = rng.normal(size=50)
    for tilt in 10.0 ** np.arange(-9, -1):
        u = unit(unit(gradient) + tilt * unit(rng.normal(size=(200, 50))))
        for h in 10.0 ** np.linspace(-2, 2, 9):
            assert turned(u, gradient, h, dtype=np.float32)[1].max() < 1.3 * np.sqrt(50)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_without_a_force_k_does_nothing(dtype):
    u = unit(np.random.default_rng(2).normal(size=(5, 4)))
    np.testing.assert_allclose(turned(u, np.zeros(4), 0.5, dtype=dtype)[0], u, atol=1e-6)


def test_k_takes_any_length_of_momentum_for_a_direction():
    """Its factors go by p/|p|, so that rounding cannot add up."""
    p, gradient = np.random.default_rng(3).normal(size=(2, 5, 4))
    rate, length = np.full((5, 1), 0.3), np.full((5, 1), 2.0)
    once, twice = p.copy(), 2 * p
    turn(once, gradient, rate, length)
    turn(twice, gradient, rate, length)
    np.testing.assert_allclose(once, twice, rtol=1e-13)
    assert turning(*np.ones((3, 1)), 0.0, 1.0, 1e-15)[1] == 0


# -- S -----------------------------------------------------------------------------------------------------------------


def test_s_without_memory_is_uniform_on_the_sphere():
    """gamma = inf: <u_i^2> = 1/n, <u_i^4> = 3/(n (n + 2)), and nothing of the direction before."""
    n, replicas = 5, 20_000
    rng = np.random.default_rng(4)
    p = np.tile(np.sqrt(n) * unit(rng.normal(size=n)), (replicas, 1))
    before = unit(p)
    values = S.coefficients(np.full((replicas, 1), 0.1), {"friction": np.inf, "count": n})
    S.act(p, rng.normal(size=p.shape), *values)
    u = unit(p)
    assert abs(z_score(u**2, 1 / n)).max() < 4.5
    assert abs(z_score(u**4, 3 / (n * (n + 2)))).max() < 4.5
    assert abs(z_score((u * before).sum(axis=1), 0)) < 4.5
    np.testing.assert_allclose((p * p).sum(axis=1), n)


def kept(n, friction=GAMMA, h=0.4, replicas=40_000, wrong=1.0):
    """u.u' [R] of one S, its noise times `wrong`."""
    rng = np.random.default_rng(5)
    p = np.sqrt(n) * unit(rng.normal(size=(replicas, n)))
    before = unit(p)
    a, b, length = S.coefficients(np.full((replicas, 1), h), {"friction": friction, "count": n})
    S.act(p, rng.normal(size=p.shape), a, wrong * b, length)
    return (before * unit(p)).sum(axis=1)


@pytest.mark.parametrize("n", [2, 7, 60])
def test_s_forgets_as_its_equation_says(n):
    """<u.u'> of (u + nu R)/|u + nu R|, nu = sqrt((exp(2 gamma h) - 1)/n), by other normals; nu without n is seen."""
    rng, nu = np.random.default_rng(6), np.sqrt(np.expm1(2 * GAMMA * 0.4) / n)
    along, across = 1 + nu * rng.normal(size=400_000), nu**2 * rng.chisquare(n - 1, size=400_000)
    exact = along / np.sqrt(along**2 + across)
    error = np.hypot(exact.std() / np.sqrt(len(exact)), kept(n).std() / 200)
    assert abs(kept(n).mean() - exact.mean()) < 4.5 * error
    assert abs(kept(n, wrong=np.sqrt(n)).mean() - exact.mean()) > 9 * error
    # many dimensions: exp(-gamma h)
    if n == 60:
        assert kept(n).mean() == pytest.approx(np.exp(-GAMMA * 0.4), abs=0.01)


# -- the law -----------------------------------------------------------------------------------------------------------


def scores(h, word="KASAK", replicas=1200, n=3, draws=40):
    """z of <k q^2>/tau over all coordinates, started from exp(-U/tau)."""
    job = job_of(word, well(1.7, n), h, replicas, temperature=TAU, friction=GAMMA)
    a = average(job, round(6 / h), draws, round(2 / h), start(job, np.sqrt(TAU / 1.7)))
    np.testing.assert_allclose(a.pp.sum(axis=1), n)
    return (1.7 * a.qq / TAU).mean(axis=1)


@pytest.mark.parametrize("word", ["KASAK", "AKSKA", "SAKAS", "AKASAKA"])
def test_positions_have_the_law_of_u_over_tau(word):
    assert abs(z_score(scores(0.1, word), 1)) < 4.5


def test_an_n_for_n_minus_1_is_seen(monkeypatch):
    """In delta, at n = 3: the law is that of tau n/(n - 1), <k q^2>/tau = 1.50."""

    def wrong(h, values):
        rate, length = K.coefficients(h, values)
        return rate * (values["count"] - 1) / values["count"], length

    monkeypatch.setitem(LETTERS, "K", replace(K, coefficients=wrong))
    found = scores(0.1)
    assert abs(z_score(found, 1.5)) < 4.5
    assert z_score(found, 1) > 50


def test_a_root_of_n_left_out_is_seen(monkeypatch):
    """delta without sqrt(n): K is too weak by it, and positions are as at tau sqrt(n)."""

    def wrong(h, values):
        rate, length = K.coefficients(h, values)
        return rate / np.sqrt(values["count"]), length

    monkeypatch.setitem(LETTERS, "K", replace(K, coefficients=wrong))
    found = scores(0.1)
    assert abs(z_score(found, np.sqrt(3))) < 4.5
    assert z_score(found, 1) > 50


@pytest.mark.slow
def test_its_error_falls_as_the_square_of_the_stepsize():
    """Ten normal parameters of variances 1 to 10^4 (the smallest sd is .01): <k q^2>/tau - 1, over all of them, is
    .022, .013, .008 at h = .0125, .01, .008.
    """
    k, h, found = np.logspace(0, 4, 10), np.array([0.0125, 0.01, 0.008]), []
    for stepsize in h:
        job = job_of("KASAK", well(k[None], 10), stepsize, 1500, temperature=1.0, friction=1.0)
        a = average(job, round(10 / stepsize), 1200, round(0.1 / stepsize), start(job, 1 / np.sqrt(k)))
        found.append((k * a.qq).mean(axis=1) - 1)
    off, error = np.mean(found, axis=1), np.std(found, axis=1) / np.sqrt(1500)
    assert (error < 0.07 * off).all()
    (slope, _), covariance = np.polyfit(np.log(h), np.log(off), 1, w=off / error, cov="unscaled")
    assert covariance[0, 0] ** 0.5 < 0.2
    assert 1.5 < slope < 2.7
    np.testing.assert_allclose(off, [0.022, 0.013, 0.0083], rtol=0.3)


# -- directions at the start -------------------------------------------------------------------------------------------


def test_momenta_start_as_random_directions():
    """Addressed, so that they depend on neither R nor the shard; given ones are normalised, and 0 is none."""
    job = job_of("KASAK", well(1.0, 4), 0.1, 3000, temperature=TAU, friction=GAMMA)
    p = start(job).momentum
    np.testing.assert_allclose((p * p).sum(axis=1), 4)
    assert abs(z_score(p, 0)).max() < 4.5
    assert abs(z_score(p**2, 1)).max() < 4.5
    few = replace(job, hyper=job.hyper.take(slice(7, 9)), seed=job.seed[7:9], stream=job.stream[7:9])
    np.testing.assert_array_equal(start(few).momentum, p[7:9])
    position = np.zeros((2, 4))
    given = initial_state(few, position, np.array([[3.0, 0, 0, 0], [0, 1, 1, 0]])).momentum
    np.testing.assert_allclose(given, [[2, 0, 0, 0], [0, np.sqrt(2), np.sqrt(2), 0]])
    for bad in (0.0, np.nan):
        with pytest.raises(SpecError, match="replica 0 has length"):
            initial_state(few, position, np.full((2, 4), bad))
