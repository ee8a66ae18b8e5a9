"""The program itself: help, screens, exit codes of trouble, pipes, signals, import cost."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cli_cases import PROGRAM, call, sets
from processes import wait_for_handlers

from gpu_thermo.store import read_header


@pytest.mark.parametrize(
    "command",
    ["methods", "datasets", "methods adlala", "datasets csv", "doctor", "sample --dry-run", "info run.zarr", "-h"],
)
def test_screens_are_plain_and_fit_80_columns(command: str, done: Path) -> None:
    shown = call(*command.split()).stdout
    assert "\x1b" not in shown
    assert [text for text in shown.splitlines() if len(text) > 80] == []


def test_debug_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Traceback" in call("--debug", "info", "no.zarr").stderr
    monkeypatch.setenv("GPU_THERMO_DEBUG", "1")
    assert "Traceback" in call("info", "no.zarr").stderr


def test_trouble_of_the_system_is_one_line_and_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "out.csv")

    monkeypatch.setattr("gpu_thermo.store.open_run", full)
    result = call("info", "run.zarr")
    assert (result.exit_code, result.stderr) == (1, "Error: No space left on device: out.csv.\n")


# -- processes ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_commit_and_leave_a_store_that_resumes(folder: Path, signum: int, code: int) -> None:
    steps = sets("run.steps=10000000", "run.thin=5", "run.burn_in=9999000", "run.trace=9000000")
    with subprocess.Popen(
        [*PROGRAM, "sample", "run.toml", *steps], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for_handlers(process)
        process.send_signal(signum)
        out, err = process.communicate(timeout=300)
    assert (process.returncode, out) == (code, ""), err
    assert "Traceback" not in err
    assert "gpu-thermo resume run.zarr" in err
    step = read_header("run.zarr").step
    assert step > 0
    assert call("resume", "run.zarr", "--time-limit", "0.2s", "--quiet").exit_code == 0
    assert read_header("run.zarr").step > step


def test_a_closed_pipe_is_silent() -> None:
    with subprocess.Popen([*PROGRAM, "methods"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
    assert "Traceback" not in err
    assert "Broken" not in err


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from gpu_thermo_cli.main import app; app(['sample', '--help'], standalone_mode=False);"
        " print(sorted(sys.modules))"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    for name in ("numpy", "zarr", "xarray", "matplotlib", "cupy", "sklearn", "scipy"):
        assert f"'{name}'" not in shown
