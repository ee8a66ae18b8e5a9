"""Ensembles against alternatives."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gpu_thermo.averages.predictive import scores_on_test
from gpu_thermo.run import sample
from gpu_thermo_analysis.paper import ensembles
from gpu_thermo_cli.main import app

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
