"""`gpu-thermo docs`: pages open from a site, from what is installed, or on the web; errors name such."""

import json
import re
import tomllib
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from gpu_thermo.errors import GpuThermoError
from gpu_thermo_cli import docs, main, reference
from gpu_thermo_cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = docs.pages(get_command(app).commands)


@pytest.fixture(autouse=True)
def _no_site(monkeypatch, tmp_path):
    """Without a built site, and with a cache of its own."""
    monkeypatch.delenv("GPU_THERMO_DOCS", raising=False)
    monkeypatch.setattr(docs, "built_site", lambda: None)
    monkeypatch.setattr("gpu_thermo.kernels.toolchain.cache_folder", lambda: tmp_path)


def run(*arguments):
    return CliRunner().invoke(app, ["docs", *arguments])


@pytest.mark.parametrize("name", ["sample", "spec.run", "adlala", "letters", "errors", "equations"])
def test_an_installed_page_is_one_file(name):
    file = Path(url2pathname(urlparse(run(name).stdout.strip()).path))
    text = file.read_text()
    assert text.startswith("<!doctype html>")
    assert "<h1" in text
    assert "http" not in text.partition("<body")[0].partition("<h1")[0]  # needs no network


def _links(file):
    return re.findall(r'href="([^"]+)"', file.read_text())


def test_installed_pages_lead_on(tmp_path):
    """To each other, as files, and else to the web; nothing that only the site understands is shown."""
    first = Path(url2pathname(urlparse(run().stdout.strip()).path))
    made = list(first.parent.glob("*.html"))
    assert len(made) == len({page.place for page in PAGES.values()}) + 1
    assert "howto-calibration.html" in _links(first.parent / "howto-intervals.html")
    for file in made:
        for link in _links(file):
            assert re.match("https://|mailto:|#", link) or (file.parent / link.partition("#")[0]).is_file(), (
                file,
                link,
            )
        shown = re.sub(r"<(pre|code).*?</\1>", "", file.read_text(), flags=re.DOTALL)
        assert not re.search(r"&lt;!--|\{doc\}|\{ref\}|&lt;div", shown), file


@pytest.mark.parametrize(
    ("link", "leads_to"),
    [
        ("../explain/tuning.md#what-it-costs", "explain-tuning.html#what-it-costs"),
        ("../tutorials/plot_prior.py", f"{docs.ONLINE}/tutorials/plot_prior.html"),
        ("../../bench/README.md", f"{docs.SOURCES}/bench/README.md"),
        ("https://example.org", "https://example.org"), ("#here", "#here"),
    ],
)  # fmt: skip
def test_where_links_of_installed_pages_lead(link, leads_to):
    places = {page.place: page for page in PAGES.values()}
    text, _ = docs.linked(docs.Page("a page", "howto/a", lambda: f"See [it]({link})."), places)
    assert text == f"See [it]({leads_to})."


def test_a_numbered_section_has_its_anchor():
    where = urlparse(run("equations.7").stdout.strip())
    assert where.fragment == "7-random-numbers"
    assert f'id="{where.fragment}"' in Path(url2pathname(where.path)).read_text()


def test_without_a_name_there_is_a_list():
    text = Path(url2pathname(urlparse(run().stdout.strip()).path)).read_text()
    assert all(f"gpu-thermo docs {name}<" in text for name in PAGES)


@pytest.mark.parametrize("site", ["https://docs.example.org/v1", "folder"])
def test_a_site_that_is_there_is_used(site, monkeypatch, tmp_path):
    monkeypatch.undo()
    named = site if ":" in site else str(tmp_path / site)
    monkeypatch.setenv("GPU_THERMO_DOCS", named)
    base = named if ":" in site else (tmp_path / site).as_uri()
    assert run("fit").stdout.strip() == f"{base}/reference/commands/fit.html"
    assert run("--print").stdout.strip() == f"{base}/index.html"


def test_on_the_web():
    published = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Documentation"]
    assert published == docs.ONLINE
    assert run("study", "--online").stdout.strip() == f"{published}/reference/commands/study.html"


def test_the_list():
    listed = json.loads(run("--json").stdout)
    assert set(listed) == set(PAGES)
    assert set(listed) >= {"doctor", "docs", "spec.compare", "sgld", "tuning", "studies", "files"}
    assert all(name in run("--list").stdout for name in PAGES)


@pytest.mark.parametrize(
    ("name", "remedy"), [("sampel", "Did you mean 'sample'?"), ("xyz", "--list"), ("equations.99", "no section 99")]
)
def test_what_is_not_there_is_refused(name, remedy):
    found = run(name)
    assert found.exit_code == 2
    assert remedy in found.stderr


def _every_error(root=GpuThermoError):
    return [root, *(each for sub in root.__subclasses__() for each in _every_error(sub))]


def test_errors_name_pages_that_are():
    pages = {each.__name__: each.page for each in _every_error() if each.page}
    assert set(pages) >= {"SpecError", "DataError", "DeviceError", "StoreError", "OtherBitsError", "DivergedError"}
    for page in pages.values():
        assert docs.address(page, PAGES)


@pytest.mark.parametrize("error", sorted(_every_error(), key=lambda each: each.__name__), ids=lambda e: e.__name__)
def test_every_error_ends_with_its_page(error):
    """On the command line; a stop that was asked for has none."""
    raised = error.__new__(error)
    Exception.__init__(raised, "what, the value, the remedy")
    message, code = main._explain(raised)
    assert code == error.exit_code
    last = message.splitlines()[-1]
    if error.page and code < 128:
        assert last == f"More: gpu-thermo docs {error.page}"
        assert docs.find(error.page, PAGES)[0] is not None
    else:
        assert "gpu-thermo docs" not in message


def test_a_message_ends_with_its_page():
    found = CliRunner().invoke(app, ["sample", "--set", "run.steps=some", "--dry-run"])
    assert found.exit_code == 2
    assert found.stderr.splitlines()[-1] == "More: gpu-thermo docs spec"
    found = CliRunner().invoke(app, ["info", "no_such.zarr"])
    assert found.stderr.splitlines()[-1] == "More: gpu-thermo docs files"


def test_every_command_section_and_method_has_a_page():
    assert set(PAGES) >= set(get_command(app).commands)
    assert set(PAGES) >= {f"spec.{name}" for name in reference.spec_places()}
