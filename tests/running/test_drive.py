"""Runs stopped from outside: kills, signals, a full disk."""

import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import (
    ENDLESS,
    LONGER,
    NEEDS_COMPILER,
    ON_EACH_ENGINE,
    SMALL,
    child,
    differences,
    wait_for_progress,
    wait_for_start,
)

from gpu_thermo.errors import RunError
from gpu_thermo.run import resume, sample
from gpu_thermo.running import drive as drive_module
from gpu_thermo.store import open_run, read_header


@pytest.mark.slow
@ON_EACH_ENGINE
def test_twenty_kills_at_random_moments_lose_nothing(tmp_path: Path, engine: str) -> None:
    """Kill -9 twenty times while the run starts, advances and commits; then finish, and compare with the straight
    run.
    """
    sample(LONGER[engine], tmp_path / "straight.zarr", engine=engine)
    total = LONGER[engine]["run"]["steps"]
    path, rng, kills, steps = tmp_path / "run.zarr", random.Random(1), 0, []
    while kills < 20:
        process = child(path, engine)
        if (
            kills % 3
        ):  # while it advances and commits; otherwise at any moment after the store was born, recovery included
            wait_for_progress(path, process)
            time.sleep(rng.uniform(0, 0.3))
        else:
            wait_for_start(path, process)
            time.sleep(rng.uniform(0, 1.5))
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.communicate()
        steps.append(read_header(path).step)
        if steps[-1] == total:  # finished before all kills were spent: start over
            assert differences(tmp_path / "straight.zarr", path) == []
            shutil.rmtree(path)
    assert len(set(steps)) > 5
    process = child(path, engine)
    process.communicate()
    assert differences(tmp_path / "straight.zarr", path) == []


@pytest.mark.parametrize(
    ("signum", "engine"),
    [(signal.SIGINT, "batched"), (signal.SIGTERM, "batched"), (signal.SIGHUP, "batched"),
     pytest.param(signal.SIGTERM, "fused", marks=NEEDS_COMPILER)],
)  # fmt: skip
def test_signals_commit_and_say_how_to_go_on(tmp_path: Path, signum: int, engine: str) -> None:
    path, total = tmp_path / "run.zarr", ENDLESS[engine]["run"]["steps"]
    process = child(path, engine, ENDLESS[engine])
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "running\n"
        process.send_signal(signum)
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == 128 + signum, out
    assert f"gpu-thermo resume {path}" in out
    step = read_header(path).step
    assert 0 < step < total
    assert f"step {step} of {total}" in out


def test_a_signal_that_is_ignored_stays_so() -> None:
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with drive_module.stop_signals() as caught:
            os.kill(os.getpid(), signal.SIGHUP)
            assert caught == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_signal_to_a_part_is_known_to_the_whole() -> None:
    """And one that came before the part to it; after all handlers are the former ones."""
    before = signal.getsignal(signal.SIGTERM)
    with drive_module.stop_signals() as whole:
        with drive_module.stop_signals() as part:
            os.kill(os.getpid(), signal.SIGTERM)
        assert whole == [signal.SIGTERM]
        with drive_module.stop_signals() as another:
            assert another == [signal.SIGTERM]
    assert part == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) == before
    with drive_module.stop_signals() as anew:
        assert anew == []


SECOND = """
import os, signal
from gpu_thermo.running.drive import stop_signals
with stop_signals():
    with stop_signals():
        os.kill(os.getpid(), signal.SIGINT)
    print("goes on", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
    print("never")
"""


def test_a_second_signal_leaves_at_once_whoever_caught_the_first() -> None:
    done = subprocess.run([sys.executable, "-c", SECOND], stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "goes on\n")


def test_disk_full_on_the_way_keeps_what_was_committed(
    straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpu_thermo.store import files

    path, written = tmp_path / "run.zarr", itertools.count()
    real = os.replace

    def failing(src: str, dst: str, **kwargs: object) -> None:
        """Fill the disk some fifty files after the store was born."""
        if path.exists() and next(written) > 50:
            raise OSError(28, "No space left on device")
        real(src, dst, **kwargs)

    monkeypatch.setattr(files.os, "replace", failing)
    with pytest.raises(RunError, match=r"(?i)disk|space"):
        sample(SMALL, path, commit_seconds=0.0)
    monkeypatch.undo()
    assert 0 <= read_header(path).step < 600
    open_run(path).load()
    resume(path)
    assert differences(straight, path) == []
