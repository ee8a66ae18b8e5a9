"""Averages by brute force, and predictions of every kind of task."""

import numpy as np

TASKS = [("binary", 1), ("multiclass", 3), ("regression", 2)]


def draws_of(task: str, n: int, replicas: int, draws: int, points: int, seed: int = 2) -> np.ndarray:
    """Predictions [D, R, T, n] float32 of the kind a task has."""
    rng = np.random.default_rng(seed)
    if task == "multiclass":
        return rng.dirichlet(np.ones(n), (draws, replicas, points)).astype(np.float32)
    phi = (
        rng.uniform(size=(draws, replicas, points, n))
        if task == "binary"
        else rng.normal(size=(draws, replicas, points, n))
    )
    return phi.astype(np.float32)


def brute(task: str, phi: np.ndarray, w: np.ndarray) -> dict[str, np.ndarray]:
    """equations.md section 9 on phi [S, T, n] with weights [S]."""
    p, w = phi.astype(np.float64), w / w.sum()
    mean = np.tensordot(w, p, 1)
    out = {"mean": mean, "variance": np.tensordot(w, (p - mean) ** 2, 1), "weight_ess": 1 / (w * w).sum()}
    if task == "regression":
        return out | {"total_variance": out["variance"] + 0.25}
    q, m = (np.concatenate([1 - a, a], -1) if task == "binary" else a for a in (p, mean))
    plogp = lambda a: np.where(a > 0, a * np.log(np.where(a > 0, a, 1)), 0)  # noqa: E731
    h, expected = -plogp(m).sum(-1), -np.tensordot(w, plogp(q).sum(-1), 1)
    return out | {"entropy": h, "expected_entropy": expected, "mutual_information": h - expected}
