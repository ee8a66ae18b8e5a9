"""Running sums over weighted draws, from which all averages and uncertainties come (equations.md section 9).

Axes: E ensembles, R replicas, T points, n outputs. Nothing is ever averaged across ensembles.

Bit for bit. A draw's replicas are summed in blocks of 256 in order, and each block is added to the float64 sums in
order, so that the sums do not depend on how a run was cut into segments. Weights arrive as logarithms of any size: w =
m 2^k with m in [1, 2) and k whole, and the sums hold w 2^-exponent, where the exponent is the largest k so far. Moving
the exponent multiplies by a power of two, which is exact:
the sums depend neither on when it moved nor on whether a checkpoint came in between. Only terms 2^-1022 of the largest
are lost.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import xarray as xr

from ..errors import StoreError
from ..targets.likelihoods import Classes, Likelihood, classes_of, get_likelihood

Array = Any


class Folded(Protocol):
    """Who takes sums over replicas [R] where they stand, block by block of 256 in order; see RunningMoments.fold."""

    def sums(self, weight: np.ndarray, scale: float, sums: dict[str, np.ndarray]) -> Mapping[str, Array]:
        """sum_w_phi, sum_w_phi2 [T, n] and sum_w_entropy [T] with all blocks added, each times `scale`. `weight` [R]
        says who counts (bool), or how much (float64).
        """
        ...

    def densities(self, log_weight: np.ndarray, total: np.ndarray, exponent: np.ndarray) -> tuple[Array, Array]:
        """Sum and exponent of the likelihoods [T] with all blocks added; `log_weight` [R] is NaN of who does not
        count.
        """
        ...


BLOCK = 256
"""Replicas summed at once."""
_TILE = 1 << 17
"""Values of a float64 temporary: about 1 MB, which stays in a core's cache."""
_TINY = float(np.finfo(np.float64).tiny)
"""The logarithm of anything smaller is slow."""
_FAR = 4000
"""Beyond any exponent difference that leaves something of a float64."""


