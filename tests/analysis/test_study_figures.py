"""Pictures of studies and the published figures: what is drawn, its numbers, the tables beside it, the gallery page."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from gpu_thermo.averages.predictive import scores_on_test
from gpu_thermo.errors import DataError
from gpu_thermo.run import sample
from gpu_thermo.study import StudySpec, run_study
from gpu_thermo_analysis import study_figures as figures
from gpu_thermo_analysis.paper import ensembles, inside
from gpu_thermo_analysis.paper import networks as nets
from gpu_thermo_analysis.paper.figures import ENTRIES, scaled
from gpu_thermo_analysis.paper.gallery import write_entry, write_gallery
from gpu_thermo_analysis.paper.more import MORE
from gpu_thermo_analysis.paper.rows import Row, best, claim, first_step, rises, sentence
from gpu_thermo_cli.main import app

STUDY = {
    "data": {"name": "spirals", "turns": 1, "train": 40, "test": 40},
    "model": {"hidden": 6},
    "run": {"steps": 300, "batch": 10, "trace": 50},
    "method": {"name": "adlala"},
    "grid": {"method.sigma": [0.0, 0.01], "method.temperature.hidden": [1e-6, 1e-4]},
    "seeds": {"count": 6},
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small study over two parameters."""
    path = tmp_path_factory.mktemp("figures") / "study.zarr"
    run_study(STUDY, path).close()
    return path


@pytest.fixture(scope="module")
def study(store: Path) -> xr.Dataset:
    """The same, opened."""
    from gpu_thermo.study import open_study

    return open_study(store)


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


def test_every_published_study_is_valid():
    """All cells of all entries, full size and small; recorded points end with the run."""
    for entry in (ENTRIES | MORE).values():
        for scale in (1.0, 0.05):
            spec = StudySpec.from_dict(scaled(entry.study, scale))
            for cell in spec.cells():
                assert cell.spec.run.steps % cell.spec.run.trace == 0


def test_verdicts():
    """Close, within the spread, or not."""
    assert Row("a", 0.9, 0.91, 0.01, 0.02, 10).verdict == "agrees"
    assert Row("a", 0.9, 0.8, 0.01, 0.06, 10).verdict == "lower, within the spread"
    assert Row("a", 0.9, 0.8, 0.01, 0.02, 10).verdict == "lower by 0.1"
    assert Row("a", None, 0.8, 0.01, 0.02, 10).verdict == ""


def test_claims_follow_the_runs(study: xr.Dataset):
    """A claim and its opposite never both hold; the sentence says which is which."""
    cells = json.loads(study.attrs["cells"])
    up, down = (
        claim(study, "up", cells[0], ">", cells[1], "loss"),
        claim(study, "down", cells[0], "<", cells[1], "loss"),
    )
    assert {up.holds, down.holds} in ({True, False}, {None})
    top = cells[int(study["loss"].to_numpy().reshape(4, 6).mean(axis=1).argmax())]
    assert best(study, top, "loss").holds
    text = sentence([Row("x", 0.5, 0.5, 0.1, 0.1, 3)], [up], True)
    assert "1 of 1 published numbers" in text
    assert "reduced size" in sentence([], [], False)


def test_runs_that_never_get_there(study: xr.Dataset):
    """Are counted, and make a ratio a lower bound, which agrees with nothing."""
    cells = json.loads(study.attrs["cells"])
    times = study["steps_to_90"].copy(data=np.where(study["cell"] == 0, np.nan, 100.0))
    rows = first_step(study.assign(steps_to_90=times), 0.9, {f"{cells[0]} / {cells[1]}": 3.0}, cells[0], cells[1])
    assert rows[0].verdict == "0 of 6 runs get there"
    assert rows[1].verdict == ""
    assert (rows[-1].obtained, rows[-1].verdict) == (3.0, "a lower bound: half the runs never get there")


def test_a_curve_that_rises_again(study: xr.Dataset):
    """By more than a tenth of its lowest point, or not."""
    cells = json.loads(study.attrs["cells"])
    up = np.where(study["cell"].to_numpy()[:, None] == 0, [5, 4, 3, 2, 2, 2.3], [6, 5, 4, 3, 2, 2.1])
    found = study.assign(curve_nll=(("chain", "step"), up))
    assert rises(found, cells[0], "nll").holds
    assert not rises(found, cells[1], "nll").holds
    assert rises(found, cells[1], "nll", expected=False).holds


