"""Exact stationary laws of words on harmonic wells, by linear algebra that shares no code with the letters' records
(equations.md section 10).

On U = k q^2 / 2 with force noise of sd s, a step is linear: x' = M x + L r, r standard normal, x = (q, p, eta), eta the
noise of the last force evaluation, which a reused gradient carries into the next step. The stationary covariance solves
P = M P M^T + L L^T.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm, solve_discrete_lyapunov
from scipy.optimize import brentq

TABLE = {
    "BAOAB": (1, 3 / 4, 0), "OABAO": (3 / 4, 1, 0), "ABOBA": (1, 4 / 3, 0),
    "OBA": (1.07797, 1.57612, 0.78806), "OBABO": (4 / 3, 1, 0), "BAOA": (1, 1, 0.5),
}  # fmt: skip
"""<q^2>, <p^2>, <qp> at h = gamma = k = tau = 1: the printed table, which the linear algebra is checked against
first."""


def stationary(
    word: str,
    h: float,
    *,
    gamma: float = 0.0,
    tau: float = 1.0,
    k: float = 1.0,
    xi: float = 0.0,
    sigma: float = 0.0,
    noise: float = 0.0,
) -> tuple[float, float, float]:
    """(<q^2>, <p^2>, <qp>) at the end of a step of `word`; friction is `gamma` for O and a constant `xi` for C and F.

    Raises
    ------
    ValueError
        If the word is unstable there, or has a letter whose law is not known.
    """
    unknown = sorted(set(word) - set(_MAPS))
    if unknown:
        raise ValueError(
            f"Word '{word}' has {', '.join(unknown)}, whose law is not known here. Known: {' '.join(_MAPS)}."
        )
    draws = 2 * len(word)
    basis = np.eye(3 + draws)
    x, fresh = basis[:3].copy(), iter(basis[3:])
    well = _Well(k, gamma, tau, xi, sigma)
    moved = not "".join(c for c in word if c in "ABU").endswith("B")
    for letter in word:
        t = h / word.count(letter)
        if letter == "B" and moved:
            x[2] = noise * next(fresh)
        moved = letter in "AU" or (moved and letter != "B")
        _MAPS[letter](x, t, fresh, well)
    m, l = x[:, :3], x[:, 3:]
    if abs(np.linalg.eigvals(m)).max() >= 1:
        raise ValueError(f"{word} is unstable at h = {h}, k = {k}")
    p = solve_discrete_lyapunov(m, l @ l.T)
    return float(p[0, 0]), float(p[1, 1]), float(p[0, 1])


@dataclass(frozen=True)
class _Well:
    """Stiffness, O's friction and temperature, constant xi, D's amplitude."""

    k: float
    gamma: float
    tau: float
    xi: float
    sigma: float


def _drift(x: np.ndarray, t: float, fresh: Iterator[np.ndarray], well: _Well) -> None:
    x[0] += t * x[1]


def _kick(x: np.ndarray, t: float, fresh: Iterator[np.ndarray], well: _Well) -> None:
    x[1] -= t * (well.k * x[0] + x[2])


def _friction_and_noise(x: np.ndarray, t: float, fresh: Iterator[np.ndarray], well: _Well) -> None:
    a = 0.0 if math.isinf(well.gamma) else math.exp(-well.gamma * t)
    x[1] = a * x[1] + math.sqrt(well.tau * (1 - a * a)) * next(fresh)


def _damping(x: np.ndarray, t: float, fresh: Iterator[np.ndarray], well: _Well) -> None:
    x[1] *= math.exp(-t * well.xi)


def _noise(x: np.ndarray, t: float, fresh: Iterator[np.ndarray], well: _Well) -> None:
    x[1] += well.sigma * math.sqrt(t) * next(fresh)


def _nothing(x: np.ndarray, t: float, fresh: Iterator[np.ndarray], well: _Well) -> None:
    """E moves xi, which is held constant here."""


def _damping_and_noise(x: np.ndarray, t: float, fresh: Iterator[np.ndarray], well: _Well) -> None:
    xi = well.xi
    variance = well.sigma**2 * (t if xi == 0 else (1 - math.exp(-2 * xi * t)) / (2 * xi))
    x[1] = math.exp(-xi * t) * x[1] + math.sqrt(variance) * next(fresh)


def _flight_with_friction(x: np.ndarray, t: float, fresh: Iterator[np.ndarray], well: _Well) -> None:
    """The exact flow of A and O together: its transition matrix, and the covariance of its noise by Van Loan's matrix
    exponential, which shares nothing with the closed form of the letter.
    """
    if math.isinf(well.gamma):
        x[1] = math.sqrt(well.tau) * next(fresh)
        return
    drift = np.array([[0, 1], [0, -well.gamma]])
    block = np.zeros((4, 4))
    block[:2, :2], block[2:, 2:], block[1, 3] = -drift, drift.T, 2 * well.gamma * well.tau
    whole = expm(block * t)
    flow = whole[2:, 2:].T
    values, vectors = np.linalg.eigh(flow @ whole[:2, 2:])
    x[:2] = flow @ x[:2] + vectors * np.sqrt(np.maximum(values, 0)) @ np.array([next(fresh), next(fresh)])


_MAPS: dict[str, Callable[[np.ndarray, float, Iterator[np.ndarray], _Well], None]] = {
    "A": _drift, "B": _kick, "C": _damping, "D": _noise, "E": _nothing, "F": _damping_and_noise,
    "O": _friction_and_noise, "U": _flight_with_friction,
}  # fmt: skip
"""A letter of length t on the rows (q, p, eta) of the linear map, in place; `fresh` are the columns of new normals."""


def mean_thermostat(word: str, h: float, *, tau: float, sigma: float, k: float = 1.0) -> float:
    """Where a slowly moving xi settles: the constant xi at which the word's E's see <p^2> = tau on average.

    That is sigma^2 / (2 tau) but for O(h^2), which the end of a step hides: BACDEDCAB's E stands between two halves of
    C and D.
    """
    rotated = [word[i + 1 :] + word[: i + 1] for i, letter in enumerate(word) if letter == "E"]

    def excess(xi: float) -> float:
        return sum(stationary(text, h, xi=xi, sigma=sigma, k=k)[1] - tau for text in rotated)

    guess = sigma**2 / (2 * tau)
    return float(brentq(excess, guess / 2, 2 * guess))


def sgld_variance(h: float, k: float, tau: float) -> float:
    """<q^2> = tau / (k (1 - h k / 2)) of theta += h G + sqrt(2 h tau) R."""
    return tau / (k * (1 - h * k / 2))