@dataclass
class RunningMoments:
    """Sums over the draws of E ensembles at T points, and what follows from them.

    Attributes
    ----------
    task : a task, or the likelihood itself.
    sums : the arrays of `shapes`, all there is to checkpoint.
    noise_sd : known noise sd of a regression target, in the units of phi. dof : of student_t.
    """

    task: str
    sums: dict[str, np.ndarray]
    noise_sd: float = 1.0
    dof: float = 4.0

    @classmethod
    def empty(
        cls,
        ensembles: int,
        points: int,
        outputs: int,
        task: str = "binary",
        noise_sd: float = 1.0,
        density: bool = False,
        dof: float = 4.0,
    ) -> "RunningMoments":
        """Empty sums; with `density`, also of the likelihood of the observed targets (see `update`)."""
        shapes = cls.shapes(ensembles, points, outputs, task, density)
        return cls(task, {name: np.zeros(shape, dtype) for name, (shape, dtype) in shapes.items()}, noise_sd, dof)

    @property
    def _classes(self) -> Classes | None:
        return self._likelihood.classes

    @property
    def _likelihood(self) -> Likelihood:
        return get_likelihood(self.task)

    @property
    def has_density(self) -> bool:
        """Whether the likelihood of the observed targets is averaged too."""
        return "sum_w_density" in self.sums

    def load(self, arrays: Mapping[str, Array]) -> None:
        """Go on from a checkpoint: inverse of `arrays`; StoreError where names or shapes are not those of these
        sums.
        """
        found = {name: np.shape(value) for name, value in arrays.items()}
        wanted = {name: value.shape for name, value in self.sums.items()}
        if found != wanted:
            raise StoreError(
                f"The checkpoint's running sums are {found}; this run has {wanted}. Restore the store from a copy."
            )
        self.sums = {name: np.array(arrays[name], own.dtype) for name, own in self.sums.items()}

    def arrays(self) -> dict[str, np.ndarray]:
        """Copies of all sums by name, for a checkpoint."""
        return {name: value.copy() for name, value in self.sums.items()}

    @staticmethod
    def shapes(
        ensembles: int, points: int, outputs: int, task: str = "binary", density: bool = False
    ) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
        """Name -> (shape, dtype) of the sums.

        `draws` counts replicas' draws; `sum_w`, `sum_w2` and every other sum but `draws` are scaled by 2^-exponent
        (`sum_w2` by its square, `sum_w_density` by 2^-density_exponent).
        """
        f, i = np.dtype(np.float64), np.dtype(np.int64)
        per: tuple[int, ...] = (ensembles,)
        at = (*per, points)
        shapes: dict[str, tuple[tuple[int, ...], np.dtype]] = {"draws": (per, i), "exponent": (per, i)}
        shapes |= {
            "sum_w": (per, f),
            "sum_w2": (per, f),
            "sum_w_phi": ((*at, outputs), f),
            "sum_w_phi2": ((*at, outputs), f),
        }
        likelihood = get_likelihood(task)
        if likelihood.classes is not None:
            shapes["sum_w_entropy"] = (at, f)
        if likelihood.own is not None:
            shapes["sum_w_noise"] = ((*per, likelihood.targets(outputs)), f)
        if density:
            shapes |= {"sum_w_density": (at, f), "density_exponent": (at, i)}
        return shapes

    def schema(self) -> dict[str, tuple[tuple[str, ...], tuple[int, ...]]]:
        """Name -> (dims, shape) of what `variables` returns, all float64."""
        ensembles, points, outputs = self.sums["sum_w_phi"].shape
        outputs = outputs if self._likelihood.values is None else self._likelihood.targets(outputs)
        axes = {"ensemble": ensembles, "point": points, "output": outputs}
        per, at, full = ((tuple(axes)[:n], tuple(axes.values())[:n]) for n in (1, 2, 3))
        schema = {"draws": per, "weight_ess": per, "mean": full, "variance": full}
        schema |= dict.fromkeys(_SPLIT, full) if self._classes is None else dict.fromkeys(_INFORMATION, at)
        return schema | ({"log_density": at} if "sum_w_density" in self.sums else {})

    def update(
        self, phi: Array, ensemble: Array, log_weight: Array | None = None, log_density: Array | None = None,
        noise: Array | None = None,
    ) -> None:  # fmt: skip
        """Add one draw of R replicas; the same bit for bit in calls of whole blocks of 256 replicas, in order, as in
        one call.

        Parameters
        ----------
        phi
            [R, T, n], the class probability (binary: of class 1) or the regression mean, at the test points of the
            replica's own data set.
            Replicas with a NaN (frozen) are left out.
        ensemble
            [R], whole numbers below E.
        log_weight
            [R], logarithms of importance weights; None is weight 1. NaN leaves the replica out.
        log_density
            [R, T], log likelihood of the observed targets, where the sums have a density.
        noise
            [R, n], the square of each replica's noise sd, where it is learned.
        """
        log_w = np.zeros(len(phi)) if log_weight is None else np.asarray(log_weight, np.float64)
        if np.any(log_w == np.inf):
            raise ValueError("a log weight is +inf: a draw cannot outweigh all others")
        if ("sum_w_noise" in self.sums) != (noise is not None):
            raise ValueError("give noise [R, n] where, and only where, the likelihood learns it")
        for start in range(0, len(phi), BLOCK):
            rows = slice(start, start + BLOCK)
            more = (None if a is None else a[rows] for a in (log_density, noise))
            self._add_block(phi[rows], np.asarray(ensemble[rows]), log_w[rows], *more)

    def add_sums(self, ensemble: int, draws: int, sums: Mapping[str, Array]) -> None:
        """Add draws of weight 1 whose sums over replicas are known already: sum_w_phi, sum_w_phi2 [T, n] and
        sum_w_entropy [T], float64.
        """
        scale = math.ldexp(1.0, int(self._raise_exponent(ensemble, np.zeros(1, np.int64))[0]))
        s = self.sums
        s["draws"][ensemble] += draws
        s["sum_w"][ensemble] += draws * scale
        s["sum_w2"][ensemble] += draws * scale * scale
        for name in s.keys() & sums.keys():
            s[name][ensemble] += scale * sums[name]

    def fold(self, ensemble: int, log_weight: np.ndarray, there: Folded, noise: Array | None = None) -> None:
        """Add one draw of an ensemble's replicas [R] that stand elsewhere, where `there` sums over them. `log_weight`
        and `noise` as of `update`; replicas that do not count have log weight NaN and noise 0.
        """
        s, mine = self.sums, ~np.isnan(log_weight)
        if not mine.any():
            return
        mantissa, k = _split(log_weight[mine])
        weight = np.zeros(len(mine))
        weight[mine] = np.ldexp(mantissa, self._raise_exponent(ensemble, k))
        s["draws"][ensemble] += int(mine.sum())
        for start in range(0, len(weight), BLOCK):
            w = weight[start : start + BLOCK]
            s["sum_w"][ensemble] += w.sum()
            s["sum_w2"][ensemble] += (w * w).sum()
            if noise is not None:
                s["sum_w_noise"][ensemble] += w @ noise[start : start + BLOCK]
        given, scale = (weight, 1.0) if log_weight[mine].any() else (mine, float(weight[mine][0]))
        names = [name for name in ("sum_w_phi", "sum_w_phi2", "sum_w_entropy") if name in s]
        for name, value in there.sums(given, scale, {name: s[name][ensemble] for name in names}).items():
            s[name][ensemble] = value
        if "sum_w_density" in s:
            found = there.densities(log_weight, s["sum_w_density"][ensemble], s["density_exponent"][ensemble])
            s["sum_w_density"][ensemble], s["density_exponent"][ensemble] = found

    def _add_block(self, phi: Array, ensemble: np.ndarray, log_w: np.ndarray, *more: Array | None) -> None:
        alive = ~(np.isnan(phi).any(axis=(1, 2)) | np.isnan(log_w))
        if alive.all() and (ensemble == ensemble[0]).all():
            return self._add_rows(int(ensemble[0]), phi, log_w, *more)
        if self._adds_each(ensemble, log_w):
            return self._add_each(phi[alive], ensemble[alive], *(None if a is None else a[alive] for a in more))
        for e in np.unique(ensemble[alive]):
            rows = np.flatnonzero(alive & (ensemble == e))
            self._add_rows(int(e), phi[rows], log_w[rows], *(None if a is None else a[rows] for a in more))

    def _add_rows(self, e: int, phi: Array, log_w: np.ndarray, log_density: Array | None, noise: Array | None) -> None:
        """Add replicas [r, T, n] that all count, all of ensemble `e`."""
        mantissa, k = _split(log_w)
        w = np.ldexp(mantissa, self._raise_exponent(e, k))
        s = self.sums
        s["draws"][e] += len(phi)
        s["sum_w"][e] += w.sum()
        s["sum_w2"][e] += (w * w).sum()
        if noise is not None:
            s["sum_w_noise"][e] += w @ noise
        weight = None if (w == 1).all() else w[:, None, None]
        width = max(1, _TILE // (BLOCK * phi.shape[2]))
        for start in range(0, phi.shape[1], width):
            at = slice(start, start + width)
            f = phi[:, at].astype(np.float64)
            if self._classes is not None:
                h = self._classes.entropy(f)
                s["sum_w_entropy"][e, at] += np.add.reduce(h if weight is None else weight[..., 0] * h, axis=0)
            wf = f if weight is None else weight * f
            s["sum_w_phi"][e, at] += np.add.reduce(wf, axis=0)
            s["sum_w_phi2"][e, at] += np.add.reduce(wf * f, axis=0)
        if "sum_w_density" in s:
            if log_density is None:
                raise ValueError("these sums have a density: give log_density [R, T]")
            self._add_density(e, np.asarray(log_density, np.float64) + log_w[:, None])

    def _adds_each(self, ensemble: np.ndarray, log_w: np.ndarray) -> bool:
        """Whether replicas are of one ensemble each and none has a weight, as the runs of a study: all are added at
        once, which are as many sums of one term.
        """
        plain = not log_w.any() and "sum_w_density" not in self.sums
        return plain and len(np.unique(ensemble)) == len(ensemble) and not self.sums["exponent"][ensemble].any()

    def _add_each(self, phi: Array, ensemble: np.ndarray, log_density: Array | None, noise: Array | None) -> None:
        """Add replicas [r, T, n] of weight 1, each of its own ensemble."""
        s = self.sums
        for name in ("draws", "sum_w", "sum_w2"):
            s[name][ensemble] += 1
        if noise is not None:
            s["sum_w_noise"][ensemble] += noise
        width = max(1, _TILE // (BLOCK * phi.shape[2]))
        for start in range(0, phi.shape[1], width):
            at = slice(start, start + width)
            f = phi[:, at].astype(np.float64)
            if self._classes is not None:
                s["sum_w_entropy"][ensemble, at] += self._classes.entropy(f)
            s["sum_w_phi"][ensemble, at] += f
            s["sum_w_phi2"][ensemble, at] += f * f

    def _raise_exponent(self, e: int, k: np.ndarray) -> np.ndarray:
        """Make the exponent of ensemble `e` at least max k, rescale its sums, and return k - exponent [r]."""
        s, top = self.sums, int(k.max())
        old = int(s["exponent"][e])
        new = top if s["sum_w"][e] == 0 else max(old, top)
        if new > old and s["sum_w"][e] != 0:
            shift = max(old - new, -_FAR)
            for name in ("sum_w", "sum_w_phi", "sum_w_phi2", "sum_w_entropy", "sum_w_noise"):
                if name in s:
                    s[name][e] = np.ldexp(s[name][e], shift)
            s["sum_w2"][e] = math.ldexp(s["sum_w2"][e], 2 * shift)
        s["exponent"][e] = new
        return np.maximum(k - new, -_FAR).astype(np.int32)

    def _add_density(self, e: int, log_term: np.ndarray) -> None:
        s = self.sums
        found = add_densities(s["sum_w_density"][e], s["density_exponent"][e], log_term)
        s["sum_w_density"][e], s["density_exponent"][e] = found

    def variables(self) -> dict[str, np.ndarray]:
        """Averages and uncertainties by name, as in `schema`; NaN for an ensemble without draws.

        mean, variance [E, T, n] : of phi over draws, no ddof; variance is the epistemic part. Where answers are numbers
        both are of a draw's mean of an answer; aleatoric_variance is the mean of its variance, and total_variance their
        sum (the law of total variance).
        entropy, expected_entropy, mutual_information [E, T] : H[mean], mean of H, and their difference (the epistemic
        part), in nats.
        log_density [E, T] : log of the averaged likelihood. weight_ess [E] : (sum w)^2 / sum w^2. draws [E] : draws
        counted.
        """
        s = self.sums
        norm = np.where(s["sum_w"] > 0, s["sum_w"], np.nan)
        mean = s["sum_w_phi"] / norm[:, None, None]
        variance = np.maximum(s["sum_w_phi2"] / norm[:, None, None] - mean * mean, 0)
        out = {"draws": s["draws"].astype(np.float64), "weight_ess": norm * norm / s["sum_w2"].clip(min=_TINY)}
        values = self._likelihood.values
        if values is not None:
            location = values.location(mean)
            sd: Any = self.noise_sd
            if "sum_w_noise" in s:  # what depends on the noise is linear in its square
                sd = np.sqrt(s["sum_w_noise"] / norm[:, None])[:, None]
            noise = values.law.variance(location, values.scale(mean, sd), {"dof": self.dof})
            variance = values.location(variance)
            out |= {"mean": location, "variance": variance}
            out |= dict(zip(_SPLIT, (noise, variance + noise), strict=True))
        if self._classes is not None:
            out |= {"mean": mean, "variance": variance}
            h, expected = self._classes.entropy(mean), s["sum_w_entropy"] / norm[:, None]
            out |= dict(zip(_INFORMATION, (h, expected, np.maximum(h - expected, 0)), strict=True))
        if "sum_w_density" in s:
            with np.errstate(divide="ignore"):
                log_sum = np.log(s["sum_w_density"]) + (s["density_exponent"] - s["exponent"][:, None]) * math.log(2)
            out["log_density"] = log_sum - np.log(norm)[:, None]
        return out

    def to_dataset(self) -> xr.Dataset:
        """`variables` with named dimensions [ensemble, point, output]."""
        values = self.variables()
        return xr.Dataset({name: (dims, values[name]) for name, (dims, _) in self.schema().items()})


_SPLIT = ("aleatoric_variance", "total_variance")
_INFORMATION = ("entropy", "expected_entropy", "mutual_information")
ABOUT = {
    "mean": ("1", "mean over draws of the prediction"),
    "variance": ("1", "variance over draws of the prediction (epistemic)"),
    "aleatoric_variance": ("1", "mean over draws of the variance of an answer"),
    "total_variance": ("1", "variance of an answer: over draws, and of each draw's own law"),
    "entropy": ("nat", "entropy of the averaged prediction"),
    "expected_entropy": ("nat", "mean over draws of the entropy of a prediction (aleatoric)"),
    "mutual_information": ("nat", "mutual information of prediction and parameters (epistemic)"),
    "log_density": ("nat", "log of the averaged likelihood of the observed answer"),
    "draws": ("1", "draws counted"),
    "weight_ess": ("1", "effective draws of the weights, (sum w)^2 / sum w^2"),
}
"""Units and meaning of `variables`."""


def add_densities(total: Array, exponent: Array, log_term: Array, xp: Any = np) -> tuple[Array, Array]:
    """Sum [T] and its exponent [T] with exp(log_term) [r, T] added, each point with an exponent of its own."""
    mantissa, k = _split(log_term, xp)
    new = xp.where(total == 0, k.max(axis=0), xp.maximum(exponent, k.max(axis=0)))
    moved = xp.ldexp(total, xp.clip(exponent - new, -_FAR, 0).astype(np.int32))
    terms = xp.ldexp(mantissa, xp.maximum(k - new, -_FAR).astype(np.int32))
    return moved + terms.sum(axis=0), new


def merge_densities(total: Array, exponent: Array, more: Array, own: Array) -> tuple[Array, Array]:
    """Two sums [T] with their exponents [T] as one."""
    new = np.where(total == 0, own, np.maximum(exponent, own))
    moved, added = (
        np.ldexp(s, np.clip(k - new, -_FAR, 0).astype(np.int32)) for s, k in ((total, exponent), (more, own))
    )
    return moved + added, new


def entropy(p: np.ndarray, task: str) -> np.ndarray:
    """Entropy [..., T] in nats of class probabilities [..., T, n] (binary: n = 1, of class 1); 0 log 0 = 0."""
    return classes_of(task).entropy(p)


def relative_weights(log_weight: np.ndarray) -> np.ndarray:
    """Weights [R] as the sums hold them up to a power of 2, 0 where the logarithm is NaN; who counts (bool), where all
    weights that do are 1.
    """
    mine = ~np.isnan(log_weight)
    if not log_weight[mine].any():
        return mine
    mantissa, k = _split(log_weight[mine])
    out = np.zeros(len(mine))
    out[mine] = np.ldexp(mantissa, np.maximum(k - k.max(), -_FAR).astype(np.int32))
    return out


def _split(log_w: Array, xp: Any = np) -> tuple[Array, Array]:
    """(m, k) with exp(log_w) = m 2^k, k int64 and m in [1, 2) but for rounding; m = 0 for -inf."""
    k = xp.floor(log_w / math.log(2))
    nothing = ~xp.isfinite(k)
    k = xp.where(nothing, -(2.0**40), k)
    return xp.where(nothing, 0.0, xp.exp(xp.where(nothing, 0.0, log_w - k * math.log(2)))), k.astype(np.int64)
