"""All measurements in one command: what it would run is there, and how it goes on."""

import importlib.util
import sys
from pathlib import Path

import pytest

from bench import everything
from bench.everything import STEPS, Step


@pytest.mark.parametrize("step", STEPS, ids=lambda step: " ".join((step.module, *step.told[:2])))
def test_a_step_is_a_command_that_there_is(step):
    source = Path(importlib.util.find_spec(f"bench.{step.module}").origin).read_text()
    options = [word for word in step.told if word.startswith("--")]
    assert all(f'"{option}"' in source for option in options)
    assert step.minutes > 0


def fake(monkeypatch, tmp_path, *steps):
    """Steps in place of STEPS; what is started, in turn."""
    started = []

    def run(command, **_):
        started.append(command)
        return type("Done", (), {"returncode": 3 if "fails" in " ".join(command) else 0})()

    monkeypatch.setattr(everything.subprocess, "run", run)
    monkeypatch.setattr(everything, "STEPS", steps)
    return started


def test_a_failure_takes_nothing_from_the_next(monkeypatch, tmp_path, capsys):
    started = fake(monkeypatch, tmp_path, Step("fails"), Step("scale", ("--rounds", "1")))
    everything.main(["--folder", str(tmp_path)])
    assert [command[4] for command in started[:2]] == ["bench.fails", "bench.scale"]
    assert started[1][5:] == ["--rounds", "1"]
    assert started[2][-1] == "bench.tables"
    assert "FAILED with 3" in capsys.readouterr().out


def test_what_cannot_be_run_is_left_out_and_named(monkeypatch, tmp_path, capsys):
    made = tmp_path / "made"
    made.touch()
    steps = (Step("a", minutes=200), Step("b", needs=("no_such_package",)), Step("c", bde=True), Step("d", makes=made),
             Step("e", minutes=5))  # fmt: skip
    started = fake(monkeypatch, tmp_path, *steps)
    everything.main(["--folder", str(tmp_path), "--minutes", "100"])
    said = capsys.readouterr().out
    assert [command[4] for command in started[:-1]] == ["bench.e"]
    for why in ("no time", "no_such_package", "asks for --bde-python", "there"):
        assert why in said


def test_bde_has_an_interpreter_of_its_own(monkeypatch, tmp_path):
    started = fake(monkeypatch, tmp_path, Step("bde", bde=True), Step("scale"))
    everything.main(["--folder", str(tmp_path), "--bde-python", "/elsewhere/python"])
    assert [command[0] for command in started[:2]] == ["/elsewhere/python", sys.executable]


def test_nothing_is_started_by_a_dry_run(monkeypatch, tmp_path, capsys):
    started = fake(monkeypatch, tmp_path, Step("scale", minutes=60), Step("pbp", minutes=60))
    everything.main(["--folder", str(tmp_path), "--dry-run", "--minutes", "100"])
    assert not started
    said = capsys.readouterr().out
    assert said.count("would be run") == 1
    assert said.count("no time") == 1
