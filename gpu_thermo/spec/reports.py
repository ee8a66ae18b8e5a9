"""Reports of moves as stores hold them, for whoever reads a store."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..moves.report import Report
from ..moves.table import MOVES


def read_reports(stored: str | Sequence[Mapping[str, Any]] | None) -> list[Report]:
    """Reports from a store's attribute `moves`, its JSON or what that says; none where there is no such attribute.

    Stores written before reports had lines and verdicts get those that follow from the facts.
    """
    trees = json.loads(stored) if isinstance(stored, str) else stored or []
    return [_complete(tree) for tree in trees]


def _complete(tree: Mapping[str, Any]) -> Report:
    report = Report.from_dict(tree)
    if "lines" in tree or report.kind not in MOVES:
        return report
    return MOVES[report.kind].report(report.facts, report.warnings)
