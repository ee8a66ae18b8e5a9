"""Files of answers: the rows of a table as they stand, and what `gpu-thermo predict` writes behind each."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .answers import Wanted, cells, columns
from .output import clock, say
from .progress import INTERVAL
from .writing import appearing

if TYPE_CHECKING:
    import xarray

    from gpu_thermo.averages.outside import Reach, Tally
    from gpu_thermo.data.tables import Points

BLOCK = 20_000
"""Points that are predicted and written at once."""


@dataclass(frozen=True)
class Asked:
    """A run and what is asked of it.

    Attributes
    ----------
    tree : the opened run, of `networks` networks, by `name`. ensembles : numbers and labels of those that answer,
    and chosen the one that was asked for.
    predict : raw columns and an ensemble (None for all) to answers. target : what classes are called. wanted : columns.
    reach, tally : of the rows that were learned from, and rows outside, counted on the way.
    """

    tree: "xarray.DataTree"
    name: str
    ensembles: dict[int, str]
    chosen: int | None
    predict: Callable[..., "xarray.Dataset"]
    target: str
    classes: tuple[str, ...]
    wanted: Wanted
    reach: "Reach | None"
    tally: "Tally"

    @property
    def in_front(self) -> list[str]:
        """Names of the columns in front of those of POINTS."""
        return ["ensemble"] if len(self.ensembles) > 1 else []

    def answers(self, raw: Mapping[str, Any], ensemble: int) -> dict[str, Any]:
        """Columns of what one ensemble answers at raw columns."""
        found = self.predict(raw, ensemble=ensemble)
        found.attrs["classes"] = self.classes
        if self.reach is not None and ensemble == next(iter(self.ensembles)):
            self.tally.add(self.reach.beyond(found["x"].to_numpy()))
        return columns(found, self.target, self.wanted)


def count_of(given: "Points") -> int:
    """How many points there are."""
    return len(next(iter(given.raw.values())))


def _blocks(asked: Asked, given: "Points", quiet: bool) -> Iterator[tuple[int, slice, dict[str, Any]]]:
    """(ensemble, rows, columns of answers), BLOCK rows at a time, so that memory does not grow with them beside what
    was read.
    """
    count, shown = count_of(given), Shown(quiet)
    total = count * len(asked.ensembles)
    for i, e in enumerate(asked.ensembles):
        for start in range(0, max(count, 1), BLOCK):
            rows = slice(start, min(start + BLOCK, count))
            yield e, rows, asked.answers({name: values[rows] for name, values in given.raw.items()}, e)
            shown(i * count + rows.stop, total)


class Shown:
    """A line every ten seconds: points done, and the time that is left."""

    def __init__(self, quiet: bool) -> None:
        self.quiet, self.begun = quiet, time.monotonic()
        self.last = self.begun

    def __call__(self, done: int, of: int) -> None:
        """After so many of all points."""
        now = time.monotonic()
        if self.quiet or done >= of or now - self.last < INTERVAL:
            return
        self.last = now
        say(f"{done:,} of {of:,} points, {clock((now - self.begun) * (of - done) / done)} left")


def _chosen(kept: str, names: list[str]) -> list[int] | None:
    """Places of the columns of POINTS that are kept; None for all, byte for byte."""
    import csv

    from gpu_thermo.errors import DataError, did_you_mean

    if kept in ("all", "none"):
        return None if kept == "all" else []
    wanted = [name.strip() for name in next(csv.reader([kept], skipinitialspace=True), [])]
    stripped = [name.strip() for name in names]
    for name in wanted:
        if name not in stripped:
            raise DataError(f"--columns names '{name}', no column of POINTS. {did_you_mean(name, stripped)}")
        if stripped.count(name) > 1:
            raise DataError(
                f"--columns names '{name}', and POINTS has {stripped.count(name)} such columns: rename them."
            )
    return [stripped.index(name) for name in wanted]


def _refuse_twice(own: list[str], theirs: list[str]) -> None:
    """DataError where an answer would have the name of a column that is there."""
    from gpu_thermo.errors import DataError

    if twice := [name for name in own if name in theirs]:
        raise DataError(
            f"POINTS has a column '{twice[0]}' already, as answers of an earlier predict have. Leave such columns out"
            " (--columns none, or names of those to keep), or rename them."
        )


def _refuse_double(names: list[str]) -> None:
    """DataError where two columns of POINTS have one name: nothing reads such a Parquet file."""
    from gpu_thermo.errors import DataError

    if double := [name for name in names if names.count(name) > 1]:
        raise DataError(
            f"POINTS has {names.count(double[0])} columns '{double[0]}', and columns of a Parquet file have different"
            " names. Rename them, choose others (--columns), or write the answers as .csv."
        )


def _write_csv(asked: Asked, given: "Points", points: Path, out: Path, kept: str, quiet: bool) -> None:
    """Each row of POINTS as it stands, and the answers behind it."""
    from gpu_thermo.data.beside import joined, quoted, rows_of

    source = rows_of(points)
    mark, places = source.delimiter, _chosen(kept, list(source.names))
    names = list(source.names) if places is None else [source.names[i] for i in places]
    first = next(iter(asked.ensembles))
    with appearing(out) as unfinished, unfinished.open("w", newline="", encoding=source.encoding) as file:
        rows: Iterator[tuple[str, list[str]]] = iter(())
        for ensemble, part, own in _blocks(asked, given, quiet):
            if not part.start:
                rows = source.rows()
                if ensemble == first:
                    _refuse_twice([*asked.in_front, *own], names)
                    heads = [quoted(name, mark) for name in own]
                    kept_heads = [source.header if places is None else joined(names, mark)] if names else []
                    file.write(mark.join([*asked.in_front, *kept_heads, *heads]) + source.newline)
            front = [str(ensemble) for _ in asked.in_front]
            texts = {name: cells(c, asked.wanted.digits) for name, c in own.items()}
            values = [[quoted(v, mark) for v in t] if own[n].dtype == object else t for n, t in texts.items()]
            for answers in zip(*values, strict=True):
                text, fields = next(rows)
                mine = [text if places is None else joined([fields[i] for i in places], mark)] if names else []
                file.write(mark.join([*front, *mine, *answers]) + source.newline)


def _write_parquet(asked: Asked, given: "Points", points: Path, out: Path, kept: str, quiet: bool) -> None:
    """The columns of POINTS as they are (of a CSV file as pyarrow reads them), and the answers behind them."""
    import numpy as np

    from gpu_thermo.data.beside import parquet_rows
    from gpu_thermo.errors import DataError

    table = parquet_rows(points)  # it says so where there is no pyarrow
    import pyarrow
    from pyarrow import parquet

    if len(table) != count_of(given):
        raise DataError(f"{points} has rows that pyarrow reads otherwise: write the answers as .csv.")
    places = _chosen(kept, list(map(str, table.column_names)))
    table = table if places is None else table.select(places)
    _refuse_double(list(map(str, table.column_names)))
    writer: Any = None
    with appearing(out) as unfinished:
        try:
            for ensemble, part, own in _blocks(asked, given, quiet):
                size = part.stop - part.start
                block = table.slice(part.start, size)
                if writer is None:
                    _refuse_twice([*asked.in_front, *own], list(map(str, table.column_names)))
                front = {name: np.full(size, ensemble) for name in asked.in_front}
                names, values = [*front, *block.column_names, *own], [*front.values(), *block.columns, *own.values()]
                whole = pyarrow.table(
                    [pyarrow.array(v) if isinstance(v, np.ndarray) else v for v in values], names=names
                )
                writer = writer or parquet.ParquetWriter(unfinished, whole.schema)
                writer.write_table(whole)
        finally:
            if writer is not None:
                writer.close()


def _whole(asked: Asked, given: "Points") -> "xarray.Dataset":
    """All answers as `gpu_thermo.predict` has them."""
    found = asked.predict(given.raw, ensemble=asked.chosen)
    if asked.reach is not None:
        asked.tally.add(asked.reach.beyond(found["x"].to_numpy()))
    return found


def _write_npz(asked: Asked, given: "Points", points: Path, out: Path, kept: str, quiet: bool) -> None:
    """Arrays by name."""
    import numpy as np

    found = _whole(asked, given)
    arrays: dict[str, Any] = {str(name): value.to_numpy() for name, value in found.variables.items()}
    with appearing(out) as unfinished, unfinished.open("wb") as file:
        np.savez(
            file, **{name: value.astype(str) if value.dtype == object else value for name, value in arrays.items()}
        )


def _write_zarr(asked: Asked, given: "Points", points: Path, out: Path, kept: str, quiet: bool) -> None:
    """A store that xarray opens."""
    found = _whole(asked, given)
    texts = {
        name: value.astype(object) for name, value in found.coords.items() if value.dtype.kind == "U"
    }  # text of fixed width warns
    found.assign_coords(texts).to_zarr(out, mode="w-", zarr_format=3, consolidated=False)


WRITERS = {".csv": _write_csv, ".parquet": _write_parquet, ".npz": _write_npz, ".zarr": _write_zarr}
