"""Statistics of many runs: summaries with intervals, paired comparisons, and how many seeds a difference needs.

Intervals are 95 % by default. Resampling uses a fixed seed, so that a table printed twice is the same table.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

Values = Any

RESAMPLES = 4000
LEVEL = 0.95
_BOOTSTRAP_MOST = 500
"""Beyond this many values the bootstrap's interval is the normal one, for all practical purposes."""
_BLOCK = 2**22


@dataclass(frozen=True)
class Summary:
    """What many runs of one kind did. Runs without a value (frozen, not finite, or that never got there) are `missing`.

    Attributes
    ----------
    mean, sd, variance : of the `count` runs that have a value; sd with ddof 1. error : standard error of the mean.
    mean_low .. sd_high : bootstrap intervals (percentile). All of them are NaN where runs are missing from an outcome
    with an `end`: a mean of survivors says nothing of when.
    worst : the lowest value (the highest where lower is better). quantiles : of 5, 25, 50, 75, 95 %. median_low,
    median_high : interval of the median, of any distribution. In these a missing run is beyond the bad end, infinite:
    where there is one, they are order statistics of all runs.
    end : of an outcome that says when, the step until which runs were watched: a missing one is later than that.
    """

    count: int
    missing: int
    mean: float
    error: float
    mean_low: float
    mean_high: float
    sd: float
    sd_low: float
    sd_high: float
    variance: float
    worst: float
    quantiles: tuple[float, float, float, float, float]
    median_low: float = math.nan
    median_high: float = math.nan
    end: float | None = None

    @property
    def attempted(self) -> int:
        """All runs, those without a value too."""
        return self.count + self.missing

    @property
    def median(self) -> float:
        """Of all runs; infinite where half of them have no value."""
        return self.quantiles[2]

    def shown(self, value: float) -> Any:
        """A number of these as it is, and one beyond the bad end in words."""
        if not math.isinf(value):
            return value
        return "failed" if self.end is None else f"> {self.end:g} (never)"

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary; what lies beyond the bad end is a text."""
        out = asdict(self) | {"finished": self.count, "attempted": self.attempted, "median": self.shown(self.median)}
        out["quantiles"] = [self.shown(q) for q in self.quantiles]
        out |= {name: self.shown(out[name]) for name in ("median_low", "median_high")}
        never = "never" if self.end is not None else "failed"
        return out | {"worst": never if math.isinf(self.worst) else self.worst}


def summarise(values: Values, level: float = LEVEL, lower_is_better: bool = False, end: float | None = None) -> Summary:
    """Summary of `values` [n], NaN (or infinite) of runs without one; NaN where there are too few."""
    given = np.asarray(values, np.float64).ravel()
    x, nan = given[np.isfinite(given)], math.nan
    n, lost = len(x), len(given) - len(x)
    if not len(given):
        return Summary(0, 0, nan, nan, nan, nan, nan, nan, nan, nan, nan, (nan,) * 5, nan, nan, end)
    sd = float(x.std(ddof=1)) if n > 1 else nan
    mean_interval, sd_interval = bootstrap(x, level)
    moments = (
        (float(x.mean()) if n else nan, sd / math.sqrt(max(n, 1)), *mean_interval, sd, *sd_interval, sd * sd)
        if not (lost and end is not None)
        else (nan,) * 8
    )
    ranked = np.sort(np.where(np.isfinite(given), given, math.inf if lower_is_better else -math.inf))
    method: Any = "inverted_cdf" if lost else "linear"
    quantiles = tuple(float(q) for q in np.quantile(ranked, [0.05, 0.25, 0.5, 0.75, 0.95], method=method))
    low, high = (ranked[i] for i in median_ranks(len(ranked), level))
    worst = float(ranked[-1] if lower_is_better else ranked[0])
    return Summary(n, lost, *moments, worst, quantiles, float(low), float(high), end)  # type: ignore[arg-type]


def median_ranks(n: int, level: float = LEVEL) -> tuple[int, int]:
    """Places among n sorted values between which the median of their distribution lies with probability `level`
    (binomial); the outermost where there are too few.
    """
    from scipy.stats import binom

    below = int(binom.ppf((1 - level) / 2, n, 0.5)) - 1  # so many smaller ones leave less than half of 1 - level
    while below >= 0 and binom.cdf(below, n, 0.5) > (1 - level) / 2:
        below -= 1
    low = max(0, below)
    return low, n - 1 - low


def bootstrap(x: np.ndarray, level: float = LEVEL, seed: int = 0) -> tuple[tuple[float, float], tuple[float, float]]:
    """Percentile bootstrap intervals of the mean and of the standard deviation of `x` [n]; NaN for one value."""
    n = len(x)
    if n < 2:
        return (math.nan, math.nan), (math.nan, math.nan)
    if n > _BOOTSTRAP_MOST:
        return _normal_intervals(x, level)
    random = np.random.default_rng(seed)
    means, sds = np.empty(RESAMPLES), np.empty(RESAMPLES)
    block = max(1, _BLOCK // n)
    for start in range(0, RESAMPLES, block):
        take = x[random.integers(0, n, (min(block, RESAMPLES - start), n))]
        means[start : start + len(take)], sds[start : start + len(take)] = take.mean(axis=1), take.std(axis=1, ddof=1)
    ends = [(1 - level) / 2, (1 + level) / 2]
    (a, b), (c, d) = np.quantile(means, ends), np.quantile(sds, ends)
    return (float(a), float(b)), (float(c), float(d))


def _normal_intervals(x: np.ndarray, level: float) -> tuple[tuple[float, float], tuple[float, float]]:
    """The same for large n, from the first four moments."""
    from scipy.stats import norm

    z, n, mean, sd = float(norm.ppf((1 + level) / 2)), len(x), float(x.mean()), float(x.std(ddof=1))
    kurtosis = float(((x - mean) ** 4).mean()) / sd**4 if sd > 0 else 1.0
    spread = sd * math.sqrt(max(kurtosis - 1, 0) / n) / 2
    return (mean - z * sd / math.sqrt(n), mean + z * sd / math.sqrt(n)), (sd - z * spread, sd + z * spread)


@dataclass(frozen=True)
class PairedDifference:
    """Two kinds of runs compared over the seeds that both attempted.

    Attributes
    ----------
    pairs : seeds that both attempted. finished : those of them where both have a value.
    difference : mean of first - second. low, high : its interval (t). p : two-sided paired t test. p_holm : corrected
    for all comparisons
        made together (Holm). wins : share of the seeds on which the first is larger, ties counted half.
    seeds_needed : pairs after which a difference like this one is clear at 5 % with 90 % power; 0 where there is no
    difference.
    test : "t", or "sign" where runs are missing: then a run without a value is beyond every one that has one, p is
    that of the sign test over all pairs, and difference, low and high are the median of the differences and its
    interval, infinite or NaN where missing runs leave it open.
    """

    first: str
    second: str
    pairs: int
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    wins: float
    seeds_needed: int
    finished: int = -1
    test: str = "t"

    @property
    def clear(self) -> bool:
        """Whether the corrected p is below 5 %."""
        return self.p_holm < 0.05

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, `clear` included."""
        return asdict(self) | {"clear": self.clear}


