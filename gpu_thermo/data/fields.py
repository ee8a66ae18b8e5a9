"""The fields of one column of a CSV file, as they come in; errors name the file, the line in it and the column."""

import math
import warnings
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

import numpy as np

from ..errors import DataError
from .dataset import MAX_MAGNITUDE
from .labels import shorten
from .recipe import Raw
from .remedies import DROP_MISSING_TARGET, as_kind, leave_out
from .texts import MISSING, feature_in, is_name, is_whole, number_in, text_in

MOST_PLACES = 5
"""Rows that a message names."""


class Reading(NamedTuple):
    """How a feature column is read: as `texts`, or as numbers, which it must hold throughout where `strict`."""

    texts: bool = False
    strict: bool = False
    may_miss: bool = True


class Fields:
    """The fields of one feature column as they come in; see `kinds` for what is decided of them.

    Parameters
    ----------
    path, name : for messages. reading : how to take them. needed : whether the column cannot be left out.
    """

    def __init__(self, path: Path, name: str, reading: Reading, needed: bool) -> None:
        self._path, self.name, self._reading, self._needed = path, name, reading, needed
        self._numbers, self._texts = array("d"), list[str | None]()
        self._first_text: tuple[int, str] | None = None
        self._first_large: tuple[int, str] | None = None
        self._held, self._names, self._decimals = 0, False, reading.strict  # decimals among them: no digits are names

    def add(self, line: int, text: str) -> None:
        """The field of one more row."""
        if self._reading.texts:
            self._texts.append(text_in(text))
            if self._texts[-1] is None and not self._reading.may_miss:
                self._complain(line, text)
            return
        value = feature_in(text)
        if value is None or value != value:
            value = math.nan
            if text.strip() in MISSING:
                if not self._reading.may_miss:
                    self._complain(line, text)
            elif self._reading.strict:
                self._complain(line, text)
            elif self._first_text is None:
                self._first_text = (line, text)
        else:
            self._number(line, text, value)
        self._numbers.append(value)

    def _number(self, line: int, text: str, value: float) -> None:
        """One that is a number, or digits that are a name."""
        self._held += 1
        if not self._decimals:
            self._decimals = not is_whole(text)
            self._names = self._names or is_name(text)
        if abs(value) > MAX_MAGNITUDE and self._first_large is None:
            if self._decimals:
                self._complain(line, text)
            self._first_large = (line, text)

    def holds_texts(self) -> bool:
        """Whether it was read as numbers and holds texts; DataError where it holds mostly numbers: then one of them is
        mistyped.
        """
        if self._names and not self._decimals:
            return True
        if self._first_large is not None:
            self._complain(*self._first_large)
        if self._first_text is None:
            return False
        absent = sum(map(math.isnan, self._numbers))
        line, text = self._first_text
        comma = number_in(text.replace(",", ".")) is not None
        if self._held * 2 >= self._held + absent or comma:
            self._complain(line, text)
        return True

    def raw(self) -> Raw:
        """The raw column."""
        if not self._reading.texts:
            return np.array(self._numbers, np.float64)
        return np.array([*self._texts, None], object)[:-1]  # an array of objects, whatever it holds

    def _complain(self, line: int, text: str) -> NoReturn:
        complain(self._path, line, self.name, text, self._needed, self._reading.strict)


def without_targets(where: str, names: Sequence[str], places: Sequence[int], rows: int, unit: str, drop: bool) -> None:
    """Say which of all rows have no answer, all at once: in a warning where they are left out, else in an error.

    Parameters
    ----------
    names : of the target columns. places : of these rows, by `unit` (lines of a file, rows of a table). drop : whether
    they are left out.

    Raises
    ------
    DataError
        There are some, and nobody said that they are to be left out; or no other row is there.
    """
    if not len(places):
        return
    first = ", ".join(f"{place:,}" for place in places[:MOST_PLACES]) + (", ..." if len(places) > MOST_PLACES else "")
    what = " or ".join(f"'{shorten(name)}'" for name in names)
    some = f"{len(places):,} of {rows:,} rows {'have' if len(places) > 1 else 'has'} no value of {what}"
    said = f"{where}: {some} ({unit}{'s' if len(places) > 1 else ''} {first})"
    if len(places) == rows:
        raise DataError(f"{where}: no row has a value of {what}. Name another target.")
    if not drop:
        raise DataError(f"{said}. Fill in what is missing, or leave such rows out: {DROP_MISSING_TARGET}.")
    warnings.warn(f"{said} and {'are' if len(places) > 1 else 'is'} left out.", stacklevel=2)


def complain(path: Path, line: int, name: str, text: str, needed: bool = False, strict: bool = True) -> NoReturn:
    """Raise the error of a field that is not a usable number; a column that is `needed` cannot be left out, and one
    that is not `strict` could be read as texts.
    """
    where = f"{path}, line {line}, column '{shorten(name)}':"
    value = number_in(text)
    if text.strip() in MISSING:
        raise DataError(
            f"{where} the value is missing ('{text.strip()}'). Fill it in, or leave out the row"
            f"{'' if needed else ' or the column'}."
        )
    if value is None:
        comma = " Write decimals with a point." if number_in(text.replace(",", ".")) is not None else ""
        if strict:
            other = "" if needed else f", or leave the column out: {leave_out(name)}"
        else:
            other = f", or take the column for categories: {as_kind(name, 'category')}"
        raise DataError(f"{where} '{shorten(text)}' is not a number.{comma} Correct it{other}.")
    raise DataError(
        f"{where} '{shorten(text)}' is not a finite number up to {MAX_MAGNITUDE:g} in size. Correct it, or leave out"
        " the row."
    )