def test_what_people_wrote_stays_on_the_page(study: xr.Dataset, tmp_path: Path):
    """Remarks on the whole and on one figure survive a new page."""
    from dataclasses import replace

    entry = replace(ENTRIES["fig8"], draw=figures.distributions, rows=lambda s: [], claims=lambda s: [])
    write_entry(entry, study, tmp_path, 1.0, 1.0)
    page = tmp_path / "G.md"
    write_gallery(tmp_path, page)
    text = (
        page.read_text()
        .replace("# Gallery\n", "# Gallery\n\nRemarks: a shared machine.\n")
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
    monkeypatch.setattr("gpu_thermo_analysis.paper.figures.MIN_STEPS", 100)
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


def test_networks_are_read_back(tmp_path: Path):
    """Kept parameters give the recorded loss, sizes without padding, classifiers and lines; the ends of a line are its
    networks.
    """
    grid = {
        "model.init": ["he", "normal"],
        "data": [{"label": "spirals b 2", **STUDY["data"]}, {"label": "digits", "name": "digits"}],
    }
    options = {"study": {"keep": True}, "seeds": {"count": 3, "data": 1, "init": 1}}
    study = run_study(
        {"model": STUDY["model"], "run": STUDY["run"], "method": {"name": "adam"}, "grid": grid} | options,
        tmp_path / "s.zarr",
    )
    for row in (0, 4):
        data = nets.data_of(study, row)
        assert nets.weights(study, row)[2].shape == (1, data.outputs, 6)
        assert nets.loss(nets.weights(study, row), data)[-1] == pytest.approx(float(study["loss"][row]), rel=1e-5)
        ends = nets.along(study, row, np.array([0.0, 1.0]))
        assert ends[1] == pytest.approx(float(study["loss"][row]), rel=1e-5)
        assert ends[0] == pytest.approx(float(nets.loss(nets.weights(study, row, initial=True), data)[0]))
    assert len(nets.lines(study).rows) == 4 * 3 * 61
    assert len(nets.planes(study).rows) == 4 * 41 * 41
    assert len(nets.barrier_claims(study)) == len(nets.barrier_claims(study, minima=True)) == 4
    assert all((v > -1).all() for v in nets.barriers(study).values())
    assert len(nets.classifiers(study.isel(chain=slice(0, 3)).assign_attrs(cells='["spirals b 2"]')).rows) == 2


def test_entries_are_written_at_full_size_without_a_suffix(study: xr.Dataset, tmp_path: Path):
    """What a gallery prefers."""
    from dataclasses import replace

    entry = replace(ENTRIES["fig8"], draw=figures.distributions, rows=lambda s: [], claims=lambda s: [])
    write_entry(entry, study, tmp_path, 0.1, 1.0)
    write_entry(entry, study, tmp_path, 1.0, 1.0)
    assert write_gallery(tmp_path, tmp_path / "G.md") == 1
    assert "(g/fig8.png)" in (tmp_path / "G.md").read_text()


# -- inside the runs ---------------------------------------------------------------------------------------------------


def test_weights_over_time(tmp_path: Path):
    """Every draw at its step, all units of all runs; quantiles of what was kept."""
    study = run_study(
        STUDY
        | {
            "grid": {"method": [{"name": "sgd"}, {"name": "adlala"}]},
            "run": STUDY["run"] | {"thin": 100},
            "study": {"keep": True},
        }
        | {"method": {"name": "sgd"}},
        tmp_path / "s.zarr",
    )
    assert inside.draw_steps(study, 1).tolist() == [100, 200, 300]
    values = inside.pooled(study, 1)
    assert {name: v.shape for name, v in values.items()} == {"w1": (3, 72), "b1": (3, 36), "w2": (3, 36)}
    drawn = inside.weight_distributions(study)
    last = next(row for row in drawn.rows if row[:3] == ("adlala", "w1", 300))
    assert last[6] == pytest.approx(float(np.median(study["w1"].to_numpy()[6:, -1])))
    rms = float(np.sqrt((values["b1"][-1] ** 2).mean()))
    assert rms == pytest.approx(float(np.sqrt((study["rms_b1"].to_numpy()[6:] ** 2).mean())), rel=1e-5)


def test_kinetic_temperatures(tmp_path: Path):
    """Full gradients at high friction are as hot as asked; a hundredfold wrong temperature is seen; layers by name."""
    methods = [
        {"name": "langevin", "stepsize": 0.1, "temperature": 1e-4, "friction": 10.0},
        {"name": "lala", "stepsize": 0.1, "temperature": {"hidden": 1e-2, "output": 1e-4}, "friction": 10.0},
    ]
    run = {"steps": 2000, "minibatch": "full", "trace": 20}
    study = run_study(STUDY | {"grid": {"method": methods}, "run": run, "method": {"name": "sgd"}}, tmp_path / "s.zarr")
    found = inside.temperature_ratios(study)
    assert list(found) == [("langevin", "all"), ("lala", "hidden"), ("lala", "output")]
    for values in found.values():
        assert abs(values.mean() - 1) < 5 * values.std(ddof=1) / 6**0.5 + 0.01
    wrong = study.assign_coords(temperature_hidden=study["temperature_hidden"] / 100)
    assert inside.temperature_ratios(wrong)["lala", "hidden"].mean() > 50
    assert len(inside.kinetic_temperatures(study).rows) == 3 * 100


# -- ensembles ---------------------------------------------------------------------------------------------------------


def test_coverage():
    """Normal residuals are covered as often as they should be; half the claimed sd, or twice, is seen."""
    z = np.random.default_rng(1).standard_normal(20_000)
    assert ensembles.coverage_gap(z) < 0.01
    assert ensembles.coverage_gap(2 * z) > 0.15
    assert ensembles.coverage_gap(z / 2) > 0.15


def test_the_comparison_of_ensembles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Scores are those of the runs' own averages; what is done is kept, what has changed is made again; a table, a
    picture, a page.
    """
    from dataclasses import replace

    some = ("Adam, one network", ensembles.REFERENCE, "Langevin, T 1")
    few = tuple(replace(c, members=min(c.members, 3)) for c in ensembles.CONTENDERS if c.label in some)
    monkeypatch.setattr(ensembles, "CONTENDERS", few)
    monkeypatch.setattr(ensembles, "DATA", {name: ensembles.DATA[name] for name in ("wine", "diabetes")})
    monkeypatch.setattr(ensembles, "HIDDEN", 5)
    arguments = ["figure", "ensembles", "--scale", "0.02", "--out", str(tmp_path), "--gallery", str(tmp_path / "G.md")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    found = ensembles.read_results(tmp_path, 0.02)
    assert found.splits == 2
    for data, contenders in found.values.items():
        for label, scores in contenders.items():
            for name in ("error", "nll", "calibration", *(() if label == "Adam, one network" else ("shuffled", "far"))):
                assert np.isfinite(scores[name]).all(), (data, label, name)
    case = next(c for c in ensembles.cases(0.02) if c.id == "diabetes-langevin-t-1")
    run = sample(case.spec)
    own = scores_on_test(run)
    np.testing.assert_allclose(
        found.values["diabetes"]["Langevin, T 1"]["error"], [own[0]["rmse"], own[1]["rmse"]], rtol=1e-6
    )
    assert len(ensembles.table(found)) == 2 * 3
    assert "## Ensembles against alternatives" in (tmp_path / "G.md").read_text()
    monkeypatch.setattr(ensembles, "score", lambda *given: pytest.fail("made again"))
    assert CliRunner().invoke(app, arguments[:-2]).exit_code == 0
    monkeypatch.setattr(ensembles, "PRIOR_SD", 2.0)
    assert {c.contender.prior for c in ensembles.cases(0.02) if not ensembles.is_done(tmp_path, c)} == {True}


# -- commands ----------------------------------------------------------------------------------------------------------


def test_study_and_table_commands(tmp_path: Path):
    """A dry run writes nothing; the study prints its table; refusals are one message and exit code 2."""
    spec = tmp_path / "s.toml"
    spec.write_text(StudySpec.from_dict({**STUDY, "seeds": {"count": 2}}).to_toml())
    out = str(tmp_path / "s.zarr")
    dry = CliRunner().invoke(app, ["study", str(spec), "--out", out, "--dry-run", "--json"])
    assert json.loads(dry.stdout)["runs"] == 8
    assert [p.name for p in tmp_path.iterdir()] == ["s.toml"]
    assert CliRunner().invoke(app, ["study", str(spec), "--out", out, "-q"]).exit_code == 0
    found = json.loads(CliRunner().invoke(app, ["table", out, "--json", "--by", "method.sigma"]).stdout)
    assert list(found["groups"]) == ["sigma 0", "sigma 0.01"]
    assert found["groups"]["sigma 0"]["count"] == 4
    assert found["comparisons"][0]["pairs"] == 2
    spec.write_text(spec.read_text() + "\n[grdi]\n")
    refused = CliRunner().invoke(app, ["study", str(spec), "--out", out])
    assert refused.exit_code == 2
    assert "Did you mean 'grid'?" in refused.output
    assert CliRunner().invoke(app, ["table", str(tmp_path)]).exit_code == 2
