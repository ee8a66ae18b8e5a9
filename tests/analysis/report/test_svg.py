"""Charts: marks stand where they should, texts are escaped, ranges hold what is drawn."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from gpu_thermo_analysis.report.svg import HEIGHT, WIDTH, Chart, figure, span


def chart(**more):
    return Chart("A & B", 'says "<b>"', (0.0, 10.0), (0.0, 1.0), "x <unit>", "y", **more)


def test_marks_stand_where_they_should():
    text = chart().dots([0, 10, 5], [0, 1, 0.5], "a", "n", ["p", "<q>", "r"]).render()
    found = [tuple(map(float, pair)) for pair in re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', text)]
    (x0, y0), (x1, y1), (x2, y2) = found
    assert x0 < x2 < x1
    assert y1 < y2 < y0
    assert x2 == pytest.approx((x0 + x1) / 2, abs=0.1)
    assert y2 == pytest.approx((y0 + y1) / 2, abs=0.1)
    assert 0 <= min(x0, y1)
    assert max(x1, y0) <= max(WIDTH, HEIGHT)


def test_it_is_xml_whatever_the_texts():
    made = chart().line([0, 1, np.nan, 3], [0, 1, 1, np.inf], "a", "<line>").band([0, 1], [0, 0], [1, 1], "b", "&")
    made.bars([1, 2], [0, 0], [1, 0.5], "a", 0.5).bars([1], [0], [1]).across([1], [0], [2])
    root = ET.fromstring(figure(made, "caption <i>"))
    assert root.attrib["tabindex"] == "0"
    svg = root.find("svg")
    assert svg.attrib["role"] == "img"
    assert svg.attrib["aria-label"] == 'A & B. says "<b>"'
    assert "caption <i>" in "".join(root.itertext())


def test_gaps_stay_gaps():
    text = chart().line([0, 1, 2, 3, 4], [0, 1, np.nan, 1, 0]).render()
    assert re.search(r'class="line a" d="([^"]+)"', text)[1].count("M") == 2


def ticks(text):
    return re.findall(r'<text class="tick"[^>]*>(.*?)</text>', text)


def test_names_at_axes_leave_each_other_room():
    """A long one is cut, and its title says all of it; numbers and dates are fewer where they are long."""
    names = ["Castrop-Rauxel am See", "b", "c", "d", "e"]
    made = Chart("t", "", (-0.6, 4.4), (0.0, 1.0), ticks=list(enumerate(names)), y_ticks=[(0.5, "x" * 20)]).render()
    assert ticks(made)[0] == f"Castro\u2026<title>{names[0]}</title>"
    assert ticks(made)[5] == f"{'x' * 15}\u2026<title>{'x' * 20}</title>"
    days = [(day / 6, f"2025-03-0{day + 1}") for day in range(7)]
    every_other = ["2025-03-01", "2025-03-03", "2025-03-05", "2025-03-07"]
    assert [text for _, text in Chart("t", "", (0.0, 1.0), (0.0, 1.0)).thinned(days)] == every_other
    few = [(0.0, "a"), (1.0, "b")]
    assert Chart("t", "", (0.0, 1.0), (0.0, 1.0)).thinned(few) == few


def test_the_axis_stands_beside_its_numbers():
    wide, narrow = (Chart("t", "", (0, 1), (0, top), "x", "y").render() for top in (600_000, 6))
    starts = [float(re.search(r'class="axis" d="M([\d.]+)', text)[1]) for text in (wide, narrow)]
    assert starts == [pytest.approx(26 + 7 * 8.9, abs=0.1), 62]
    assert "1,000,000" in Chart("t", "", (0, 1), (0, 2e6)).render()


@pytest.mark.parametrize(
    ("limits", "texts"),
    [((0.0545, 0.14), ["0.06", "0.08", "0.1", "0.12", "0.14"]), ((0.15, 0.9), ["0.2", "0.5"])],
)
def test_round_numbers_at_a_short_logarithmic_axis(limits, texts):
    assert ticks(Chart("t", "", (0, 1), limits, log_y=True).render())[-len(texts) :] == texts


def test_keys_look_as_their_marks():
    made = chart().band([0, 1], [0, 0], [1, 1], "a", "p").line([0, 1], [0, 1], "a", "q", True).dots([1], [1], "a", "r")
    assert re.findall(r'<i class="a key-(\w+)">', figure(made)) == ["band", "dashed", "dot"]


def test_logarithmic_axes():
    text = Chart("t", "", (1, 100), (0.01, 10), log_x=True, log_y=True).dots([10], [0.1], "a").render()
    (x, y) = map(float, re.search(r'cx="([\d.]+)" cy="([\d.]+)"', text).groups())
    assert x == pytest.approx((62 + WIDTH - 14) / 2, abs=0.1)
    assert 14 < y < HEIGHT - 46
    assert ">0.1</text>" in text


@pytest.mark.parametrize("values", [[], [np.nan], [3.0], [-1e6, 1e6], [0.0, 0.0]])
def test_ranges_are_never_empty(values):
    low, high = span(np.array(values, float))
    assert low < high or values == [0.0, 0.0]
    Chart("t", "", span(np.array([*values, 1.0])), (0, 1)).render()
