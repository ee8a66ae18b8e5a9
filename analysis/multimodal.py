"""Pictures of a comparison of methods on multimodal targets; each with its numbers.

Densities sampled, flattened and weighted back beside the exact one; the probability of the energies as a contour learns
it; the effective learning rate along a contour's trajectory; the rungs of a ladder's replicas; and one summary.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from gpu_thermo_analysis.comparison import Results
from gpu_thermo_analysis.study_figures import Drawn, panels, save, styled
from gpu_thermo_analysis.style import CURVE, UNCERTAINTY, class_colour

EXACT = "0.15"
NEGATIVE = "#EE6677"
Panel = tuple[str, np.ndarray, float | None]
"""Title, share of the draws in each cell, distance to the exact density."""


# -- densities ---------------------------------------------------------------------------------------------------------


@styled
def densities(results: Results) -> Drawn:
    """The exact density, and what each entry makes of it; weighted draws also as they were sampled, flattened."""
    shown: list[Panel] = [("exact", results.exact, None)]
    for row in results.rows:
        tv = row["measures"]["tv"]
        raw, weighted = (results.density(row["slug"], which) for which in ("raw", "weighted"))
        if not np.array_equal(raw, weighted):
            shown.append((f"{row['label']}: as sampled", raw, None))
        shown.append((row["label"], weighted, tv["mean"]))
    draw = _planes if results.exact.ndim == 2 else _lines
    return draw(results, shown)


def _planes(results: Results, shown: list[Panel]) -> Drawn:
    from matplotlib.colors import PowerNorm

    figure, axes = panels(len(shown), 1.95, 2.1, across=5)
    low, high = float(results.edges[0]), float(results.edges[-1])
    top = float(np.quantile(results.exact, 0.999))
    middle = (results.edges[1:] + results.edges[:-1]) / 2
    rows: list[tuple[Any, ...]] = []
    for panel, (title, density, tv) in zip(axes, shown, strict=True):
        panel.imshow(
            density.T,
            origin="lower",
            extent=(low, high, low, high),
            cmap=UNCERTAINTY,
            norm=PowerNorm(0.5, 0, top),
            interpolation="nearest",
        )
        panel.set_title(_short(title), fontsize=8)
        panel.set(xticks=[], yticks=[])
        if tv is not None:
            panel.set_xlabel(f"distance {tv:.2f}", fontsize=8, labelpad=2)
        rows += [
            (title, float(x), float(y), float(density[i, j]))
            for i, x in enumerate(middle)
            for j, y in enumerate(middle)
        ]
    return Drawn(figure, ("entry", "x", "y", "share"), rows)


def _short(title: str) -> str:
    """At most two lines."""
    head, comma, tail = title.partition(", ")
    if ": " in title:
        head, comma, tail = title.rpartition(": ")
    return f"{head}\n{tail}" if comma and len(title) > 18 else title


def _lines(results: Results, shown: list[Panel]) -> Drawn:
    width = np.diff(results.edges)
    plain = [s for s in shown[1:] if not s[0].endswith(": as sampled")]
    raw = {title.removesuffix(": as sampled"): density for title, density, _ in shown if title.endswith(": as sampled")}
    figure, axes = panels(len(plain), 2.5, 2.0, across=4)
    rows: list[tuple[Any, ...]] = []
    for i, (panel, (title, density, tv)) in enumerate(zip(axes, plain, strict=True)):
        panel.stairs(results.exact / width, results.edges, color=EXACT, lw=0.8, label="exact")
        if title in raw:
            panel.stairs(raw[title] / width, results.edges, color="0.6", lw=0.9, ls="--", label="as sampled")
        panel.stairs(density / width, results.edges, color=class_colour(i), fill=True, alpha=0.35, lw=0)
        panel.stairs(density / width, results.edges, color=class_colour(i), lw=0.9)
        panel.set_title(_short(title), fontsize=8)
        panel.set_ylim(0, 1.25 * float((results.exact / width).max()))
        panel.text(0.03, 0.95, f"distance {tv:.3f}", transform=panel.transAxes, va="top", fontsize=7.5)
        if i == 0 or title in raw:
            panel.legend(loc="upper right", handlelength=1.0, fontsize=7)
        rows += [
            (title, float(a), float(e), float(d), float(raw[title][k]) if title in raw else "")
            for k, (a, e, d) in enumerate(zip(results.edges, results.exact, density, strict=False))
        ]
    return Drawn(figure, ("entry", "from", "exact", "found", "as_sampled"), rows)


# -- a contour as it learns --------------------------------------------------------------------------------------------


def _probability(found: dict[str, np.ndarray]) -> np.ndarray:
    """[time, m] of the energies, from the histograms of the watched replicas: w, or w^zeta normalised where they
    interact.
    """
    log_w = found["log_weight"]
    w = (
        np.exp(log_w - log_w.max(axis=-1, keepdims=True)).mean(axis=1)
        if log_w.shape[1] == 1
        else np.exp(log_w).mean(axis=1)
    )
    w = w ** float(found["zeta"]) if found["interacting"] else w
    return np.asarray(w / w.sum(axis=1, keepdims=True))


@styled
def energy_pdf(results: Results) -> Drawn:
    """The probability of the energies at a few times against the exact one, and its distance over time; a row for each
    watched contour.
    """
    from matplotlib import colormaps

    watched = list(results.watched("log_weight"))
    figure, axes = panels(2 * len(watched), 4.0, 2.8, sharey=False, across=2)
    rows: list[tuple[Any, ...]] = []
    for left, right, (row, found) in zip(axes[::2], axes[1::2], watched, strict=True):
        probability, time, edges = _probability(found), found["time"], found["edges"]
        known = "probability" in found
        width = float(edges[1] - edges[0])
        chosen = np.unique(np.linspace(0, len(time) - 1, 5).round().astype(int))
        colours = colormaps[UNCERTAINTY](np.linspace(0.9, 0.15, len(chosen)))
        for colour, t in zip(colours, chosen, strict=True):
            left.stairs(probability[t] / width, edges, color=colour, lw=1.0, label=f"{int(time[t]):,} steps")
        if known:
            left.stairs(found["probability"] / width, edges, color=EXACT, lw=1.1, ls="--", label="exact")
            distance = np.abs(probability - found["probability"]).sum(axis=1) / 2
            right.plot(time, distance, color=CURVE, lw=1.3, marker="o", ms=2.5)
            rows += [(row["label"], int(s), float(d)) for s, d in zip(time, distance, strict=True)]
        reached = np.flatnonzero((found.get("probability", probability[-1]) > 1e-9) | (probability[-1] > 1e-9))
        left.set(
            title=row["label"], xlabel="energy", ylabel="density of the energy", yscale="log",
            xlim=(edges[0], edges[min(len(edges) - 1, reached[-1] + 2)]),
        )  # fmt: skip
        left.set_ylim(bottom=1e-9)
        left.legend(loc="upper right", handlelength=1.2, fontsize=7, frameon=True, framealpha=0.9, edgecolor="none")
        right.set(
            title="distance to the exact probabilities",
            xlabel="steps",
            ylabel="total variation",
            xscale="log",
            yscale="log",
        )
    return Drawn(figure, ("entry", "step", "total_variation"), rows)


@styled
def learning_rate(results: Results) -> Drawn:
    """A piece of a contour's trajectory, and its effective learning rate h (1 + zeta tau l): negative where it bounces
    out.
    """
    watched = list(results.watched("multiplier"))
    figure, axes = panels(2 * len(watched), 4.0, 2.8, sharey=False, across=2)
    rows: list[tuple[Any, ...]] = []
    for left, right, (row, found) in zip(axes[::2], axes[1::2], watched, strict=True):
        some = slice(-_PIECE, None)
        who = int(np.abs(np.diff(found["multiplier"][some] < 0, axis=0)).sum(axis=0).argmax())
        step, rate = found["step"][some], found["multiplier"][some, who] * float(found["stepsize"][who])
        position, energy = found["position"][some, who], found["energy"][some, who]
        negative = rate < 0
        if position.shape[1] == 2:
            _path(left, results, position, negative)
        else:
            left.plot(step, position[:, 0], color=CURVE, lw=0.6)
            left.scatter(step[negative], position[negative, 0], s=4, color=NEGATIVE, lw=0, zorder=3)
            left.set(xlabel="step", ylabel="position")
        left.set_title(row["label"])
        right.axhline(0, color="0.6", lw=0.6)
        right.axhline(float(found["stepsize"][who]), color="0.6", lw=0.6, ls=":")
        right.scatter(energy[~negative], rate[~negative], s=4, color=CURVE, lw=0, alpha=0.6, label="descends")
        right.scatter(energy[negative], rate[negative], s=4, color=NEGATIVE, lw=0, alpha=0.6, label="bounces out")
        right.set(xlabel="energy", ylabel="effective learning rate", title="h (1 + zeta tau l); dotted: h")
        right.legend(loc="upper right", handletextpad=0.1, markerscale=2)
        rows += [
            (row["label"], int(s), *map(float, q), float(u), float(r))
            for s, q, u, r in zip(step, position, energy, rate, strict=True)
        ]
    names = ("x", "y")[: len(results.record["exact"]["mean"])]
    return Drawn(figure, ("entry", "step", *names, "energy", "effective_learning_rate"), rows)


_PIECE = 4000


def _path(axes: Any, results: Results, position: np.ndarray, negative: np.ndarray) -> None:
    """A trajectory in the plane over the exact density, red where the learning rate is negative."""
    low, high = float(results.edges[0]), float(results.edges[-1])
    log = np.log(np.maximum(results.exact, 1e-12))
    axes.imshow(log.T, origin="lower", extent=(low, high, low, high), cmap="Greys", interpolation="bilinear", alpha=0.8)
    axes.plot(*position.T, color=CURVE, lw=0.4, alpha=0.8)
    axes.scatter(*position[negative].T, s=3, color=NEGATIVE, lw=0, zorder=3)
    axes.set(xlim=(low, high), ylim=(low, high), xlabel="x", ylabel="y", aspect="equal")


# -- a ladder ----------------------------------------------------------------------------------------------------------


@styled
def swaps(results: Results) -> Drawn:
    """Swap diagrams: the rung of each replica of the first ladder at its last attempts."""
    watched = list(results.watched("rung"))
    figure, axes = panels(len(watched), 5.6, 2.4, sharey=False, across=1)
    rows: list[tuple[Any, ...]] = []
    for panel, (row, found) in zip(axes, watched, strict=True):
        count = row["rungs"] if row["rungs"] > 1 else found["rung"].shape[1]
        some = slice(-_ATTEMPTS, None)
        step, rung = found["step"][some], found["rung"][some, :count]
        for replica in range(count):
            panel.step(
                step,
                rung[:, replica] + min(0.09, 0.5 / count) * (replica - (count - 1) / 2),
                where="post",
                color=class_colour(replica),
                lw=0.9,
            )
        panel.set(title=row["label"], xlabel="step", ylabel="rung", yticks=range(int(rung.max()) + 1))
        rows += [(row["label"], int(s), r, int(rung[t, r])) for t, s in enumerate(step) for r in range(count)]
    return Drawn(figure, ("entry", "step", "replica", "rung"), rows)


_ATTEMPTS = 200

# -- the summary -------------------------------------------------------------------------------------------------------

MEASURES = (
    ("tv", "distance to the\nexact density"), ("modes", "modes found\nin a group"),
    ("accuracy_single", "test accuracy,\nsingle draws"),
    ("accuracy_last", "test accuracy\nat the end"),
    ("accuracy_average", "test accuracy,\naveraged over a group"), ("nll_average", "test NLL,\naveraged (nats)"),
)  # fmt: skip


@styled
def summary(results: Results) -> Drawn:
    """Every entry's measures with their standard errors over groups, and the worth of a million of its gradients in
    independent draws.
    """
    chosen = [(name, title) for name, title in MEASURES if all(name in row["measures"] for row in results.rows)]
    worth = [row["per_million_gradients"].get("worth") for row in results.rows]
    with_worth = any(e for e in worth)
    count = len(results.rows)
    figure, axes = panels(len(chosen) + with_worth, 2.3, 0.9 + 0.24 * count, sharey=True, across=5)
    place = np.arange(count)[::-1]
    colours = [class_colour(i) for i in range(count)]
    for panel, (name, title) in zip(axes, chosen, strict=False):
        found = [row["measures"][name] for row in results.rows]
        values, errors = ([math.nan if f[key] is None else f[key] for f in found] for key in ("mean", "error"))
        for y, value, error, colour in zip(place, values, errors, colours, strict=True):
            panel.errorbar(
                value, y, xerr=0 if math.isnan(error) else error, fmt="o", ms=4, color=colour, capsize=2, lw=1
            )
        panel.set_title(title, fontsize=8.5)
        panel.grid(axis="x", color="0.9", lw=0.5)
        if name in ("tv", "modes"):
            panel.set_xlim(left=0)
    if with_worth:
        axes[-1].barh(place, [e or 0 for e in worth], color=colours, height=0.6)
        axes[-1].set_title("worth of\n$10^6$ gradients", fontsize=8.5)
        axes[-1].set_xlabel("independent draws")
        axes[-1].set_xscale("log")
    axes[0].set_yticks(place, [row["label"] for row in results.rows], fontsize=8)
    columns = (
        "entry",
        *(f"{name}{suffix}" for name, _ in chosen for suffix in ("", "_error")),
        "worth_per_million_gradients",
    )
    rows = [
        (row["label"], *(row["measures"][name][key] for name, _ in chosen for key in ("mean", "error")), e)
        for row, e in zip(results.rows, worth, strict=True)
    ]
    return Drawn(figure, columns, [tuple("" if v is None else v for v in row) for row in rows])


# -- all of it ---------------------------------------------------------------------------------------------------------


def draw(folder: Path) -> list[Path]:
    """Draw every picture that the comparison in `folder` allows, into it; returns their PNG files."""
    results = Results.read(folder)
    wanted = {"summary": summary}
    if results.on_potential:
        wanted["densities"] = densities
        for name, key, picture in (
            ("energies", "log_weight", energy_pdf),
            ("learning_rate", "multiplier", learning_rate),
        ):
            if any(True for _ in results.watched(key)):
                wanted[name] = picture
    if any(True for _ in results.watched("rung")):
        wanted["swaps"] = swaps
    return [save(picture(results), folder / name)[0] for name, picture in wanted.items()]
