"""Summaries, intervals, paired comparisons and power."""

import numpy as np
import pytest

from gpu_thermo.study.statistics import bootstrap, holm, paired_differences, power, seeds_needed, summarise


def test_summaries():
    """Known numbers; NaNs counted apart; one value has no spread."""
    s = summarise([1.0, 2.0, 3.0, 4.0, np.nan])
    assert (s.count, s.missing, s.mean, s.worst) == (4, 1, 2.5, 1.0)
    assert s.sd == pytest.approx(1.2909944)
    assert s.mean_low < 2.5 < s.mean_high
    assert np.isnan(summarise([1.0]).sd)
    assert summarise([]).count == 0


def test_intervals_cover_as_often_as_they_say():
    """95 % intervals of mean and sd of 60 normals hold the truth in 88 to 98 % of 300 trials."""
    random = np.random.default_rng(1)
    held = np.array(
        [[a <= 1 <= b, c <= 2 <= d] for x in random.normal(1, 2, (300, 60)) for (a, b), (c, d) in [bootstrap(x)]]
    )
    assert (held.mean(axis=0) > 0.88).all()
    assert (held.mean(axis=0) < 0.985).all()
    wide = random.normal(1, 2, 6000)
    (a, b), (c, d) = bootstrap(wide)
    assert b - a == pytest.approx(2 * 1.96 * 2 / 6000**0.5, rel=0.05)
    assert d - c == pytest.approx(2 * 1.96 * 2 / (2 * 6000) ** 0.5, rel=0.08)


def test_holm():
    """The textbook example, and NaNs left aside."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, np.nan, 0.01])[1] != holm([0.02, np.nan, 0.01])[1]


def test_pairing_finds_what_noise_hides():
    """A shift of a tenth of the spread between seeds is clear in pairs, and no shift is not."""
    seed = np.random.default_rng(3).normal(size=200)
    noise = np.random.default_rng(4).normal(scale=0.05, size=(3, 200))
    found = paired_differences({"a": seed + noise[0] + 0.1, "b": seed + noise[1], "c": seed + noise[2]})
    assert [c.clear for c in found] == [True, True, False]


def test_power_is_what_trials_give():
    """`seeds_needed` pairs find the difference in 90 % of trials, one of a thousand false alarms aside."""
    n = seeds_needed(0.5, 1.0)
    assert n == 44
    assert power(0.5, 1.0, n - 1) < 0.9 <= power(0.5, 1.0, n)
    from scipy.stats import ttest_1samp

    trials = np.random.default_rng(5).normal(0.5, 1.0, (2000, n))
    assert (ttest_1samp(trials, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.9, abs=0.03)
    assert seeds_needed(0.0, 1.0) == 0
    assert seeds_needed(1e-4, 1.0) > 10**8
