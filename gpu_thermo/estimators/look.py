"""A short look at a table before its posterior is sampled: whether more hidden layers explain it better than one."""

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import KFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ..data import Dataset

FOLDS, EPOCHS, BATCH, RATE = 3, 100, 64, 3e-3
"""Parts that are held out in turn, and how Adam trains on the others."""
LEAST = 1e-3
"""Probability, or sd of what is left over, below which less counts no more: a single network is too sure of itself."""

INTERRUPTED = "Training interrupted by user"
"""What scikit-learn makes of Ctrl-C, and goes on with half of a network."""


def gain(data: Dataset, one: Sequence[int], other: Sequence[int], seed: int) -> float:
    """By how many nats a row the hidden layers `other` do better than `one` on rows that were held out: single relu
    networks, trained by Adam with one noise for all rows. What rows weigh is left aside.
    """
    return _loss(data, tuple(one), seed) - _loss(data, tuple(other), seed)


def _loss(data: Dataset, hidden: tuple[int, ...], seed: int) -> float:
    """Nats a row, up to what all networks share."""
    parts = KFold(FOLDS, shuffle=True, random_state=seed).split(data.x_train[0])
    with warnings.catch_warnings(), threadpool_limits(1):  # many threads take longer for so little
        warnings.simplefilter("ignore", ConvergenceWarning)  # epochs are counted, and that is all
        warnings.filterwarnings("error", INTERRUPTED)
        try:
            found = float(np.mean([_held_out(data, hidden, learned, judged, seed) for learned, judged in parts]))
        except UserWarning:
            raise KeyboardInterrupt from None
    return found if data.classes else 0.5 * math.log(max(found, LEAST**2))


def _held_out(data: Dataset, hidden: tuple[int, ...], learned: Any, judged: Any, seed: int) -> float:
    """Of a network that saw the rows `learned`, on those `judged`: nats a row of classes, mean square of numbers."""
    kind = MLPClassifier if data.classes else MLPRegressor
    network = kind(
        hidden_layer_sizes=hidden, learning_rate_init=RATE, max_iter=EPOCHS, n_iter_no_change=EPOCHS,
        batch_size=min(BATCH, len(learned)), random_state=seed,
    )  # fmt: skip
    x, y = data.x_train[0], data.y_train[0]
    if data.classes:
        known = network.fit(x[learned], y[learned]).classes_
        places = np.searchsorted(known, y[judged]).clip(max=len(known) - 1)
        p = network.predict_proba(x[judged])[np.arange(len(judged)), places]
        p = np.where(known[places] == y[judged], p, 0.0)  # a class that no row of `learned` has
        return float(-np.log(np.maximum(p, LEAST)).mean())
    y = (y - y.mean(0)) / y.std(0).clip(min=LEAST)  # counts are in units of their own
    guess = network.fit(x[learned], y[learned].squeeze(1) if y.shape[1] == 1 else y[learned]).predict(x[judged])
    return float(((guess.reshape(len(judged), -1) - y[judged]) ** 2).mean())
