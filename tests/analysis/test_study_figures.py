"""Pictures of studies: what is drawn, and its numbers."""

import csv
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gpu_thermo.errors import DataError
from gpu_thermo_analysis import study_figures as figures


@pytest.mark.parametrize("name", ["curves", "densities", "distributions", "spreads", "heat_map"])
def test_pictures_and_their_numbers(study: xr.Dataset, tmp_path: Path, name: str):
    """PNG, SVG and CSV; the same bytes twice; one row for each thing drawn."""
    draw = getattr(figures, name)
    given = ("method.sigma", "method.temperature.hidden") if name == "heat_map" else ()
    paths = figures.save(draw(study, *given), tmp_path / "fig8.5")
    assert [p.name for p in paths] == ["fig8.5.png", "fig8.5.svg", "fig8.5.csv"]
    if name == "distributions":
        first = [p.read_bytes() for p in paths]
        assert [p.read_bytes() for p in figures.save(draw(study), tmp_path / "fig8.5")] == first
    rows = list(csv.DictReader(paths[2].read_text().splitlines()))
    assert len(rows) == {"curves": 4 * 6, "densities": 4 * 80}.get(name, 4)
    assert all(int(row["runs"]) == 6 for row in rows)


def test_heat_map_means(study: xr.Dataset):
    """Each tile is the mean of its own runs."""
    drawn = figures.heat_map(study, "method.sigma", "method.temperature.hidden")
    for sigma, tau, _, mean in drawn.rows:
        mine = (study["method.sigma"] == sigma) & (study["method.temperature.hidden"] == tau)
        assert mean == pytest.approx(float(study["accuracy"].to_numpy()[mine.to_numpy()].mean()))


def test_bands(study: xr.Dataset):
    """Quantiles over the runs of one cell."""
    band = figures.band(study, 2, "nll")
    values = study["curve_nll"].to_numpy()[12:18]
    np.testing.assert_allclose(band.median, np.median(values, axis=0), rtol=1e-6)
    assert (band.low <= band.median).all()
    with pytest.raises(DataError, match=r"Known: .*nll"):
        figures.band(study, 0, "nil")
