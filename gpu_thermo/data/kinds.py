"""What each column of a table becomes: decided from its values alone, never from the target.

1. Numbers stay numbers (`texts` says what is one), True and False are 1 and 0. Missing ones are filled in with the mean
   of the training part, and marked by an input of their own where 2 % of the rows or more (and not nearly all) miss
   them, unless another column misses the same rows.
2. Dates, with or without a time (`dates` says how they may be written), become year, month, weekday and hour, those
   that vary.
3. Other texts are categories. scikit-learn's OneHotEncoder decides which are too rare for an input of their own: less
   than 1 % of the rows, or beyond the 20 most frequent. A missing text is a category.
4. Left out: what holds one value, is empty, numbers the rows (`id`, `index`, ... with all values different), or is a
   text of which most occur once (a name).

A column that is mostly numbers, or mostly dates, but not throughout is refused: it is one mistyped. `kinds` of a spec
overrules all this for a column.
"""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..errors import DataError
from . import dates
from .labels import encode_labels, is_classification, shorten
from .recipe import (
    MISSING_LEVEL,
    Category,
    Date,
    Encoder,
    LeftOut,
    Number,
    Raw,
    Recipe,
    absent_in,
    as_numbers,
    as_texts,
    date_part,
    digits,
    digits_said,
    plain,
    reasons,
)
from .remedies import FEATURES, as_kind

RARE = 0.01
"""Share of the rows below which a text has no input of its own."""
MOST_LEVELS = 20
MARKED = 0.02
"""Share of the rows from which on missing values are marked."""
_NAMES_FROM = 20
"""Different texts from which on a column may be one of names."""
_NUMBERS_ROWS = re.compile(
    r"(unnamed: ?\d+|index|row|rows|rownames?|row_?(id|nr|no|number)|no|nr|num|key|uu?id|(.*[_ .-])?id)", re.IGNORECASE
)
KINDS = ("number", "category", "date", dates.DAY_FIRST, dates.MONTH_FIRST)
"""What a user may say that a column is; the last two are dates, and how they are written."""


def recipe_of(raw: Mapping[str, Raw], wanted: bool, kinds: Mapping[str, str], encode: str, where: str) -> Recipe:
    """What raw columns become, as `make_recipe`; where `encode` is "numbers", all of them as they are."""
    if encode == "numbers":
        return plain(raw)
    return make_recipe(raw, wanted, kinds, where)


class Inspected(NamedTuple):
    """What the columns of a table would become: `rows` of it, as features, and as a target by name."""

    rows: int
    recipe: Recipe
    as_target: dict[str, str]


def inspected(raw: Mapping[str, Raw], where: str) -> Inspected:
    """What raw columns would become, whichever of them is the target; DataError as for `make_recipe`."""
    rows = len(next(iter(raw.values())))
    return Inspected(rows, make_recipe(raw, False, {}, where), {name: _as_target(v) for name, v in raw.items()})


def _as_target(values: Raw) -> str:
    """The task that "auto" takes a column for as a target; or why it can be none."""
    if (absent := absent_in(values)).any():
        return f"none: {int(absent.sum())} missing"
    numbers = values if values.dtype.kind == "f" else None
    if numbers is not None and not is_classification(numbers):
        return "regression"
    try:
        return f"{len(encode_labels(numbers, as_texts(values).tolist(), 'auto', '').classes)} classes"
    except DataError:
        return "none: one value" if len(set(values.tolist())) == 1 else "none: too many texts"


class Decision(NamedTuple):
    """What becomes of one column: an encoder, or why it is left out."""

    encoder: Encoder | None
    why: str = ""


def make_recipe(raw: Mapping[str, Raw], wanted: bool, kinds: Mapping[str, str], where: str) -> Recipe:
    """What the raw columns become, in order.

    Parameters
    ----------
    raw
        Columns [rows] by name.
    wanted
        Whether the user named the columns: then none is left out for looking like a name or a number of the row.
    kinds
        By name the kind that the user asks for.
    where
        What messages call the table.

    Raises
    ------
    DataError
        Nothing is left, or a kind that a column cannot be.
    """
    decided = {name: _decide(name, values, wanted, kinds.get(name), where) for name, values in raw.items()}
    decided = _first_marks_only(decided, raw)
    columns = [d.encoder for d in decided.values() if d.encoder is not None]
    left_out = [LeftOut(name=name, why=d.why) for name, d in decided.items() if d.encoder is None]
    if not columns:
        why = reasons(left_out)
        raise DataError(f"{where} has no column that could be an input: {why}. Name those to use: {FEATURES}.")
    return Recipe.model_validate({"columns": [c.model_dump() for c in columns], "left_out": left_out})


