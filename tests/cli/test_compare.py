"""Comparisons on the command line."""

import json
from pathlib import Path

import pytest
from cli_cases import call
from comparison_cases import COMPARISON


def test_compare_runs_prints_and_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(COMPARISON)
    done = call("compare", "mine.toml", "--out", "here", "--scale", "0.2", "--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "each entry evaluates 480 gradients in a group" in done.stdout
    assert "exchange: ours." in done.stdout
    assert (tmp_path / "here" / "summary.png").exists()
    again = call("compare", "mine.toml", "--out", "here", "--scale", "0.2", "--device", "cpu", "--json", "--quiet")
    assert [row["label"] for row in json.loads(again.stdout)["rows"]] == ["SGLD", "exchange", "contour"]


def test_demonstrations_are_listed_and_unknown_ones_refused() -> None:
    listed = call("compare", "list")
    assert listed.exit_code == 0
    assert "twenty_five" in listed.stdout
    wrong = call("compare", "twenty_fife")
    assert wrong.exit_code == 2
    assert "Did you mean 'twenty_five'?" in wrong.output
