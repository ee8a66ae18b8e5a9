"""Every public name, command, section, method and error has a page, and stands in the table of them."""

import pytest
from site_pages import library, made
from typer.main import get_command

import gpu_thermo
from gpu_thermo.method.named import ALIASES, METHODS
from gpu_thermo_cli import reference
from gpu_thermo_cli.main import app

PUBLIC = [f"gpu_thermo.{name}" for name in gpu_thermo.__all__ if name != "__version__"]
COMMANDS = [f"gpu-thermo {name}" for name in get_command(app).commands]
NAMES = [*PUBLIC, *library.MORE, *COMMANDS, *reference.spec_places(), *METHODS, *ALIASES, *reference.errors()]


@pytest.fixture(scope="module")
def pages():
    """Texts of the pages that the code writes, by place; that of a store's variables needs a run and is left out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "store_page", lambda: "# Every variable of a store\n")
        return made.made_pages()


def test_every_name_stands_in_the_table_with_a_page_that_is_made(pages):
    table = pages["reference/pages.md"]
    for name in NAMES:
        (line,) = {line for line in table.splitlines() if line.startswith(f"| `{name}` | ")}
        page = line.partition("](")[2].partition(".md)")[0]
        assert f"reference/{page}.md" in pages, name
    assert table.count("\n| `") == len(NAMES)


def test_a_name_without_a_page_is_told(pages, tmp_path):
    for place, text in pages.items():
        if place.startswith("reference/"):
            (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / place).write_text(text)
    assert made.missing(tmp_path) == []
    (tmp_path / "reference" / "api" / "predict.md").unlink()
    (tmp_path / "reference" / "commands" / "fit.md").unlink()
    assert made.missing(tmp_path) == ["gpu_thermo.predict", "gpu-thermo fit"]


@pytest.mark.parametrize("name", library.abouts())
def test_a_name_says_what_it_is(name, pages):
    about = library.abouts()[name]
    assert len(about) > 10
    assert f"| [{name}]({name}.md) | " in pages["reference/api/index.md"]


def test_errors_lead_to_their_pages(pages):
    """In the table of errors, to the place that `gpu-thermo docs` opens."""
    text = pages["reference/errors.md"]
    assert "[spec](../reference/commands/spec.md)" in text
    assert "[equations.7](../equations.md#7-random-numbers)" in text
