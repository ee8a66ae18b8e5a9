"""Progress beside a run: the widget's state without a browser, lines where there is none, and no bit changed."""

import itertools
import json
import pickle
import re
import sys
import types

import pytest
from browser import needs_browser, shown
from runs import SMALL, differences

import gpu_thermo as gt
from gpu_thermo import watching as module
from gpu_thermo.running.loop import Progress


def progress(step, energy=0.5, **more):
    return Progress(step, 1_000, 8, 10.0, 7.0, energy, {"all": 0.9}, 1, 3, 2, **more)


def test_the_state_says_what_happens():
    curves = module.Curves()
    for step in range(0, 900, 100):
        state = curves.add(progress(step, 1 / (1 + step), phase="sampling", error=0.2, tolerance=0.1))
    assert json.loads(json.dumps(state)) == state
    assert state["share"] == 0.8
    assert state["text"] == "sampling, step 800, averages known to 0.2 of 0.1 sd, 7 s left, 3 draws, 1 frozen"
    assert list(state["curves"]) == ["energy", "temperature of all", "error of the averages"]
    assert state["curves"]["energy"] == [1 / (1 + step) for step in range(0, 900, 100)]


def test_a_long_run_keeps_its_shape():
    """At most MOST points, evenly spread; what is not finite is a gap."""
    curves = module.Curves()
    for step in range(5_000):
        state = curves.add(progress(step, float("nan") if step == 0 else step))
    energy = state["curves"]["energy"]
    assert energy[0] is None
    assert module.MOST / 2 <= len(energy) <= module.MOST + 1
    gaps = {b - a for a, b in itertools.pairwise(energy[1:])}
    assert len(gaps) == 1


class Widget:
    """In place of one."""

    state = None


def test_watching_changes_no_bit(tmp_path, monkeypatch):
    shown = module.Shown(Widget())
    monkeypatch.setattr(module, "INTERVAL", 0.0)
    gt.sample(SMALL, tmp_path / "a.zarr", on_progress=shown).close()
    gt.sample(SMALL, tmp_path / "b.zarr").close()
    assert not differences(tmp_path / "a.zarr", tmp_path / "b.zarr")
    assert shown.widget.state["share"] == 1
    assert shown.widget.state["step"] == 600
    assert len(shown.widget.state["curves"]["energy"]) >= 1


def test_lines_where_there_is_no_front_end(monkeypatch, capsys):
    monkeypatch.setattr(module, "LINES", 0.0)
    assert isinstance(gt.live(), module.Lines)
    gt.live()(progress(10))
    assert capsys.readouterr().err == "step 10 of 1,000, 7 s left, 3 draws, 1 frozen\n"
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "anywidget", None)  # it is not installed
    assert isinstance(gt.live(), module.Lines)
    assert isinstance(pickle.loads(pickle.dumps(module.Shown(Widget()))), module.Lines)


def test_the_widget_itself():
    """Its state is what a front end gets, and its program is there."""
    pytest.importorskip("anywidget")
    shown = module.Shown(module.widget())
    assert shown.widget.get_state()["state"]["text"] == "starting ..."
    shown(progress(500))
    assert shown.widget.get_state()["state"]["share"] == 0.5
    assert "export default" in shown.widget._esm


SEEN = """<!DOCTYPE html><html><body><div id="w"></div><script type="module">
PROGRAM
const states = STATES, hooks = [];
let state = states[0];
const model = { get: () => state, on: (name, f) => hooks.push(f), off: (name, f) => hooks.splice(hooks.indexOf(f), 1) };
const end = widget.render({ model, el: document.getElementById("w") });
for (state of states.slice(1)) hooks.forEach(f => f());
end();
document.body.dataset.hooks = hooks.length;
</script></body></html>"""


def states():
    """Of a run from its start on."""
    curves, out = module.Curves(), [module.START]
    for step in range(0, 700, 100):
        error = 1 / (1 + step) if step > 200 else float("nan")
        out.append(curves.add(progress(step, 4 / (1 + step), phase="sampling", error=error, tolerance=0.1)))
    return out


@needs_browser
def test_a_browser_draws_it(tmp_path):
    """The program as a front end runs it, before the first state, at every one, and when it is taken away."""
    program = module.DRAW.replace("export default", "const widget =")
    page = tmp_path / "live.html"
    page.write_text(SEEN.replace("PROGRAM", program).replace("STATES", json.dumps(states())))
    whole, console = shown(page, tmp_path)
    document = whole.partition("<script")[0]
    assert not console
    assert 'data-hooks="0"' in document
    assert "sampling, step 600, averages known to 0.0017 of 0.1 sd" in document
    assert re.findall(r'<svg[^>]* aria-label="([^"]*)"', document) == [
        "energy 0.00666; 4 at first", "temperature of all 0.9; 0.9 at first",
        "error of the averages 0.00166, the goal is 0.1; 0.00332 at first",
    ]  # fmt: skip
    energy, level, error = (
        [tuple(map(float, point.split(","))) for point in points.split()]
        for points in re.findall(r'<polyline points="([^"]*)"', document)
    )
    assert [x for x, _ in energy] == [0, 40, 80, 120, 160, 200, 240]
    assert energy[0][1] == 3  # at the top
    assert energy[-1][1] == pytest.approx(37, abs=0.1)
    assert {y for _, y in level} == {20}
    assert [x for x, _ in error] == [120, 160, 200, 240]
    assert re.findall(r'd="M0 ([\d.]+)H240" stroke-dasharray', document) == ["3.0"]  # the goal, above the curve
    page.write_text(page.read_text().replace("const made", "const mad"))
    assert "made is not defined" in shown(page, tmp_path)[1]
