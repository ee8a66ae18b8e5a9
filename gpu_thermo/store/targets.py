"""Draws of the target alone, from draws of replicas that walk a ladder of temperatures.

What a plain mean is taken of must be draws of the density that the run is about. Where replicas trade rungs, the draws
of whoever is on the target rung are one chain for each ladder; where each walks by itself, its draws off the target
rung are NaN in the groups of chains, and have weight 0. All draws of all rungs stand in groups of their own.
"""

from collections.abc import Mapping

import numpy as np

from ..errors import StoreError
from .schema import OF_RUNGS, RUNGS, Schema

Values = Mapping[str, np.ndarray]


def apart(schema: Schema, group: str, values: Values, rung: np.ndarray | None) -> dict[str, np.ndarray]:
    """Values [D, R, ...] of one group as the arrays of a store: path -> [D, chains, ...], and where every rung is kept
    apart, path -> [D, R, ...] beside them.

    Parameters
    ----------
    rung : [D, R], where each replica is; None where there is no ladder.
    """
    if not schema.apart:
        return {f"{group}/{name}": value for name, value in values.items()}
    if rung is None:
        raise StoreError("Draws of a ladder have no statistic rung. It is fixed when the store is created.")
    out = {f"{group}{RUNGS}/{name}": value for name, value in values.items()}
    if schema.together > 1:
        who = on_target(rung, schema.together)
        kept = {name: value for name, value in values.items() if name not in OF_RUNGS}
        return out | {f"{group}/{name}": _picked(value, who) for name, value in kept.items()}
    return out | {
        f"{group}/{name}": value if name in OF_RUNGS else _masked(value, rung != 0) for name, value in values.items()
    }


def on_target(rung: np.ndarray, together: int) -> np.ndarray:
    """[D, ladders] int64, the replica on the target rung of each ladder, from the rungs [D, R] of all."""
    each = rung.reshape(len(rung), -1, together) == 0
    return np.asarray(each.argmax(axis=2) + together * np.arange(each.shape[1]), np.int64)


def of_draws(schema: Schema, statistics: Values) -> dict[str, np.ndarray]:
    """Coordinates of every draw [D, chains]: the replica it is of, or its weight; no draw weighs nothing."""
    out = {}
    if schema.together > 1:
        out["replica"] = on_target(statistics["rung"], schema.together)
    if schema.weighted:
        out["weight"] = np.nan_to_num(np.exp(statistics["log_weight"]), nan=0.0)
    return out


def _picked(values: np.ndarray, who: np.ndarray) -> np.ndarray:
    """[D, ladders, ...] of values [D, R, ...]."""
    return np.asarray(values[np.arange(len(values))[:, None], who])


def _masked(values: np.ndarray, off: np.ndarray) -> np.ndarray:
    """Values [D, R, ...] with NaN where a replica is `off` the target; truth values stay."""
    if values.dtype.kind != "f":
        return values
    return np.where(off.reshape(*off.shape, *(1,) * (values.ndim - 2)), values.dtype.type(np.nan), values)
