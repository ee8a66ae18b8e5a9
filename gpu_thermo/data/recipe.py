"""How the columns of a table become inputs of a network: one record a column, plain JSON in a run's store.

A raw column is an array [rows]: float64 (NaN is missing), objects (str, None is missing) or datetime64 (NaT is
missing). What a column becomes was decided once, from the whole table (`kinds`), and never looked at a target.
"""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ..errors import DataError
from . import dates
from .labels import Floats, shorten
from .remedies import as_kind
from .texts import feature_in, is_name

Raw = NDArray[Any]

MISSING_LEVEL, OTHER_LEVEL = "(missing)", "(other)"
MOST_LISTED = 60
"""Characters of the names of columns that are told together."""
MOST_REASONS = 5
"""Columns left out that a message names."""
HALF_WAY = 0.5
"""The one input of a category of two texts, where it is neither."""
_DAYS, _SECONDS = 365.2425, 86_400.0
Part = Literal["year", "month", "weekday", "hour"]


class Encoder(BaseModel, ABC):
    """One column of a table.

    `fills` says that values were missing: a missing one then counts as the mean over the training part. `indicator`
    gives it an input of its own, 1 where the value is missing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    holds: ClassVar[str]
    takes: ClassVar[str]
    """Kinds of NumPy's types."""

    kind: str
    name: str
    fills: bool = False
    indicator: bool = False

    @property
    def features(self) -> list[str]:
        """Names of its inputs."""
        return [*self._names, *([f"{self.name} is missing"] if self.indicator else [])]

    def encode(self, values: Raw) -> Floats:
        """Inputs [rows, k] of the raw column `values` [rows], NaN where it is missing.

        Raises
        ------
        DataError
            It holds another kind of values, or a value is missing and none was in the data of the run.
        """
        if not absent_in(values).all() and values.dtype.kind not in self.takes:
            first = next(v for v in values.tolist() if v is not None and v == v)
            raise DataError(
                f"Column '{self.name}' holds {first!r}, and in the data of the run {self.holds}: correct it."
            )
        absent = self._absent(values)
        if absent.any() and not self.fills:
            raise DataError(
                f"Column '{self.name}', row {int(np.argmax(absent)) + 1}: the value is missing ({int(absent.sum())}"
                " such rows), and in the data of the run none was. Fill it in, or leave out the row."
            )
        columns = self._inputs(values)
        return np.column_stack([*columns, absent.astype(np.float64)] if self.indicator else columns)

    @property
    @abstractmethod
    def _names(self) -> list[str]:
        """Of its inputs, the one for what is missing aside."""

    @abstractmethod
    def _inputs(self, values: Raw) -> list[Floats]:
        """These inputs [rows] each."""

    def _absent(self, values: Raw) -> NDArray[np.bool_]:
        return absent_in(values)

    @property
    def line(self) -> str:
        """What becomes of it, for people."""
        missing = ", missing values filled in with the mean" if self.fills else ""
        return f"{self._line}{missing}{' and marked' if self.indicator else ''}"

    @property
    def _line(self) -> str:
        return "number"


class Number(Encoder):
    """A number, as it is."""

    holds, takes = "numbers", "f"
    kind: Literal["number"] = "number"

    @property
    def _names(self) -> list[str]:
        return [self.name]

    def encode(self, values: Raw) -> Floats:
        """Texts that are numbers, as of a column that is asked for as one, are these."""
        numbers = as_numbers(values) if values.dtype.kind == "O" else None
        return super().encode(values if numbers is None else numbers)

    def _inputs(self, values: Raw) -> list[Floats]:
        return [values if values.dtype.kind == "f" else np.full(len(values), np.nan)]


