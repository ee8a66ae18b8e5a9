"""Summaries, intervals, paired comparisons and power."""

import numpy as np
import pytest

from gpu_thermo.study.statistics import (
    bootstrap,
    holm,
    median_ranks,
    paired_differences,
    power,
    seeds_needed,
    summarise,
)


def test_summaries():
    """Known numbers; NaNs counted apart, and worse than any; one value has no spread."""
    assert summarise([1.0, 2.0, 3.0, 4.0]).worst == 1.0
    s = summarise([1.0, 2.0, 3.0, 4.0, np.nan])
    assert (s.count, s.missing, s.attempted, s.mean, s.worst, s.median) == (4, 1, 5, 2.5, -np.inf, 2.0)
    assert (s.to_dict()["worst"], s.to_dict()["finished"], s.to_dict()["attempted"]) == ("failed", 4, 5)
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


# -- runs without a value ----------------------------------------------------------------------------------------------

NEVER = np.nan


def test_times_of_which_some_never_came():
    """Order statistics of all runs, no mean of survivors, and words for what lies beyond the end."""
    s = summarise([100.0, 200.0, 300.0, NEVER, NEVER], lower_is_better=True, end=1000)
    assert (s.count, s.attempted, s.median, s.worst) == (3, 5, 300.0, np.inf)
    assert np.isnan([s.mean, s.error, s.sd, s.mean_low, s.variance]).all()
    assert s.to_dict()["worst"] == "never"
    rare = summarise([2500.0, 2700.0] + [NEVER] * 22, lower_is_better=True, end=3000).to_dict()
    assert (rare["median"], rare["median_low"], rare["finished"]) == ("> 3000 (never)", "> 3000 (never)", 2)
    every = summarise([100.0, 200.0, 300.0, 400.0], lower_is_better=True, end=1000)
    assert (every.mean, every.median, every.worst) == (250.0, 250.0, 400.0)
    nobody = summarise([NEVER] * 3, lower_is_better=True, end=10)
    assert (nobody.count, nobody.median) == (0, np.inf)


def test_intervals_of_a_censored_median_hold_it():
    """Between 93 and 99 % of 2000 trials, with 40 % of the times beyond the end; those of survivors do not."""
    random, n = np.random.default_rng(6), 31
    times = random.exponential(size=(2000, n))
    end = -np.log(0.4)  # 40 % are later; the median is ln 2
    seen = np.where(times > end, NEVER, times)
    found = [summarise(t, lower_is_better=True, end=end) for t in seen]
    held = np.mean([s.median_low <= np.log(2) <= s.median_high for s in found])
    assert 0.93 < held < 0.99
    survivors = [np.sort(t[~np.isnan(t)]) for t in seen]
    wrong = np.mean([t[(r := median_ranks(len(t)))[0]] <= np.log(2) <= t[r[1]] for t in survivors])
    assert wrong < 0.3


def test_no_winner_from_survivors():
    """A kind of runs that is better where it survives, which it rarely does, has not won; one that always loses has."""
    random = np.random.default_rng(7)
    sure, lucky = random.normal(0.8, 0.02, 24), random.normal(0.9, 0.02, 24)
    lucky[6:] = -np.inf
    (c,) = paired_differences({"sure": sure, "lucky": lucky})
    assert (c.pairs, c.finished, c.test, c.wins) == (24, 6, "sign", 0.75)
    assert c.clear
    (even,) = paired_differences({"sure": sure, "lucky": np.where(np.arange(24) < 12, 0.9, -np.inf)})
    assert not even.clear
    assert even.wins == 0.5
    (survivors,) = paired_differences({"sure": sure[:6], "lucky": lucky[:6]})
    assert survivors.clear  # for the other: what survivors alone would say
    assert survivors.difference < 0


def test_differences_of_times_are_bounded_by_the_end():
    """By how much a time that never came is later is at least what is left of the run."""
    a = np.array([np.inf] * 9 + [400.0])
    b = np.array([100.0] * 9 + [500.0])
    (c,) = paired_differences({"a": a, "b": b}, end=1000)
    assert c.low == -100.0 if median_ranks(10)[0] == 0 else c.low == 900.0
    assert (c.high, c.wins) == (np.inf, 0.9)
    assert np.isnan(c.difference)
    (both,) = paired_differences({"a": np.full(8, np.inf), "b": np.full(8, np.inf)}, end=1000)
    assert (both.p, both.wins, both.low, both.high, both.seeds_needed) == (1.0, 0.5, -np.inf, np.inf, 0)


def test_sign_tests_keep_their_level():
    """Of kinds of runs alike, half of them without a value, fewer than 5 % are called clear."""
    random = np.random.default_rng(8)
    x = np.where(random.uniform(size=(2, 1000, 30)) < 0.5, -np.inf, random.normal(size=(2, 1000, 30)))
    wrong = [paired_differences({"a": a, "b": b})[0].clear for a, b in zip(*x, strict=True)]
    assert np.mean(wrong) < 0.05
