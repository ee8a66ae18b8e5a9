"""CSV files. Errors name the file, the line in it and the column.

Text is UTF-8, with or without a byte order mark; fields are separated by comma, semicolon or tab, whichever splits the
header into most columns, and may be quoted. The first line with text in it is the header. Empty lines are skipped.
Numbers are written with a decimal point; what is one is decided in `texts`, and what features become that are none, or
miss values, in `kinds`.
"""

import csv
import json
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple, TextIO

import numpy as np

from ..errors import DataError, did_you_mean
from .dataset import MAX_MAGNITUDE, Floats, Schema, refuse_absurd
from .fields import Fields, Reading, complain, without_targets
from .files import require_file
from .kinds import recipe_of
from .labels import encode_labels, is_classification, shorten
from .recipe import Raw, Recipe
from .remedies import FEATURES
from .splits import Table
from .texts import MISSING, are_numbers, feature_in, number_in, text_in

DELIMITERS = ",;\t"
MOST_COLUMNS = 100_000
"""Of a header: a network's input layer ends long before."""


class Columns(NamedTuple):
    """Where the asked columns stand in the file, and all `names` of its header."""

    names: list[str]
    features: list[int]
    targets: list[int]


class Record(NamedTuple):
    """One row of the file and the line it starts on, counted from 1."""

    line: int
    fields: list[str]


class Points(NamedTuple):
    """Inputs without targets: raw columns [points] by name, and the names of columns that were not asked for."""

    raw: dict[str, Raw]
    left_out: tuple[str, ...]


class Body(NamedTuple):
    """The rows below the header: features as raw columns [rows] by name, the target columns as texts [n][rows], and
    each row's line in the file.
    """

    raw: dict[str, Raw]
    targets: list[list[str]]
    lines: Sequence[int]


class Asked(NamedTuple):
    """Columns of a table that a user asks for.

    Attributes
    ----------
    target : names of the target columns; more than one means regression. features : names of the feature columns, None
    for all others, in the file's order. task : auto (the rules are in `labels`), binary, multiclass or regression.
    weight : name of the column of the points' weights, which is no feature. encode : "auto", or "numbers": then all
    features must be numbers, and all of them are taken. kinds : by name one of `kinds.KINDS`. drop : names of columns
    that are not used. drop_missing_target : whether rows without a value of the target are left out.
    """

    target: Sequence[str]
    features: Sequence[str] | None = None
    task: str = "auto"
    weight: str | None = None
    encode: str = "auto"
    kinds: Mapping[str, str] = {}
    drop: Sequence[str] = ()
    drop_missing_target: bool = False

    def reading(self, name: str) -> Reading:
        """How to read the feature column of that name."""
        if self.encode == "numbers" or name == self.weight:
            return Reading(strict=True, may_miss=False)
        return Reading(texts=self.kinds.get(name, "number") != "number", strict=name in self.kinds)


def read_csv(path: Path, asked: Asked) -> Table:
    """A table from a CSV file with a header.

    Raises
    ------
    DataError
        For whatever in the file cannot be used.
    """
    features, weight = asked.features, asked.weight
    both = features if features is None or weight is None else [*features, weight]
    columns, body = _read(path, asked, both, asked.reading)
    for name in asked.kinds:
        _known(path, name, list(body.raw), "feature column")
    weights = None
    if weight is not None:
        _known(path, weight, columns.names, "column", " of weights")
        weights = body.raw.pop(weight)
        if not body.raw:
            raise DataError(f"{path} has no column besides target and weight. Add at least one feature.")
    return replace(_assemble(path, columns, body, asked), weight=weights)


def raw_table(path: Path) -> dict[str, Raw]:
    """All columns of a CSV file, raw; DataError as for `read_csv`."""
    return _read(path, Asked(()), None, Asked(()).reading)[1].raw


def texts_of(path: Path, name: str) -> list[str | None]:
    """One column of a CSV file as it stands there, None where it is missing; DataError as for `read_csv`."""
    _, body, _ = _pass(path, Asked(()), [name], lambda _: Reading(texts=True))
    return list(body.raw[name].tolist())


