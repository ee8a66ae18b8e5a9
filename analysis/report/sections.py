"""Parts of a report on a run of networks: each a function of the run, empty where it has nothing to say."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from gpu_thermo.averages.held_out import held_out, sentence
from gpu_thermo.averages.predictive import predict
from gpu_thermo.tuning.course import SAMPLING
from gpu_thermo.tuning.told import Told
from gpu_thermo_analysis.baselines import Score, columns, own_units, rows, test_inputs

from .answers import Answers, Effect, effects_of, importances, strangeness
from .page import details, figures, paragraph, table
from .svg import Chart, figure, span

Array = Any
MOST_EFFECTS, MOST_SHOWN, MOST_LISTED = 6, 120, 12


def told_of(tree: xr.DataTree) -> Told | None:
    """How the run tuned itself, where it did."""
    if "tuning" not in tree.children:
        return None
    return Told.of(tree["tuning"].attrs)


def energies(tree: xr.DataTree) -> str:
    """Energy while the run went on, and the error of its averages on the way to the goal."""
    items = []
    trace = tree["trace"].to_dataset() if "trace" in tree.children else None
    group, axis = (trace, "step") if trace is not None and trace.sizes.get("step", 0) > 1 else (None, "draw")
    values = (group if group is not None else tree["sample_stats"].to_dataset())["energy"].transpose("chain", ...)
    energy = values.to_numpy().astype(float)
    if energy.shape[-1] > 1:
        at = (
            values[axis].to_numpy().astype(float) if axis in values.coords else np.arange(energy.shape[-1], dtype=float)
        )
        with np.errstate(invalid="ignore"):
            low, middle, high = np.nanquantile(energy, (0.05, 0.5, 0.95), axis=0)
        text = f"Median energy of the replicas, {middle[0]:.3g} at first and {middle[-1]:.3g} at last."
        chart = Chart("Energy", text,
                      span(at, margin=0.02), span(low, high), axis, "energy a point")  # fmt: skip
        items.append(figure(chart.band(at, low, high, "a", "9 of 10 replicas").line(at, middle, "a", "median"),
                            "Level where the run has settled."))  # fmt: skip
    if (told := told_of(tree)) and len(found := _errors(told)) > 0:
        steps, error = np.array(found).T
        goal = told.tuner.tolerance
        low, high = min(error.min(), goal) * 0.7, max(error.max(), goal) * 1.4
        chart = Chart("Error of the averages", f"{error[-1]:.2g} at the end, the goal was {goal:g}.",
                      span(steps, whole=[0]), (low, high), "step", "standard error / spread", log_y=True)  # fmt: skip
        ends = np.array(chart.x)
        chart.line(steps, error, "a", "largest error of an average").dots(steps, error, "a")
        items.append(figure(chart.line(ends, np.full(2, goal), "b", "goal", dashed=True),
                            "In units of the spread of what is averaged."))  # fmt: skip
    return figures(items)


def _errors(told: Told) -> list[tuple[float, float]]:
    """(step, error) of each stretch of sampling."""
    log = told.course.log
    ends = [*(line["begun"] for line in log[1:]), told.course.stop]
    return [(end, line["error"]) for line, end in zip(log, ends, strict=False)
            if line["phase"] == SAMPLING and line.get("error")]  # fmt: skip


def scores(found: Sequence[Score], answers: Answers) -> str:
    """The table beside the baselines, and its errors as a picture."""
    if not found:
        return ""
    low = np.array([s.nll - s.nll_se for s in found])
    high = np.array([s.nll + s.nll_se for s in found])
    nll, at = np.array([s.nll for s in found]), np.arange(len(found), dtype=float)
    chart = Chart("Negative log likelihood of a row held out", "; ".join(f"{s.name} {s.nll:.3f}" for s in found),
                  (-0.6, len(found) - 0.4), span(low, high), "", "nats (less is better)",
                  ticks=[(i, s.name) for i, s in enumerate(found)])  # fmt: skip
    chart.bars(at, low, high, "a").dots(at, nll, "a", "", [f"{s.name}: {s.nll:.3f} +- {s.nll_se:.2g}" for s in found])
    note = "Errors are standard errors over the rows held out. RMSE and wrong answers say how far answers are off, the"
    note += " negative log likelihood (NLL) also whether they know by how much."
    return table("Scores on rows held out", columns(answers.data), rows(found)) + paragraph(note) + figures(
        [figure(chart, "Points with one standard error.")]
    )  # fmt: skip


def calibrated(tree: xr.DataTree, answers: Answers) -> str:
    """Whether intervals and probabilities are right."""
    if answers.data.classes:
        return _reliability(tree, answers)
    found = held_out(tree, [0]).get(0, {})
    if "coverage" not in found:
        return paragraph(sentence(found)) if found else ""
    level = np.array([float(c) for c in found["coverage"]])
    share, due = np.array(list(found["coverage"].values())), np.array(list(found["expected"].values()))
    error = np.array(list(found["coverage_error"].values()))
    first = Chart("Coverage of intervals", sentence(found), (0.4, 1.02), (0.35, 1.05), "probability of the interval",
                  "share of answers inside")  # fmt: skip
    first.line(level, due, "b", "right", dashed=True).bars(level, due - 2 * error, due + 2 * error, "b")
    first.dots(
        level, share, "a", "this run", [f"{c:.0%} interval holds {s:.1%}" for c, s in zip(level, share, strict=True)]
    )
    deciles = np.array(found["pit_deciles"])
    second = Chart("Where answers fall in their predicted law", "Share of answers in each tenth of the predicted law.",
                   (0, 1), span(deciles, whole=[0, 0.2]), "probability integral transform", "share")  # fmt: skip
    second.bars(np.arange(10) / 10 + 0.05, np.zeros(10), deciles, "a", 0.09)
    second.line(np.array([0, 1]), np.array([0.1, 0.1]), "b", "right", dashed=True)
    return paragraph(sentence(found)) + figures([
        figure(first, "Within the bars in 19 of 20 runs that are right."),
        figure(second, "Level where laws are right; high ends: too narrow; a hump: too wide."),
    ])  # fmt: skip


def _probabilities(tree: xr.DataTree, answers: Answers) -> Array:
    """[T, C] of the rows held out."""
    p = predict(tree, test_inputs(answers.data), 0)["mean"].transpose("point", "output").to_numpy()
    return np.hstack([1 - p, p]) if p.shape[1] == 1 else p


def _reliability(tree: xr.DataTree, answers: Answers) -> str:
    if not answers.data.test_points:
        return ""
    p, y = _probabilities(tree, answers), answers.data.y_test[0]
    top, right = p.max(axis=1), p.argmax(axis=1) == y
    edges = np.quantile(top, np.linspace(0, 1, min(9, max(3, len(y) // 20)) + 1))
    place = np.clip(np.searchsorted(edges, top, side="right") - 1, 0, len(edges) - 2)
    groups = [place == g for g in range(len(edges) - 1) if (place == g).any()]
    said, was = (np.array([v[g].mean() for g in groups]) for v in (top, right.astype(float)))
    error = np.array([(max(s * (1 - s), 0) / g.sum()) ** 0.5 for s, g in zip(said, groups, strict=True)])
    low, high = np.clip(said - 2 * error, 0, 1), np.clip(said + 2 * error, 0, 1)
    chart = Chart("Reliability", f"Sure to {top.mean():.1%} on average, and right in {right.mean():.1%}.",
                  span(said, whole=[1.0]), span(was, low, high), "probability of the answer given",
                  "share that is right")  # fmt: skip
    ends = np.array([max(chart.x[0], chart.y[0]), min(chart.x[1], chart.y[1])])
    chart.line(ends, ends, "b", "right", dashed=True).bars(said, low, high, "b")
    chart.dots(
        said,
        was,
        "a",
        "this run",
        [f"{s:.1%} sure, {w:.1%} right, {g.sum()} rows" for s, w, g in zip(said, was, groups, strict=True)],
    )
    return figures([figure(chart, "Within the bars in 19 of 20 groups where probabilities are right.")])


def predictions(tree: xr.DataTree, answers: Answers) -> str:
    """Answers beside what was predicted, with intervals; of classes who is taken for whom."""
    data = answers.data
    if not data.test_points:
        return ""
    if data.classes:
        guess = _probabilities(tree, answers).argmax(axis=1)
        names = data.classes[:MOST_LISTED]
        counts = [
            [int(((data.y_test[0] == i) & (guess == j)).sum()) for j in range(len(names))] for i in range(len(names))
        ]
        heads = ("is / taken for", *names)
        return table(
            "Who is taken for whom", heads, [(name, *map(str, row)) for name, row in zip(names, counts, strict=True)]
        )
    keep = np.linspace(0, data.test_points - 1, min(MOST_SHOWN, data.test_points)).round().astype(int)
    found = predict(tree, test_inputs(data)[keep], 0, quantiles=(0.05, 0.5, 0.95), quantile_draws=500)
    low, middle, high = found["quantiles"].transpose("quantile", "point", "output").to_numpy()[..., 0]
    y = own_units(data, data.y_test[0][keep, 0])
    y = np.exp(y) if answers.logarithmic else y
    text = f"{((low <= y) & (y <= high)).mean():.0%} of the answers are inside the 90 % intervals."
    chart = Chart("Predictions and answers", text,
                  span(middle), span(low, high, y), f"predicted {answers.answer}", answers.answer)  # fmt: skip
    chart.line(ends := np.array(chart.x), ends, "b", "predicted = answer", dashed=True).bars(middle, low, high, "a")
    chart.dots(
        middle,
        y,
        "a",
        "answer, with the 90 % interval",
        [
            f"predicted {m:.4g} ({a:.4g} to {b:.4g}), was {v:.4g}"
            for m, a, b, v in zip(middle, low, high, y, strict=True)
        ],
    )
    return figures([figure(chart)])


def effects(answers: Answers) -> str:
    """Importance of every column, and the effect of the most important."""
    found = importances(answers)
    shown = found[:MOST_LISTED]
    at = np.arange(len(shown), dtype=float)[::-1]
    loss, error = np.array([i.loss for i in shown]), np.array([i.error for i in shown])
    unit = "more wrong answers" if answers.data.classes else "more error (RMSE / spread)"
    chart = Chart("Importance of each column", ", ".join(f"{i.column} {i.loss:.2g}" for i in shown),
                  span(loss + error, whole=[0]), (-0.7, len(shown) - 0.3), unit, "",
                  y_ticks=[(a, i.column) for a, i in zip(at, shown, strict=True)])  # fmt: skip
    chart.across(at, np.zeros(len(shown)), loss, "a")
    named = [(i.column, f"{i.loss:.3f} +- {i.error:.1g}") for i in found]
    items = [figure(chart, "By how much the error grows where the column is shuffled among the rows held out.")]
    items += [_drawn(answers, e) for i in found[:MOST_EFFECTS] for e in effects_of(answers, i.column)]
    return figures(items) + details("Importance as a table", table("Importance", ("column", unit), named))


def _drawn(answers: Answers, e: Effect) -> str:
    first, last = (_day(e.places[i]) if e.dates else _short(e.places[i]) for i in (0, -1))
    text = f"From {e.mean[0]:.3g} at {first} to {e.mean[-1]:.3g} at {last}."
    if isinstance(e.places[0], str):
        at = np.arange(len(e.places), dtype=float)
        chart = Chart(f"Effect of {e.column}", text, (-0.6, len(at) - 0.4), span(e.low, e.high), e.column,
                      answers.answer, ticks=[(i, str(p)) for i, p in enumerate(e.places)])  # fmt: skip
        chart.bars(at, e.low, e.high, "a", 0.12).dots(at, e.mean, "a", "mean over rows")
        return figure(chart, "Bars: 90 % of the networks.")
    at = np.array(e.places)
    chart = Chart(f"Effect of {e.column}", text, span(at, margin=0.02), span(e.low, e.high), e.column, answers.answer)
    if e.dates:
        chart.ticks = chart.thinned(date_ticks(*chart.x))
    chart.band(at, e.low, e.high, "a", "90 % of the networks").line(at, e.mean, "a", "mean over rows")
    return figure(chart)


MOST_TICKS = 6


def date_ticks(first: float, last: float) -> list[tuple[float, str]]:
    """Days since 1970 at which an axis of dates is marked, with their texts: first days of years or months, or days."""
    for unit, steps in (("Y", (1, 2, 5, 10, 20, 50, 100)), ("M", (1, 2, 3, 6)), ("D", (1, 2, 7, 14))):
        begin, end = (np.datetime64(int(np.floor(day)), "D").astype(f"datetime64[{unit}]") for day in (first, last))
        marks = [m for m in np.arange(begin, end + 1) if first <= _days(m) <= last]
        if len(marks) < 3 and unit != "D":
            continue
        origin = marks[0].astype(int) if marks else 0
        step = next((s for s in steps if len(marks) / s <= MOST_TICKS), steps[-1])
        return [(_days(m), str(m)) for m in marks if (m.astype(int) - (0 if unit == "Y" else origin)) % step == 0]
    return []


def _days(moment: Any) -> float:
    return float(moment.astype("datetime64[D]").astype(int))


def _day(days: Any) -> str:
    """A date by its days since 1970."""
    return str(np.datetime64(int(np.floor(days)), "D"))


def _short(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"


def strange(answers: Answers) -> str:
    """Whether networks disagree more about rows unlike the data."""
    found = strangeness(answers)
    edges = np.linspace(*span(found.known, found.strange, margin=0.0), 21)
    middle, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    known, far = (np.histogram(v, edges)[0] / len(v) for v in (found.known, found.strange))
    chart = Chart("Doubt about rows held out and rows unlike the data",
                  f"A strange row has more doubt in {found.auc:.0%} of pairs.", (edges[0], edges[-1]),
                  span(known, far, whole=[0]), "disagreement of the networks", "share of rows")  # fmt: skip
    chart.bars(middle, np.zeros(20), known, "a", width * 0.9).bars(middle, np.zeros(20), far, "b", width * 0.5)
    chart.keys += [("rows held out", "a", "bar"), ("unlike the data", "b", "bar")]
    text = (
        "Of a row held out and one unlike the data (columns shuffled, three times as far out) the networks disagree"
        f" more about the strange one in {found.auc:.0%} of pairs (half would be blind, all is best)."
    )
    return paragraph(text) + figures([figure(chart)])
