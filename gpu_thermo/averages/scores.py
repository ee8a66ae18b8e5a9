"""Scores of averaged predictions against observed targets (equations.md section 9), and of mutual information as a
detector.
"""

from typing import Any

import numpy as np

from ..targets.likelihoods import classes_of, get_likelihood

Array = Any

BINS = 15
"""Equal bins of the expected calibration error."""


def scores(task: str, mean: Array, y: Array, log_density: Array | None = None) -> dict[str, float]:
    """Scores of one ensemble's averaged prediction.

    Parameters
    ----------
    task
        A task, or the likelihood itself.
    mean
        [T, n], the averaged probability (binary: of class 1, n = 1) or regression mean.
    y
        [T] labels, or [T, n] regression targets in the same units as `mean`.
    log_density
        [T], log of the likelihood averaged over draws. Without it, classification takes the NLL from `mean` (clipped at
        the float64 epsilon, as scikit-learn's log_loss), and regression has none: the density of an average is not the
        average of densities.

    Returns
    -------
    accuracy, nll, brier (sum over classes; binary one term), ece (classification), or rmse and, with `log_density`, nll
    (regression); nats.
        Empty for T = 0.
    """
    mean, y = np.asarray(mean, np.float64), np.asarray(y)
    if len(mean) == 0:
        return {}
    given = None if log_density is None else {"nll": float(-np.mean(log_density))}
    likelihood = get_likelihood(task)
    score, classes = likelihood.score.name, likelihood.classes
    if classes is None:
        return {score: float(np.sqrt(np.mean((mean - y.reshape(mean.shape)) ** 2)))} | (given or {})
    y = y.astype(np.int64)
    p = classes.probabilities(mean)
    hit = p.argmax(axis=1) == y
    return {
        score: float(hit.mean()),
        **(given or {"nll": nll(p, y)}),
        "brier": brier(task, p, y),
        "ece": calibration_error(p.max(axis=1), hit),
    }


def in_own_unit(
    mean: Array, y: Array, log_density: Array | None, target_mean: Array | None, target_sd: Array | None
) -> tuple[Array, Array, Array | None]:
    """What `scores` takes of one ensemble, of standardised targets, in the targets' own units; as it is where they were
    not standardised. `target_mean`, `target_sd` are [n], or None.
    """
    if target_mean is None or target_sd is None:
        return mean, y, log_density
    mean, y = (v * target_sd + target_mean for v in (mean, y))
    return mean, y, None if log_density is None else log_density - np.log(target_sd).sum()


def class_probabilities(task: str, mean: Array) -> np.ndarray:
    """Probabilities [..., C] of all classes; binary: [..., 1] becomes [..., 2]."""
    return classes_of(task).probabilities(np.asarray(mean, np.float64))


def nll(p: np.ndarray, y: np.ndarray) -> float:
    """Mean of -ln p [T, C] at the labels y [T], p clipped at the float64 epsilon."""
    return float(-np.mean(np.log(np.maximum(p[np.arange(len(y)), y], np.finfo(np.float64).eps))))


def brier(task: str, p: np.ndarray, y: np.ndarray) -> float:
    """Mean squared error of the probabilities [T, C], summed over classes; binary has one term."""
    square = (p - (y[:, None] == np.arange(p.shape[1]))) ** 2
    return float(square[:, classes_of(task).brier].sum(axis=1).mean())


def calibration_error(confidence: Array, hit: Array, bins: int = BINS) -> float:
    """Expected calibration error: |accuracy - mean confidence| over equal bins ((i - 1)/bins, i/bins] of the largest
    probability [T].
    """
    confidence, hit = np.asarray(confidence, np.float64), np.asarray(hit, np.float64)
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    gap = np.bincount(index, weights=hit - confidence, minlength=bins)
    return float(np.abs(gap).sum() / len(hit))


def chance_error(confidence: Array, bins: int = BINS) -> float:
    """The expected calibration error that right probabilities would have on as many points, mean over what the labels
    could be: in each bin the mean size of a normal number of the hits' variance, sqrt(2/pi sum c (1 - c)).
    """
    confidence = np.asarray(confidence, np.float64)
    index = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    variance = np.bincount(index, weights=confidence * (1 - confidence), minlength=bins)
    return float(np.sqrt(2 / np.pi * variance).sum() / len(confidence))


def ood_auroc(inside: Array, outside: Array) -> float:
    """Area under the ROC curve of telling outside points from inside ones by their mutual information ([T1] and
    [T2]).
    """
    from sklearn.metrics import roc_auc_score

    inside, outside = np.asarray(inside).ravel(), np.asarray(outside).ravel()
    label = np.concatenate([np.zeros(len(inside)), np.ones(len(outside))])
    return float(roc_auc_score(label, np.concatenate([inside, outside])))
