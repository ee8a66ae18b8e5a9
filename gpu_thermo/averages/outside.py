"""How far points lie outside the rows that a run learned from: there an answer is extrapolated, and a network's own
doubt about it is no more than a guess.

Measured input by input: by how many standard deviations a value lies beyond the least and the largest of all training
rows; a category that none of them had counts as NEW. A combination of inputs that no row had, each of them inside, is
not seen by this.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from ..data.labels import shorten
from ..data.recipe import Recipe
from .claims import names_of
from .draws import Scales

FAR = 1.5
"""Standard deviations from which on a row is warned of."""
NEW = 10.0
"""What a new category counts as: no distance, but more than FAR."""
REACH = "x_reach"
"""Name of least and largest inputs in `constant_data` [dataset, 2, feature], of runs that do not hold their rows."""
MOST_NAMED = 3


class Outside(UserWarning):
    """Points far outside the rows that were learned from."""


@dataclass(frozen=True)
class Reach:
    """Least and largest value of each input over all training rows of all data sets, and its standard deviation, all
    [m] in the inputs' own units. recipe : of what columns the inputs were made; None where they are numbers.
    """

    low: np.ndarray
    high: np.ndarray
    sd: np.ndarray
    recipe: Recipe | None = None

    @classmethod
    def of(cls, tree: xr.DataTree) -> "Reach | None":
        """Of an opened run; None where it holds neither rows nor what they reach."""
        constant = tree["constant_data"].to_dataset()
        x = constant[REACH if REACH in constant else "x_train"].to_numpy()
        if x.size == 0:
            return None
        scales = Scales.of(tree)
        low, high, sd = x.min(axis=1), x.max(axis=1), np.ones(x.shape[2])
        if scales.feature_mean is not None and scales.feature_sd is not None:
            low, high = (v * scales.feature_sd + scales.feature_mean for v in (low, high))
            sd = scales.feature_sd.mean(axis=0)
        recipe = names_of(tree.attrs["data"]).get("recipe") if "data" in tree.attrs else None
        return cls(low.min(axis=0), high.max(axis=0), np.where(sd > 0, sd, 1.0), recipe)

    def beyond(self, x: np.ndarray) -> np.ndarray:
        """[point, feature] by how many standard deviations inputs [point, feature] lie outside; 0 inside, and where
        they are missing.
        """
        past = np.maximum(self.low - x, x - self.high) / self.sd
        past = np.where(past > 1e-9, past, 0.0)  # NaN is not above
        return past if self.recipe is None else np.where(self.recipe.unseen(x), NEW, past)


def with_reach(tree: xr.DataTree) -> xr.DataTree:
    """The run with what its rows reach in `constant_data`, so that they need not be read again for each question."""
    constant = tree["constant_data"].to_dataset()
    if REACH in constant or constant["x_train"].size == 0:
        return tree
    x = constant["x_train"].to_numpy()
    ends = np.stack([x.min(axis=1), x.max(axis=1)], axis=1)
    groups = {name: node.to_dataset() for name, node in tree.children.items()}
    groups["constant_data"] = constant.assign({REACH: (("dataset", "end", "feature"), ends)})
    return xr.DataTree.from_dict({"/": tree.to_dataset(), **groups})


@dataclass
class Tally:
    """How many rows lie FAR outside, counted block by block.

    Attributes
    ----------
    columns : of the table, each with its number of inputs. categories : names of those that hold texts. seen, far :
    rows, and those of them FAR outside. counts : of each column, in how many rows it does.
    """

    columns: Sequence[tuple[str, int]]
    categories: frozenset[str] = frozenset()
    seen: int = 0
    far: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, features: Sequence[str], recipe: Recipe | None) -> "Tally":
        """Of inputs by their names, or by the columns that they were made of."""
        if recipe is None:
            return cls([(name, 1) for name in features])
        columns = [(column.name, len(column.features)) for column in recipe.columns]
        return cls(columns, frozenset(column.name for column in recipe.columns if column.kind == "category"))

    def add(self, beyond: np.ndarray) -> "Tally":
        """Count inputs [point, feature] so far outside, too."""
        far, at = beyond > FAR, 0
        self.seen, self.far = self.seen + len(far), self.far + int(far.any(axis=1).sum())
        for name, width in self.columns:
            self.counts[name] += int(far[:, at : at + width].any(axis=1).sum())
            at += width
        return self

    def said(self, way: str) -> str:
        """A sentence, and `way`, how a user sees which rows these are; empty where there are none."""
        if not self.far:
            return ""
        most = [(name, count) for name, count in self.counts.most_common() if count]
        new = f", or of a category that none of them has ({NEW:g})" * any(name in self.categories for name, _ in most)
        more = ", ..." if len(most) > MOST_NAMED else ""
        named = ", ".join(f"'{shorten(name)}' in {count:,}" for name, count in most[:MOST_NAMED])
        what = "rows lie" if self.seen > 1 else "row lies"
        return (
            f"{self.far:,} of {self.seen:,} {what} outside the data that were learned from ({named}{more}; beyond all"
            f" of them by more than {FAR:g} sd{new}): answers there are extrapolated, and may be worse than they say."
            f" {way}"
        )
