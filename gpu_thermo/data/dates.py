"""Texts that are dates: which way they are written, decided from a whole column, and what they say.

Written with digits, the year first (2025-12-31, 2025/12/31, 2025.12.31) or last (31/12/2025, 12/31/2025, 31.12.2025,
and of two digits 12/31/25 and 31.12.25; not 31-12-25, as 25-12-31 is written as often); or with the English name of the
month (31 Dec 2025, December 31, 2025). A time of day may follow (7:05, 19:05:30, 7:05 PM); where it names an offset
from UTC, the time is taken as it stands there.

Where the year is last, days above 12 say which of the two other numbers is the day. Where there are none, dots mean day
first, and one number that never changes is the day (first days of months). What can still be read both ways is refused,
and so is a column in both orders: nobody would see it in the answers.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .labels import shorten
from .remedies import as_kind, leave_out

Order = Literal["year-first", "day-first", "month-first"]
YEAR_FIRST, DAY_FIRST, MONTH_FIRST = "year-first", "day-first", "month-first"
WORDS: Mapping[str, str] = {YEAR_FIRST: "the year first", DAY_FIRST: "the day first", MONTH_FIRST: "the month first"}
_SUCH = {YEAR_FIRST: "such as 2025-12-31", DAY_FIRST: "the day first, as in 31/12/2025",
         MONTH_FIRST: "the month first, as in 12/31/2025"}  # fmt: skip
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMES = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
          "december")  # fmt: skip
PIVOT = 69
"""Years of two digits from here on are of the last century, as POSIX has it."""
_TIME = (
    r"(?:(?:[T ]|, ?) *(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d+)?)?"
    r"(?: ?(?P<half>[AaPp])\.?[Mm]\.?)?(?: ?(?:Z|UTC|[+-]\d{2}:?\d{2}))?)?"
)
_FORMS = tuple(
    re.compile(form + _TIME)
    for form in (
        r"(?P<year>\d{4})(?P<mark>[-/.])(?P<month>\d{1,2})(?P=mark)(?P<day>\d{1,2})",
        r"(?P<first>\d{1,2})(?P<mark>[-/.])(?P<second_>\d{1,2})(?P=mark)(?P<year>\d{4})",
        r"(?P<first>\d{1,2})(?P<mark>/)(?P<second_>\d{1,2})/(?P<year>\d{2})",
        r"(?P<first>0?[1-9]|[12]\d|3[01])(?P<mark>\.)(?P<second_>0?[1-9]|1[0-2])\.(?P<year>\d{2})",  # no 12.30.45
        r"(?P<day>\d{1,2})(?P<mark>[- ./])(?P<name>[A-Za-z]{3,9})\.?[- ./,]+(?P<year>\d{4})",
        r"(?P<name>[A-Za-z]{3,9})\.?(?P<mark>[ -])(?P<day>\d{1,2})(?:st|nd|rd|th)?,? +(?P<year>\d{4})",
        r"(?P<year>\d{4})(?P<mark>)(?P<month>\d{2})(?P<day>\d{2})",
    )
)
_COMPACT = len(_FORMS) - 1
"""The form of 20251231, which is a number unless somebody says that it is a date."""


class Said(NamedTuple):
    """What one text says, its day and month maybe not told apart yet.

    Attributes
    ----------
    year : of four digits. first, second : the other numbers as they stand. order : where it is told by the text itself.
    mark : what stands between. seconds : of the day.
    """

    year: int
    first: int
    second: int
    order: str
    mark: str
    seconds: int

    def date(self, order: str) -> np.datetime64:
        """The moment; ValueError where the calendar has no such day."""
        order = self.order or order
        month, day = (self.second, self.first) if order == DAY_FIRST else (self.first, self.second)
        return np.datetime64(f"{self.year:04d}-{month:02d}-{day:02d}", "s") + np.timedelta64(self.seconds, "s")


class Dates(NamedTuple):
    """A column of dates: `values` [rows] datetime64[s], NaT where missing; in which order they were written, and why
    that is known, empty where it stands in every text.
    """

    values: NDArray[Any]
    order: str
    why: str


def say(text: str, compact: bool = False) -> Said | None:
    """What a text says as a date; None where it is none. `compact` takes 20251231, too."""
    for form in _FORMS if compact else _FORMS[:_COMPACT]:
        if (found := form.fullmatch(text)) is not None:
            return _said(found.groupdict())
    return None


def _said(parts: Mapping[str, Any]) -> Said | None:
    """From the parts of a text, or None where hour or month are none."""
    seconds = _seconds(parts)
    if seconds is None:
        return None
    year = int(parts["year"])
    if len(parts["year"]) == 2:
        year += 1900 if year >= PIVOT else 2000
    if parts.get("first") is not None:
        return Said(year, int(parts["first"]), int(parts["second_"]), "", parts["mark"], seconds)
    if parts.get("name") is not None:
        name = parts["name"].lower()
        if name not in _NAMES and name not in MONTHS and name != "sept":
            return None
        return Said(year, MONTHS.index(name[:3]) + 1, int(parts["day"]), YEAR_FIRST, parts["mark"], seconds)
    return Said(year, int(parts["month"]), int(parts["day"]), YEAR_FIRST, parts["mark"], seconds)


def _seconds(parts: Mapping[str, Any]) -> int | None:
    if parts["hour"] is None:
        return 0
    hour, minute, second = int(parts["hour"]), int(parts["minute"]), int(parts["second"] or 0)
    if parts["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + 12 * (parts["half"] in "pP")
    return 3600 * hour + 60 * minute + second if hour < 24 and minute < 60 and second < 60 else None


def read(texts: Iterable[str | None], what: str, order: str = "", wanted: bool = False, name: str = "") -> Dates | None:
    """A column of texts as dates; None where most are none.

    Parameters
    ----------
    texts : [rows], None where missing. what : what messages call the column. order : in which they are written, where
    that is known. wanted : whether they must be dates. name : of the column, where it could be read in another way.

    Raises
    ------
    DataError
        Most texts are dates and one is not; dates in both orders; dates that can be read in two ways.
    """
    every = list(texts)
    said = {text: say(text, wanted) for text in dict.fromkeys(t for t in every if t is not None)}
    good = sum(one is not None for one in said.values())
    if not said or not (wanted or 2 * good > len(said)):
        return None
    order, why = (order, "") if order else _order(said, what, name)
    made: dict[str | None, np.datetime64] = {None: np.datetime64("NaT", "s")}
    for text, one in said.items():
        if (moment := _made(one, order)) is None:
            other = f", or say {as_kind(name, 'category')}, or {leave_out(name)}" if name else ""
            row = every.index(text) + 1
            raise DataError(f"{what}, row {row}: '{shorten(text)}' is no date ({_SUCH[order]}). Correct it{other}.")
        made[text] = moment
    return Dates(np.array([made[text] for text in every], "datetime64[s]"), order, why)


def _made(said: Said | None, order: str) -> np.datetime64 | None:
    """The moment a text stands for; None where there is none."""
    try:
        return None if said is None else said.date(order)
    except ValueError:
        return None


def _order(said: Mapping[str, Said | None], what: str, name: str) -> tuple[str, str]:
    """The order of the texts whose year is last, and what shows it."""
    loose = {text: one for text, one in said.items() if one is not None and not one.order}
    if not loose:
        return YEAR_FIRST, ""
    day = next((text for text, one in loose.items() if one.first > 12), None)
    month = next((text for text, one in loose.items() if one.second > 12), None)
    if day is not None and month is not None:
        raise DataError(
            f"{what} holds dates in both orders: '{day}' has the day first, and '{month}' the month. Write all of them"
            f" alike, best as 2025-12-31, or leave the column out: {leave_out(name)}."
        )
    if day is not None or month is not None:
        return (DAY_FIRST, f"as '{day}' shows") if day is not None else (MONTH_FIRST, f"as '{month}' shows")
    text, one = next(iter(loose.items()))
    if dotted := next((text for text, one in loose.items() if one.mark == "."), None):
        return DAY_FIRST, f"as dates with dots are, '{dotted}'"
    first, second = ({getattr(one, name) for one in loose.values()} for name in ("first", "second"))
    if len(first) == 1 < len(second) - 1:
        return DAY_FIRST, f"as the first number is {one.first} throughout, '{text}'"
    if len(second) == 1 < len(first) - 1:
        return MONTH_FIRST, f"as the second number is {one.second} throughout, '{text}'"
    raise DataError(
        f"{what} holds dates such as '{text}', and no day above 12 shows whether day or month come first. Say which:"
        f" {as_kind(name, DAY_FIRST)}, or month-first."
    )
