"""Pictures of studies: what is drawn, and its numbers."""

import csv
import json
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


def test_what_all_panels_compare_with_stands_out(study: xr.Dataset):
    """Black, above the others and named at its line; not where all panels have all."""
    a, b, c, d = json.loads(study.attrs["cells"])
    some = figures.curves(study, split=[("one", [a, d]), ("two", [b, c, d])]).figure.axes
    for panel in some:
        assert panel.lines[-1].get_color() == "black"
        assert [text.get_text() for text in panel.texts] == [d]
        assert d not in [text.get_text() for text in panel.get_legend().get_texts()]
    every = figures.curves(study, split=[("one", [a, d]), ("two", [a, d])]).figure.axes
    assert all(line.get_color() != "black" for panel in every for line in panel.lines)
    assert not any(panel.texts for panel in every)


def test_heat_map_means(study: xr.Dataset):
    """Each tile is the mean of its own runs."""
    drawn = figures.heat_map(study, "method.sigma", "method.temperature.hidden")
    for sigma, tau, *_, mean in drawn.rows:
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


def test_failed_runs_are_counted(study: xr.Dataset):
    """Every figure says finished of attempted, and in quantiles failed runs are beyond the bad end."""
    lost = (study["cell"] == 1) & (study["seed_index"] < 4)
    name = "curve_accuracy"
    curve = study[name].to_numpy().copy()
    curve[lost, 3:] = np.nan
    bad = study.assign({name: (("chain", "step"), curve), "accuracy": study["accuracy"].where(~lost)})
    cells = json.loads(study.attrs["cells"])
    band = figures.band(bad, 1, "accuracy")
    assert (band.runs, band.finished.tolist()) == (6, [6, 6, 6, 2, 2, 2])
    assert np.isnan(band.median[3:]).all()
    assert np.isfinite(band.mean).all()
    rows = [r for r in figures.curves(bad).rows if r[0] == cells[1]]
    assert [r[1:3] for r in rows] == [(6, 6)] * 3 + [(6, 2)] * 3
    for draw in (figures.distributions, figures.spreads):
        (row,) = (r for r in draw(bad).rows if r[0] == cells[1])
        assert row[1:3] == (6, 2)
    rows = [r for r in figures.densities(bad).rows if r[0] == cells[1]]
    assert rows[0][1:3] == (6, 2)
    assert rows[0][-1] >= 4 / 6
    assert (6, 2) in {r[2:4] for r in figures.heat_map(bad, "method.sigma", "method.temperature.hidden").rows}