class Category(Encoder):
    """One of several texts: an input each, 1 where it is that one; one input where there are two of them, half way
    between them for a third, as all are 0 for a new text of more.

    `rare` adds an input for all other texts, those of the run's data that were too rare for one of their own and new
    ones. A missing value is a text of its own.
    """

    holds, takes = "texts", "OfM"
    kind: Literal["category"] = "category"
    levels: list[str] = Field(min_length=1)
    rare: bool = False

    @property
    def inputs(self) -> list[str]:
        """Levels that have an input."""
        return [*self._own, *([OTHER_LEVEL] if self.rare else [])]

    @property
    def _own(self) -> list[str]:
        return self.levels[1:] if len(self.levels) == 2 and not self.rare else self.levels

    @property
    def _names(self) -> list[str]:
        return [f"{self.name}={level}" for level in self.inputs]

    def _inputs(self, values: Raw) -> list[Floats]:
        place = {level: i for i, level in enumerate(self.levels)}
        found = (place.get(MISSING_LEVEL if text is None else text, -1) for text in as_texts(values))
        at = np.fromiter(found, np.int64, len(values))
        inputs = [*(place[level] for level in self._own), *([-1] if self.rare else [])]
        columns = [(at == i).astype(np.float64) for i in inputs]
        if len(columns) < len(self.levels):
            columns[0][at < 0] = HALF_WAY
        return columns

    def _absent(self, values: Raw) -> NDArray[np.bool_]:
        if self.rare or MISSING_LEVEL in self.levels:
            return np.zeros(len(values), bool)
        return np.array([v is None for v in as_texts(values)], bool)

    def unseen(self, inputs: Floats) -> NDArray[np.bool_]:
        """[rows] whether inputs [rows, k] are of a text that the data of the run did not have."""
        if self.rare:
            return np.zeros(len(inputs), bool)
        one = len(self._own) < len(self.levels)
        return np.asarray((inputs == HALF_WAY).any(axis=1) if one else ~inputs.any(axis=1))

    def unknown(self, values: Raw) -> dict[str, int]:
        """Texts that the data of the run did not have, and in how many rows each is; none where they count as rare
        ones.
        """
        if self.rare:
            return {}
        counts, known = Counter(v for v in as_texts(values).tolist() if v is not None), set(self.levels)
        return {text: counts[text] for text in sorted(counts) if text not in known}

    @property
    def _line(self) -> str:
        shown = ", ".join(self.levels[:4]) + (", ..." if len(self.levels) > 4 else "")
        rest = ", the rare ones together" if self.rare else ""
        return f"{len(self.levels)} categories ({shown}){rest}{digits_said(self.name, self.levels)}"


class Date(Encoder):
    """A date or time: the year as a number, and month, weekday and hour as places on a circle.

    `order` is how texts are written, and `why` that is known; both mean nothing where the dates were none.
    """

    holds, takes = "dates", "MO"
    kind: Literal["date"] = "date"
    parts: list[Part] = Field(min_length=1)
    order: dates.Order = "year-first"
    why: str = ""

    def encode(self, values: Raw) -> Floats:
        """Texts are read in the order of the run's own."""
        if values.dtype.kind == "f" and (texts := digits(values)) is not None:
            values = texts
        if values.dtype.kind == "O" and not absent_in(values).all():
            found = dates.read(values.tolist(), f"Column '{shorten(self.name)}'", self.order, wanted=True)
            values = values if found is None else found.values
        return super().encode(values)

    @property
    def _names(self) -> list[str]:
        return [name for part in self.parts for name in _part_names(self.name, part)]

    def _inputs(self, values: Raw) -> list[Floats]:
        moments = values if values.dtype.kind == "M" else np.full(len(values), np.datetime64("NaT", "s"))
        return [column for part in self.parts for column in date_part(moments, part)]

    @property
    def _line(self) -> str:
        how = f" ({dates.WORDS[self.order]}, {self.why})" if self.why else ""
        return f"date{how}: {', '.join(self.parts)}"


def digits_said(name: str, texts: Iterable[Any]) -> str:
    """Of a column of texts, that its digits are taken for names, and how it would be one of numbers; else nothing."""
    first = next((text for text in texts if isinstance(text, str) and is_name(text)), None)
    return (
        ""
        if first is None
        else f"; digits such as {shorten(first)} are names, unless you say {as_kind(name, 'number')}"
    )


def digits(values: Raw) -> Raw | None:
    """Numbers such as 20251231 as texts, None where missing; None where they are no such numbers."""
    absent = np.isnan(values)
    present = values[~absent]
    if not len(present) or not ((present >= 10_000_101) & (present < 1e8) & (present == np.floor(present))).all():
        return None
    return np.array([*(None if a else f"{v:.0f}" for v, a in zip(values, absent, strict=True)), None], object)[:-1]


def as_numbers(values: Raw) -> Floats | None:
    """Texts as numbers, NaN where missing; None where one is none."""
    found = [np.nan if text is None else feature_in(text) for text in values.tolist()]
    return None if None in found else np.array(found, np.float64)


def absent_in(values: Raw) -> NDArray[np.bool_]:
    """[rows] where a raw column is missing."""
    if values.dtype.kind == "O":
        return np.array([v is None for v in values], bool)
    return np.isnat(values) if values.dtype.kind == "M" else np.isnan(values)


def as_texts(values: Raw) -> Raw:
    """A column as texts, None where it is missing; of whole numbers and truth values, too."""
    if values.dtype.kind == "O":
        return values
    if values.dtype.kind in "biu":
        return np.array([*map(str, values.tolist()), None], object)[:-1]
    texts = [number_text(v) if isinstance(v, float) else str(v) for v in values.tolist()]
    return np.array([*(None if a else t for a, t in zip(absent_in(values), texts, strict=True)), None], object)[:-1]


