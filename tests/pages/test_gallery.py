"""Every picture of the gallery has its command; notebooks become pages with their pictures."""

import pytest
from site_pages import ROOT, gallery
from typer.testing import CliRunner

from gpu_thermo_analysis.paper.figures import ENTRIES
from gpu_thermo_cli.main import app

SHOWN = list(gallery.shown())


def test_every_entry_that_has_a_picture_is_shown():
    pictures = {path.stem for path in (ROOT / "analysis" / "gallery").glob("*.png")}
    figures = {s.command.split()[2] for s in SHOWN if s.page == "figures"}
    assert figures >= set(ENTRIES) & pictures


@pytest.mark.parametrize("shown", SHOWN, ids=lambda s: s.picture)
def test_pictures_and_commands_are_there(shown):
    assert (ROOT / "analysis" / "gallery" / shown.picture).is_file()
    assert shown.command.split()[1] in ("figure", "compare")


def test_demonstrations_that_are_named_exist():
    listed = CliRunner().invoke(app, ["compare", "list"]).stdout
    assert all(s.command.split()[2] in listed for s in SHOWN if " compare " in s.command)


def test_a_picture_without_a_command_is_refused(tmp_path, monkeypatch):
    (page := tmp_path / "PAGE.md").write_text("## One\n\n![x](gallery/x.png)\n")
    monkeypatch.setattr(gallery, "PAGES", {"page": page})
    with pytest.raises(ValueError, match=r"x\.png"):
        list(gallery.shown())


def test_notebooks():
    found = gallery.notebooks()
    pages = [name for name in found if name.endswith(".md")]
    assert len(pages) == len([*(ROOT / "docs" / "papers").glob("*.ipynb")])
    for name in pages:
        assert found[name].startswith("# ")
        for picture in set(found) - set(pages):
            if picture.startswith(name.removesuffix(".md") + "_"):
                assert f"]({picture.removeprefix('papers/')})" in found[name]
                assert found[picture].startswith(b"\x89PNG")
