"""Whole reports: every part, one file without network, small; and in a browser without a complaint."""

import re
from html.parser import HTMLParser

import pytest
from browser import check_shown, needs_browser
from layout import wrong_with

import gpu_thermo as gt
from gpu_thermo.errors import StoreExistsError
from gpu_thermo_analysis.drawing import NotWrittenError
from gpu_thermo_analysis.report import write_report

PARTS = ("Scores", "Predictions", "What the answer depends on", "Does it know what it does not know?",
         "How the run went", "How it was made")  # fmt: skip


class Reader(HTMLParser):
    """Elements, their attributes, and that what opens is closed."""

    VOID = {"meta", "link", "img", "path", "rect", "circle"}  # noqa: RUF012

    def __init__(self, text):
        super().__init__()
        self.seen, self.open, self.texts = [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def of(self, tag):
        return [attrs for name, attrs in self.seen if name == tag]


@pytest.fixture(params=["numbers_run", "classes_run", "log_run"])
def report(request, tmp_path):
    """The page of each kind of run, as a file."""
    return write_report(request.getfixturevalue(request.param), tmp_path / "r.html")


def test_it_is_one_file_that_needs_nothing(report):
    text = report.read_text()
    reader = Reader(text)
    assert report.stat().st_size < 2_000_000
    assert not reader.of("script")
    fetched = [v for _, a in reader.seen for k, v in a.items() if k in ("src", "href", "srcset", "xlink:href")]
    assert all(value.startswith(("#", "data:")) for value in fetched)
    assert "url(" not in text
    assert "@import" not in text


def test_it_has_its_parts_and_can_be_read_by_all(report):
    text = report.read_text()
    reader = Reader(text)
    for part in PARTS:
        assert f"{part}</h2>" in text.replace("&#x27;", "'")
    assert "Not shown" not in text
    assert len(reader.of("h1")) == 1
    assert {a["lang"] for a in reader.of("html")} == {"en"}
    assert all(a.get("aria-label") for a in reader.of("svg"))
    assert all(a.get("tabindex") == "0" for a in reader.of("figure"))
    assert len(reader.of("figure")) >= 6
    anchors = {a["id"] for _, a in reader.seen if "id" in a}
    assert {a["href"][1:] for a in reader.of("a")} <= anchors
    assert "prefers-color-scheme:dark" in text
    assert any(a.get("name") == "viewport" for a in reader.of("meta"))
    assert "NaN" not in text
    assert "nan" not in re.findall(r'[ "](nan)', text)


def test_names_of_the_data_are_escaped(report):
    assert "<i>blue" not in report.read_text()
    assert "&lt;i&gt;blue" in report.read_text()


@needs_browser
@pytest.mark.parametrize("run", ["numbers_run", "classes_run"])
def test_in_a_browser(run, request, tmp_path):
    """No message on its console, which the page's policy would fill with every request; all figures are there."""
    check_shown(write_report(request.getfixturevalue(run), tmp_path / "r.html"), tmp_path)


@needs_browser
@pytest.mark.parametrize("run", ["numbers_run", "classes_run"])
def test_it_can_be_read(run, request, tmp_path):
    """On a screen in light colours, and in dark ones on a phone: no text is small, cut, pale or on top of another."""
    page = write_report(request.getfixturevalue(run), tmp_path / "r.html")
    assert not wrong_with(page, tmp_path)
    assert not wrong_with(page, tmp_path, phone=True, dark=True)
    page.write_text(page.read_text().replace("</style>", ".label{font-size:60px}th{color:#777 !important}</style>"))
    assert {what for what, *_ in wrong_with(page, tmp_path)} == {"on top of each other", "cut", "pale"}


def test_a_potential_has_a_report(tmp_path):
    method = {"name": "langevin", "temperature": 1.0, "stepsize": 0.2, "friction": 1.0}
    run = {"replicas": 8, "steps": 200, "burn_in": 100, "thin": 20}
    spec = {"target": {"name": "harmonic", "stiffness": [1.0, 4.0]}, "method": method, "run": run}
    gt.sample(spec, tmp_path / "run.zarr").close()
    text = write_report(tmp_path / "run.zarr", tmp_path / "r.html").read_text()
    Reader(text)
    assert "Coordinates</h2>" in text


def test_files_are_not_lost(numbers_run, tmp_path):
    (tmp_path / "r.html").write_text("mine")
    with pytest.raises(StoreExistsError):
        write_report(numbers_run, tmp_path / "r.html")
    with pytest.raises(NotWrittenError):
        write_report(numbers_run, tmp_path / "no" / "r.html")
    assert (tmp_path / "r.html").read_text() == "mine"
