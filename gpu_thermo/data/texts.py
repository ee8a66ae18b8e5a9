"""What one text of a table is: missing, a number, a truth value, or a name.

Digits are a name where a number would forget some of them: `007` is not `7`, and from 2^53 on float64 takes neighbours
for one. A column of whole numbers among which one is a name is a column of texts, in files and in DataFrames alike;
with a decimal among them it is one of numbers. Truth values are True and False, however a file writes them (TRUE,
true): as numbers 1 and 0, as labels these words.
"""

from collections.abc import Iterable, Sequence
from typing import Any

MISSING = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "?"})
"""Texts that stand for a missing value, in features and targets alike."""
EXACT = 2**53
"""Size from which on float64 does not hold every whole number."""
_TRUTH = {"true": "True", "false": "False"}


def text_in(text: str) -> str | None:
    """A field as a text, None where it is missing."""
    stripped = text.strip()
    return None if stripped in MISSING else _TRUTH.get(stripped.lower(), stripped)


def number_in(text: str) -> float | None:
    """The number a field holds, or None; stricter than Python, which takes 1_000 for a number."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def feature_in(text: str) -> float | None:
    """The number in a field of a feature column: True and False, as pandas and R write them, are 1 and 0."""
    value = number_in(text)
    if value is None and (truth := text.strip().lower()) in _TRUTH:
        return float(truth == "true")
    return value


def is_whole(text: str) -> bool:
    """Whether it is a sign at most, and digits."""
    return _digits(text).isdigit()


def is_name(text: str) -> bool:
    """Whether it is a whole number of which float64 would forget digits."""
    digits = _digits(text)
    return digits.isdigit() and ((digits[0] == "0" and len(digits) > 1) or bool(too_large(float(digits))))


def too_large(value: Any) -> Any:
    """Whether float64 may take a whole number for its neighbour; of an array, of each."""
    return (value >= EXACT) | (value <= -EXACT)


def are_names(texts: Iterable[str]) -> bool:
    """Whether these numbers, as a column, are names."""
    every = list(texts)
    return any(map(is_name, every)) and all(map(is_whole, every))


def are_numbers(texts: Sequence[str]) -> bool:
    """Whether a column of these texts is one of numbers."""
    return all(number_in(text) is not None for text in texts) and not are_names(texts)


def _digits(text: str) -> str:
    stripped = text.strip()
    return stripped[1:] if stripped[:1] in ("+", "-") else stripped