def read_points(path: Path, recipe: Recipe) -> Points:
    """Points at which something is asked, from a CSV file whose header names every column of `recipe`, in any order.

    Raises
    ------
    DataError
        The file cannot be read, a column is missing, or a value is missing or not a number; the line and the column
        are named.
    """
    how = {c.name: Reading(c.kind != "number", True, c.fills or c.kind == "category") for c in recipe.columns}
    columns, body = _read(path, Asked(()), recipe.names, how.__getitem__)
    return Points(body.raw, tuple(name for name in columns.names if name not in recipe.names))


def _known(path: Path, name: str, names: list[str], what: str, of: str = "") -> None:
    if name not in names:
        remedy = did_you_mean(name, names, f"Columns: {shorten(', '.join(names), 200)}.")
        raise DataError(f"{path} has no {what} '{shorten(name)}'{of}. {remedy}")


def _read(
    path: Path, asked: Asked, features: Sequence[str] | None, reading: Callable[[str], Reading]
) -> tuple[Columns, Body]:
    """The asked columns of a file, and its rows; there may be no target where `features` are named.

    Columns that turn out to hold texts are read again as such: most files hold numbers, which take a tenth of the
    memory.
    """
    columns, body, texts = _pass(path, asked, features, reading)
    if texts:
        again = lambda name: Reading(texts=True) if name in texts else reading(name)  # noqa: E731
        columns, body, _ = _pass(path, asked, features, again)
    return columns, body


def _pass(
    path: Path, asked: Asked, features: Sequence[str] | None, reading: Callable[[str], Reading]
) -> tuple[Columns, Body, set[str]]:
    """One pass over a file: its columns and rows, and names of columns that hold texts and were read as numbers."""
    require_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = _records(path, handle)
            header = next(rows, None)
            if header is None:
                raise DataError(f"{path} is empty. Give a file with a header and at least one row.")
            columns = _resolve(path, header, asked.target, features, asked.drop)
            return columns, *_read_body(path, rows, columns, reading, asked.drop_missing_target)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8 CSV."
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        why = (isinstance(error, OSError) and error.strerror) or error
        raise DataError(f"{path} cannot be read: {why}. Check the path.") from error


def _records(path: Path, handle: TextIO) -> Iterator[Record]:
    """All non-empty rows of the file."""
    start = ""
    while not start.strip():
        start = handle.readline()
        if not start:
            return
    handle.seek(0)
    reader = csv.reader(handle, delimiter=delimiter_of(start), strict=True)
    line = 1
    try:
        for fields in reader:
            if len(fields) > 1 or (fields and fields[0].strip()):
                yield Record(line, fields)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: this row is not valid CSV ({error}). Check its quotes.") from error


def delimiter_of(header: str) -> str:
    """The delimiter that splits the header into most fields; the comma where none does."""

    def fields(delimiter: str) -> int:
        """Count the fields, none where the delimiter does not fit."""
        try:
            return len(next(csv.reader([header], delimiter=delimiter)))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=fields)


def _resolve(
    path: Path, header: Record, target: Sequence[str], features: Sequence[str] | None, drop: Sequence[str]
) -> Columns:
    """Check the header, and find the asked columns in it."""
    names = [name.strip() for name in header.fields]
    if len(names) > MOST_COLUMNS:
        raise DataError(f"{path} has {len(names):,} columns; at most {MOST_COLUMNS:,} are read. Choose fewer of them.")
    if all(number_in(name) is not None for name in names):
        raise DataError(
            f"{path}, line {header.line} is all numbers ({shorten(', '.join(names))}), but must name the columns. Add a"
            " header."
        )
    left_out = {*target, *drop}
    read = features
    if features is None and drop:
        read = [name for name in names if name not in left_out]
    _check_names(f"{path}, line {header.line}", names, target, read)
    place = {name: i for i, name in enumerate(names)}
    for name in (*target, *(features or ()), *drop):
        _known(path, name, names, "column")
    wanted = [name for name in names if name not in left_out] if features is None else features
    if not wanted:
        dropped = " and those left out" if drop else ""
        raise DataError(
            f"{path} has no column besides the target '{shorten(target[0])}'{dropped}. Add at least one feature."
        )
    return Columns(names, [place[name] for name in wanted], [place[name] for name in target])


