"""Statistics of ensembles against exact simulations: AR(1) chains of known correlation, from their stationary law."""

import numpy as np
import pytest

from gpu_thermo.tuning.statistics import (
    FLIPS,
    Estimate,
    mean_error,
    order_factor,
    signs,
    squared_deviation,
    stationarity,
    stepsize_bias,
    superchains,
    total_variance,
    variance_error,
    variance_ratio,
    virial,
)

REPLICAS, QUANTITIES, DRAWS, RHO = 128, 8, 40, 0.7


def chains(seed, replicas=REPLICAS, draws=DRAWS, rho=RHO, shift=0.0):
    """[draws, R, Q] of unit variance, correlated among quantities by .5 and in time by rho^t; `shift` sd of drift."""
    rng = np.random.default_rng(seed)
    mix = np.linalg.cholesky(np.full((QUANTITIES, QUANTITIES), 0.5) + 0.5 * np.eye(QUANTITIES))
    noise = rng.normal(size=(draws, replicas, QUANTITIES)) @ mix.T
    out = np.empty_like(noise)
    out[0] = noise[0]
    for t in range(1, draws):
        out[t] = rho * out[t - 1] + np.sqrt(1 - rho**2) * noise[t]
    return out + shift * np.linspace(0, 1, draws)[:, None, None]


def moments(x):
    """Mean and mean square [R, Q] of each replica."""
    return x.mean(axis=0), (x**2).mean(axis=0)


def change(x):
    """Second half minus first half [R, Q]."""
    half = len(x) // 2
    return x[half:].mean(axis=0) - x[:half].mean(axis=0)


class TestSigns:
    def test_are_signs_and_addressed(self):
        s = signs(200, 3, 50)
        assert s.shape == (FLIPS, 200)
        assert set(np.unique(s)) == {-1.0, 1.0}
        np.testing.assert_array_equal(signs(150, 3, 50), s[:, :150])
        for other in (signs(200, 4, 50), signs(200, 3, 51)):
            assert 0.47 < (other == s).mean() < 0.53

    def test_are_fair_and_independent(self):
        s = signs(256, 1, 0, flips=2000)
        assert abs(s.mean(axis=0)).max() < 4.5 / np.sqrt(2000)
        assert abs(s.T @ s / 2000 - np.eye(256)).max() < 5.5 / np.sqrt(2000)


class TestStationarity:
    def test_size(self):
        """At .1 it rejects a tenth of stationary ensembles, whatever their correlation (99.9 % range of 600)."""
        p = np.array([stationarity(change(chains(i)), 1, i) for i in range(600)])
        assert 0.06 < (p <= 0.1).mean() < 0.145
        assert 0.43 < p.mean() < 0.57

    @pytest.mark.parametrize("shift", [0.4])
    def test_power(self, shift):
        """A drift of .4 sd over the window, .2 between halves whose means are known to .1, is mostly seen."""
        p = np.array([stationarity(change(chains(i, shift=shift)), 1, i) for i in range(100)])
        assert (p <= 0.1).mean() > 0.75

    def test_what_does_not_move_says_nothing(self):
        still = np.zeros((REPLICAS, 3))
        assert stationarity(still, 1, 0) == 1.0
        moving = change(chains(0))
        assert stationarity(np.hstack([moving, still]), 1, 0) == stationarity(moving, 1, 0)


class TestErrors:
    def test_are_those_of_repetitions(self):
        """Errors of means and of variances, on average, are the spread over 1,500 ensembles."""
        found = [(m.mean(axis=0), total_variance(m, s), mean_error(m), variance_error(m, s))
                 for m, s in (moments(chains(i, 32, 12)) for i in range(1500))]  # fmt: skip
        means, variances, e_mean, e_variance = (np.stack(x) for x in zip(*found, strict=True))
        np.testing.assert_allclose(e_mean.mean(axis=0), means.std(axis=0), rtol=0.07)
        np.testing.assert_allclose(e_variance.mean(axis=0), variances.std(axis=0), rtol=0.09)

    def test_mean_error_of_correlated_draws(self):
        """The exact variance of a mean of T draws: 1/T (1 + 2 sum (1 - t/T) rho^t)."""
        t = np.arange(1, DRAWS)
        exact = np.sqrt((1 + 2 * ((1 - t / DRAWS) * RHO**t).sum()) / DRAWS / REPLICAS)
        found = np.mean([mean_error(moments(chains(i))[0]) for i in range(60)])
        assert found == pytest.approx(exact, rel=0.03)

    def test_ratio_of_variances(self):
        """Near the exact variance of a mean; near 1 where replicas stand still."""
        t = np.arange(1, DRAWS)
        exact = (1 + 2 * ((1 - t / DRAWS) * RHO**t).sum()) / DRAWS
        assert variance_ratio(*moments(chains(1, 2000))).mean() == pytest.approx(exact, rel=0.05)
        assert variance_ratio(*moments(chains(1, 2000, rho=1.0))).min() > 0.99
        constant = np.ones((REPLICAS, 2))
        np.testing.assert_array_equal(variance_ratio(constant, constant), 0)

    def test_squared_deviation(self):
        x, centre = chains(2), np.linspace(-1, 1, QUANTITIES)
        np.testing.assert_allclose(squared_deviation(*moments(x), centre), ((x - centre) ** 2).mean(axis=0))


