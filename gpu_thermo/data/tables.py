"""CSV files. Errors name the file, the line in it and the column.

Text is UTF-8, with or without a byte order mark; fields are separated by comma, semicolon or tab, whichever splits the
header into most columns, and may be quoted. The first line with text in it is the header. Empty lines are skipped.
Numbers are written with a decimal point; True and False
in a feature are 1 and 0.
"""

import csv
import difflib
import json
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, NoReturn, TextIO

import numpy as np

from ..errors import DataError
from .dataset import MAX_MAGNITUDE, Floats, Schema, refuse_absurd
from .files import require_file
from .labels import MISSING, encode_labels, is_classification, shorten
from .splits import Table

DELIMITERS = ",;\t"
MOST_COLUMNS = 100_000
"""Of a header: a network's input layer ends long before."""
TRUTH = {"true": 1.0, "false": 0.0}


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
    """Inputs without targets: `x` [points, m] float64, and the names of columns that were not asked for."""

    x: Floats
    left_out: tuple[str, ...]


class Body(NamedTuple):
    """The rows below the header: `x` [rows, m], the target columns as texts [n][rows], and each row's line in the
    file.
    """

    x: Floats
    targets: list[list[str]]
    lines: Sequence[int]


def read_csv(
    path: Path, target: Sequence[str], features: Sequence[str] | None, task: str, weight: str | None = None
) -> Table:
    """A table from a CSV file with a header.

    Parameters
    ----------
    path
        The file.
    target
        Names of the target columns; more than one means regression.
    features
        Names of the feature columns; None takes all others, in the file's order.
    task
        auto (the rules are in `labels`), binary, multiclass or regression.
    weight
        Name of the column of the points' weights, which is no feature.

    Raises
    ------
    DataError
        For whatever in the file cannot be used.
    """
    both = features if features is None or weight is None else [*features, weight]
    columns, body = _read(path, target, both)
    if weight is None:
        return _assemble(path, columns, body, task)
    if weight not in columns.names:
        near = difflib.get_close_matches(weight, columns.names, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Columns: {shorten(', '.join(columns.names), 200)}."
        raise DataError(f"{path} has no column '{shorten(weight)}' of weights. {hint}")
    at = columns.features.index(columns.names.index(weight))
    if len(columns.features) == 1:
        raise DataError(f"{path} has no column besides target and weight. Add at least one feature.")
    rest = columns._replace(features=[*columns.features[:at], *columns.features[at + 1 :]])
    table = _assemble(path, rest, body._replace(x=np.delete(body.x, at, axis=1)), task)
    return replace(table, weight=body.x[:, at])


def read_points(path: Path, features: Sequence[str]) -> Points:
    """Points at which something is asked, from a CSV file whose header names every feature, in any order.

    Parameters
    ----------
    path
        The file.
    features
        Names of the feature columns, in the order of the columns of `Points.x`.

    Raises
    ------
    DataError
        The file cannot be read, a feature is missing, or a value is missing or not a number; the line and the column
        are named.
    """
    columns, body = _read(path, (), features)
    return Points(body.x, tuple(name for name in columns.names if name not in features))


def _read(path: Path, target: Sequence[str], features: Sequence[str] | None) -> tuple[Columns, Body]:
    """The asked columns of a file, and its rows; `target` may be empty where `features` are named."""
    require_file(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            rows = _records(path, handle)
            header = next(rows, None)
            if header is None:
                raise DataError(f"{path} is empty. Give a file with a header and at least one row.")
            columns = _resolve(path, header, target, features)
            return columns, _read_body(path, rows, columns)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text ({error.reason} at byte {error.start}). Save it as UTF-8 CSV."
        ) from error
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} cannot be read: {error}. Check the path.") from error


def _records(path: Path, handle: TextIO) -> Iterator[Record]:
    """All non-empty rows of the file."""
    start = ""
    while not start.strip():
        start = handle.readline()
        if not start:
            return
    handle.seek(0)
    reader = csv.reader(handle, delimiter=_delimiter(start), strict=True)
    line = 1
    try:
        for fields in reader:
            if len(fields) > 1 or (fields and fields[0].strip()):
                yield Record(line, fields)
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}, line {line}: this row is not valid CSV ({error}). Check its quotes.") from error


def _delimiter(header: str) -> str:
    """The delimiter that splits the header into most fields; the comma where none does."""

    def fields(delimiter: str) -> int:
        """Count the fields, none where the delimiter does not fit."""
        try:
            return len(next(csv.reader([header], delimiter=delimiter)))
        except csv.Error:
            return 0

    return max(DELIMITERS, key=fields)


