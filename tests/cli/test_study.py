"""Studies and their tables on the command line."""

import json
from pathlib import Path

import pytest
from browser import check_shown, needs_browser
from figure_cases import STUDY
from typer.testing import CliRunner

from gpu_thermo.study import StudySpec
from gpu_thermo_cli import study as study_command
from gpu_thermo_cli.main import app

# -- commands ----------------------------------------------------------------------------------------------------------


@needs_browser
def test_a_report_in_a_browser(tmp_path: Path):
    """No message on its console, and all figures are there."""
    spec = tmp_path / "s.toml"
    spec.write_text(StudySpec.from_dict({**STUDY, "seeds": {"count": 1}}).to_toml())
    out = str(tmp_path / "s.zarr")
    assert CliRunner().invoke(app, ["study", str(spec), "--out", out, "-q"]).exit_code == 0
    assert CliRunner().invoke(app, ["report", out, "--out", str(tmp_path / "r.html"), "-q"]).exit_code == 0
    check_shown(tmp_path / "r.html", tmp_path)


def test_study_and_table_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A dry run writes nothing; the study prints its table; refusals are one message and exit code 2."""
    spec = tmp_path / "s.toml"
    spec.write_text(StudySpec.from_dict({**STUDY, "seeds": {"count": 2}}).to_toml())
    out = str(tmp_path / "s.zarr")
    dry = CliRunner().invoke(app, ["study", str(spec), "--out", out, "--dry-run", "--json"])
    assert json.loads(dry.stdout)["runs"] == 8
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.toml", "s.toml"]
    assert CliRunner().invoke(app, ["study", str(spec), "--out", out, "-q"]).exit_code == 0
    found = json.loads(CliRunner().invoke(app, ["table", out, "--json", "--by", "method.sigma"]).stdout)
    assert list(found["groups"]) == ["sigma 0", "sigma 0.01"]
    assert found["groups"]["sigma 0"]["count"] == 4
    assert found["comparisons"][0]["pairs"] == 2
    every = json.loads(CliRunner().invoke(app, ["table", out, "--json"]).stdout)
    assert len(every["comparisons"]) == 6
    assert CliRunner().invoke(app, ["table", out]).stdout.count(" - ") == 7  # with the head of the column
    monkeypatch.setattr(study_command, "MOST_PAIRS", 2)
    few = CliRunner().invoke(app, ["table", out]).stdout
    assert "2 of 6 pairs are shown, those nearest to the best" in few
    best = max(every["groups"], key=lambda label: every["groups"][label]["mean"])
    assert f"the best, '{best}'" in " ".join(few.split())
    assert CliRunner().invoke(app, ["report", out, "--out", str(tmp_path / "r.html"), "-q"]).exit_code == 0
    page = (tmp_path / "r.html").read_text()
    assert "8 of 8 runs are done" in page
    assert "<svg" in page
    assert "sigma 0.01" in page
    spec.write_text(spec.read_text() + "\n[grdi]\n")
    refused = CliRunner().invoke(app, ["study", str(spec), "--out", out])
    assert refused.exit_code == 2
    assert "Did you mean 'grid'?" in refused.output
    assert CliRunner().invoke(app, ["table", str(tmp_path)]).exit_code == 2
