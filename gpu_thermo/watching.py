"""Progress of a run for notebooks and scripts, given to `sample` as on_progress: a widget where there is a front end
and anywidget, else a line now and then.

What is shown is a plain dictionary, the widget's `state`; the run is read and never touched, so that watching changes
no bit.
"""

import math
import sys
import time
from collections.abc import Callable
from typing import Any

from .run import Progress

INTERVAL, MOST = 0.5, 240
"""Seconds between two states of a widget, and points of a curve; of more every second one is kept."""
START = {"text": "starting ...", "share": 0.0, "curves": {}}
"""State of a widget before the first look at its run."""
ERROR = "error of the averages"
LINES = 10.0
"""Seconds between two lines."""
DRAW = """
const WIDTH = 240, HEIGHT = 40;
const drawn = (ys, goal) => {
  const seen = [...ys, goal].filter(Number.isFinite), low = Math.min(...seen), high = Math.max(...seen);
  const up = v => (HEIGHT - 3 - (HEIGHT - 6) * (high > low ? (v - low) / (high - low) : .5)).toFixed(1);
  const across = i => (WIDTH * i / Math.max(1, ys.length - 1)).toFixed(1);
  const points = ys.map((v, i) => Number.isFinite(v) ? `${across(i)},${up(v)}` : "").filter(p => p).join(" ");
  const level = Number.isFinite(goal) ? `<path d="M0 ${up(goal)}H${WIDTH}" stroke-dasharray="4 3" opacity=".6"/>` : "";
  return `<g fill="none" stroke="currentColor" stroke-width="1.5"><polyline points="${points}"/>${level}</g>`;
};
const made = (tag, of = {}, style = {}) => {
  const e = Object.assign(document.createElement(tag), of);
  Object.assign(e.style, style);
  return e;
};
const short = v => Number.isFinite(v) ? `${+v.toPrecision(3)}` : "-";
export default { render({ model, el }) {
  const text = made("div"), bar = made("progress", { max: 1 }, { width: "100%" }), curves = made("div");
  text.setAttribute("role", "status");
  bar.setAttribute("aria-label", "share of the steps");
  el.style.color = "var(--jp-content-font-color1, inherit)";
  el.replaceChildren(text, bar, curves);
  const show = () => {
    const s = model.get("state"), goals = s.goals || {};
    text.textContent = s.text;
    bar.value = s.share;
    const told = Object.entries(s.curves).filter(([, ys]) => ys.filter(Number.isFinite).length > 1);
    curves.replaceChildren(...told.map(([name, ys]) => {
      const goal = Number.isFinite(goals[name]) ? `, the goal is ${short(goals[name])}` : "";
      const said = `${name} ${short(ys[ys.length - 1])}${goal}`, box = made("div", {}, {
        display: "flex", flexWrap: "wrap", alignItems: "center", gap: "0 .8em", margin: ".2em 0" });
      box.innerHTML = `<svg role="img" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}">${
        drawn(ys, goals[name])}</svg>`;
      box.firstChild.setAttribute("aria-label", `${said}; ${short(ys.find(Number.isFinite))} at first`);
      box.append(made("span", { textContent: said }));
      return box;
    }));
  };
  model.on("change:state", show);
  show();
  return () => model.off("change:state", show);
} };
"""
"""How a front end draws a state: text, bar, and a small curve for each quantity, with its goal where it has one."""


class Curves:
    """What was seen of a run, and the state that shows it."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._every, self._calls = 1, 0

    def add(self, progress: Progress) -> dict[str, Any]:
        """The state after one more look."""
        if self._calls % self._every == 0:
            self.rows.append(_quantities(progress))
        self._calls += 1
        if len(self.rows) > MOST:
            self.rows, self._every = self.rows[::2], 2 * self._every
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        curves = {name: [_plain(row.get(name, math.nan)) for row in self.rows] for name in names}
        share = progress.step / max(1, progress.total_steps)
        return {"text": in_a_line(progress), "share": min(1.0, share), "step": progress.step, "curves": curves,
                "goals": {ERROR: progress.tolerance} if progress.phase else {},
                "frozen": progress.frozen, "phase": progress.phase}  # fmt: skip


def _quantities(p: Progress) -> dict[str, float]:
    """Energy, temperatures, and of a run that tunes itself the error of its averages."""
    out = {"energy": p.energy} | {f"temperature of {name}": float(v) for name, v in p.kinetic_temperature.items()}
    return out | ({ERROR: p.error} if p.phase else {})


def _plain(value: float) -> float | None:
    """As JSON takes it."""
    return float(value) if math.isfinite(value) else None


def in_a_line(p: Progress) -> str:
    """Where a run stands."""
    known = f", averages known to {p.error:.2g} of {p.tolerance:g} sd" if math.isfinite(p.error) else ""
    where = f"{p.phase}, step {p.step:,}{known}" if p.phase else f"step {p.step:,} of {p.total_steps:,}"
    left = f", {p.seconds_left:,.0f} s left" if math.isfinite(p.seconds_left) else ""
    lost = f", {p.frozen} frozen" if p.frozen else ""
    return f"{where}{left}, {p.draws:,} draws{lost}"


class Lines:
    """A line on stderr every ten seconds."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        """After a segment."""
        if time.monotonic() - self._last >= LINES:
            self._last = time.monotonic()
            print(in_a_line(progress), file=sys.stderr)


class Shown:
    """A widget that is kept up to date."""

    def __init__(self, widget: Any) -> None:
        self.widget, self.curves = widget, Curves()
        self._last = -math.inf

    def __call__(self, progress: Progress) -> None:
        """After a segment."""
        state = self.curves.add(progress)
        if time.monotonic() - self._last >= INTERVAL or progress.step >= progress.total_steps:
            self._last = time.monotonic()
            self.widget.state = state

    def __reduce__(self) -> tuple[Any, ...]:
        """In a copy, or in another process, lines: a widget lives in its own notebook only."""
        return Lines, ()


def widget() -> Any:
    """An anywidget with the traitlet `state`; ImportError where there is no anywidget."""
    import anywidget
    import traitlets

    class Live(anywidget.AnyWidget):
        """Curves of a run."""

        _esm = DRAW
        state = traitlets.Dict(START).tag(sync=True)

    return Live()


def live() -> Callable[[Progress], None]:
    """Something to give `sample`, `resume` or an estimator as on_progress: it shows energy, temperatures and the error
    of the averages while the run goes on.

    A widget in a notebook (pip install gpu_thermo[notebook]), else a line every ten seconds. No bit changes by it.
    """
    if "ipykernel" not in sys.modules:
        return Lines()
    try:
        made = widget()
    except ImportError:
        return Lines()
    from IPython.display import display

    display(made)
    return Shown(made)
