"""How fast each run of a study forgets, and what its effective draws cost: integrated autocorrelation times and
effective draws in function space, per gradient and per second.

tau_int = 1 + 2 sum of autocorrelations, of predictions at the probe points (of a potential: of its coordinates), by
Geyer's initial sequences over the halves of one chain (Vehtari et al. 2021, as arviz-stats, for all runs at once). The
numbers of a run are those of its slowest quantity. They are of the draws of one run alone: modes that it never sees do
not show.
"""

import numpy as np

from ..moves import fold
from ..running.loop import Loop
from .seen import Arrays, Seen, Speakers

LEAST = 4
"""Draws below which nothing is said."""
DRAWS, QUANTITIES = 1024, 16
"""Most draws and quantities of a run that are held, spread evenly: of more draws the effective ones are a lower
bound."""
NAMES = ("ess", "autocorrelation", "ess_per_gradient", "ess_per_second")
_AT_ONCE = 2**22
_SETTLED = 1e-12
"""Variance, of the square of the mean, below which a quantity stands still."""


class Mixing:
    """Holds what the runs of a shard predict at their draws."""

    def __init__(self, loop: Loop, speak: Speakers) -> None:
        self._loop, self._speak = loop, speak
        draws = loop.setup.agenda.draws
        self.active, self._every = draws >= LEAST, max(1, -(-draws // DRAWS))
        self._values: list[np.ndarray] = []
        self._log_weights: list[np.ndarray] = []
        self._seen = 0

    def __call__(self, seen: Seen, position: np.ndarray) -> None:
        """Take a moment, where it is a draw; `position` [R, P] of all replicas."""
        if not self.active or not seen.is_draw:
            return
        self._seen += 1
        if (self._seen - 1) % self._every:
            return
        with np.errstate(all="ignore"):
            found = self._speak.pick(self._loop.observer.watch(position), seen)
        chosen = np.unique(np.linspace(0, found.shape[1] - 1, min(QUANTITIES, found.shape[1])).astype(int))
        self._values.append(found[:, chosen].astype(np.float32))
        if "log_weight" in seen.statistics:
            self._log_weights.append(seen.statistics["log_weight"])

    def arrays(self, seconds: float) -> Arrays:
        """By name, [n]: effective draws of the slowest quantity, its tau_int in steps, and effective draws for each
        gradient (of every replica of the run, after the burn-in) and second, of `seconds` that a run took. NaN for runs
        that stopped, or in which nothing moves.
        """
        if len(self._values) < LEAST:
            return {}
        values = np.stack(self._values, axis=1)
        weight = _weights(np.stack(self._log_weights, axis=1)) if self._log_weights else None
        found = np.concatenate([effective(values[r], None if weight is None else weight[r]) for r in _pieces(values)])
        slowest = np.where(np.isfinite(found), found, np.inf).min(axis=1)
        ess = np.where(np.isfinite(slowest), slowest, np.nan)
        run, setup = self._loop.setup.spec.run, self._loop.setup
        sampling = run.steps - run.burn_in
        gradients = sampling * setup.program.gradients_per_step * self._speak.tied
        with np.errstate(divide="ignore"):
            per_second = ess / (seconds * sampling / run.steps)
        out = {"ess": ess, "autocorrelation": sampling / ess, "ess_per_gradient": ess / gradients}
        out |= {"ess_per_second": per_second}
        return out | ({} if weight is None or not fold.weighted(setup.moves) else {"weight_ess": weight_ess(weight)})


def _pieces(values: np.ndarray) -> list[slice]:
    size = max(1, _AT_ONCE // max(1, values[0].size))
    return [slice(i, i + size) for i in range(0, len(values), size)]


def _weights(log_weight: np.ndarray) -> np.ndarray:
    """[n, D] weights of mean 1 from logarithms; NaN where nothing counts."""
    known = np.where(np.isnan(log_weight), -np.inf, log_weight)
    top = known.max(axis=1, keepdims=True)
    w = np.exp(known - np.where(np.isfinite(top), top, 0.0))
    mean = w.mean(axis=1, keepdims=True)
    return w / np.where(mean > 0, mean, np.nan)


def weight_ess(weight: np.ndarray) -> np.ndarray:
    """[n] (sum w)^2 / sum w^2, of draws [n, D]."""
    return weight.sum(axis=1) ** 2 / (weight**2).sum(axis=1)


def effective(values: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """[n, Q] effective draws of the mean of each quantity of each chain [n, D, Q]; with weights [n, D] of mean 1 of the
    self-normalised mean m: as of z = w (f - m), times Var f / Var z. NaN where a chain stopped or nothing moves.
    """
    f = np.moveaxis(values.astype(np.float64), 1, 2)
    w = None if weight is None else weight[:, None, :]
    if w is not None:
        f = np.where(w > 0, f, 0.0)  # whoever does not count may have no value
    mean = (f if w is None else w * f).mean(axis=-1, keepdims=True)
    spread = ((f - mean) ** 2 * (1.0 if w is None else w)).mean(axis=-1)
    z = f if w is None else w * (f - mean)
    with np.errstate(all="ignore"):
        out = chain_ess(z) * (1.0 if w is None else spread / z.var(axis=-1))
        moves = np.isfinite(spread) & (spread > _SETTLED * mean[..., 0] ** 2)
    return np.where(moves, out, np.nan)


def chain_ess(chains: np.ndarray) -> np.ndarray:
    """[...] effective draws of the mean of single chains [..., D] of 4 or more draws, each cut in halves.

    arviz-stats' `ess` walks the lags of one chain after another, 25 times as long in all (.16 ms a chain of 100 draws,
    and a shard of 1,024 runs has 16,384): Geyer's sequences are for all at once here, and held to it by a test.
    """
    from arviz_stats.base import array_stats

    half = chains.shape[-1] // 2
    x = np.stack([chains[..., :half], chains[..., chains.shape[-1] - half :]], axis=-2)
    mean = x.mean(axis=-1, keepdims=True)
    covariance = array_stats.autocov(x, axis=-1).mean(axis=-2)
    within = covariance[..., :1] * half / (half - 1)
    total = within * (half - 1) / half + mean[..., 0].var(axis=-1, ddof=1)[..., None]
    rho = 1 - (within - covariance) / total
    rho[..., 0] = 1
    tau = np.maximum(_geyer(rho), 1 / np.log10(2 * half))
    return 2 * half / tau


def _geyer(rho: np.ndarray) -> np.ndarray:
    """[...] -1 + 2 x the initial positive and monotone sequence of sums of two, and what is positive of the next."""
    pairs = max(1, (rho.shape[-1] - 1) // 2)
    even, odd = rho[..., 0 : 2 * pairs : 2], rho[..., 1 : 2 * pairs : 2]
    pair = even + odd
    stop = ~(pair > 0)
    end = np.where(stop.any(axis=-1), stop.argmax(axis=-1), pairs - 1)[..., None]
    falling = np.minimum.accumulate(pair, axis=-1)
    taken = np.where(np.arange(pairs) < end, falling, 0.0).sum(axis=-1)
    last, both = np.take_along_axis(even, end, axis=-1)[..., 0], np.take_along_axis(pair, end, axis=-1)[..., 0]
    return np.asarray(-1 + 2 * taken + np.where((last > 0) | (both >= 0), last, 0.0))