def number_text(value: float) -> str:
    """A number as people write it, different ones differently: 1000001, 0.1 (of float32, too)."""
    if value.is_integer() and abs(value) < 2**53:
        return f"{value + 0.0:.0f}"  # no -0
    if abs(value) < 1e38 and float(np.float32(short := f"{value:g}")) == value:
        return short
    return repr(value)


def _part_names(name: str, part: str) -> list[str]:
    return [f"{name}.{part}"] if part == "year" else [f"{name}.{part}_sin", f"{name}.{part}_cos"]


def date_part(values: Raw, part: str) -> list[Floats]:
    """The inputs of one part of dates [rows], NaN where they are missing."""
    seconds = values.astype("datetime64[s]")
    year = seconds.astype("datetime64[Y]")
    in_year = (seconds - year).astype(np.float64) / (_DAYS * _SECONDS)
    if part == "year":
        return [np.where(np.isnat(values), np.nan, year.astype(np.int64) + 1970 + in_year)]
    days = (seconds - np.datetime64("1970-01-05", "s")).astype(np.float64) / _SECONDS  # from a Monday on
    turn = {"month": in_year, "weekday": np.floor(days) / 7, "hour": days}[part]
    angle = np.where(np.isnat(values), np.nan, 2 * np.pi * turn)
    return [np.sin(angle), np.cos(angle)]


ENCODERS: dict[str, type[Encoder]] = {"number": Number, "category": Category, "date": Date}


class LeftOut(BaseModel):
    """A column that is no input, and why."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    name: str
    why: str


def reasons(left_out: Sequence[LeftOut]) -> str:
    """Which columns, and why, for a sentence: the first few, and how many more there are."""
    told = "; ".join(f"'{shorten(c.name)}': {c.why}" for c in left_out[:MOST_REASONS])
    more = len(left_out) - MOST_REASONS
    return told if more <= 0 else f"{told}; and {more:,} more"


class Recipe(BaseModel):
    """All columns of a table: those that became inputs, in order, and those left out."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    columns: list[Annotated[Number | Category | Date, Field(discriminator="kind")]] = Field(min_length=1)
    left_out: list[LeftOut] = Field(default_factory=list)

    @property
    def features(self) -> tuple[str, ...]:
        """Names of all inputs, [m]."""
        return tuple(name for column in self.columns for name in column.features)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns that became inputs."""
        return tuple(column.name for column in self.columns)

    @property
    def kinds(self) -> dict[str, str]:
        """What each of these columns was taken for."""
        return {column.name: column.kind for column in self.columns}

    @property
    def is_plain(self) -> bool:
        """Whether every column is a number that is always there, and none is left out: then there is nothing to say."""
        return not self.left_out and all(c.kind == "number" and not c.fills for c in self.columns)

    @property
    def may_miss(self) -> NDArray[np.bool_]:
        """[m] whether an input may be missing."""
        return np.array([c.fills and name in c._names for c in self.columns for name in c.features], bool)

    def encode(self, raw: Mapping[str, Raw]) -> Floats:
        """Inputs [rows, m] of raw columns by name; NaN where a value is missing."""
        return np.concatenate([column.encode(raw[column.name]) for column in self.columns], axis=1)

    def unseen(self, inputs: Floats) -> NDArray[np.bool_]:
        """[rows, m] where inputs [rows, m] are of a category that the data of the run did not have."""
        out, at = np.zeros(inputs.shape, bool), 0
        for column in self.columns:
            width = len(column.features)
            if isinstance(column, Category):
                out[:, at : at + width] = column.unseen(inputs[:, at : at + width])[:, None]
            at += width
        return out

    def unknown(self, raw: Mapping[str, Raw]) -> dict[str, dict[str, int]]:
        """By column, texts that count as none of its categories, and in how many rows each is."""
        found = {c.name: c.unknown(raw[c.name]) for c in self.columns if isinstance(c, Category)}
        return {name: texts for name, texts in found.items() if texts}

    @property
    def lines(self) -> list[str]:
        """What was done, for people: column by column, those that are simply numbers together."""
        simple = [c.name for c in self.columns if c.kind == "number" and not c.fills]
        made = [f"{c.name}: {c.line}" for c in self.columns if c.name not in simple]
        as_they_are = [f"{_some(simple)}: {'number' if len(simple) == 1 else 'numbers'}"] if simple else []
        return [*made, *as_they_are, *(f"{c.name}: left out, {c.why}" for c in self.left_out)]


def _some(names: Sequence[str]) -> str:
    """The first of the names, as many as fit on a line, and how many more there are."""
    count = 1
    while count < len(names) and len(", ".join(names[: count + 1])) <= MOST_LISTED:
        count += 1
    rest = f" and {len(names) - count:,} more" if count < len(names) else ""
    return ", ".join(shorten(name) for name in names[:count]) + rest


def plain(features: Iterable[str]) -> Recipe:
    """All columns are numbers, taken as they are."""
    return Recipe(columns=[Number(name=name) for name in features])
