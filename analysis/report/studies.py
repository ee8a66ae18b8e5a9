"""The report of a study: every kind of run with its mean, spread and worst, and which differences are clear."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.study import comparisons, open_study, summaries
from gpu_thermo.study.reading import builds_of, notices_of, values_of
from gpu_thermo.study.tables import best_outcome, failures, grouped, lower_is_better, outcomes

from .page import Part, code, details, figures, page, paragraph, table, verdict
from .svg import Chart, figure, span

MOST_GROUPS = 20


def study_report(store: Path) -> str:
    """The page; StoreError where there is no such study, or it is damaged."""
    found = open_study(store)
    status = values_of(found, "status")
    done = int((status >= 0).sum())
    name = best_outcome(found)
    lead = paragraph(f"{done:,} of {len(status):,} runs are done; outcomes: {', '.join(outcomes(found)) or 'none'}.")
    notices = [
        *notices_of(found),
        *(f"{f['runs']} runs of {f.get('group', f.get('cell', ''))} failed" for f in failures(found)),
    ]
    good = done == len(status) and not notices
    text = "; ".join(notices) or ("all runs are done." if good else "the study is not finished: run it again to go on.")
    lead += verdict("Complete." if good else "Look twice.", text, good)
    parts = [Part(name, _outcome(found, name)) for name in _first(name, outcomes(found)) if done]
    return page(f"Study {store.name}", lead, [*parts, Part("How it was made", _made(found, store))])


def _first(name: str, others: list[str]) -> list[str]:
    """The best outcome, and a few more."""
    return [name, *(other for other in others if other != name)][:4]


def _outcome(study: xr.Dataset, name: str) -> str:
    rows: dict[str, Any] = dict(list(summaries(study, name).items())[:MOST_GROUPS])
    groups = grouped(study, name)
    values = [np.asarray(groups[label], float) for label in rows]
    better = "less is better" if lower_is_better(name) else "more is better"
    chart = Chart(name, "; ".join(f"{label}: {_plain(s.to_dict())}" for label, s in list(rows.items())[:6]),
                  (-0.6, len(rows) - 0.4), span(*values), "", f"{name} ({better})",
                  ticks=list(enumerate(rows)))  # fmt: skip
    for i, v in enumerate(values):
        chart.dots(np.full(len(v), float(i)), v, "a", "a run", [f"{list(rows)[i]}: {x:.4g}" for x in v])
    pairs = comparisons(study, name)
    more = "<h3>Differences</h3>" + table("Differences", PAIR, map(_pair, pairs)) if pairs else ""
    when = any(s.end is not None for s in rows.values())
    heads = KIND if not when else tuple(head for head in KIND if head not in ("mean", "sd"))
    body = [
        [cell for head, cell in zip(KIND, _kind(label, s), strict=True) if head in heads] for label, s in rows.items()
    ]
    return table(name, heads, body) + figures([figure(chart, "A point a run.")]) + more


KIND = ("kind of run", "runs", "mean", "95 %", "sd", "median", "worst")
PAIR = ("first", "second", "difference", "95 %", "p", "wins of the first", "seeds needed")


def _kind(label: str, s: Any) -> tuple[str, ...]:
    """Row of KIND; the interval is the mean's, or the median's of an outcome that says when."""
    shown = s.to_dict()
    ends = ("mean_low", "mean_high") if s.end is None else ("median_low", "median_high")
    runs = f"{s.count}" if not s.missing else f"{s.count} of {s.attempted}"
    interval = _cell([shown[end] for end in ends])
    return label, runs, *(_cell(v) for v in (s.mean, interval, s.sd, shown["median"], shown["worst"]))


def _pair(c: Any) -> tuple[str, ...]:
    """Row of PAIR; p is corrected for all comparisons."""
    return (c.first, c.second, _cell(c.difference), _cell([c.low, c.high]), f"{c.p_holm:.2g}", f"{c.wins:.0%}",
            str(c.seeds_needed or "no difference"))  # fmt: skip


def _plain(summary: dict[str, Any]) -> str:
    value = summary.get("median", summary.get("mean"))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list | tuple):
        return " to ".join(_cell(v) for v in value)
    return "" if value is None else str(value)


def _made(study: xr.Dataset, store: Path) -> str:
    spec = json.dumps(json.loads(study.attrs["study"]), indent=1)
    builds = json.dumps(builds_of(study), indent=1, default=str)
    return (
        code(f"gpu-thermo table {store.name}")
        + details("Spec", code(spec), shown=True)
        + details("Builds", code(builds))
    )
