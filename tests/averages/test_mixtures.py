"""Mixtures over draws against numerical integration, and against what one law would say."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from gpu_thermo.averages.mixtures import CLOSED_FORM, Mixture
from gpu_thermo.averages.normal_quantiles import CLOSE
from gpu_thermo.targets.likelihoods.laws import NORMAL, POISSON, STUDENT_T

G = np.random.default_rng(5)
SETTINGS = {"dof": 2.5}
LAWS = {"normal": NORMAL, "student_t": STUDENT_T}


def make(law, draws=7, points=3, targets=2, weighted=True):
    location = G.normal(size=(draws, points, targets)) * 2
    scale = np.exp(G.normal(size=(draws, points, targets)) - 1)
    return Mixture.of(law, SETTINGS, location, scale, G.normal(size=draws) if weighted else None)


def density(m, t, o):
    """The density at one point as a plain function."""
    at = lambda y: m.law.log_density(y, m.location[:, t, o], m.scale[:, t, o], SETTINGS)  # noqa: E731
    return lambda y: float(m.weight @ np.exp(at(y)))


@pytest.mark.parametrize("name", LAWS)
def test_distribution_and_density(name):
    m = make(LAWS[name])
    y = G.normal(size=m.shape)
    f, log_f = m.cdf(y), m.log_density(y)
    for t in range(3):
        own = density(m, t, 1)
        places = sorted(m.location[:, t, 1])
        inside = [p for p in places if p < y[t, 1]]
        exact = quad(own, -np.inf, min(places[0], y[t, 1]))[0]
        cuts = [min(places[0], y[t, 1]), *inside, y[t, 1]]
        exact += sum(quad(own, a, b, limit=200)[0] for a, b in pairwise(cuts) if b > a)
        assert f[t, 1] == pytest.approx(exact, abs=2e-7)
        assert log_f[t, 1] == pytest.approx(np.log(own(y[t, 1])), abs=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_quantiles_invert_the_distribution(name):
    m = make(LAWS[name], draws=300)
    levels = np.array([1e-4, 0.025, 0.3, 0.5, 0.95, 0.9999])
    q = m.quantiles(levels)
    assert (np.diff(q, axis=0) > 0).all()
    np.testing.assert_allclose(m.cdf(q), np.broadcast_to(levels[:, None, None], q.shape), rtol=1e-6)


def test_quantiles_where_the_distribution_is_flat():
    """Two narrow modes far apart: the level .5 falls between them, and any other into one of them."""
    m = Mixture.of(NORMAL, {}, [[[-1e3]], [[1e3]]], 1e-3)
    q = m.quantiles((0.25, 0.75))[:, 0, 0]
    np.testing.assert_allclose(q, [-1e3, 1e3], atol=1e-6)
    np.testing.assert_allclose(m.cdf(m.quantiles((0.4999, 0.5001))), [[[0.4999]], [[0.5001]]], rtol=1e-6)


def test_one_draw_is_its_law():
    m = Mixture.of(NORMAL, {}, [[[1.0]]], 2.0)
    np.testing.assert_allclose(m.quantiles((0.1, 0.9))[:, 0, 0], stats.norm(1, 2).ppf([0.1, 0.9]), rtol=1e-9)


def test_the_interval_is_not_that_of_a_normal_law():
    """Two modes: the normal law of the same mean and variance has another 95 % interval, by more than a tenth."""
    m = Mixture.of(NORMAL, {}, [[[-3.0]], [[3.0]]], 0.3)
    low, high = m.quantiles((0.025, 0.975))[:, 0, 0]
    normal = 1.96 * np.sqrt(9 + 0.09)
    assert high == pytest.approx(-low)
    assert high < 0.65 * normal


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("draws", [5, CLOSED_FORM + 20])
def test_crps(name, draws):
    """Against the integral of (F - step)^2 by another rule, and both ways of computing it against each other."""
    m = make(LAWS[name], draws, points=2, targets=1)
    y = np.array([[0.3], [9.0]])
    found, how = m.crps(y)
    assert how == ("closed form" if name == "normal" and draws == 5 else "integral of the distribution")
    for t in range(2):
        f = lambda v, t=t: m.cdf(np.full(m.shape, v))[t, 0]  # noqa: E731
        grid = np.sinh(np.linspace(-14, 14, 60_001))
        flat = np.array(
            [m.law.cdf(grid, a, b, SETTINGS) for a, b in zip(m.location[:, t, 0], m.scale[:, t, 0], strict=True)]
        )
        exact = np.trapezoid((m.weight @ flat - (grid >= y[t, 0])) ** 2, grid)
        assert found[t, 0] == pytest.approx(exact, rel=2e-3)
        assert f(y[t, 0]) == pytest.approx(m.pit(y)[t, 0])
    np.testing.assert_allclose(m._integrated_crps(y), found, rtol=1e-4)


def test_crps_of_a_normal_law():
    """Gneiting and Raftery 2007, equation 21."""
    for y in (-2.0, 0.0, 1.5):
        z = (y - 0.4) / 1.7
        exact = 1.7 * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
        m = Mixture.of(NORMAL, {}, [[[0.4]]], 1.7)
        assert m.crps([[y]])[0][0, 0] == pytest.approx(exact, rel=1e-12)
        assert m._integrated_crps(np.array([[y]]))[0, 0] == pytest.approx(exact, rel=1e-6)


def test_counts():
    rate = np.exp(G.normal(size=(9, 2, 1)) + 1)
    m = Mixture.of(POISSON, {}, rate)
    k = np.arange(400)
    mass = stats.poisson.pmf(k[:, None, None], rate[:, None]).mean(axis=0)[..., 0]
    y = np.array([[0.0], [5.0]])
    for t in range(2):
        cdf = np.cumsum(mass[:, t])
        np.testing.assert_allclose(m.log_density(y)[t, 0], np.log(mass[int(y[t, 0]), t]), rtol=1e-10)
        for level in (0.01, 0.5, 0.99):
            assert m.quantiles((level,))[0, t, 0] == np.searchsorted(cdf, level)
        exact = ((cdf - (k >= y[t, 0])) ** 2).sum()
        assert m.crps(y)[0][t, 0] == pytest.approx(exact, rel=1e-8)
        low, high = m.quantiles((0.05, 0.95))[:, t, 0]
        assert m.inside(y, (0.9,))[0, t, 0] == (low <= y[t, 0] <= high)
    assert m.crps(y)[1] == "sum over counts"


def test_targets_of_one_draw_go_together():
    """The joint density of two targets is a mean of products, not a product of means."""
    m = make(NORMAL, 6, 2, 2)
    y = G.normal(size=(2, 2))
    each = m.law.log_density(y, m.location, m.scale, {})
    np.testing.assert_allclose(m.log_joint(y), np.log(m.weight @ np.exp(each.sum(axis=-1))), rtol=1e-12)
    assert abs(m.log_joint(y) - m.log_density(y).sum(axis=1)).max() > 1e-3


def test_right_predictions_are_calibrated_and_others_are_not():
    """PIT of answers drawn from the mixture is uniform, and intervals hold their share; with half the noise they do
    not.
    """
    location = G.normal(size=(20, 2000, 1))
    draw = G.integers(0, 20, 2000)
    y = location[draw, np.arange(2000)] + 0.5 * G.normal(size=(2000, 1))
    right, wrong = (Mixture.of(NORMAL, {}, location, sd) for sd in (0.5, 0.25))
    level = np.array([0.5, 0.9])
    error = np.sqrt(level * (1 - level) / 2000)
    assert (abs(right.inside(y, level).mean(axis=(1, 2)) - level) < 4 * error).all()
    assert stats.kstest(right.pit(y).ravel(), "uniform").pvalue > 1e-3
    narrow = Mixture.of(NORMAL, {}, location[:1], 0.5)
    assert stats.kstest(narrow.pit(y).ravel(), "uniform").pvalue < 1e-6
    assert (narrow.inside(y, level).mean(axis=(1, 2)) < level - 4 * error).all()
    assert right.crps(y)[0].mean() < narrow.crps(y)[0].mean()
    assert wrong.log_density(y).mean() < right.log_density(y).mean()


def test_counts_of_any_size():
    """Rates far beyond what whole numbers of a float64 tell apart, and infinite ones: of two draws, one each."""
    for rate in (1e6, 1e12, 1e15, 1e18, 1e130):
        m = Mixture.of(POISSON, {}, [[[rate]], [[3 * rate]]])
        q = m.quantiles((0.25, 0.5 + 1e-9, 0.75))[:, 0, 0]
        np.testing.assert_allclose(q[[0, 2]], [rate, 3 * rate], rtol=1e-6)
        assert q[0] < q[1] < q[2] or rate > 1e14
    m = Mixture.of(POISSON, {}, [[[2.0]], [[np.inf]]])
    np.testing.assert_array_equal(m.quantiles((0.25, 0.75))[:, 0, 0], [2, np.inf])


def test_crps_of_large_counts_is_that_of_normal_numbers():
    """Sums end at 2^14: beyond it the integral; both beside each other in one call."""
    rates, y = np.array([[[3.0], [2e4], [4e6]]]), np.array([[5.0], [2.02e4], [4.001e6]])
    got, how = Mixture.of(POISSON, {}, np.repeat(rates, 2, axis=0)).crps(y)
    assert "integral" in how
    f = stats.poisson(3).cdf(np.arange(200))
    assert got[0, 0] == pytest.approx(((f - (np.arange(200) >= 5)) ** 2).sum(), rel=1e-9)
    normal, _ = Mixture.of(NORMAL, {}, rates[:, 1:], np.sqrt(rates[:, 1:])).crps(y[1:])
    np.testing.assert_allclose(got[1:], normal, rtol=4e-3)


def test_quantiles_of_the_means_over_draws():
    m = Mixture.of(NORMAL, {}, G.normal(size=(4, 3, 2)), 10.0, np.log([1, 1, 6, 2]))
    order = m.location[:, 1, 0].argsort()
    share = np.cumsum(m.weight[order])
    for level in (0.05, 0.5, 0.95):
        want = m.location[order[np.searchsorted(share, level)], 1, 0]
        assert m.location_quantiles((level,))[0, 1, 0] == want
    even = Mixture.of(NORMAL, {}, np.arange(10.0)[:, None, None], 1.0)
    np.testing.assert_array_equal(even.location_quantiles((0.1, 0.5, 0.9))[:, 0, 0], [0, 4, 8])


def test_close_quantiles():
    """In float32, to CLOSE of the sd, of laws of every shape; and exact where that cannot be."""
    shapes = {"mixed": make(NORMAL, 300, 40, 2), "few": make(NORMAL, 2, 40, 1, False)}
    location, scale = G.normal(size=(400, 60, 1)), np.exp(G.normal(size=(400, 60, 1)) / 2)
    shapes["offset"] = Mixture.of(NORMAL, {}, 1e6 + location, scale)
    shapes["two modes"] = Mixture.of(NORMAL, {}, location + 30 * (np.arange(400) < 31)[:, None, None], 0.01 * scale)
    levels = (0.01, 0.05, 0.5, 0.95)
    for name, m in shapes.items():
        sd = m._centre()[1]
        off = abs(m.close_quantiles(levels) - m.quantiles(levels)) / sd
        assert off.max() < CLOSE, name
        assert off.max() > 0 or name != "offset"
    for law, extreme in ((STUDENT_T, (0.05,)), (NORMAL, (1e-4,))):
        m = make(law)
        np.testing.assert_array_equal(m.close_quantiles(extreme), m.quantiles(extreme))


def test_quantiles_of_means_by_partition():
    """Of equal weights the same as by sorting."""
    m = make(NORMAL, 101, 30, 2, weighted=False)
    levels = (0.0, 0.05, 0.5, 50 / 101, 0.95, 1.0)
    uneven = Mixture(m.law, m.settings, m.location, m.scale, m.weight + 1e-16 * np.arange(101))
    assert (uneven.weight != uneven.weight[0]).any()
    np.testing.assert_array_equal(m.location_quantiles(levels), uneven.location_quantiles(levels))
