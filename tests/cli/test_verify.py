"""What the command line makes of a report."""

import json
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from gpu_thermo.verify import Check, Report
from gpu_thermo_cli.main import app

CHECKS = (
    Check("well", "BAOAB", "batched", "z", 2.1, 6.0, 12, "<qq> k=1", 0.01, 0.3),
    Check("same", "segments", "fused", "difference", 0.0, 0.0),
)


def test_verdict_lines_and_exit_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    import gpu_thermo.verify as package

    report = Report("cpu", "quick", CHECKS, ("exchange: no time",), 1.5)

    def fake(*args: object, **options: object) -> Report:
        return fake.report

    fake.report = report
    monkeypatch.setattr(package, "verify", fake)
    done = CliRunner().invoke(app, ["verify"])
    assert (done.exit_code, "Verified" in done.stdout) == (0, True)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert json.loads(CliRunner().invoke(app, ["verify", "--json"]).stdout)["verdict"] == report.verdict
    bad = replace(report.checks[-1], value=9.9, what="<qq> k=1")
    fake.report = replace(report, checks=(*report.checks[:-1], bad))
    done = CliRunner().invoke(app, ["verify"])
    assert done.exit_code == 1
    assert "<qq> k=1" in done.stdout
    assert CliRunner().invoke(app, ["verify", "--json"]).exit_code == 1


def test_unknown_engine_is_refused() -> None:
    done = CliRunner().invoke(app, ["verify", "--engine", "warp", "--device", "cpu"])
    assert done.exit_code == 2
