"""Killed births leave a folder; the next birth there clears it, and no living one."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from store_cases import make_header, make_store

from gpu_thermo.store import RunWriter
from gpu_thermo.store.staging import clear, staging

BIRTH = """
import sys, time
from pathlib import Path
from gpu_thermo.store import birth
from store_cases import make_header
from gpu_thermo.store import RunWriter
build = birth._build
def slow(folder, header, schema):
    record = build(folder, header, schema)
    print("built", flush=True)
    time.sleep(60)
    return record
birth._build = slow
RunWriter.create(Path(sys.argv[1]), make_header())
"""


@contextmanager
def born(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A birth that has all but its name, in a process of its own."""
    helpers = str(Path(__file__).parents[1] / "helpers")
    env = os.environ | {"PYTHONPATH": os.pathsep.join([helpers, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", BIRTH, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "built\n"
        yield process
        process.kill()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith(".partial"))


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_birth_is_cleared_by_the_next(tmp_path: Path, how: signal.Signals) -> None:
    with born(tmp_path / "one.zarr") as process:
        assert len(left(tmp_path)) == 1
        process.send_signal(how)
        process.wait()
    assert len(left(tmp_path)) == 1
    make_store(tmp_path / "two.zarr", commits=(1,))
    assert left(tmp_path) == []
    assert not (tmp_path / "one.zarr").exists()


def test_a_living_birth_is_not_touched(tmp_path: Path) -> None:
    with born(tmp_path / "one.zarr"):
        (before,) = left(tmp_path)
        files = sorted((tmp_path / before).rglob("*"))
        make_store(tmp_path / "two.zarr", commits=(1,))
        assert clear(tmp_path) == 0
        assert left(tmp_path) == [before]
        assert sorted((tmp_path / before).rglob("*")) == files
    assert clear(tmp_path) == 1


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    """Names, links and files that only look like it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    (tmp_path / ".gpu_thermo-0123456789ab.partial").symlink_to(outside)
    (tmp_path / ".gpu_thermo-file00000000.partial").write_text("x")
    for name in (
        ".gpu_thermo-.partial",
        ".gpu_thermo-0123456789ab.old",
        "gpu_thermo-0123456789ab.partial",
        "x.partial",
    ):
        (tmp_path / name).mkdir()
    before = sorted(tmp_path.iterdir())
    make_store(tmp_path / "run.zarr", commits=(1,))
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "run.zarr"])
    assert (outside / "precious").exists()


def test_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".gpu_thermo-0123456789ab.partial").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    assert clear(tmp_path) == 0
    assert len(left(tmp_path)) == 1


def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is cleared, and stores are born as ever."""

    def refuse(*arguments: Any) -> None:
        raise OSError(95, "not supported")

    (tmp_path / ".gpu_thermo-0123456789ab.partial").mkdir()
    monkeypatch.setattr("gpu_thermo.store.staging.fcntl.flock", refuse)
    with staging(tmp_path) as folder:
        assert folder.is_dir()
    assert left(tmp_path) == [".gpu_thermo-0123456789ab.partial"]


def test_births_beside_each_other(tmp_path: Path) -> None:
    """Each clears what it can while others build: all are born."""
    from concurrent.futures import ThreadPoolExecutor

    def birth(number: int) -> None:
        time.sleep(number % 3 / 100)
        RunWriter.create(tmp_path / f"{number}.zarr", make_header()).close()

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(birth, range(24)))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(f"{number}.zarr" for number in range(24))
