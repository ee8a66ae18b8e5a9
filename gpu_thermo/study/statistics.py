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
    """What many runs of one kind did; NaNs are left out and counted as `missing`.

    Attributes
    ----------
    sd, variance : with ddof 1. error : standard error of the mean. mean_low .. sd_high : bootstrap intervals
    (percentile).
    worst : the lowest value (the highest where lower is better). quantiles : of 5, 25, 50, 75, 95 %.
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

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary."""
        return asdict(self)


def summarise(values: Values, level: float = LEVEL, lower_is_better: bool = False) -> Summary:
    """Summary of `values` [n]; NaN where there are too few."""
    given = np.asarray(values, np.float64).ravel()
    x = given[~np.isnan(given)]
    n, nan = len(x), math.nan
    if n == 0:
        return Summary(0, len(given), nan, nan, nan, nan, nan, nan, nan, nan, nan, (nan,) * 5)
    sd = float(x.std(ddof=1)) if n > 1 else nan
    mean_interval, sd_interval = bootstrap(x, level)
    quantiles = tuple(float(q) for q in np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95]))
    worst = float(x.max() if lower_is_better else x.min())
    return Summary(
        n, len(given) - n, float(x.mean()), sd / math.sqrt(n), *mean_interval, sd, *sd_interval, sd * sd, worst,
        quantiles,  # type: ignore[arg-type]
    )  # fmt: skip


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
    """Two kinds of runs compared over the seeds that both have.

    Attributes
    ----------
    difference : mean of first - second. low, high : its interval (t). p : two-sided paired t test. p_holm : corrected
    for all comparisons
        made together (Holm). wins : share of the seeds on which the first is larger, ties counted half.
    seeds_needed : pairs after which a difference like this one is clear at 5 % with 90 % power; 0 where there is no
    difference.
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

    @property
    def clear(self) -> bool:
        """Whether the corrected p is below 5 %."""
        return self.p_holm < 0.05

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionary, `clear` included."""
        return asdict(self) | {"clear": self.clear}


def paired_differences(
    groups: Mapping[str, Values], pairs: Sequence[tuple[str, str]] | None = None, level: float = LEVEL
) -> list[PairedDifference]:
    """Compare kinds of runs pairwise, entry i of each group belonging to the same seed; `pairs` names which (all by
    default).
    """
    chosen = list(combinations(groups, 2)) if pairs is None else list(pairs)
    found = [
        _difference(a, b, np.asarray(groups[a], np.float64), np.asarray(groups[b], np.float64), level)
        for a, b in chosen
    ]
    corrected = holm([c.p for c in found])
    return [PairedDifference(**{**asdict(c), "p_holm": p}) for c, p in zip(found, corrected, strict=True)]


def _difference(first: str, second: str, a: np.ndarray, b: np.ndarray, level: float) -> PairedDifference:
    from scipy.stats import t

    d = (a - b)[~(np.isnan(a) | np.isnan(b))]
    n = len(d)
    mean = float(d.mean()) if n else math.nan
    sd = float(d.std(ddof=1)) if n > 1 else math.nan
    error = sd / math.sqrt(n) if n > 1 else math.nan
    if n > 1 and sd > 0:
        half = float(t.ppf((1 + level) / 2, n - 1)) * error
        p = 2 * float(t.sf(abs(mean) / error, n - 1))
    else:
        half, p = (0.0, 1.0 if mean == 0 else 0.0) if n > 1 else (math.nan, math.nan)
    wins = float(((d > 0) + 0.5 * (d == 0)).mean()) if n else math.nan
    return PairedDifference(first, second, n, mean, mean - half, mean + half, p, p, wins, seeds_needed(mean, sd))


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