def _resolve(path: Path, header: Record, target: Sequence[str], features: Sequence[str] | None) -> Columns:
    """Check the header, and find the asked columns in it."""
    names = [name.strip() for name in header.fields]
    if len(names) > MOST_COLUMNS:
        raise DataError(f"{path} has {len(names):,} columns; at most {MOST_COLUMNS:,} are read. Choose fewer of them.")
    if all(_number(name) is not None for name in names):
        raise DataError(
            f"{path}, line {header.line} is all numbers ({shorten(', '.join(names))}), but must name the columns. Add a"
            " header."
        )
    _check_names(f"{path}, line {header.line}", names, target, features)
    place = {name: i for i, name in enumerate(names)}
    for name in (*target, *(features or ())):
        if name not in place:
            near = difflib.get_close_matches(name, names, n=1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Columns: {shorten(', '.join(names), 200)}."
            raise DataError(f"{path} has no column '{shorten(name)}'. {hint}")
    wanted = [name for name in names if name not in target] if features is None else features
    if not wanted:
        raise DataError(f"{path} has no column besides the target '{shorten(target[0])}'. Add at least one feature.")
    return Columns(names, [place[name] for name in wanted], [place[name] for name in target])


def _check_names(where: str, names: list[str], target: Sequence[str], features: Sequence[str] | None) -> None:
    """Columns that are read need a name of their own; others may be what they like, such as the index that pandas
    writes.
    """
    named = list(dict.fromkeys(name for name in names if name and name not in target))
    leave_out = f"features = {json.dumps(named)}" if len(named) <= 20 else "features = [...]"
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


def _read_body(path: Path, rows: Iterator[Record], columns: Columns) -> Body:
    """Read all rows, features as numbers and targets as text."""
    x, lines = array("d"), array("q")
    targets: list[list[str]] = [[] for _ in columns.targets]
    for line, fields in rows:
        if len(fields) != len(columns.names):
            raise DataError(
                f"{path}, line {line} has {len(fields)} fields, but the header has {len(columns.names)}. Mend the row"
                " or its quotes."
            )
        for i in columns.features:
            value = _feature(fields[i])
            x.append(
                value
                if value is not None and abs(value) <= MAX_MAGNITUDE
                else _complain(path, line, columns.names[i], fields[i], needed=not columns.targets)
            )
        for texts, i in zip(targets, columns.targets, strict=True):
            texts.append(fields[i].strip())
            if texts[-1] in MISSING:
                _complain(path, line, columns.names[i], fields[i])
        lines.append(line)
        refuse_absurd(len(x), str(path))
    if not lines:
        raise DataError(f"{path} has a header and no rows. Add at least one row.")
    return Body(np.array(x, dtype=np.float64).reshape(len(lines), -1), targets, lines)


def _assemble(path: Path, columns: Columns, body: Body, task: str) -> Table:
    """Decide the task, and turn the target texts into labels or numbers."""
    features = tuple(columns.names[i] for i in columns.features)
    targets = tuple(columns.names[i] for i in columns.targets)
    numeric = all(_number(text) is not None for text in body.targets[0])
    numbers = _target_numbers(path, body.lines, targets[0], body.targets[0]) if numeric else None
    if task == "regression" or len(targets) > 1 or (task == "auto" and not is_classification(numbers)):
        y = [_target_numbers(path, body.lines, *column) for column in zip(targets, body.targets, strict=True)]
        return Table(Schema("csv", "regression", features, targets=targets), body.x, np.stack(y, axis=1))
    labels = encode_labels(numbers, body.targets[0], task, f"{path}, column '{shorten(targets[0])}'")
    return Table(Schema("csv", labels.task, features, classes=labels.classes), body.x, labels.y)


def _number(text: str) -> float | None:
    """The number a field holds, or None; stricter than Python, which takes 1_000 for a number."""
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def _feature(text: str) -> float | None:
    """The number in a field of a feature column: True and False, as pandas and R write them, are 1 and 0."""
    value = _number(text)
    return TRUTH.get(text.strip().lower()) if value is None else value


def _target_numbers(path: Path, lines: Sequence[int], name: str, texts: list[str]) -> Floats:
    """One target column as numbers [rows]."""
    values = [_number(text) for text in texts]
    for line, text, value in zip(lines, texts, values, strict=True):
        if value is None or not abs(value) <= MAX_MAGNITUDE:
            _complain(path, line, name, text)
    return np.array(values, dtype=np.float64)


def _complain(path: Path, line: int, name: str, text: str, needed: bool = False) -> NoReturn:
    """Raise the error of a field that is not a usable number; a column that is `needed` cannot be left out."""
    where = f"{path}, line {line}, column '{shorten(name)}':"
    value = _number(text)
    if text.strip() in MISSING:
        raise DataError(
            f"{where} the value is missing ('{text.strip()}'). Fill it in, or leave out the row"
            f"{'' if needed else ' or the column'}."
        )
    if value is None:
        comma = " Write decimals with a point." if _number(text.replace(",", ".")) is not None else ""
        remedy = (
            "in the data of the run."
            if needed
            else "numbers (pandas.get_dummies), or leave the column out (features = [...])."
        )
        raise DataError(f"{where} '{shorten(text)}' is not a number.{comma} Encode it as {remedy}")
    raise DataError(
        f"{where} '{shorten(text)}' is not a finite number up to {MAX_MAGNITUDE:g} in size. Correct it, or leave out"
        " the row."
    )