def paired_differences(
    groups: Mapping[str, Values],
    pairs: Sequence[tuple[str, str]] | None = None,
    level: float = LEVEL,
    end: float | None = None,
) -> list[PairedDifference]:
    """Compare kinds of runs pairwise, entry i of each group belonging to the same seed; `pairs` names which (all by
    default).

    An entry is NaN where nothing was attempted, and infinite, on the side of the bad, where a run has no value. `end`
    is the step until which runs were watched, of an outcome that says when.
    """
    chosen = list(combinations(groups, 2)) if pairs is None else list(pairs)
    found = [
        _difference(a, b, np.asarray(groups[a], np.float64), np.asarray(groups[b], np.float64), level, end)
        for a, b in chosen
    ]
    corrected = holm([c.p for c in found])
    return [PairedDifference(**{**asdict(c), "p_holm": p}) for c, p in zip(found, corrected, strict=True)]


def _difference(
    first: str, second: str, a: np.ndarray, b: np.ndarray, level: float, end: float | None
) -> PairedDifference:
    from scipy.stats import t

    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    n = len(a)
    if np.isinf(a).any() or np.isinf(b).any():
        return _by_signs(first, second, a, b, level, end)
    d = a - b
    mean = float(d.mean()) if n else math.nan
    sd = float(d.std(ddof=1)) if n > 1 else math.nan
    error = sd / math.sqrt(n) if n > 1 else math.nan
    if n > 1 and sd > 0:
        half = float(t.ppf((1 + level) / 2, n - 1)) * error
        p = 2 * float(t.sf(abs(mean) / error, n - 1))
    else:
        half, p = (0.0, 1.0 if mean == 0 else 0.0) if n > 1 else (math.nan, math.nan)
    wins = float(((d > 0) + 0.5 * (d == 0)).mean()) if n else math.nan
    return PairedDifference(first, second, n, mean, mean - half, mean + half, p, p, wins, seeds_needed(mean, sd), n)


