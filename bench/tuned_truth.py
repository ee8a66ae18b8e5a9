"""Are reported errors true: z against NUTS, pooled and by cell, beside what a perfect sampler with the same correlation
between inputs would show.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gpu_thermo.tuning.statistics import mean_error, variance_error
from gpu_thermo.verify.references import load

from .tuned_runs import Row

Draw = Callable[[np.random.Generator, int], np.ndarray]
QUANTILES = (0.0005, 0.9995)
SIMULATIONS = 1_000


@dataclass(frozen=True)
class Cell:
    """Runs of one reference, start and tolerance: moments [seed, R, 2, I] about the reference's means, of I inputs
    (of all its quantities), and the reference's variances and errors [2, I].
    """

    name: str
    rows: list[Row]
    moments: np.ndarray
    variance: np.ndarray
    theirs: np.ndarray

    @classmethod
    def of(cls, rows: list[Row], folder: Path) -> "Cell":
        """Rows of one cell, their moments read."""
        variance, theirs = known(rows[0]["reference"])
        moments = np.stack([np.load(folder / f"{row['key']}.npy").astype(np.float64) for row in rows])
        return cls("{reference} {start} {tolerance:g}".format(**rows[0]), rows, moments, variance, theirs)

    def scores(self) -> np.ndarray:
        """z [seed, 2, I] of means and variances, with the errors of both sides."""
        return np.stack([scored(m, self.variance, self.theirs) for m in self.moments])

    def influence(self) -> np.ndarray:
        """[seed, R, 2 I] what each replica adds to its run's means and variances, around 0."""
        mean, square = self.moments[:, :, 0], self.moments[:, :, 1]
        of_variance = square - 2 * mean.mean(axis=1, keepdims=True) * mean
        both = np.concatenate([mean, of_variance], axis=2)
        return both - both.mean(axis=1, keepdims=True)

    def largest(self) -> float:
        """|error| / reported error of a mean, at its worst in a trusted run: the reported error is the verdict's, which
        is that of its worst probe, in posterior sd.
        """
        off = self.moments[:, :, 0].mean(axis=1) / np.sqrt(self.variance)
        at = [abs(o).max() / row["error"] for o, row in zip(off, self.rows, strict=True) if row["trusted"]]
        return float(max(at, default=0.0))


def known(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Variances [I] of a reference at its inputs, of all quantities in turn, and errors [2, I] of means and of them."""
    laws = load(name).laws.values()
    errors = (np.concatenate([getattr(law, f"{n}_error") for law in laws]) for n in ("mean", "variance"))
    return np.concatenate([law.variance for law in laws]), np.stack([*errors])


def scored(moments: np.ndarray, variance: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """z [2, I] of one run's means and variances from its replicas' moments [R, 2, I], with the errors of both sides."""
    mean, square = moments[:, 0], moments[:, 1]
    found = np.stack([mean.mean(axis=0), square.mean(axis=0) - mean.mean(axis=0) ** 2 - variance])
    error = np.stack([mean_error(mean), variance_error(mean, square)])
    return found / np.hypot(error, theirs)


def rms(z: np.ndarray) -> np.ndarray:
    """[2] root mean squares of z [seed, 2, I] of means and of variances."""
    return np.sqrt((z**2).mean(axis=(0, 2)))


def simulated(cell: Cell, draws: int = SIMULATIONS, seed: int = 0) -> np.ndarray:
    """[draws, 2] the statistic of perfect samplers: replicas' means and variances are exact normal draws with the
    covariance of the cell's; the reference's errors, one draw for all seeds, have the same correlation.
    """
    rng = np.random.default_rng(seed)
    pool = cell.influence()
    seeds, replicas, size = pool.shape
    flat = pool.reshape(-1, size)
    covariance = flat.T @ flat / (seeds * (replicas - 1))
    sd = np.sqrt(np.maximum(np.diag(covariance), 1e-300))
    value, vector = np.linalg.eigh(covariance / np.outer(sd, sd))
    root = (vector * np.sqrt(np.maximum(value, 0))).astype(np.float32)
    keep = root[:, value > 1e-5 * value.max()]
    theirs = (cell.theirs.ravel() / sd * np.sqrt(replicas)).astype(np.float32)
    found = np.empty((draws, 2))
    for i in range(draws):
        z = rng.standard_normal((seeds * replicas, keep.shape[1]), dtype=np.float32) @ keep.T
        z = z.reshape(seeds, replicas, size)
        off = theirs * (keep @ rng.standard_normal(keep.shape[1], dtype=np.float32))
        mean = z.mean(axis=1) * np.sqrt(replicas)
        error = np.hypot(z.std(axis=1, ddof=1), theirs)
        found[i] = rms(((mean - off) / error).reshape(seeds, 2, -1))
    return found


def resampled(cell: Cell, draws: int = 200, seed: int = 0) -> np.ndarray:
    """[draws, 2] the same where replicas are drawn from those of all the cell's runs: with their skewness."""
    rng = np.random.default_rng(seed)
    pool = cell.influence()
    seeds, replicas, size = pool.shape
    flat = pool.reshape(-1, size) * np.sqrt(replicas / (replicas - 1))
    flat -= flat.mean(axis=0)
    found = np.empty((draws, 2))
    for i in range(draws):
        z = flat[rng.integers(len(flat), size=(seeds, replicas))]
        mean, error = z.mean(axis=1), z.std(axis=1, ddof=1) / np.sqrt(replicas)
        theirs = cell.theirs.ravel()
        found[i] = rms((mean / np.hypot(error, theirs)).reshape(seeds, 2, -1))
    return found


def cells(rows: Iterable[Row], folder: Path) -> list[Cell]:
    """By reference, start and tolerance."""
    by: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        by.setdefault((-row["tolerance"], row["reference"], row["start"]), []).append(row)
    return [Cell.of(sorted(by[key], key=lambda r: int(r["seed"])), folder) for key in by]
