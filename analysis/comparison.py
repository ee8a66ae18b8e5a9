"""A comparison of methods as `gpu_thermo.study.compare` wrote it (comparison.json, density-*.npz, watch-*.npz), and its
table.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from gpu_thermo.errors import StoreError
from gpu_thermo_analysis.study_figures import markdown

DIGITS = 4
"""Decimals below which no error is shown."""


@dataclass(frozen=True)
class Results:
    """A comparison as it was written into `folder`."""

    folder: Path
    record: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Results":
        """StoreError where there is none."""
        path = folder / "comparison.json"
        try:
            return cls(folder, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise StoreError(f"'{path}' cannot be read ({error}). Run gpu-thermo compare first.") from None

    @property
    def rows(self) -> list[dict[str, Any]]:
        """One for each entry."""
        return list(self.record["rows"])

    @property
    def on_potential(self) -> bool:
        """Whether there is an exact density to compare with."""
        return self.record["exact"] is not None

    @cached_property
    def edges(self) -> np.ndarray:
        """Edges of the cells, the same for both axes."""
        return np.array(self.record["exact"]["edges"])

    @cached_property
    def exact(self) -> np.ndarray:
        """Probability of each cell."""
        return np.array(self.record["exact"]["probability"])

    def density(self, slug: str, which: str = "weighted") -> np.ndarray:
        """Share of an entry's draws in each cell, "weighted" or "raw"."""
        with np.load(self.folder / f"density-{slug}.npz") as found:
            return np.array(found[which])

    def watched(self, name: str) -> Iterator[tuple[dict[str, Any], dict[str, np.ndarray]]]:
        """Entries that were watched and have an array of that name."""
        for row in self.rows:
            path = self.folder / f"watch-{row['slug']}.npz"
            if path.exists():
                with np.load(path) as found:
                    if name in found.files:
                        yield row, {key: found[key] for key in found.files}


def table(results: Results, brief: bool = False) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the comparison as people read it: measures with standard errors, and the published value
    where there is one.

    pooled : the distance of all groups' draws together, what more chains do not mend. floor : the distance that as many
    independent draws as a group has would be at. round trips : of a replica on a ladder. ESS : effective draws of 10^6
    gradients by autocorrelation, of the worst coordinate. worth : how many independent draws would have a mean as far
    from the exact one as the groups' means are, of 10^6 gradients; it also knows of modes that were missed. `brief`
    leaves out what does not fit a terminal.
    """
    names = list(dict.fromkeys(name for row in results.rows for name in row["measures"]))
    shown = [(name, title) for name, title in TITLES.items() if name in names]
    columns = [
        "entry",
        "chains",
        "steps",
        *(title for _, title in shown),
        "pooled",
        "floor",
        "round trips",
        "ESS",
        "worth",
        "time (s)",
    ]
    rows, groups = [], int(results.record.get("groups") or 0)
    for row in results.rows:
        cells = [_cell(row["measures"].get(name), row["published"].get(name), groups) for name, _ in shown]
        numbers = [
            row["round_trips_per_replica"],
            *(row["per_million_gradients"].get(name) for name in ("ess", "worth")),
        ]
        seconds = "-" if row["seconds"] is None else f"{row['seconds']:.0f}"
        shown_numbers = [
            "-" if v is None else f"{v:.3g}"
            for v in (*(row["all"].get(name) for name in ("tv", "tv_independent")), *numbers)
        ]
        rows.append([row["label"], f"{row['chains']}", f"{row['steps']:,}", *cells, *shown_numbers, seconds])
    empty = [i for i, name in enumerate(columns) if i > 2 and all(r[i] == "-" for r in rows)]
    empty += [i for i, name in enumerate(columns) if brief and name in _LONG]
    return [c for i, c in enumerate(columns) if i not in empty], [
        [c for i, c in enumerate(r) if i not in empty] for r in rows
    ]


TITLES = {
    "tv": "distance", "wasserstein": "W1", "mode_error": "mode weights off by", "modes": "modes of a group",
    "mode_changes": "mode changes",
    "accuracy_single": "accuracy, one draw", "accuracy_last": "accuracy at the end",
    "accuracy_average": "accuracy, averaged",
    "nll_single": "NLL, one draw", "nll_average": "NLL, averaged",
}  # fmt: skip


_LONG = ("steps", "pooled", "floor", "W1", "mode changes", "round trips", "ESS", "accuracy, one draw", "NLL, one draw")


def _cell(measure: dict[str, float] | None, published: float | None, groups: int) -> str:
    """Mean and error over the groups, and of how many where some have no value."""
    if measure is None or measure["mean"] is None:
        return "-"
    text = with_error(measure["mean"], measure["error"] or 0.0)
    if missing := measure.get("missing"):
        text = f"{text} ({groups - int(missing)} of {groups} groups)"
    return text if published is None else f"{text} (published {published:g})"


def with_error(mean: float, error: float) -> str:
    """0.741(3) for 0.741 +- 0.003; errors below DIGITS decimals are not shown."""
    if error < 0.5 * 10.0**-DIGITS:
        return f"{mean:.{DIGITS}f}".rstrip("0").rstrip(".") if mean else "0"
    digits = max(0, -math.floor(math.log10(error)))
    if round(error * 10**digits) == 10:
        digits = max(0, digits - 1)
    return f"{mean:.{digits}f}({round(error * 10**digits)})"


def as_markdown(results: Results) -> str:
    """The table in Markdown."""
    return markdown(*table(results))
