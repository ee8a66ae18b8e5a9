"""Calibration of each run of a study whose answers are numbers: of the mixture over its own draws, on its own test set.

Draws go by while a shard runs, and a study keeps none of them; what is held of them here is their predictions at some
test points, of at most DRAWS draws of each run, spread evenly.
"""

from typing import Any

import numpy as np

from ..averages.mixtures import CLOSED_FORM, Mixture
from ..averages.moments import BLOCK
from ..running.network import NetworkSubject
from ..running.subject import Setup
from .seen import Seen, Speakers

Arrays = dict[str, np.ndarray]
DRAWS, POINTS = 32, 256
"""Most draws and test points of a run that are held."""
_WORK = 3e7
"""Evaluations of one law's distribution that the CRPS of a shard may take, some seconds: it decides at how many of the
points it is taken."""
_INTEGRAL = 300
"""Evaluations of each draw's law that an integral takes about."""
COVERAGE = (0.5, 0.9)
NAMES = (*(f"coverage_{100 * c:g}" for c in COVERAGE), "miscalibration", "crps")


class Held:
    """Predictions at test points of a shard's runs, and what they say of its calibration; nothing of classes, and
    nothing without a test set.
    """

    def __init__(self, ready: Setup, speak: Speakers) -> None:
        self._ready, subject = ready, ready.subject
        self._dataset = speak.first(ready.dataset)
        self._log_weights: list[np.ndarray] = []
        self._laws: list[tuple[np.ndarray, np.ndarray]] = []
        self._seen = 0
        self.active = (
            isinstance(subject, NetworkSubject)
            and subject.model.likelihood.values is not None
            and subject.data.test_points > 0
            and ready.agenda.draws > 0
        )
        self._every = max(1, -(-ready.agenda.draws // DRAWS))
        if self.active and isinstance(subject, NetworkSubject):
            self._chosen = _spread(subject.data.test_points, POINTS)

    def __call__(self, seen: Seen) -> None:
        """Take a moment of all runs, where it is a draw."""
        if not seen.is_draw:
            return
        self._seen += 1
        position = seen.position
        if self.active and (self._seen - 1) % self._every == 0:
            with np.errstate(all="ignore"):
                rows = [slice(i, i + BLOCK) for i in range(0, len(position), BLOCK)]
                laws = [self._law(position[r], self._dataset[r]) for r in rows]
            if "log_weight" in seen.statistics:
                self._log_weights.append(seen.statistics["log_weight"])
            self._laws.append((np.concatenate([m for m, _ in laws]), np.concatenate([s for _, s in laws])))

    def _law(self, position: np.ndarray, dataset: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Locations and scales [r, T, n] of the runs' answers at the chosen points."""
        subject: Any = self._ready.subject
        model, x = subject.model, subject.data.x_test[:, self._chosen].astype(position.dtype)
        phi = model.likelihood.respond(model.outputs_at(position, x[dataset]), np)
        location = model.likelihood.values.location(phi)
        scale = model.likelihood.values.scale(phi, model.noise(position))
        return location, np.broadcast_to(np.asarray(scale, location.dtype), location.shape)

    def arrays(self) -> Arrays:
        """By name, [R] (see NAMES): shares of answers in central intervals; the mean distance of sorted probability
        integral transforms from where uniform ones lie; CRPS in the network's units. NaN for runs that stopped.
        """
        runs = len(self._dataset)
        out = {name: np.full(runs, np.nan) for name in NAMES} if self.active else {}
        if not self._laws:
            return out
        location, scale = (np.stack(part).astype(np.float64) for part in zip(*self._laws, strict=True))
        if self._log_weights:
            place = equal(np.stack(self._log_weights))[:, :, None, None]
            location, scale = (np.take_along_axis(a, place, axis=0) for a in (location, scale))
        (good,) = np.nonzero(np.isfinite(location).all(axis=(0, 2, 3)) & np.isfinite(scale).all(axis=(0, 2, 3)))
        if len(good):
            subject: Any = self._ready.subject
            y = subject.data.y_test[self._dataset[good]][:, self._chosen].astype(np.float64)
            for name, values in _judge(subject.model, location[:, good], scale[:, good], y).items():
                out[name][good] = values
        return out


def equal(log_weight: np.ndarray) -> np.ndarray:
    """[D, R] int, for each run as many of its draws with logarithms of weights [D, R] as it has, those that weigh most
    several times: systematic resampling. One that counts for nothing is never taken where another counts.
    """
    known = np.where(np.isnan(log_weight), -np.inf, log_weight)
    top = known.max(axis=0)
    w = np.exp(known - np.where(np.isfinite(top), top, 0.0))
    upto = np.cumsum(w, axis=0)
    upto /= np.where(upto[-1] > 0, upto[-1], 1.0)
    wanted = (np.arange(len(w)) + 0.5) / len(w)
    found = [np.searchsorted(column, wanted, side="right") for column in upto.T]
    return np.minimum(np.stack(found, axis=1), len(w) - 1)


def _spread(points: int, most: int) -> np.ndarray:
    """At most `most` numbers below `points`, spread evenly."""
    return np.unique(np.linspace(0, points - 1, min(points, most)).astype(int))


def _judge(model: Any, location: np.ndarray, scale: np.ndarray, y: np.ndarray) -> Arrays:
    """Measures [R] of laws [D, R, T, n] at answers [R, T, n]; all runs' points are points of one mixture."""
    runs, points, targets = y.shape

    def mixture(at: np.ndarray) -> tuple[Mixture, np.ndarray]:
        flat = (a[:, :, at].reshape(len(a), -1, targets) for a in (location, scale))
        return Mixture.of(model.likelihood.values.law, model.settings, *flat), y[:, at].reshape(-1, targets)

    whole, answers = mixture(np.arange(points))
    inside = whole.inside(answers, COVERAGE).reshape(len(COVERAGE), runs, -1).mean(axis=-1)
    pit = np.sort(whole.pit(answers).reshape(runs, -1), axis=1)
    even = (np.arange(pit.shape[1]) + 0.5) / pit.shape[1]
    few, some = mixture(_spread(points, _crps_points(model, len(location), runs, points)))
    crps = few.crps(some)[0].reshape(runs, -1).mean(axis=1)
    return dict(zip(NAMES, (*inside, np.abs(pit - even).mean(axis=1), crps), strict=True))


def _crps_points(model: Any, draws: int, runs: int, points: int) -> int:
    """At how many points of each run the CRPS is affordable."""
    closed = model.likelihood.values.law.distance is not None and draws <= CLOSED_FORM
    each = draws * (draws if closed else _INTEGRAL)
    return int(np.clip(_WORK / (each * runs * model.targets), 1, points))
