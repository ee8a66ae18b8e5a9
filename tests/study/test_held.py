"""Calibration of a study's runs: each one's mixture judged by itself, what stops, and the tables that show it."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from gpu_thermo.averages.mixtures import Mixture
from gpu_thermo.study import held, open_study, run_study
from gpu_thermo.study.tables import lower_is_better, outcomes, summaries
from gpu_thermo_cli.main import app


def study_of(folder: Path, likelihood: str = "gaussian", **sections) -> dict:
    g = np.random.default_rng(2)
    x = g.uniform(-2, 2, 90)
    y = g.poisson(np.exp(x)) if likelihood == "poisson" else 3 * x + g.normal(size=90)
    np.savetxt(folder / "t.csv", np.column_stack([x, y]), delimiter=",", header="x,y", comments="")
    data = {"name": "csv", "path": str(folder / "t.csv"), "target": "y", "task": "regression", "test_fraction": 0.4}
    return {
        "data": data,
        "model": {"hidden": 4, "activation": "tanh", "likelihood": likelihood, "prior_sd": 1.0},
        "method": {"name": "langevin", "stepsize": 0.05, "posterior_temperature": 1.0},
        "run": {"steps": 300, "burn_in": 100, "thin": 20, "trace": 100, "batch": 20},
        "seeds": {"count": 5}, "study": {"keep": True}, **sections,
    }  # fmt: skip


@pytest.mark.parametrize("likelihood", ["gaussian", "heteroscedastic", "student_t", "poisson"])
def test_it_is_that_of_the_mixture_over_a_runs_draws(tmp_path, likelihood, monkeypatch):
    """Each run alone, from the laws of its draws; all of them were judged together."""
    seen, real = [], held._judge
    monkeypatch.setattr(held, "_judge", lambda *given: seen.append(given) or real(*given))
    run_study(study_of(tmp_path, likelihood), tmp_path / "s.zarr").close()
    ((model, location, scale, y),) = seen
    assert location.shape == (10, 5, 36, 1)
    found = open_study(tmp_path / "s.zarr")
    for r in range(5):
        m = Mixture.of(model.likelihood.values.law, model.settings, location[:, r], scale[:, r])
        for c, name in zip(held.COVERAGE, held.NAMES, strict=False):
            assert found[name][r] == pytest.approx(m.inside(y[r], (c,)).mean())
        pit = np.sort(m.pit(y[r]).ravel())
        assert found["miscalibration"][r] == pytest.approx(np.abs(pit - (np.arange(36) + 0.5) / 36).mean())
        assert found["crps"][r] == pytest.approx(m.crps(y[r])[0].mean(), rel=1e-6)
        assert found["average_nll"][r] == pytest.approx(-m.log_joint(y[r]).mean(), rel=2e-3, abs=2e-3)


def test_learned_noise_is_that_of_the_draws(tmp_path, monkeypatch):
    """Scales are those of the stored draws, and so are their predictions."""
    seen, real = [], held._judge
    monkeypatch.setattr(held, "_judge", lambda *given: seen.append(given) or real(*given))
    run_study(study_of(tmp_path), tmp_path / "s.zarr").close()
    stored = open_study(tmp_path / "s.zarr")
    want = np.exp(stored["log_noise"].transpose("draw", "chain", ...).to_numpy().astype(float))
    np.testing.assert_allclose(seen[0][2], np.broadcast_to(want[:, :, None], seen[0][2].shape), rtol=1e-5)


def test_a_table_shows_it(tmp_path):
    """A noise that is known and three times too large or small, beside the learned one."""
    wide = [{"label": "wide", "noise_sd": 0.9}, {"label": "narrow", "noise_sd": 0.09}]
    common = {"hidden": 4, "activation": "tanh", "likelihood": "gaussian", "prior_sd": 1.0}
    tree = study_of(tmp_path, grid={"model": [{**common, **m} for m in wide]}, study={})
    tree.pop("model")
    run_study(tree, tmp_path / "s.zarr").close()
    study = open_study(tmp_path / "s.zarr")
    assert set(held.NAMES) <= set(outcomes(study))
    assert lower_is_better("crps")
    assert lower_is_better("miscalibration")
    assert not lower_is_better("coverage_90")
    share = summaries(study, "coverage_90")
    assert share["wide"].mean > 0.97
    assert share["narrow"].mean < 0.7
    done = CliRunner().invoke(app, ["table", str(tmp_path / "s.zarr"), "--outcome", "crps"])
    assert done.exit_code == 0, done.output
    assert "wide" in done.stdout


def test_runs_that_stopped_have_none(tmp_path):
    tree = study_of(tmp_path, method={"name": "langevin", "stepsize": 1e6, "posterior_temperature": 1.0})
    run_study(tree, tmp_path / "s.zarr").close()
    found = open_study(tmp_path / "s.zarr")
    for name in held.NAMES:
        assert np.isnan(found[name]).all()


def test_classes_have_scores_of_their_own(small):
    assert not set(held.NAMES) & set(open_study(small).data_vars)
    assert {"brier", "ece"} <= set(outcomes(open_study(small)))


def test_at_how_many_points_the_crps_is_affordable(tmp_path, monkeypatch):
    seen, real = [], Mixture.crps
    monkeypatch.setattr(Mixture, "crps", lambda self, y: seen.append(y.shape) or real(self, y))
    monkeypatch.setattr(held, "_WORK", 10 * 10 * 5 * 7)
    run_study(study_of(tmp_path), tmp_path / "s.zarr").close()
    assert seen == [(5 * 7, 1)]
