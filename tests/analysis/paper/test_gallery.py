"""Figures on disk, and the page of all of them."""

from pathlib import Path

import pytest
import xarray as xr
from typer.testing import CliRunner

from gpu_thermo_analysis import study_figures as figures
from gpu_thermo_analysis.paper.figures import ENTRIES
from gpu_thermo_analysis.paper.gallery import write_entry, write_gallery
from gpu_thermo_cli.main import app


def test_what_people_wrote_stays_on_the_page(study: xr.Dataset, tmp_path: Path):
    """Remarks on the whole and on one figure survive a new page."""
    from dataclasses import replace

    entry = replace(ENTRIES["fig8"], draw=figures.distributions, rows=lambda s: [], claims=lambda s: [])
    write_entry(entry, study, tmp_path, 1.0, 1.0)
    page = tmp_path / "G.md"
    write_gallery(tmp_path, page)
    text = (
        page.read_text()
        .replace("# Published figures\n", "# Published figures\n\nRemarks: a shared machine.\n")
        .replace("\nOurs,", "\nRemarks: as it is.\n\nOurs,")
    )
    page.write_text(text)
    write_gallery(tmp_path, page)
    assert page.read_text().count("Remarks: a shared machine.") == 1
    assert (
        page.read_text().index("Remarks: a shared")
        < page.read_text().index("## LMV fig8")
        < page.read_text().index("Remarks: as it is.")
    )


def test_figure_and_gallery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The command runs, draws, compares and writes the page; again, it only draws."""
    monkeypatch.setattr("gpu_thermo_analysis.paper.entry.MIN_STEPS", 100)
    arguments = [
        "figure",
        "fig8",
        "--scale",
        "0.01",
        "--out",
        str(tmp_path / "f"),
        "--gallery",
        str(tmp_path / "GALLERY.md"),
        "-q",
    ]
    for _ in range(2):
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    assert "| SGD | 0.79 |" in result.stdout
    page = (tmp_path / "GALLERY.md").read_text()
    assert "(gallery/fig8-0.01.png)" in page
    assert sorted(p.name for p in (tmp_path / "gallery").iterdir()) == ["fig8-0.01.csv", "fig8-0.01.png"]
    assert (tmp_path / "gallery" / "fig8-0.01.png").stat().st_size < (tmp_path / "f" / "fig8-0.01.png").stat().st_size
    assert "gpu-thermo figure fig8 --scale 0.01" in page
    assert CliRunner().invoke(app, ["figure", "fig99"]).exit_code == 2


def test_entries_are_written_at_full_size_without_a_suffix(study: xr.Dataset, tmp_path: Path):
    """What a gallery prefers."""
    from dataclasses import replace

    entry = replace(ENTRIES["fig8"], draw=figures.distributions, rows=lambda s: [], claims=lambda s: [])
    write_entry(entry, study, tmp_path, 0.1, 1.0)
    write_entry(entry, study, tmp_path, 1.0, 1.0)
    assert write_gallery(tmp_path, tmp_path / "G.md") == 1
    assert "(g/fig8.png)" in (tmp_path / "G.md").read_text()
