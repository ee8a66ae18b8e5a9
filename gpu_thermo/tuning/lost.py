"""Replicas that are lost: finite, far outside of where the ensemble is, or at one place for ever (equations.md
section 14).

A stepsize that is too large for a moment throws a replica so far out that it never comes back: nothing it proposes is
accepted any more. Energies tell: of a law exp(-U/tau) their tail is exponential at the heaviest, whatever the tails of
its positions.
"""

import numpy as np

FAR, HEATS = 100.0, 50.0
"""What a lost replica's energy exceeds the median by: so many of its spreads, and so many P tau / 2."""
NEVER, ENOUGH = 1e-3, 8
"""Mean acceptance below which a replica stays where it is, and proposals from which that is known."""
SOME, SOME_HEATS, HARDLY = 10.0, 3.0, 0.1
"""Spreads and P tau / 2 that are enough where a replica's acceptance is below such a part of the median's, too: where
steps that others take are rejected U is more curved, and what is narrower and higher has no weight."""


def outlying(
    mean: np.ndarray, square: np.ndarray, heat: float, spreads: float = FAR, heats: float = HEATS
) -> np.ndarray:
    """[R] whether a replica's energy is far above the others'; False where it is no number.

    Parameters
    ----------
    mean, square : [R] of U and U^2 over a replica's draws. heat : P tau / 2. spreads, heats : what it exceeds the
    median by.

    A spread is twice the distance from the lower quartile over replicas to the median, or the median replica's own
    standard deviation over its draws where that is more. Both stand while fewer than half are lost; one whose square is
    too large for a float is no part of them.
    """
    finite = np.isfinite(mean) & np.isfinite(square)
    if finite.sum() < 2:
        return np.zeros(len(mean), bool)
    low, median = np.quantile(mean[finite], (0.25, 0.5))
    within = np.sqrt(np.maximum(np.median(square[finite] - mean[finite] ** 2), 0.0))
    with np.errstate(invalid="ignore"):
        return np.isfinite(mean) & (mean > median + max(spreads * max(2 * (median - low), within), heats * heat))


def stuck(acceptance: np.ndarray) -> np.ndarray:
    """[R] whether nothing that a replica proposes is accepted. acceptance : [R, 3] as Window.acceptance has it."""
    proposals, accepted = acceptance[:, 0], acceptance[:, 1]
    return np.asarray((proposals >= ENOUGH) & (accepted < NEVER * proposals))


def hardly_moving(acceptance: np.ndarray) -> np.ndarray:
    """[R] whether a replica's proposals are accepted far more rarely than the median replica's."""
    known = acceptance[:, 0] >= ENOUGH
    if not known.any():
        return known
    rate = acceptance[:, 1] / np.maximum(acceptance[:, 0], 1.0)
    return known & (rate < HARDLY * np.median(rate[known]))


def replaced(lost: np.ndarray, replicas: int, superchain: int = 0) -> np.ndarray:
    """[rows] from which row each goes on: a lost one from a sound one of the first `replicas`, the next in turn, of its
    own superchain as long as that has one. All stay where nobody is sound.
    """
    rows = np.arange(len(lost))
    sound = np.flatnonzero(~lost[:replicas])
    if not len(sound):
        return rows
    for k, row in enumerate(np.flatnonzero(lost)):
        mates = sound[sound // superchain == row // superchain] if superchain else sound
        mates = mates if len(mates) else sound
        rows[row] = mates[(np.searchsorted(mates, row) + k) % len(mates)]
    return rows
