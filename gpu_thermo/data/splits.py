"""Real data: one table split by seed into training and test parts, or two given parts shuffled and cut."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError
from .addresses import shuffled
from .dataset import Dataset, Floats, Part, Schema, Values, refuse_absurd, stack


@dataclass(frozen=True)
class Table:
    """Rows of a data set before any split: `x` [rows, m], `y` [rows] labels or [rows, n] targets, `weight` [rows] or
    None.
    """

    schema: Schema
    x: Floats
    y: Values
    weight: Floats | None = None


def split_table(table: Table, test_fraction: float, seeds: Sequence[int], standardise: bool | str) -> Dataset:
    """One split for each seed, side by side; see `split_parts`."""
    return stack(table.schema, split_parts(table, test_fraction, seeds), standardise)


def split_parts(table: Table, test_fraction: float, seeds: Sequence[int]) -> list[Part]:
    """One split for each seed: rows in the seed's shuffled order, the last `round(test_fraction rows)` of them for
    testing.

    A larger test fraction takes rows away from the end of the training part and leaves the others where they are.
    """
    rows = len(table.x)
    train = rows - round(test_fraction * rows)
    if train < 1:
        raise DataError(
            f"Data '{table.schema.name}' has {rows} rows, and test_fraction = {test_fraction} leaves none for training."
            " Use a smaller fraction."
        )
    refuse_absurd(len(seeds) * table.x.size, f"Data '{table.schema.name}' with {len(seeds)} splits")
    parts = []
    for seed in seeds:
        order = shuffled(seed, rows)
        first, last = order[:train], order[train:]
        weight = None if table.weight is None else table.weight[first]
        parts.append(Part(table.x[first], table.y[first], table.x[last], table.y[last], weight))
    return parts


def cut_parts(
    schema: Schema, given: Part, limits: tuple[int | None, int | None], seeds: Sequence[int], scale: float
) -> list[Part]:
    """One part for each seed: the first `limits` rows of the given training and test rows in shuffled order, features
    divided by `scale`.

    Shuffled even without a limit, so that a limit keeps a prefix of the same order. Both parts are shuffled by the same
    round keys, each on its own length. Rows are picked before they become float64, because images are stored as bytes.
    """
    counts = []
    for name, x, limit in (("train", given.x_train, limits[0]), ("test", given.x_test, limits[1])):
        if limit is not None and limit > len(x):
            raise DataError(
                f"Data '{schema.name}' has {len(x)} points to {name} with, and {name} = {limit} asks for more. Lower it"
                " or leave it out."
            )
        counts.append(len(x) if limit is None else limit)
    refuse_absurd(len(seeds) * sum(counts) * given.x_train.shape[1], f"Data '{schema.name}' with {len(seeds)} shuffles")
    parts = []
    for seed in seeds:
        train = shuffled(seed, len(given.x_train))[: counts[0]]
        test = shuffled(seed, len(given.x_test))[: counts[1]] if counts[1] else slice(0)
        x_train, x_test = given.x_train[train].astype(np.float64) / scale, given.x_test[test].astype(np.float64) / scale
        parts.append(Part(x_train, given.y_train[train], x_test, given.y_test[test]))
    return parts
