"""Charts as plain SVG text: no script, colours from the page's style sheet, a text for whoever does not see them.

A chart has a frame of WIDTH x HEIGHT units and scales with its page. Marks have titles, which browsers show under the
pointer. All texts are escaped.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Any

import numpy as np

Array = Any
WIDTH, HEIGHT = 480, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 46
_LETTER, _LABEL = 8.9, 26
"""Widths of a letter of a tick and of the label beside it on a narrow page, where they are drawn larger (`page`)."""
_MOST_LETTERS = 16
"""Of a tick at the upright axis."""
SERIES = ("a", "b", "c", "d")
"""Classes of the style sheet, a colour each."""


@dataclass
class Chart:
    """One chart in the making.

    Attributes
    ----------
    title, text : its name, and what it shows in words. x, y : ranges of the axes. x_label, y_label : their names.
    log_x, log_y : whether they are logarithmic. ticks, y_ticks : numbers at an
    axis with their texts, None for round ones.
    """

    title: str
    text: str
    x: tuple[float, float]
    y: tuple[float, float]
    x_label: str = ""
    y_label: str = ""
    log_x: bool = False
    log_y: bool = False
    ticks: Sequence[tuple[float, str]] | None = None
    y_ticks: Sequence[tuple[float, str]] | None = None
    parts: list[str] = field(default_factory=list)
    keys: list[tuple[str, str, str]] = field(default_factory=list)
    """Name, class, and the mark that it stands for."""

    def line(self, x: Array, y: Array, kind: str = "a", name: str = "", dashed: bool = False) -> "Chart":
        """A line through points; gaps where a number is not finite."""
        pieces, pen = [], False
        for px, py in zip(self._across(x), self._up(y), strict=True):
            if not (math.isfinite(px) and math.isfinite(py)):
                pen = False
                continue
            pieces.append(f"{'L' if pen else 'M'}{px:.1f} {py:.1f}")
            pen = True
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self.parts.append(f'<path class="line {kind}" d="{"".join(pieces)}"{dash}><title>{escape(name)}</title></path>')
        return self._key(name, kind, "dashed" if dashed else "line")

    def band(self, x: Array, low: Array, high: Array, kind: str = "a", name: str = "") -> "Chart":
        """The area between two lines."""
        ups = list(zip(self._across(x), self._up(low), strict=True))
        downs = list(zip(self._across(x), self._up(high), strict=True))
        d = "L".join(f"{px:.1f} {py:.1f}" for px, py in [*ups, *downs[::-1]])
        self.parts.append(f'<path class="band {kind}" d="M{d}Z"><title>{escape(name)}</title></path>')
        return self._key(name, kind, "band")

    def dots(self, x: Array, y: Array, kind: str = "a", name: str = "", titles: Sequence[str] = ()) -> "Chart":
        """Points, each with a title of its own."""
        for i, (px, py) in enumerate(zip(self._across(x), self._up(y), strict=True)):
            if math.isfinite(px) and math.isfinite(py):
                title = f"<title>{escape(titles[i])}</title>" if titles else ""
                self.parts.append(f'<circle class="dot {kind}" cx="{px:.1f}" cy="{py:.1f}" r="3">{title}</circle>')
        return self._key(name, kind, "dot")

    def bars(self, x: Array, low: Array, high: Array, kind: str = "a", width: float = 0.0) -> "Chart":
        """Upright bars from `low` to `high` at x; `width` in units of x, 0 for a hair line."""
        for px, a, b in zip(self._across(x), self._up(low), self._up(high), strict=True):
            if width:
                w = abs(self._across([width])[0] - self._across([0.0])[0])
                top, size = min(a, b), max(abs(a - b), 0.5)
                self.parts.append(
                    f'<rect class="bar {kind}" x="{px - w / 2:.1f}" y="{top:.1f}" width="{w:.1f}" height="{size:.1f}"/>'
                )
            elif math.isfinite(a) and math.isfinite(b):
                self.parts.append(f'<path class="hair {kind}" d="M{px:.1f} {a:.1f}V{b:.1f}"/>')
        return self

    def across(self, x: Array, low: Array, high: Array, kind: str = "a") -> "Chart":
        """Level bars from `low` to `high` at heights x."""
        for py, a, b in zip(self._up(x), self._across(low), self._across(high), strict=True):
            self.parts.append(
                f'<rect class="bar {kind}" x="{min(a, b):.1f}" y="{py - 7:.1f}" width="{max(abs(b - a), 1):.1f}"'
                ' height="14"/>'
            )
        return self

    def _key(self, name: str, kind: str, mark: str) -> "Chart":
        if name and (name, kind, mark) not in self.keys:
            self.keys.append((name, kind, mark))
        return self

    def render(self) -> str:
        """The chart as one element; its place on the page is `figure`'s."""
        return (
            f'<svg role="img" viewBox="0 0 {WIDTH} {HEIGHT}" aria-label="{escape(self.title + ". " + self.text)}">'
            f"{self._axes()}{''.join(self.parts)}</svg>"
        )

    # -- axes ----------------------------------------------------------------------------------------------------------

    @property
    def _left(self) -> float:
        """Where the upright axis stands: beside the longest text at it."""
        longest = max((len(text) for _, text in self._y_ticks), default=0)
        return max(_LEFT, (_LABEL if self.y_label else 8) + _LETTER * min(longest, _MOST_LETTERS))

    @property
    def _y_ticks(self) -> Sequence[tuple[float, str]]:
        return self.y_ticks if self.y_ticks is not None else _named(_round(self.y, self.log_y))

    def thinned(self, ticks: Sequence[tuple[float, str]]) -> Sequence[tuple[float, str]]:
        """Those of the ticks at the level axis that leave each other room."""
        while len(ticks) > 2 and _LETTER * (max(len(text) for _, text in ticks) + 1) > self._gap(ticks):
            ticks = ticks[::2]
        return ticks

    def _gap(self, ticks: Sequence[tuple[float, str]]) -> float:
        """Smallest distance between two ticks of the level axis."""
        places = self._across([value for value, _ in ticks])
        return min((b - a for a, b in pairwise(places)), default=WIDTH - _RIGHT - self._left)

    def _across(self, values: Array) -> list[float]:
        return _place(values, self.x, self.log_x, self._left, WIDTH - _RIGHT)

    def _up(self, values: Array) -> list[float]:
        return _place(values, self.y, self.log_y, HEIGHT - _BOTTOM, _TOP)

    def _axes(self) -> str:
        left = self._left
        out = [f'<path class="axis" d="M{left:.1f} {_TOP}V{HEIGHT - _BOTTOM}H{WIDTH - _RIGHT}"/>']
        ticks = self.ticks if self.ticks is not None else self.thinned(_named(_round(self.x, self.log_x)))
        letters = max(2, int(self._gap(ticks) / _LETTER))
        for value, text in ticks:
            shown = _cut(text, letters)
            half = _LETTER * min(len(text), letters) / 2
            px = min(max(self._across([value])[0], half + 2), WIDTH - half - 2)
            out.append(f'<text class="tick" x="{px:.1f}" y="{HEIGHT - _BOTTOM + 16}" text-anchor="middle">'
                       f"{shown}</text>")  # fmt: skip
        for value, text in self._y_ticks:
            (py,) = self._up([value])
            out.append(f'<path class="grid" d="M{left:.1f} {py:.1f}H{WIDTH - _RIGHT}"/>')
            out.append(f'<text class="tick" x="{left - 6:.1f}" y="{py + 4:.1f}" text-anchor="end">'
                       f"{_cut(text, _MOST_LETTERS)}</text>")  # fmt: skip
        middle = (left + WIDTH - _RIGHT) / 2
        out.append(f'<text class="label" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{escape(self.x_label)}'
                   "</text>")  # fmt: skip
        half = (_TOP + HEIGHT - _BOTTOM) / 2
        out.append(f'<text class="label" transform="translate(13 {half}) rotate(-90)" text-anchor="middle">'
                   f"{escape(self.y_label)}</text>")  # fmt: skip
        return "".join(out)