def _by_signs(
    first: str, second: str, a: np.ndarray, b: np.ndarray, level: float, end: float | None
) -> PairedDifference:
    """Where runs are missing: who is beyond whom is known, by how much is not."""
    from scipy.stats import binomtest

    above, below, n = int((a > b).sum()), int((a < b).sum()), len(a)
    p = float(binomtest(above, above + below).pvalue) if above + below else 1.0
    lows, highs = _bounds(a, b, end)
    middle = [float(np.quantile(v, 0.5, method="inverted_cdf")) for v in (lows, highs)]
    i, j = median_ranks(n, level)
    return PairedDifference(
        first, second, n, middle[0] if middle[0] == middle[1] else math.nan, float(lows[i]), float(highs[j]), p, p,
        (above + (n - above - below) / 2) / n, _pairs_for_signs(above, below, n),
        int((np.isfinite(a) & np.isfinite(b)).sum()), "sign",
    )  # fmt: skip


def _bounds(a: np.ndarray, b: np.ndarray, end: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest that each difference a - b can be, each sorted; a missing time is later than `end`."""
    lost_a, lost_b = np.isinf(a), np.isinf(b)
    with np.errstate(invalid="ignore"):
        d = a - b  # infinite where one is missing
    lows, highs = np.where(lost_a & lost_b, -math.inf, d), np.where(lost_a & lost_b, math.inf, d)
    if end is not None:
        lows = np.where(lost_a & ~lost_b, end - b, lows)
        highs = np.where(lost_b & ~lost_a, a - end, highs)
    return np.sort(lows), np.sort(highs)


def _pairs_for_signs(above: int, below: int, n: int) -> int:
    """Pairs after which a sign test finds a majority like this one with 90 % power (normal approximation); 0 where
    there is none.
    """
    from scipy.stats import norm

    decided = above + below
    if above == below:
        return 0
    share = min(max(above, below) / decided, 1 - 0.5 / decided)
    wanted = (norm.isf(0.025) / 2 + norm.isf(0.1) * math.sqrt(share * (1 - share))) / (share - 0.5)
    return math.ceil(max(wanted**2, 6) * n / decided)


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of p-values; NaNs stay NaN and do not count."""
    values = np.asarray(p, np.float64)
    out = np.full(len(values), np.nan)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    steps = values[order] * np.arange(len(order), 0, -1)
    out[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(v) for v in out]


def power(difference: float, sd: float, pairs: int, level: float = 0.05) -> float:
    """Probability that a two-sided paired t test finds a true mean difference with `pairs` pairs."""
    from scipy.stats import nct, norm, t

    shift = abs(difference) / sd * math.sqrt(pairs)
    if shift > 30 or pairs > 10**5:  # the noncentral t is slow and inaccurate out there, and normal
        return float(norm.sf(norm.isf(level / 2) - shift))
    limit = t.isf(level / 2, pairs - 1)
    return float(nct.sf(limit, pairs - 1, shift) + nct.cdf(-limit, pairs - 1, shift))


def seeds_needed(difference: float, sd: float, level: float = 0.05, wanted: float = 0.9, most: int = 10**9) -> int:
    """Fewest pairs with which a paired t test finds the difference with probability `wanted`; 0 where there is none (or
    more than `most`).

    Parameters
    ----------
    difference, sd : mean and standard deviation of the paired differences, as measured or as hoped for.
    """
    if not (math.isfinite(difference) and math.isfinite(sd)) or difference == 0:
        return 0
    if sd == 0:
        return 2
    low, high = 2, 4
    while power(difference, sd, high, level) < wanted:
        low, high = high, 2 * high
        if low > most:
            return 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power(difference, sd, middle, level) >= wanted else (middle + 1, high)
    return low
