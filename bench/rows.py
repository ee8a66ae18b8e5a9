"""Results that grow row by row: what is there is not done again."""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from .common import save
from .race.clock import begun

Row = dict[str, Any]


def rows_of(place: Path) -> list[Row]:
    """Rows of a result file, none where there is none."""
    return list(json.loads(place.read_text())["rows"]) if place.exists() else []


def measured(method: str, run: Callable[[], Row]) -> Row:
    """What `run` of a method finds, warnings aside, and what it took; ends where a package is missing."""
    taken = begun()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            found = run()
        except ImportError as error:
            said = f"{method} needs a package that is not here ({error}): install it, or see --methods"
            raise SystemExit(said) from None
    return found | taken()


def grow(
    place: Path,
    keys: Iterable[Row],
    make: Callable[[Row], Row | None],
    told: Mapping[str, Any],
    line: Callable[[Row], str],
) -> list[Row]:
    """Make a row for every key that no row has yet, in turn; each is printed, and the file written, as it is made.

    Rows have their key's entries. `told` stands in the file beside rows; a key whose `make` gives None has no row.
    """
    rows = rows_of(place)
    for key in keys:
        if any(all(row.get(name) == value for name, value in key.items()) for row in rows):
            continue
        found = make(key)
        if found is None:
            continue
        rows.append({**key, **found})
        print(line(rows[-1]), flush=True)
        save(place.stem, {**told, "rows": rows}, place.parent)
    return rows