def _decide(name: str, values: Raw, wanted: bool, kind: str | None, where: str) -> Decision:
    """One column."""
    values, written = _as_kind(name, values, kind, where)
    absent = absent_in(values)
    if absent.all():
        return Decision(None, "it is empty")
    present = values[~absent]
    if len(present) > 1 and (present == present[0]).all() and (values.dtype.kind == "M" or not absent.any()):
        return Decision(None, f"it holds one value, {shorten(str(present[0]))}")
    if not wanted and kind is None and (why := _looks_like_a_name(name, present)):
        return Decision(None, why)
    encoder = _MAKERS[values.dtype.kind](name, values, absent)
    if written is not None:
        encoder = encoder.model_copy(update={"order": written.order, "why": written.why})
    return Decision(encoder)


def _looks_like_a_name(name: str, present: Raw) -> str:
    """Why a column of these values tells rows apart and nothing else; empty where it may tell more."""
    if present.dtype.kind == "M":
        return ""
    different = len(set(present.tolist()))
    if present.dtype.kind == "O":
        often = different > max(_NAMES_FROM, len(present) // 2)
        said = f"{different} different texts in {len(present)} rows look like names"
        return said + digits_said(name, present) if often else ""
    whole = bool((present == np.floor(present)).all())
    numbers = whole and different == len(present) > 2 and _NUMBERS_ROWS.fullmatch(name.strip() or "index")
    return f"its {different} values, all different, number the rows" if numbers else ""


def _as_kind(name: str, values: Raw, kind: str | None, where: str) -> tuple[Raw, dates.Dates | None]:
    """A raw column as the kind that was asked for, or that its values are; of texts that are dates also how they were
    written.
    """
    held = {"f": "number", "O": "text", "M": "date"}[values.dtype.kind]
    what = f"{where}: column '{shorten(name)}'"
    if kind == "category":
        return as_texts(values), None
    if kind is None or (kind != "number" and held != "date"):
        written = _written(name, values, what, kind)
        if written is not None:
            return written.values, written
    wanted = "date" if kind in KINDS[3:] else kind
    if wanted is None or held == wanted:
        return values, None
    if wanted == "number" and held == "text" and (numbers := as_numbers(values)) is not None:
        return numbers, None
    other = "" if wanted == "category" else f", as in {as_kind(name, 'category')}"
    raise DataError(
        f"{what} holds {held} values, and is asked for as a {wanted}. Mend it, or ask for another kind{other}."
    )


def _written(name: str, values: Raw, what: str, kind: str | None) -> dates.Dates | None:
    """Texts, or where that is asked for numbers such as 20251231, as dates; None where they are none."""
    texts = digits(values) if values.dtype.kind == "f" and kind is not None else values
    if texts is None or texts.dtype.kind != "O":
        return None
    order = kind if kind is not None and kind in dates.WORDS else ""
    return dates.read(texts.tolist(), what, order, kind is not None, name)


def _number(name: str, values: Raw, absent: Any) -> Encoder:
    return Number(name=name, fills=bool(absent.any()), indicator=_marked(absent))


def _marked(absent: Any) -> bool:
    return bool(MARKED <= absent.mean() <= 1 - MARKED)


def _category(name: str, values: Raw, absent: Any) -> Encoder:
    from sklearn.preprocessing import OneHotEncoder

    texts = np.array([MISSING_LEVEL if v is None else v for v in values], object)[:, None]
    encoder = OneHotEncoder(min_frequency=RARE, max_categories=MOST_LEVELS + 1, handle_unknown="infrequent_if_exist")
    encoder.fit(texts)
    (levels,), (rare,) = encoder.categories_, encoder.infrequent_categories_
    few = set() if rare is None else set(rare.tolist())
    own = [str(level) for level in levels if level not in few]
    if not own:  # all are rare: the most frequent have an input all the same
        names, counts = np.unique(texts.astype(str), return_counts=True)
        own = sorted(names[np.argsort(-counts, kind="stable")][:MOST_LEVELS].tolist())
    return Category(name=name, levels=own, rare=bool(set(levels) - set(own)))


def _date(name: str, values: Raw, absent: Any) -> Encoder:
    present = values[~absent]
    varies = [
        part for part in ("year", "month", "weekday", "hour") if any(np.ptp(c) > 1e-9 for c in date_part(present, part))
    ]
    return Date(name=name, parts=varies, fills=bool(absent.any()), indicator=_marked(absent))


_MAKERS = {"f": _number, "O": _category, "M": _date}


def _first_marks_only(decided: Mapping[str, Decision], raw: Mapping[str, Raw]) -> dict[str, Decision]:
    """Columns that miss the same rows are marked once."""
    seen: set[bytes] = set()
    out = dict(decided)
    for name, decision in decided.items():
        encoder = decision.encoder
        if encoder is None or not encoder.indicator:
            continue
        rows = absent_in(raw[name]).tobytes()
        if rows in seen:
            out[name] = Decision(encoder.model_copy(update={"indicator": False}))
        seen.add(rows)
    return out