def _check_names(where: str, names: list[str], target: Sequence[str], features: Sequence[str] | None) -> None:
    """Columns that are read need a name of their own; others may be what they like, such as the index that pandas
    writes.
    """
    named = list(dict.fromkeys(name for name in names if name and name not in target))
    leave_out = f"--features or features = {json.dumps(named)}" if len(named) <= 20 else FEATURES
    read = names if features is None else [*target, *features]
    times = Counter(names)
    for name in read:
        if not name:
            raise DataError(
                f"{where}: column {names.index('') + 1} has no name. Name it, or say which columns to read:"
                f" {leave_out}."
            )
        if times[name] > 1:
            raise DataError(f"{where}: the column '{shorten(name)}' occurs twice. Rename one, or leave it out.")


def _read_body(
    path: Path, rows: Iterator[Record], columns: Columns, reading: Callable[[str], Reading], drop_missing: bool
) -> tuple[Body, set[str]]:
    """Read all rows, features as numbers or texts and targets as text; and the names of columns that are texts."""
    names = [columns.names[i] for i in columns.features]
    features = [Fields(path, name, reading(name), not columns.targets) for name in names]
    targets: list[list[str]] = [[] for _ in columns.targets]
    lines, missing, seen = array("q"), array("q"), 0
    for line, fields in rows:
        seen += 1
        if len(fields) != len(columns.names):
            raise DataError(
                f"{path}, line {line} has {len(fields)} fields, but the header has {len(columns.names)}. Mend the row"
                " or its quotes."
            )
        answers = [fields[i].strip() for i in columns.targets]
        if not MISSING.isdisjoint(answers):
            missing.append(line)
            continue
        for column, i in zip(features, columns.features, strict=True):
            column.add(line, fields[i])
        for texts, answer in zip(targets, answers, strict=True):
            texts.append(answer)
        lines.append(line)
        refuse_absurd(len(lines) * len(features), str(path))
    if not seen:
        raise DataError(f"{path} has a header and no rows. Add at least one row.")
    names = [columns.names[i] for i in columns.targets]
    without_targets(str(path), names, missing, seen, "line", drop_missing)
    found = {column.name for column in features if column.holds_texts()}
    raw = {} if found else {column.name: column.raw() for column in features}
    return Body(raw, targets, lines), found


def _assemble(path: Path, columns: Columns, body: Body, asked: Asked) -> Table:
    """Encode the features, decide the task, and turn the target texts into labels or numbers."""
    recipe = recipe_of(body.raw, asked.features is not None, asked.kinds, asked.encode, str(path))
    x, schema = recipe.encode(body.raw), partial(Schema, "csv", recipe=None if recipe.is_plain else recipe)
    targets = tuple(columns.names[i] for i in columns.targets)
    first = body.targets[0]
    numbers = _target_numbers(path, body.lines, targets[0], first) if are_numbers(first) else None
    if asked.task == "regression" or len(targets) > 1 or (asked.task == "auto" and not is_classification(numbers)):
        y = [_target_numbers(path, body.lines, *column) for column in zip(targets, body.targets, strict=True)]
        return Table(schema("regression", recipe.features, targets=targets), x, np.stack(y, axis=1))
    texts = [text_in(text) or text for text in first]
    labels = encode_labels(numbers, texts, asked.task, f"{path}, column '{shorten(targets[0])}'")
    return Table(schema(labels.task, recipe.features, classes=labels.classes), x, labels.y)


def _target_numbers(path: Path, lines: Sequence[int], name: str, texts: list[str]) -> Floats:
    """One target column as numbers [rows]."""
    values = [feature_in(text) for text in texts]
    for line, text, value in zip(lines, texts, values, strict=True):
        if value is None or not abs(value) <= MAX_MAGNITUDE:
            complain(path, line, name, text)
    return np.array(values, dtype=np.float64)
