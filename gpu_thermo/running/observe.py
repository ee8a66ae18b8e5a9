"""What is computed of the replicas at each recorded moment: full-batch energy, test scores, predictions at probes,
running averages.

Replicas go in blocks of 256, in order, so that memory is bounded and every sum has one fixed order.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..averages.moments import BLOCK, RunningMoments
from ..engines.predict.arrays import Predictor
from ..moves import fold
from ..moves.base import Energies
from ..moves.fold import Weigh
from ..streams import Keys, Purpose, make_keys, normals, permutation_keys, permute
from .setup import PotentialSetup, Setup

Array = Any


@dataclass
class Observation:
    """Numbers of one moment: `statistics` name -> [R] float64; `predictions` [R, probe, n] where asked for."""

    statistics: dict[str, np.ndarray]
    predictions: np.ndarray | None


class Observer:
    """Evaluates replicas on all training, test and probe points, and feeds the running moments.

    Parameters
    ----------
    setup : the run. moments : running sums, updated at draws. predictor : who does the forward passes. threads : for
    predictors without
        threads of their own.
    """

    def __init__(self, setup: Setup, moments: RunningMoments, predictor: Predictor, threads: int = 1) -> None:
        self._setup, self._moments, self._predictor = setup, moments, predictor
        target, dtype = setup.target, setup.job.dtype
        self._train, self._test = (target.x_train, target.y_train), (target.x_test, target.y_test)
        self._points = target.x_test if setup.data.test_points else setup.points.astype(dtype)
        self._probes = setup.probes.astype(dtype) if "predictions" in setup.spec.run.keep else None
        self._sums = predictor.has_moments and not moments.has_density and not fold.weighted(setup.moves)
        self._pool = ThreadPoolExecutor(threads) if threads > 1 and not predictor.has_moments else None

    def __call__(self, position: np.ndarray, is_draw: bool, weigh: Weigh | None = None) -> Observation:
        """Observe the replicas at `position` [R, P]; frozen ones (NaN) give NaN. Draws count with their weights."""
        rows = blocks(len(position))
        one = lambda r: self._block(position[r], r, is_draw)  # noqa: E731
        parts = []
        for r, (statistics, phi, predictions) in zip(
            rows, self._pool.map(one, rows) if self._pool else map(one, rows), strict=True
        ):
            if is_draw and weigh is not None:
                statistics["log_weight"] = weigh(statistics["energy"], r)
            if phi is not None:
                log_weight = counted(statistics.get("log_weight"))
                self._moments.update(phi, self._setup.ensemble[r], log_weight, self._log_density(phi, r))
            elif is_draw:
                self._add_sums(position[r], r, statistics.get("log_weight"))
            parts.append((statistics, predictions))
        statistics = {name: np.concatenate([p[0][name] for p in parts]) for name in parts[0][0]}
        predictions = None if parts[0][1] is None else np.concatenate([p[1] for p in parts])
        return Observation(statistics, predictions)

    def energy(self, position: np.ndarray) -> np.ndarray:
        """Full-batch U [R]."""
        with np.errstate(all="ignore"):
            return np.concatenate([self._energy(position[r], r) for r in blocks(len(position))])

    def energies(self, position: np.ndarray, attempt: int, batch: int | None = None) -> Energies:
        """Energies for a move: of all points, or of a fresh minibatch of `batch` with the variance of its mean
        (equations.md section 5).
        """
        if batch is None:
            return Energies(self.energy(position), np.zeros(len(position)))
        setup, points = self._setup, self._setup.data.points
        keys = make_keys(setup.job.seed, setup.job.stream)
        index = permute(np.arange(batch), points, permutation_keys(keys, Purpose.MOVE_MINIBATCH, attempt))
        value, variance = np.empty(len(position)), np.empty(len(position))
        with np.errstate(all="ignore"):
            for r in blocks(len(position)):
                losses = self._batch_losses(position[r], index[r], setup.dataset[r])
                value[r] = losses.mean(axis=1) + self._prior(position[r])
                variance[r] = (1 - batch / points) * losses.var(axis=1, ddof=1) / batch
        return Energies(value, variance)

    def _batch_losses(self, position: np.ndarray, index: np.ndarray, dataset: np.ndarray) -> np.ndarray:
        """[r, B] float64 losses of each replica on its own points."""
        model, (x, y) = self._setup.model, self._train
        each = dataset[:, None]
        return np.asarray(model.losses(model.outputs_at(position, x[each, index]), y[each, index]), np.float64)

    def _block(self, position: np.ndarray, rows: slice, is_draw: bool) -> tuple[dict[str, np.ndarray], Any, Any]:
        with np.errstate(all="ignore"):
            statistics = {"energy": self._energy(position, rows)} | self._test_scores(position, rows)
            phi = self._phi(position, rows, self._points) if is_draw and not self._sums else None
            predictions = self._phi(position, rows, self._probes) if is_draw and self._probes is not None else None
        return statistics, phi, predictions

    def _energy(self, position: np.ndarray, rows: slice) -> np.ndarray:
        """Full-batch U [Rb], prior included."""
        return self._scores(position, rows, *self._train)[0] / self._setup.data.points + self._prior(position)

    def _prior(self, position: np.ndarray) -> Any:
        """The prior's part of U [Rb], or 0."""
        return self._setup.model.prior_energy(position, self._setup.data.points)

    def _test_scores(self, position: np.ndarray, rows: slice) -> dict[str, np.ndarray]:
        """The likelihood's score [Rb], and mean test NLL [Rb]."""
        points = self._setup.data.test_points
        if not points:
            return {}
        loss, right = self._scores(position, rows, *self._test)
        nll = loss / points
        score = self._setup.model.likelihood.score
        return {f"test_{score.name}": score.of(right, points, self._setup.model.outputs, nll), "test_nll": nll}

    def _scores(self, position: np.ndarray, rows: slice, x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
        loss, right = np.empty(len(position)), np.empty(len(position))
        for mine, dataset in self._pieces(rows):
            loss[mine], right[mine] = self._predictor.scores(position[mine], x[dataset], y[dataset])
        return loss, right

    def _phi(self, position: np.ndarray, rows: slice, x: Array) -> np.ndarray:
        """Phi [Rb, point, n] at the points of the replicas' own data sets."""
        out = np.empty((len(position), x.shape[1], self._setup.model.outputs), position.dtype)
        for mine, dataset in self._pieces(rows):
            out[mine] = self._predictor.phi(position[mine], x[dataset])
        return out

    def _log_density(self, phi: np.ndarray, rows: slice) -> np.ndarray | None:
        """Log likelihood of the test targets [Rb, T] under each replica, where the moments want it."""
        model = self._setup.model
        if not self._moments.has_density or model.likelihood.log_density is None:
            return None
        return model.likelihood.log_density(phi, self._test[1][self._setup.dataset[rows]], model.constants)

    def _add_sums(self, position: np.ndarray, rows: slice, log_weight: np.ndarray | None) -> None:
        """Running averages of a block by the predictor's own sums; frozen replicas and those off the target rung are
        left out.
        """
        ensemble, alive = self._setup.ensemble[rows], np.isfinite(position).all(axis=-1)
        if log_weight is not None:
            alive &= log_weight == 0
        for e in np.unique(ensemble[alive]):
            mine = np.flatnonzero(alive & (ensemble == e))
            x = self._points[self._setup.ensemble_dataset[e]]
            self._moments.add_sums(int(e), len(mine), self._predictor.moments(position[mine], x))  # type: ignore[attr-defined]

    def _pieces(self, rows: slice) -> Iterator[tuple[np.ndarray, int]]:
        """Rows of the block that share a data set."""
        sets = self._setup.dataset[rows]
        for dataset in np.unique(sets):
            yield np.flatnonzero(sets == dataset), int(dataset)


class PotentialObserver:
    """The same for runs on a potential: exact energies, and running averages of the coordinates.

    Parameters
    ----------
    setup : the run. moments : running sums whose points are the coordinates, updated at draws.
    """

    def __init__(self, setup: PotentialSetup, moments: RunningMoments) -> None:
        self._setup, self._moments = setup, moments

    def __call__(self, position: np.ndarray, is_draw: bool, weigh: Weigh | None = None) -> Observation:
        """Observe the replicas at `position` [R, P]; see Observer."""
        statistics = {"energy": self.energy(position)}
        if is_draw:
            if weigh is not None:
                statistics["log_weight"] = weigh(statistics["energy"], slice(None))
            self._moments.update(
                position[..., None].astype(np.float64), self._setup.ensemble, counted(statistics.get("log_weight"))
            )
        return Observation(statistics, None)

    def energy(self, position: np.ndarray) -> np.ndarray:
        """Exact U [R]."""
        with np.errstate(all="ignore"):
            return np.asarray(self._setup.potential.energy(position), np.float64)

    def energies(self, position: np.ndarray, attempt: int, batch: int | None = None) -> Energies:
        """Energies for a move, with the potential's own noise, fresh at each attempt."""
        value = self.energy(position)
        sd = np.broadcast_to(np.asarray(self._setup.potential.energy_noise_sd, np.float64), value.shape)
        if sd.any():
            keys: Keys = make_keys(self._setup.job.seed, self._setup.job.stream)
            value = (
                value
                + sd * normals(keys, np.zeros(1, np.uint64), Purpose.MOVE_MINIBATCH, attempt, dtype=np.float64)[:, 0]
            )
        return Energies(value, sd**2)


def blocks(replicas: int) -> list[slice]:
    """Rows of each block of replicas, in order."""
    return [slice(i, min(i + BLOCK, replicas)) for i in range(0, replicas, BLOCK)]


def counted(log_weight: np.ndarray | None) -> np.ndarray | None:
    """Weights as the running sums want them: a replica of weight 0 is left out, not counted as a draw."""
    return None if log_weight is None else np.where(log_weight == -np.inf, np.nan, log_weight)
