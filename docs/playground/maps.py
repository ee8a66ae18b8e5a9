"""What the playground shows: a run on two-turn spirals whose stepsize, temperature and friction may change on the way.

The notebook `spiral.py` steps through it; the site's page has pictures of a grid of settings.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

HIDDEN, REPLICAS, LIMIT = 50, 32, 2.2
SPEC: dict[str, Any] = {
    "data": {"name": "spirals", "turns": 2, "train": 200, "test": 200, "noise": 0.05},
    "model": {"hidden": HIDDEN, "activation": "tanh", "prior_sd": {"hidden": 3.0, "output": 1.0}},
    "method": {"name": "langevin", "stepsize": 0.1, "temperature": 0.005, "friction": 1.0},
    "run": {"replicas": REPLICAS, "steps": 1_000_000, "burn_in": 0, "thin": 1000, "trace": 200, "minibatch": "full"},
}


def live(**method: float) -> Any:
    """The run, to be stepped through: a snapshot every 200 steps; `change` changes it."""
    import gpu_thermo as gt

    return gt.iterate({**SPEC, "method": {**SPEC["method"], **method}})


def grid(side: int) -> np.ndarray:
    """Points of the picture, [side * side, 2], row by row from below."""
    axis = np.linspace(-LIMIT, LIMIT, side)
    return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


def probabilities(position: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Of class 1, [R, points]: the networks whose parameters are `position` [R, P], written out."""
    cuts = np.cumsum([2 * HIDDEN, HIDDEN, HIDDEN])
    w1, b1, w2, b2 = np.split(np.asarray(position, float), cuts, axis=1)
    hidden = np.tanh(np.einsum("rdm,nm->rnd", w1.reshape(-1, HIDDEN, 2), x) + b1[:, None])
    return 1 / (1 + np.exp(-(hidden @ w2[:, :, None])[..., 0] - b2))


def doubt(p: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the networks, and mutual information in nats: what more data would settle."""
    mean = p.mean(axis=0)
    return mean, _entropy(mean) - _entropy(p).mean(axis=0)


def _entropy(p: np.ndarray) -> np.ndarray:
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    return -inside * np.log(inside) - (1 - inside) * np.log1p(-inside)


def maps(snapshots: Iterator[Any], steps: int, side: int) -> tuple[np.ndarray, np.ndarray, Any]:
    """Mean and mutual information [side, side] after so many more steps, of the last four snapshots; and the last one.

    Networks that froze do not count.
    """
    seen = []
    for snapshot in snapshots:
        seen.append(snapshot)
        if snapshot.step >= seen[0].step + steps:
            break
    x = grid(side)
    p = np.concatenate([probabilities(s.position[s.status == 0], x) for s in seen[-4:]])
    mean, information = doubt(p)
    return mean.reshape(side, side), information.reshape(side, side), seen[-1]