def test_virial():
    """theta g = theta^2 for a standard normal: 1 at tau 1; tau wrong by 5 % is found, by 2,000 replicas of 50."""
    x = np.random.default_rng(0).normal(size=(2000, 50))
    product = (x * x).mean(axis=1)[:, None]
    (right,), (wrong,) = virial(product, np.ones(1)), virial(product, np.full(1, 1.05))
    assert right.within(1, 3.5)
    assert not wrong.within(1, 3.5)
    assert right.error == pytest.approx(np.sqrt(2 / 50 / 2000), rel=0.1)


class TestBias:
    def pair(self, seed, bias):
        """Means of 192 replicas at h and 64 at h/2, whose error in the mean is .1 and .17 of a posterior sd."""
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(192, QUANTITIES)) * 1.4, rng.normal(size=(64, QUANTITIES)) * 1.4
        return stepsize_bias(a + bias, b + bias / 4, np.ones(QUANTITIES), order_factor(False))

    def test_order_factors(self):
        """A bias that falls as h^2 is 4/3 of the difference, one that falls as h twice it."""
        assert order_factor(False) * (1 - 1 / 4) == pytest.approx(1)
        assert order_factor(True) * (1 - 1 / 2) == 1

    def test_noise_is_no_bias(self):
        """Its square is 0 on average within its errors, which are true; hardly ever does it fire."""
        found = [self.pair(i, 0.0) for i in range(400)]
        assert sum(b.excess(0.1) for b in found) <= 4
        d2 = np.array([(b.by_quantity**2 - b.error**2).mean() for b in found])
        assert abs(d2.mean()) < 4 * d2.std() / 20
        z = np.array([b.overall.value / b.overall.error for b in found])
        assert (z < 2.5).mean() > 0.95

    def test_a_bias_is_found(self):
        found = [self.pair(i, 2.0) for i in range(200)]
        sizes, errors = (np.array([getattr(b.overall, name) for b in found]) for name in ("value", "error"))
        assert sizes.mean() == pytest.approx(2.0, abs=0.03)
        assert sizes.std() == pytest.approx(errors.mean(), rel=0.2)
        assert all(b.excess(0.5) for b in found)


def test_superchains():
    """Starts that last are seen, and those that are forgotten are not."""
    superchain, x = np.repeat(np.arange(8), 16), chains(3)
    apart = x + np.random.default_rng(1).normal(size=8)[superchain][None, :, None]
    forgotten, kept = (superchains(*moments(values), superchain) for values in (x, apart))
    assert not forgotten.apart
    assert abs(forgotten.disagreement).max() < 0.1
    assert forgotten.nested.max() < 1.05
    assert kept.apart
    assert kept.disagreement.min() > 0.15
    assert kept.nested.min() > 1.1
    one = superchains(*moments(x), np.zeros(REPLICAS, int))
    assert not one.apart
    assert np.isnan(one.nested).all()


def test_superchains_that_forgot_are_hardly_ever_apart():
    """Of 200 ensembles, whose eight quantities each could show it."""
    superchain = np.repeat(np.arange(8), 16)
    assert sum(superchains(*moments(chains(seed)), superchain).apart for seed in range(200)) <= 4


def test_nested_is_that_of_arviz():
    from arviz_stats.base import array_stats

    superchain, x = np.repeat(np.arange(8), 16), chains(5)
    theirs = array_stats.rhat_nested(np.moveaxis(x, (0, 1, 2), (2, 1, 0)), superchain_ids=superchain, method="identity")
    np.testing.assert_allclose(superchains(*moments(x), superchain).nested, theirs, rtol=0.01)


def test_estimates():
    assert Estimate(1.1, 0.05).within(1, 2.1)
    assert not Estimate(1.1, 0.05).within(1, 1.9)
