"""What is computed of networks at each recorded moment: full-batch energy, test scores, predictions at probes, running
averages.

Replicas go in blocks of 256, in order, so that memory is bounded and every sum has one fixed order.
"""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ..averages.moments import RunningMoments
from ..engines.predict.arrays import Predictor
from ..moves import fold
from ..moves.base import Energies
from ..moves.fold import Weigh
from ..state import State
from ..streams import Keys, Purpose, make_keys, permutation_keys, permute
from .subject import BLOCK, Observation, Setup, blocks, counted

Array = Any

AT_ONCE = 256
"""Points whose losses are taken at once."""
_PHI = "predictions"
_LOSSES = "log_likelihood"
_Seen = tuple[dict[str, np.ndarray], Any, dict[str, np.ndarray]]
"""Of a block at one moment: statistics, phi at the points of the running averages, and what is kept of draws."""


class NetworkObserver:
    """Evaluates replicas on all training, test and probe points, and feeds the running moments.

    Parameters
    ----------
    subject : a NetworkSubject. setup : their run. moments : running sums, updated at draws. predictor : who does the
    forward passes. threads : for predictors without threads of their own.
    """

    _xp: Any = np
    _at_once = BLOCK

    def __init__(
        self, subject: Any, setup: Setup, moments: RunningMoments, predictor: Predictor, threads: int = 1
    ) -> None:
        self._subject, self._setup, self._moments, self._predictor = subject, setup, moments, predictor
        target, dtype = subject.target, subject.dtype
        self._train, self._test = (target.x_train, target.y_train), (target.x_test, target.y_test)
        self._points = target.x_test if subject.data.test_points else subject.points.astype(dtype)
        self._watched = subject.probes.astype(dtype)
        self._probes = self._watched if "predictions" in setup.spec.run.keep else None
        self._sums = predictor.has_moments and not moments.has_density and not fold.weighted(setup.moves)
        ahead = predictor.at_once or (1 if predictor.has_moments else threads)
        self._threads, self._pool = ahead, ThreadPoolExecutor(ahead) if ahead > 1 else None

    def __call__(
        self, position: np.ndarray, is_draw: bool, weigh: Weigh | None = None, there: Array | None = None
    ) -> Observation:
        """Observe the replicas at `position` [R, P]; frozen ones (NaN) give NaN. Draws count with their weights."""
        rows, at = self._rows(len(position), there), position if there is None else there
        one = lambda r: self._block(at[r], r, is_draw)  # noqa: E731
        whole: dict[str, np.ndarray] = {}
        for r, (statistics, phi, kept) in zip(rows, self._ahead(one, rows), strict=True):
            if is_draw and weigh is not None:
                statistics["log_weight"] = weigh(statistics["energy"], r)
            if phi is not None:
                log_weight = counted(statistics.get("log_weight"))
                density = self._log_density(phi, position[r], r)
                noise = self._subject.model.noise_variance(position[r])
                self._moments.update(phi, self._setup.ensemble[r], log_weight, density, noise)
            elif is_draw:
                self._add_sums(at[r], r, statistics.get("log_weight"))
            for name, value in (statistics | kept).items():
                if name not in whole:
                    whole[name] = np.empty((len(position), *value.shape[1:]), value.dtype)
                whole[name][r] = value
        predictions, losses = whole.pop(_PHI, None), whole.pop(_LOSSES, None)
        return Observation(whole, predictions, losses)

    def _rows(self, replicas: int, there: Array | None) -> list[slice]:
        """Replicas looked at together."""
        return blocks(replicas)

    def some(self, there: Array | None, rows: Any) -> Array | None:
        """See Observer."""
        return None

    def watch(self, position: Array) -> np.ndarray:
        """[R, Q] float64, predictions at the probes, evenly chosen where they are many."""
        x, wanted = self._watched, self._subject.watched[0]
        out = np.empty((len(position), wanted))
        chosen = np.linspace(0, x.shape[1] * self._subject.model.outputs - 1, wanted).round().astype(int)
        for rows in blocks(len(position), self._at_once):
            phi = self._phi(position[rows], rows, x)
            out[rows] = phi.reshape(len(phi), -1)[:, chosen]
        return out

    def _ahead(self, one: Callable[[slice], Any], rows: list[slice]) -> Iterator[Any]:
        """`one` of each block, in order; other threads are ahead by as many blocks as there are threads, and no more,
        because what they see is held until its turn.
        """
        if self._pool is None:
            yield from map(one, rows)
            return
        due = deque(self._pool.submit(one, r) for r in rows[: self._threads])
        for r in rows[self._threads :]:
            yield due.popleft().result()
            due.append(self._pool.submit(one, r))
        while due:
            yield due.popleft().result()

    def energy(self, position: np.ndarray) -> np.ndarray:
        """Full-batch U [R]."""
        with np.errstate(all="ignore"):
            return np.concatenate([self._energy(position[r], r) for r in blocks(len(position))])

    def look_at(self, state: State) -> Array:
        """Positions on the host."""
        return state.position

    def energies(self, position: Array, attempt: int, batch: int | None = None) -> Energies:
        """Energies for a move: of all points, or of a fresh minibatch of `batch` with the variance of its mean
        (equations.md section 5).
        """
        if batch is None:
            with np.errstate(all="ignore"):
                seen = [self._energies_of(position[r], r) for r in self._rows(len(position), position)]
            value, prior = (np.concatenate([s[name] for s in seen]) for name in ("energy", "energy_prior"))
            return Energies(value, np.zeros(len(position)), prior)
        found = [self._noisy(position[r], r, attempt, batch) for r in blocks(len(position), self._at_once)]
        return Energies(*(np.concatenate(column) for column in zip(*found, strict=True)))

    def _noisy(self, position: Array, rows: slice, attempt: int, batch: int) -> tuple[np.ndarray, ...]:
        """Value, variance and prior's part of minibatch energies [r]."""
        with np.errstate(all="ignore"):
            losses = self._batch_losses(position, rows, attempt, batch)
            prior = np.broadcast_to(self._prior(position), len(losses))
            share = 1 - batch / self._subject.data.points
            return losses.mean(axis=1) + prior, share * losses.var(axis=1, ddof=1) / batch, prior

    def _batch_losses(self, position: Array, rows: slice, attempt: int, batch: int) -> np.ndarray:
        """[r, B] float64 losses of each replica on its own points."""
        model, xp = self._subject.model, self._xp
        x, y, weight = map(self._here, (*self._train, self._subject.target.weight))
        drawn = permutation_keys(self._keys(rows), Purpose.MOVE_MINIBATCH, attempt, xp)
        index = permute(xp.arange(batch), self._subject.data.points, drawn, xp)
        each = self._of(self._here(self._setup.dataset), rows)[:, None]
        losses = model.losses(model.outputs_at(position, x[each, index], xp), y[each, index], xp, position)
        return np.asarray(_host(losses if weight is None else losses * weight[each, index]), np.float64)

    def _keys(self, rows: slice) -> Keys:
        """Who draws."""
        return make_keys(self._setup.job.seed[rows], self._setup.job.stream[rows])

    def _here(self, array: Any) -> Any:
        """Data where this observer reads them."""
        return array

    def _block(self, position: Array, rows: slice, is_draw: bool) -> _Seen:
        with np.errstate(all="ignore"):
            statistics = self._energies_of(position, rows) | self._test_scores(position, rows)
            phi = self._phi(position, rows, self._points) if is_draw and not self._sums else None
            kept = {_PHI: self._phi(position, rows, self._probes)} if is_draw and self._probes is not None else {}
            if is_draw and _LOSSES in self._setup.spec.run.keep:
                kept[_LOSSES] = self._log_likelihood(position, rows)
        return statistics, phi, kept

    def _energy(self, position: np.ndarray, rows: slice) -> np.ndarray:
        """Full-batch U [Rb], prior included."""
        return self._energies_of(position, rows)["energy"]

    def _energies_of(self, position: np.ndarray, rows: slice) -> dict[str, np.ndarray]:
        """Full-batch U [Rb], and its two parts: mean loss of the training points, and what the prior adds."""
        losses, _ = self._scores(position, rows, *self._train, self._subject.target.weight)
        data, prior = losses / self._subject.data.points, self._prior(position)
        return {"energy": data + prior, "energy_data": data, "energy_prior": np.broadcast_to(prior, data.shape)}

    def _log_likelihood(self, position: np.ndarray, rows: slice) -> np.ndarray:
        """[Rb, N] log likelihood of each training point, times its weight."""
        model, xp = self._subject.model, self._xp
        x, y, weight = map(self._here, (*self._train, self._subject.target.weight))
        out = np.empty((len(position), x.shape[1]), position.dtype)
        for mine, dataset in self._pieces(rows):
            few = self._of(position, mine)
            for start in range(0, x.shape[1], AT_ONCE):
                at = slice(start, start + AT_ONCE)
                found = model.losses(model.outputs_at(few, x[dataset, at], xp), y[None, dataset, at], xp, few)
                out[mine, at] = -_host(found if weight is None else found * weight[dataset, at])
        return out

    def _prior(self, position: np.ndarray) -> Any:
        """The prior's part of U [Rb], or 0; beside the gradient of the data."""
        return self._subject.model.prior_energy(position, self._subject.data.points)

    def _test_scores(self, position: np.ndarray, rows: slice) -> dict[str, np.ndarray]:
        """The likelihood's score [Rb], and mean test NLL [Rb]."""
        points = self._subject.data.test_points
        if not points:
            return {}
        loss, right = self._scores(position, rows, *self._test)
        nll = loss / points
        score = self._subject.model.likelihood.score
        return {f"test_{score.name}": score.of(right, points, self._subject.model.targets, nll), "test_nll": nll}

    def _scores(
        self, position: np.ndarray, rows: slice, x: Array, y: Array, weight: Array | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        loss, right = np.empty(len(position)), np.empty(len(position))
        x, y, weight = map(self._here, (x, y, weight))
        for mine, dataset in self._pieces(rows):
            loss[mine], right[mine] = self._predictor.scores(
                self._of(position, mine), x[dataset], y[dataset], None if weight is None else weight[dataset]
            )
        return loss, right

    def _of(self, position: Array, mine: np.ndarray | slice) -> Array:
        """Rows of `position`."""
        return position[mine]

    def _phi(self, position: np.ndarray, rows: slice, x: Array) -> np.ndarray:
        """Phi [Rb, point, n] at the points of the replicas' own data sets."""
        out = np.empty((len(position), x.shape[1], self._subject.model.outputs), position.dtype)
        x = self._here(x)
        for mine, dataset in self._pieces(rows):
            out[mine] = self._predictor.phi(self._of(position, mine), x[dataset])
        return out

    def _log_density(self, phi: np.ndarray, position: np.ndarray, rows: slice) -> np.ndarray | None:
        """Log likelihood of the test targets [Rb, T] under each replica, where the moments want it."""
        model = self._subject.model
        if not self._moments.has_density or model.likelihood.log_density is None:
            return None
        return model.likelihood.log_density(phi, self._test[1][self._setup.dataset[rows]], model.constants_at(position))

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
            sums = self._predictor.moments(position[mine], x)  # type: ignore[attr-defined]
            noise = self._subject.model.noise_variance(position[mine])
            sums |= {} if noise is None else {"sum_w_noise": noise.sum(axis=0)}
            self._moments.add_sums(int(e), len(mine), sums)

    def _pieces(self, rows: slice) -> Iterator[tuple[np.ndarray | slice, int]]:
        """Rows of the block that share a data set."""
        sets = self._setup.dataset[rows]
        if (sets == sets[0]).all():
            yield slice(None), int(sets[0])  # a view, where rows by number would be a copy
            return
        for dataset in np.unique(sets):
            yield np.flatnonzero(sets == dataset), int(dataset)


def _host(array: Array) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.get()
