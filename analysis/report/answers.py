"""What a report asks the networks of a run: predictions of each of some draws, the effect of an input, how much the
answers lose without it, and whether they know what is unlike the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.averages.draws import Scales, Source
from gpu_thermo.averages.predictive import MEMORY, model_of, restored_data
from gpu_thermo.data import Dataset
from gpu_thermo.data.dataset import LOG, own_name
from gpu_thermo.data.dates import MONTHS
from gpu_thermo.data.recipe import HALF_WAY, Category, Date

Array = Any
DRAWS, ROWS, GRID = 120, 150, 15
"""Draws that are asked, rows that effects are averaged over, and points of a curve."""
_REPEATS = 5
DAYS = 365.2425
"""Of a year, as dates are counted in."""
PARTS = {
    "month": [name.capitalize() for name in MONTHS], "weekday": ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
    "hour": [f"{hour}:00" for hour in range(24)],
}  # fmt: skip
"""Names of the places on each circle, in turn."""


@dataclass(frozen=True)
class Answers:
    """Some draws of the first ensemble of a run, and its data set.

    Attributes
    ----------
    tree : the opened run. data : as sampled.
    """

    tree: xr.DataTree
    data: Dataset

    @classmethod
    def of(cls, tree: xr.DataTree) -> "Answers":
        """From an opened run of a network of ours."""
        return cls(tree, restored_data(tree))

    @cached_property
    def model(self) -> Any:
        """The network."""
        return model_of(self.tree)

    @cached_property
    def networks(self) -> Array:
        """[D, P] draws, evenly spread."""
        source = Source.of(self.tree, self.model.layout, 0)
        every = np.concatenate([chunk.position for chunk in source.chunks(MEMORY)])
        return every[np.linspace(0, len(every) - 1, min(DRAWS, len(every))).round().astype(int)]

    @property
    def output(self) -> int:
        """The output that is shown: the first target, the second of two classes, the most frequent of more."""
        if len(self.data.classes) < 3:
            return 0
        return int(np.bincount(self.data.y_train[0]).argmax())

    @property
    def answer(self) -> str:
        """What it is called."""
        if not self.data.classes:
            return own_name(self.data.targets[0]) if self.logarithmic else self.data.targets[0]
        name = self.data.classes[1 if len(self.data.classes) == 2 else self.output]
        return f"probability of {name}"

    @property
    def logarithmic(self) -> bool:
        """Whether the network answers with a logarithm."""
        return self.data.target_transform == LOG

    def each(self, x: Array) -> Array:
        """[D, T] answer of each draw at inputs as the network sees them: the median of a number's law, a
        probability.
        """
        phi = self.model.predict(self.networks, np.asarray(x, self.networks.dtype)).astype(np.float64)
        if self.data.classes:
            return phi[..., self.output]
        location = self.model.likelihood.values.location(phi)[..., self.output]
        scales = Scales.of(self.tree)
        if scales.target_mean is not None and scales.target_sd is not None:
            location = location * scales.target_sd[0, self.output] + scales.target_mean[0, self.output]
        return np.exp(location) if self.logarithmic else location

    # -- inputs --------------------------------------------------------------------------------------------------------

    @cached_property
    def columns(self) -> dict[str, list[int]]:
        """Inputs of each column of the table, or each input by itself."""
        recipe = self.data.recipe
        if recipe is None:
            return {name: [i] for i, name in enumerate(self.data.features)}
        out, at = {}, 0
        for column in recipe.columns:
            out[column.name] = list(range(at, at + len(column.features)))
            at += len(column.features)
        return out

    def own(self, x: Array, i: int) -> Array:
        """Values of an input in its own units."""
        s = self.data.standardisation
        return x if s is None else x * s.sd[0, i] + s.mean[0, i]

    @cached_property
    def background(self) -> Array:
        """Some training rows, [T, m] as the network sees them."""
        x = self.data.x_train[0]
        return x[np.linspace(0, len(x) - 1, min(ROWS, len(x))).round().astype(int)]


@dataclass(frozen=True)
class Effect:
    """Partial dependence on one column: at each place [G] the mean over rows, and over draws its mean and 90 % band.

    `places` are numbers (of dates days since 1970, where `dates`), or names of categories, months, weekdays; `low` and
    `high` are what the networks do not agree on.
    """

    column: str
    places: list[float] | list[str]
    mean: Array
    low: Array
    high: Array
    dates: bool = False


def effects_of(answers: Answers, column: str) -> list[Effect]:
    """The effect of a column; of a date, of each of its parts."""
    made = _made(answers, column)
    if not isinstance(made, Date):
        return [effect(answers, column)]
    out, at = [], answers.columns[column][0]
    for part in made.parts:
        width = 1 if part == "year" else 2
        out.append(_of_part(answers, column, part, list(range(at, at + width))))
        at += width
    return out


def _made(answers: Answers, column: str) -> Any:
    """How a column became inputs; None where all are numbers."""
    recipe = answers.data.recipe
    return None if recipe is None else next(c for c in recipe.columns if c.name == column)


def _of_part(answers: Answers, column: str, part: str, inputs: Sequence[int]) -> Effect:
    """Of the year of a date, along the days; of its month, weekday or hour at each of them."""
    if part == "year":
        found = _averaged(answers, column, inputs, *_settings(answers, column, inputs))
        days = [(year - 1970) * DAYS for year in found.places if not isinstance(year, str)]
        return replace(found, places=days, dates=True)
    names = PARTS[part]
    turn = 2 * np.pi * (np.arange(len(names)) + (0.5 if part == "month" else 0.0)) / len(names)
    own = np.stack([np.sin(turn), np.cos(turn)], axis=1)
    s = answers.data.standardisation
    settings = own if s is None else (own - s.mean[0, list(inputs)]) / s.sd[0, list(inputs)]
    return _averaged(answers, f"{column} ({part})", inputs, settings, [*names])


def effect(answers: Answers, column: str) -> Effect:
    """What the answer does on average over rows where one column is set to each of its values."""
    inputs = answers.columns[column]
    return _averaged(answers, column, inputs, *_settings(answers, column, inputs))


def _averaged(answers: Answers, column: str, inputs: Sequence[int], settings: Array, places: Any) -> Effect:
    """Over rows in which some inputs are set to each of the settings [G, inputs]."""
    rows = answers.background
    x = np.repeat(rows[None], len(settings), axis=0)
    for g, values in enumerate(settings):
        x[g][:, list(inputs)] = values
    found = answers.each(x.reshape(-1, rows.shape[1])).reshape(len(answers.networks), len(settings), len(rows))
    by_draw = found.mean(axis=2)
    low, high = np.quantile(by_draw, (0.05, 0.95), axis=0)
    return Effect(column, places, by_draw.mean(axis=0), low, high)


def _settings(answers: Answers, column: str, inputs: Sequence[int]) -> tuple[Array, Any]:
    """[G, inputs] values to set, and where they stand on an axis."""
    x = answers.data.x_train[0][:, list(inputs)]
    names = [answers.data.features[i] for i in inputs]
    if not all(name.startswith(f"{column}=") for name in names):
        first = x[:, 0]
        grid = np.unique(np.quantile(first, np.linspace(0.02, 0.98, GRID)))
        values = np.tile(x.mean(axis=0), (len(grid), 1))
        values[:, 0] = grid
        return values, answers.own(grid, inputs[0]).tolist()
    at = np.unique(x.round(9), axis=0)
    own = np.stack([answers.own(at[:, k], i) for k, i in enumerate(inputs)], axis=1).round(6)
    made = _made(answers, column)
    return at, [_level(row, made) for row in own]


def _level(row: Array, made: Category) -> str:
    """The category that is on, of inputs in their own units."""
    if (on := row > HALF_WAY).any():
        return made.inputs[int(on.argmax())]
    return made.levels[0] if len(row) == 1 and row[0] < HALF_WAY else "other"


@dataclass(frozen=True)
class Importance:
    """By how much the error grows where a column is shuffled among rows, with its standard error over shuffles."""

    column: str
    loss: float
    error: float


def importances(answers: Answers) -> list[Importance]:
    """Of every column, the largest first, on the rows held out (training rows where there are none)."""
    data = answers.data
    held = data.test_points > 1
    x, y = (data.x_test[0], data.y_test[0]) if held else (data.x_train[0], data.y_train[0])
    keep = np.linspace(0, len(x) - 1, min(2 * ROWS, len(x))).round().astype(int)
    x, y, rng = x[keep], y[keep], np.random.default_rng(0)
    base, out = _loss(answers, x, y), []
    for column, inputs in answers.columns.items():
        found = []
        for _ in range(_REPEATS):
            shuffled = x.copy()
            shuffled[:, inputs] = x[rng.permutation(len(x))][:, inputs]
            found.append(_loss(answers, shuffled, y) - base)
        out.append(Importance(column, float(np.mean(found)), float(np.std(found, ddof=1) / _REPEATS**0.5)))
    return sorted(out, key=lambda one: -one.loss)


def _loss(answers: Answers, x: Array, y: Array) -> float:
    """Share of wrong labels, or RMSE in sd of the answers, of the mean over draws."""
    phi = answers.model.predict(answers.networks, np.asarray(x, answers.networks.dtype)).astype(np.float64)
    if answers.data.classes:
        p = phi.mean(axis=0)
        guess = (p[:, 0] > 0.5) if p.shape[1] == 1 else p.argmax(axis=1)
        return float((guess != y).mean())
    mean = answers.model.likelihood.values.location(phi).mean(axis=0)
    return float(np.sqrt(((mean - y) ** 2).mean()) / max(float(np.std(y)), 1e-12))


@dataclass(frozen=True)
class Strangeness:
    """How unsure networks are of each other at rows held out, and at rows unlike the data; `auc` is how often a strange
    row is the one with more doubt.
    """

    known: Array
    strange: Array
    auc: float


def strangeness(answers: Answers) -> Strangeness:
    """Rows unlike the data are made of the rows held out: three times as far from the middle, columns shuffled."""
    data, rng = answers.data, np.random.default_rng(0)
    x = data.x_test[0] if data.test_points > 1 else data.x_train[0]
    x = x[np.linspace(0, len(x) - 1, min(2 * ROWS, len(x))).round().astype(int)]
    far = np.stack([rng.permutation(column) for column in x.T], axis=1) * 3
    known, strange = (answers.each(rows).std(axis=0) for rows in (x, far))
    more = (strange[:, None] > known[None]).mean() + (strange[:, None] == known[None]).mean() / 2
    return Strangeness(known, strange, float(more))
