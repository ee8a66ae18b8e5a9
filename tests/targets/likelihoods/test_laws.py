"""Laws of one number against numerical integration and SciPy's distributions."""

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from gpu_thermo.targets.functions import log_factorial
from gpu_thermo.targets.likelihoods.laws import NORMAL, POISSON, STUDENT_T

SETTINGS = {"dof": 3.5}
CONTINUOUS = {"normal": (NORMAL, stats.norm(0.7, 1.3)), "student_t": (STUDENT_T, stats.t(3.5, 0.7, 1.3))}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_density_distribution_variance_and_quantile(name):
    law, known = CONTINUOUS[name]
    m, s = np.float64(0.7), np.float64(1.3)
    y = np.array([-3.0, 0.2, 0.7, 5.0])
    np.testing.assert_allclose(law.log_density(y, m, s, SETTINGS), known.logpdf(y), rtol=1e-12)
    np.testing.assert_allclose(law.cdf(y, m, s, SETTINGS), known.cdf(y), rtol=1e-12)
    np.testing.assert_allclose(law.variance(m, s, SETTINGS), known.var(), rtol=1e-12)
    levels = np.array([1e-3, 0.3, 0.5, 0.975])
    np.testing.assert_allclose(law.cdf(law.quantile(levels, m, s, SETTINGS), m, s, SETTINGS), levels, rtol=1e-9)
    assert quad(lambda v: np.exp(law.log_density(v, m, s, SETTINGS)), -np.inf, np.inf)[0] == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("dof", [0.5, 1.0, 2.0])
def test_heavy_tails_have_no_variance(dof):
    assert STUDENT_T.variance(0.0, 1.0, {"dof": dof}) == np.inf


@pytest.mark.parametrize("rate", [0.03, 1.0, 40.0, 3e4])
def test_poisson(rate):
    known, m = stats.poisson(rate), np.float64(rate)
    y = np.unique(known.ppf([1e-6, 0.1, 0.5, 0.9, 1 - 1e-6]))
    np.testing.assert_allclose(POISSON.log_density(y, m, 1.0, {}), known.logpmf(y), rtol=1e-10)
    np.testing.assert_allclose(POISSON.cdf(y + 0.5, m, 1.0, {}), known.cdf(y), rtol=1e-12)
    assert POISSON.cdf(-0.5, m, 1.0, {}) == 0
    for level in (1e-4, 0.2, 0.5, 0.999):
        q = POISSON.quantile(level, m, 1.0, {})
        assert known.cdf(q) >= level > known.cdf(q - 1) or q == 0


def test_distance_is_the_mean_size_of_a_normal():
    for gap, sd in ((0.0, 1.0), (0.4, 2.0), (-30.0, 0.5)):
        exact = quad(lambda v, g=gap, s=sd: abs(v) * stats.norm.pdf(v, g, s), gap - 12 * sd, gap + 12 * sd, points=[0])
        assert NORMAL.distance(np.float64(gap), np.float64(sd)) == pytest.approx(exact[0], rel=1e-7)


def test_log_factorial():
    y = np.array([0, 1, 2, 3, 10, 170, 1e4, 1e9])
    exact = stats.poisson.logpmf(y, 1.0)
    np.testing.assert_allclose(log_factorial(y, np), -1 - exact, rtol=1e-14, atol=1e-14)