def figure(chart: Chart, caption: str = "") -> str:
    """A chart with its title, key and caption; it can be reached by keyboard."""
    keys = "".join(f'<span class="key"><i class="{k} key-{m}"></i>{escape(name)}</span>' for name, k, m in chart.keys)
    below = f"<p>{escape(caption)}</p>" if caption else ""
    return (
        f'<figure tabindex="0"><h3>{escape(chart.title)}</h3>{chart.render()}'
        f"<figcaption>{keys}{below}</figcaption></figure>"
    )


def span(*values: Array, margin: float = 0.05, whole: Iterable[float] = ()) -> tuple[float, float]:
    """A range that holds all finite values, and those of `whole`, with a margin."""
    flat = np.concatenate([np.ravel(np.asarray(v, float)) for v in (*values, list(whole))])
    flat = flat[np.isfinite(flat)]
    if not len(flat):
        return 0.0, 1.0
    low, high = float(flat.min()), float(flat.max())
    room = (high - low) * margin or max(abs(high), 1.0) * margin
    return low - room, high + room


def _place(values: Array, limits: tuple[float, float], log: bool, first: float, last: float) -> list[float]:
    with np.errstate(divide="ignore", invalid="ignore"):
        scale: Callable[[Array], Array] = np.log10 if log else np.asarray
        v, (a, b) = scale(np.asarray(values, float)), scale(np.asarray(limits, float))
        out = first + (v - a) / ((b - a) or 1.0) * (last - first)
    return [float(p) for p in np.clip(out, -2_000, 3_000)]


def _round(limits: tuple[float, float], log: bool) -> list[float]:
    """Round numbers within the limits, five or so."""
    low, high = limits
    if log:
        powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        found = [10.0**p for p in powers]
        if len(found) > 1:
            return found
        first = math.floor(math.log10(low))
        some = [f * 10.0**p for p in (first, first + 1, first + 2) for f in (1, 2, 5)]
        found = [v for v in some if low <= v <= high]
        if len(found) > 1:
            return found
    step = 10 ** math.floor(math.log10((high - low) / 4 or 1.0))
    step *= next(f for f in (1, 2, 5, 10) if (high - low) / (step * f) <= 6)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step + 1e-9) + 1)]


def _cut(text: str, letters: int) -> str:
    """A text of so many letters, with the whole of it as its title where it is longer."""
    if len(text) <= letters:
        return escape(text)
    return f"{escape(text[: max(1, letters - 1)])}\u2026<title>{escape(text)}</title>"


def _named(values: Sequence[float]) -> list[tuple[float, str]]:
    return [(v, f"{v:,.9g}" if abs(v) >= 1000 else f"{v:.3g}") for v in values]
