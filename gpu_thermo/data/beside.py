"""The rows of a table file as they stand in it, for whoever writes something beside each."""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError
from .tables import delimiter_of

PARQUET = (".parquet", ".pq")
"""Endings of Parquet files."""
_AT_ONCE = 20_000
"""Rows of a Parquet file that are text at once."""
_WHOLE, _NAME = r"^\s*([+-]?\d+)?\s*$", r"^\s*[+-]?(0\d+|\d{19,})\s*$"
"""A whole number or nothing, and one that no number of a table is: see `texts`."""


@dataclass(frozen=True)
class CsvRows:
    """A CSV file row by row, byte for byte.

    Attributes
    ----------
    path : the file. header : its first row as it stands, and `names` of its columns. delimiter, newline : as it uses
    them. encoding : utf-8, or utf-8-sig where it begins with a byte order mark.
    """

    path: Path
    header: str
    names: tuple[str, ...]
    delimiter: str
    newline: str
    encoding: str

    @classmethod
    def of(cls, path: Path) -> "CsvRows":
        """Of a file that `tables` reads."""
        with path.open("rb") as raw:
            encoding = "utf-8-sig" if raw.read(3) == b"\xef\xbb\xbf" else "utf-8"
        with path.open(encoding="utf-8-sig", newline="") as handle:
            first = next(line for line in handle if line.strip())
        delimiter = delimiter_of(first)
        text, fields = next(_records(path, delimiter))
        newline = "\r\n" if text.endswith("\r\n") else "\n"
        return cls(path, text.rstrip("\r\n"), tuple(name.strip() for name in fields), delimiter, newline, encoding)

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """Below the header, each row as it stands and its fields; empty lines are skipped, as they are when read."""
        records = _records(self.path, self.delimiter)
        next(records)
        for text, fields in records:
            yield text.rstrip("\r\n"), fields


@dataclass(frozen=True)
class ParquetRows:
    """A Parquet file row by row as a CSV file would have it; attributes as of `CsvRows`."""

    table: Any
    header: str
    names: tuple[str, ...]
    delimiter: str = ","
    newline: str = "\n"
    encoding: str = "utf-8"

    @classmethod
    def of(cls, path: Path) -> "ParquetRows":
        """DataError where there is no pyarrow."""
        table = parquet_rows(path)
        names = tuple(map(str, table.column_names))
        return cls(table, joined(names, ","), names)

    def rows(self) -> Iterator[tuple[str, list[str]]]:
        """Each as text, and its fields; empty where a value is missing."""
        for batch in self.table.to_batches(_AT_ONCE):
            texts = [["" if v is None else str(v) for v in column.to_pylist()] for column in batch.columns]
            for fields in zip(*texts, strict=True):
                yield joined(fields, self.delimiter), list(fields)


def rows_of(path: Path) -> CsvRows | ParquetRows:
    """The rows of a table file as text."""
    return ParquetRows.of(path) if path.suffix.lower() in PARQUET else CsvRows.of(path)


def joined(fields: Iterable[str], delimiter: str) -> str:
    """Fields as one row, those in quotes that need them."""
    return delimiter.join(quoted(field, delimiter) for field in fields)


def quoted(field: str, delimiter: str) -> str:
    """A field as it stands in a file."""
    wants = any(mark in field for mark in (delimiter, '"', "\n", "\r")) or field != field.strip()
    return '"' + field.replace('"', '""') + '"' if wants else field


def _records(path: Path, delimiter: str) -> Iterator[tuple[str, list[str]]]:
    """Rows that are not empty, as they stand with their line ends, and their fields."""
    taken: list[str] = []

    def lines(handle: Any) -> Iterator[str]:
        """Lines as they are asked for, kept until their row is whole."""
        for line in handle:
            taken.append(line)
            yield line

    with path.open(encoding="utf-8-sig", newline="") as handle:
        for fields in csv.reader(lines(handle), delimiter=delimiter, strict=True):
            text = "".join(taken)
            taken.clear()
            if len(fields) > 1 or (fields and fields[0].strip()):
                yield text, fields


def parquet_rows(path: Path) -> Any:
    """The pyarrow table of a Parquet or CSV file, its columns as they are; DataError where there is no pyarrow, or it
    does not read the file: of CSV it wants no lines of blanks, and columns that are what their first megabyte is.
    Digits that are names, such as 007, stay texts.
    """
    try:
        from pyarrow import ArrowInvalid, parquet, string
        from pyarrow import csv as arrow_csv
    except ImportError:
        raise DataError("Parquet files are written by pyarrow, and it is not there: pip install pyarrow.") from None
    if path.suffix.lower() in PARQUET:
        return parquet.read_table(path)
    options = arrow_csv.ParseOptions(delimiter=CsvRows.of(path).delimiter, newlines_in_values=True)
    try:
        texts = dict.fromkeys(_names(path, options), string())
        return arrow_csv.read_csv(path, parse_options=options, convert_options=_types(texts))
    except ArrowInvalid as error:
        raise DataError(f"{path} is no CSV to pyarrow ({error}): write the answers as .csv.") from None


def _types(of: dict[str, Any]) -> Any:
    """Types of columns for pyarrow's reader; of a text nothing is missing."""
    from pyarrow import csv as arrow_csv

    return arrow_csv.ConvertOptions(column_types=of)


def _names(path: Path, options: Any) -> list[str]:
    """Columns of a CSV file that are whole numbers with a zero in front, or too many digits for int64."""
    from pyarrow import compute, string
    from pyarrow import csv as arrow_csv

    with arrow_csv.open_csv(path, parse_options=options) as head:
        columns = head.schema.names
    whole, names, texts = dict.fromkeys(columns, True), dict.fromkeys(columns, False), dict.fromkeys(columns, string())
    with arrow_csv.open_csv(path, parse_options=options, convert_options=_types(texts)) as rows:
        for batch in rows:
            for name, column in zip(columns, batch.columns, strict=True):
                whole[name] = whole[name] and bool(compute.all(compute.match_substring_regex(column, _WHOLE)).as_py())
                if whole[name] and not names[name]:
                    names[name] = bool(compute.any(compute.match_substring_regex(column, _NAME)).as_py())
    return [name for name in columns if whole[name] and names[name]]
